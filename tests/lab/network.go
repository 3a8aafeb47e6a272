package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Do calls f in the host's network namespace, without a new process. Sockets that f opens stay in
// that namespace. f must not start goroutines that open sockets, because another goroutine can run
// in another namespace.
func (h *Host) Do(f func() error) error {
	done := make(chan error)
	go func() {
		// This goroutine never unlocks its thread. So the Go runtime ends the thread together with
		// the goroutine, and no other goroutine can run in the host's namespace by accident.
		runtime.LockOSThread()
		done <- h.enterAndDo(f)
	}()
	return <-done
}

func (h *Host) enterAndDo(f func() error) error {
	namespace, err := os.Open(h.Netns())
	if err != nil {
		return err
	}
	defer func() { _ = namespace.Close() }()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("setns %s: %w", h.Netns(), err)
	}
	return f()
}

// Dial opens a connection from the host's network namespace. address is an IP address and a port.
// The connection sends no keep-alive packets, so it can be idle.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := h.Do(func() (err error) {
		conn, err = (&net.Dialer{KeepAlive: -1}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen opens a listener in the host's network namespace, and closes it when the test ends. Its
// connections send no keep-alive packets, so they can be idle.
func (h *Host) Listen(tb testing.TB, network, address string) net.Listener {
	tb.Helper()
	var listener net.Listener
	err := h.Do(func() (err error) {
		listener, err = (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), network, address)
		return err
	})
	if err != nil {
		tb.Fatalf("%s: %v", h.Name, err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	return listener
}

// getPorts is the number of source ports that Get uses: 20000 ports from port 10000. The kernel
// chooses ports above this range for other connections.
const getPorts = 20000

// Get requests url from the host's network namespace and returns the page. A status other than 200
// is an error. Each call uses another source port, because a director with direct routing does not
// see how the real server ends a connection. The director keeps such connections for two minutes
// (FIN_WAIT). In that time it would send a new connection from the same port to the same real
// server. The kernel itself can reuse a port so soon: every ten seconds it begins at a new random
// port (net/core/secure_seq.c).
func (h *Host) Get(ctx context.Context, url string) (string, error) {
	from := &net.TCPAddr{Port: 10000 + int(h.gets.Add(1)%getPorts)}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = h.Do(func() (err error) {
				conn, err = (&net.Dialer{LocalAddr: from}).DialContext(ctx, network, address)
				return err
			})
			return conn, err
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return string(body), err
}
