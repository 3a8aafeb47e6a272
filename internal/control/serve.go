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

// Daemon carries out the requests of clients.
type Daemon interface {
	Snapshot(context.Context) (Snapshot, error)
	Resync(context.Context) error
	Reload(context.Context) error
	// Explain returns why the real servers that a filter selects have their weights.
	Explain(context.Context, Filter) (Explanation, error)
	// Order carries out an operator's command.
	Order(context.Context, Command) error
}

// Listen makes the control socket of a daemon. Only the user of the daemon and root can use the
// socket. Listen replaces the socket of a dead daemon. The caller must hold the lock of the pid
// file (see package pidfile).
func Listen(stateDir, id string) (*net.UnixListener, error) {
	if err := os.MkdirAll(state.DaemonDir(stateDir), 0o755); err != nil {
		return nil, err
	}
	if err := state.Trust(state.DaemonDir(stateDir)); err != nil {
		return nil, err
	}
	return listen(Path(stateDir, id), 0o600)
}

// ListenView makes the socket where a group of users reads the state of a daemon. The administrator
// makes the directory of the socket with the mode 2750, so the socket gets the group of the
// directory. If the directory does not exist, ListenView returns no listener and no error.
func ListenView(stateDir, id string) (*net.UnixListener, error) {
	if _, err := os.Lstat(viewDir(stateDir)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // without the directory, there is no socket
	}
	if err := state.Trust(viewDir(stateDir)); err != nil {
		return nil, err
	}
	listener, err := listen(ViewPath(stateDir, id), 0o660)
	if err == nil {
		listener.SetUnlinkOnClose(false) // By then, the socket of another daemon can have this path.
	}
	return listener, err
}

// listen makes a socket with a mode. It replaces a socket that exists.
func listen(path string, mode fs.FileMode) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

const (
	// limit is how long the daemon can take to carry out a request and to send the reply. A reload
	// resolves names, which can take 8 seconds.
	limit = 15 * time.Second
	// requestLimit is how long a client can take to send its request.
	requestLimit = 2 * time.Second
	// longestRequest is the longest request in bytes.
	longestRequest = 4096
	// mostTalks is the largest number of clients that the daemon serves at the same time. Other
	// clients wait.
	mostTalks = 64
	// again is the time before the next Accept after Accept has failed.
	again = 100 * time.Millisecond
)

// Serve answers the requests of clients until ctx ends. After that, it closes the listener and
// waits until all conversations have ended. If Accept fails, Serve calls Accept again after the
// time again. For example, Accept fails while the process has no file descriptors left. Serve
// returns an error if another function has closed the listener.
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
		// The wait ends, because only mostReaders conversations can have no time limit.
		room <- struct{}{}
		talks.Go(func() {
			defer func() { <-room }()
			talk(ctx, conn, d, feed)
		})
	}
}

// talk reads the request of one client and replies.
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
	_, _ = conn.Write(append(reply, '\n')) // A write error is normal: the client can have closed the connection.
}

// receive reads the line of a request. It fails if the line does not come within requestLimit, or
// if it is longer than longestRequest.
func receive(ctx context.Context, conn net.Conn) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	line, err := bufio.NewReaderSize(conn, longestRequest).ReadSlice('\n')
	return bytes.TrimSpace(line), err
}

// parse returns the request that a line contains. If the line contains no valid request, parse
// returns the error reply for the client.
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
		return status(ctx, d, r)
	case requestExplain:
		return explain(ctx, d, r)
	case requestResync:
		return nil, d.Resync(ctx)
	case requestReload:
		return nil, d.Reload(ctx)
	case requestOrder:
		command, err := decodeArguments[Command](r)
		if err != nil {
			return nil, err
		}
		return nil, d.Order(ctx, command)
	}
	return nil, fmt.Errorf(unknownRequest+"%q; this directord knows %s, %s, %s, %s, %s and %s", r.Request, requestStatus, requestExplain, requestResync, requestReload, requestOrder, requestEvents)
}

// status returns the state of a daemon with the detail that a request wants.
func status(ctx context.Context, d Daemon, r request) (Snapshot, error) {
	want, err := decodeArguments[detail](r)
	if err != nil {
		return Snapshot{}, err
	}
	s, err := d.Snapshot(ctx)
	if want.Summary {
		s = s.summary()
	}
	return s, err
}
