package epoll

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Package check has the tests of the behavior that both dialers have.

func dialer(t *testing.T) *Dialer {
	t.Helper()
	d, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// server accepts connections and calls f with each connection.
func server(t *testing.T, f func(net.Conn)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				f(conn)
			}()
		}
	}()
	return netip.MustParseAddrPort(listener.Addr().String())
}

// until waits until poll reports one of these events, or an error of the socket.
func until(t *testing.T, fd int, events int16) {
	t.Helper()
	sockets := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		n, err := unix.Poll(sockets, 20_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 || err != nil {
			t.Fatalf("poll: %d, %v", n, err)
		}
		return
	}
}

// TestResetBeforeThePoll checks that await reports a reset before the poll as ECONNRESET, which
// means that the server had accepted the connection.
func TestResetBeforeThePoll(t *testing.T) {
	addr := server(t, func(conn net.Conn) {
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Error(err)
		}
	})
	fd, err := begin(netip.Addr{}, addr, true)
	if err != nil {
		t.Fatal(err)
	}
	defer shut(fd)
	until(t, fd, 0) // until waits for POLLHUP, which poll always reports.
	if err := dialer(t).await(t.Context(), fd); !errors.Is(err, unix.ECONNRESET) {
		t.Error(err)
	}
}

// TestConnectionThatWasNotPolledInTime checks a connection that opened in time, but is polled only
// after the context has ended. The connection is good, and its data can be read.
func TestConnectionThatWasNotPolledInTime(t *testing.T) {
	d := dialer(t)
	over, end := context.WithCancel(t.Context())
	end()
	addr := server(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "220 ready\r\n") // the test expects to read this text
		_, _ = io.Copy(io.Discard, conn)             // Copy returns at the end of the test
	})
	for range 20 {
		fd, err := begin(netip.Addr{}, addr, true)
		if err != nil {
			t.Fatal(err)
		}
		until(t, fd, unix.POLLOUT)
		if err := d.await(over, fd); err != nil {
			t.Error(err)
		}
		shut(fd)
		if fd, err = begin(netip.Addr{}, addr, false); err != nil {
			t.Fatal(err)
		}
		c := &conn{dialer: d, ended: over.Done(), target: addr, fd: fd}
		until(t, fd, unix.POLLIN)
		if err := c.finish(); err != nil {
			t.Error(err)
		}
		answer := make([]byte, 100)
		if n, err := c.Read(answer); err != nil || string(answer[:n]) != "220 ready\r\n" {
			t.Errorf("%q, %v", answer[:n], err)
		}
		if n, err := c.Read(answer); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes, %v", n, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if left := len(d.waiting); left != 0 {
		t.Errorf("%d are still registered", left)
	}
}

// TestPortsAreTakenLate checks that bind does not reserve a port for an IPv6 socket after latePort.
func TestPortsAreTakenLate(t *testing.T) {
	fd, err := socket(true)
	if err != nil {
		t.Skip("no IPv6: ", err)
	}
	defer shut(fd)
	latePort(fd)
	if err := withAddr(unix.SYS_BIND, fd, netip.MustParseAddrPort("[::1]:0")); err != nil {
		t.Fatal(err)
	}
	if name, err := unix.Getsockname(fd); err != nil || name.(*unix.SockaddrInet6).Port != 0 {
		t.Errorf("%+v, %v", name, err)
	}
}
