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

const (
	// limit bounds one conversation. A reload resolves names, which may take ten seconds.
	limit = 15 * time.Second
	// requestLimit is how long a client can take to send its request.
	requestLimit = 2 * time.Second
	// longestRequest is how long a request can be, in bytes.
	longestRequest = 4096
	// mostTalks is how many clients are served at the same time. The others wait.
	mostTalks = 64
	// again is how soon a connection that could not be accepted is tried again.
	again = 100 * time.Millisecond
)

// Serve answers until ctx ends, then closes the listener and waits for
// conversations to end. A connection that cannot be accepted now, for want of a
// descriptor, waits: the checks come first. The error is for a listener that was closed.
func Serve(ctx context.Context, listener *net.UnixListener, d Daemon, feed *Feed) error {
	var talks sync.WaitGroup
	defer talks.Wait()
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	room := make(chan struct{}, mostTalks)
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
		room <- struct{}{} // conversations end in their time, and when ctx ends
		talks.Go(func() {
			defer func() { <-room }()
			talk(ctx, conn, d, feed)
		})
	}
}

// talk serves one client.
func talk(ctx context.Context, conn net.Conn, d Daemon, feed *Feed) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	line, err := receive(ctx, conn)
	if err != nil {
		return
	}
	r, reply := parse(line)
	if reply == nil && r.Request == requestEvents {
		feed.stream(ctx, conn, r)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if reply == nil {
		reply = encodeReply(serve(ctx, d, r))
	}
	_, _ = conn.Write(append(reply, '\n')) // the client may have gone
}

// receive reads the line of a request in the time for it.
func receive(ctx context.Context, conn net.Conn) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	line, err := bufio.NewReaderSize(conn, longestRequest).ReadSlice('\n')
	return bytes.TrimSpace(line), err
}

// parse returns the request of a line, or the reply to a line that has none.
func parse(line []byte) (r request, reply []byte) {
	if !bytes.HasPrefix(line, []byte("{")) {
		return r, []byte(wordError + errNoVersion.Error())
	}
	r, err := decodeRequest(line)
	if err != nil {
		return r, encodeReply(nil, err)
	}
	return r, nil
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
	return nil, fmt.Errorf("unknown request %q; this directord knows %s, %s, %s and %s", r.Request, requestStatus, requestResync, requestReload, requestEvents)
}
