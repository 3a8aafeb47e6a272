package check

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func connecting(t *testing.T) *Connector {
	t.Helper()
	connector, err := NewConnector()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connector.Close)
	return connector
}

// until waits for what poll can tell of a socket.
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

// TestConnectToAServerThatResets has the reset arrive before anybody looks.
func TestConnectToAServerThatResets(t *testing.T) {
	addr := server(t, func(conn net.Conn) {
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Error(err)
		}
	})
	check := Connect{addr, anywhere{}, connecting(t)}
	fd, err := begin(check.Source, addr, true)
	if err != nil {
		t.Fatal(err)
	}
	until(t, fd, 0) // POLLHUP
	if err := check.verdict(check.Connector.await(t.Context(), fd), fd); err != nil {
		t.Error(err)
	}
}

// TestAnswerThatNobodyLookedAt came in time, and the check is looked at when its
// time is over.
func TestAnswerThatNobodyLookedAt(t *testing.T) {
	connector := connecting(t)
	over, end := context.WithCancel(t.Context())
	end()
	addr := server(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "220 ready\r\n") // seen below
		_, _ = io.Copy(io.Discard, conn)             // until the test ends
	})
	for range 20 {
		fd, err := begin(anywhere{}, addr, true)
		if err != nil {
			t.Fatal(err)
		}
		until(t, fd, unix.POLLOUT)
		if err := connector.await(over, fd); err != nil {
			t.Error(err)
		}
		shut(fd)
		if fd, err = begin(anywhere{}, addr, false); err != nil {
			t.Fatal(err)
		}
		conn := &lean{connector: connector, ended: over.Done(), peer: addr, fd: fd}
		until(t, fd, unix.POLLIN)
		if err := conn.finish(); err != nil {
			t.Error(err)
		}
		answer := make([]byte, 100)
		if n, err := conn.Read(answer); err != nil || string(answer[:n]) != "220 ready\r\n" {
			t.Errorf("%q, %v", answer[:n], err)
		}
		if n, err := conn.Read(answer); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes, %v", n, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPortsAreTakenLate: bind would take one that no other connection from the
// same address could have.
func TestPortsAreTakenLate(t *testing.T) {
	addr := server(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	own := anywhere{netip.MustParseAddr("127.0.0.9")}
	late := func(fd int) {
		t.Helper()
		if on, err := unix.GetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT); on != 1 || err != nil {
			t.Errorf("IP_BIND_ADDRESS_NO_PORT is %d, %v", on, err)
		}
	}
	fd, err := begin(own, addr, true)
	if err != nil {
		t.Fatal(err)
	}
	late(fd)
	shut(fd)
	conn, err := open(t.Context(), own, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { late(int(fd)) }); err != nil {
		t.Error(err)
	}
	six, err := socket(true)
	if err != nil {
		t.Fatal(err)
	}
	defer shut(six)
	lateport(six)
	if err := withAddr(unix.SYS_BIND, six, netip.MustParseAddrPort("[::1]:0")); err != nil {
		t.Fatal(err)
	}
	if name, err := unix.Getsockname(six); err != nil || name.(*unix.SockaddrInet6).Port != 0 {
		t.Errorf("%+v, %v", name, err)
	}
}

// moving is a source that has another address after Forget.
type moving struct {
	addrs []netip.Addr
	at    *int
}

func (m moving) Source(netip.Addr) netip.Addr { return m.addrs[*m.at] }
func (m moving) Forget(netip.Addr)            { *m.at = min(*m.at+1, len(m.addrs)-1) }

func TestSourceThatHasGone(t *testing.T) {
	gone, own := netip.MustParseAddr("192.0.2.99"), netip.MustParseAddr("127.0.0.9")
	tests := []struct {
		name  string
		addrs []netip.Addr
		want  error
	}{
		{"another one", []netip.Addr{gone, own}, nil},
		{"the kernel's choice", []netip.Addr{gone, {}}, nil},
		{"still there: no port is left", []netip.Addr{gone}, syscall.EADDRINUSE},
	}
	addr := server(t, func(net.Conn) {})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ways := map[string]func(Sourcer) error{
				"connector": func(s Sourcer) error { return Connect{addr, s, connecting(t)}.Check(t.Context()) },
				"net":       func(s Sourcer) error { return Connect{addr, s, nil}.Check(t.Context()) },
				"udp": func(s Sourcer) error {
					c, err := Target{Addr: addr, Source: s}.datagrams(t.Context())
					if err == nil {
						err = c.Close()
					}
					return err
				},
			}
			for name, way := range ways {
				if err := way(moving{tt.addrs, new(int)}); !errors.Is(err, tt.want) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// TestQuestionIsSentAgain has servers that are slow and networks that lose.
func TestQuestionIsSentAgain(t *testing.T) {
	const limit = 900 * time.Millisecond
	tests := []struct {
		name   string
		answer func(n int) (after time.Duration, ever bool) // to the nth question
	}{
		{"the first is lost", func(n int) (time.Duration, bool) { return 0, n > 0 }},
		{"two are lost", func(n int) (time.Duration, bool) { return 0, n > 1 }},
		{"slow", func(n int) (time.Duration, bool) { return limit / 2, n == 0 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = socket.Close() }()
			go func() {
				question := make([]byte, 100)
				for n := 0; ; n++ {
					size, from, err := socket.ReadFromUDPAddrPort(question)
					if err != nil {
						return
					}
					if after, ever := tt.answer(n); ever {
						time.AfterFunc(after, func() { _, _ = socket.WriteToUDPAddrPort(question[:size], from) })
					}
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			addr := netip.MustParseAddrPort(socket.LocalAddr().String())
			check := negotiation(t, "simpletcp", Target{Addr: addr, UDP: true, Request: "hello", Receive: pattern(t, "hello")})
			if err := check.Check(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}
