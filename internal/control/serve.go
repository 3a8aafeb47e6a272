package control

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"lvs-agents/internal/state"
)

// Daemon is what answers requests.
type Daemon interface {
	Snapshot(context.Context) (Snapshot, error)
	Resync(context.Context) error
	Reload(context.Context) error
}

// Listen makes the socket of a daemon, readable by root alone. A socket that a
// dead daemon left is replaced: the caller holds the daemon's identity.
func Listen(stateDir, id string) (*net.UnixListener, error) {
	if err := os.MkdirAll(state.DaemonDir(stateDir), 0o755); err != nil {
		return nil, err
	}
	if err := state.Trust(state.DaemonDir(stateDir)); err != nil {
		return nil, err
	}
	path := Path(stateDir, id)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

// limit bounds one conversation. A reload resolves names, which may take ten seconds.
const limit = 15 * time.Second

// again is how soon a connection that could not be accepted is tried again.
const again = 100 * time.Millisecond

// Serve answers until ctx ends, then closes the listener and waits for
// conversations to end. A connection that cannot be accepted now, for want of a
// descriptor, waits: the daemon has more to do than to answer. The error is for a
// listener that was closed.
func Serve(ctx context.Context, listener *net.UnixListener, d Daemon) error {
	var talks sync.WaitGroup
	defer talks.Wait()
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	for {
		conn, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("control socket: %w", err)
		case err != nil:
			select {
			case <-ctx.Done():
			case <-time.After(again):
			}
			continue
		}
		talks.Go(func() { talk(ctx, conn, d) })
	}
}

func talk(ctx context.Context, conn net.Conn, d Daemon) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	line, err := bufio.NewReaderSize(conn, longestRequest).ReadSlice('\n')
	if err != nil {
		return
	}
	_, _ = conn.Write(append(answer(ctx, d, bytes.TrimSpace(line)), '\n')) // the client may have gone
}

// longestRequest is how long a request can be, in bytes.
const longestRequest = 4096

// answer returns the reply to a line.
func answer(ctx context.Context, d Daemon, line []byte) []byte {
	if !bytes.HasPrefix(line, []byte("{")) {
		return []byte(wordError + errNoVersion.Error())
	}
	r, err := decodeRequest(line)
	if err != nil {
		return encodeReply(nil, err)
	}
	return encodeReply(serve(ctx, d, r))
}

func serve(ctx context.Context, d Daemon, r request) (result any, err error) {
	switch r.Request {
	case requestStatus:
		return d.Snapshot(ctx)
	case requestResync:
		return nil, d.Resync(ctx)
	case requestReload:
		return nil, d.Reload(ctx)
	}
	return nil, fmt.Errorf("unknown request %q; this directord knows %s, %s and %s", r.Request, requestStatus, requestResync, requestReload)
}
