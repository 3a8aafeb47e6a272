package check

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/check/epoll"
)

// eachDialer runs a test with both dialers.
func eachDialer(t *testing.T, test func(t *testing.T, d Dialer)) {
	t.Helper()
	t.Run("net", func(t *testing.T) { test(t, NetDialer{}) })
	t.Run("epoll", func(t *testing.T) {
		d, err := epoll.Open()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.Close)
		test(t, d)
	})
}

// limited returns a context that ends long after every correct test has ended.
func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// endings make contexts that end after a tenth of a second, by their time limit or by cancellation.
var endings = map[string]func(*testing.T) context.Context{
	"time limit": func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	},
	"by hand": func(t *testing.T) context.Context {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		return ctx
	},
}

// refusing is an address that refuses connections, because no process listens there.
var refusing = netip.MustParseAddrPort("127.0.0.8:1")

// held opens a connection and closes it at the end of the test.
func held(ctx context.Context, t *testing.T, d Dialer, addr netip.AddrPort) net.Conn {
	t.Helper()
	c, err := d.Dial(ctx, netip.Addr{}, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// connected returns the file descriptors of this process that are connected to an address.
func connected(t *testing.T, addr netip.AddrPort) (fds []int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range all {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		peer, err := unix.Getpeername(fd)
		if err != nil {
			continue // This descriptor is not a connected socket.
		}
		switch peer := peer.(type) {
		case *unix.SockaddrInet4:
			if netip.AddrPortFrom(netip.AddrFrom4(peer.Addr), uint16(peer.Port)) == addr {
				fds = append(fds, fd)
			}
		case *unix.SockaddrInet6:
			if netip.AddrPortFrom(netip.AddrFrom16(peer.Addr), uint16(peer.Port)) == addr {
				fds = append(fds, fd)
			}
		}
	}
	return fds
}

// silent returns the address of a listener whose queue is full. The kernel drops each further SYN
// to this address.
func silent(t *testing.T) netip.AddrPort {
	t.Helper()
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(listener) })
	if err := errors.Join(unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(listener, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(listener)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*unix.SockaddrInet4).Port))
	fill, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fill.Close() })
	return addr
}

func TestConnect(t *testing.T) {
	eachDialer(t, func(t *testing.T, d Dialer) {
		accepted := make(chan netip.Addr, 1)
		addr := server(t, func(conn net.Conn) { accepted <- netip.MustParseAddrPort(conn.RemoteAddr().String()).Addr() })
		ctx := limited(t)
		from := netip.MustParseAddr("127.0.0.9")
		if err := (Connect{addr, anywhere{from}, d}).Check(ctx); err != nil {
			t.Error(err)
		}
		if got := <-accepted; got != from {
			t.Errorf("from %s, want %s", got, from)
		}
		if err := (Connect{refusing, anywhere{}, d}).Check(ctx); err == nil || err.Error() != "connect to 127.0.0.8:1: connection refused" {
			t.Errorf("got %v", err)
		}
		ended, end := context.WithCancel(ctx)
		end()
		if err := (Connect{refusing, anywhere{}, d}).Check(ended); err == nil {
			t.Error("good after its time")
		}
	})
}

func TestDialRefused(t *testing.T) {
	eachDialer(t, func(t *testing.T, d Dialer) {
		_, err := d.Dial(limited(t), netip.Addr{}, refusing)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: %v", err)
		}
		err = negotiation(t, "http", Target{Addr: refusing, Dialer: d}).Check(limited(t))
		if want := "GET http://127.0.0.8:1/: connect to 127.0.0.8:1: connection refused"; err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})
}

// TestConnectToSilentServer checks that an attempt to connect ends when its context ends, by the
// time limit or by cancellation.
func TestConnectToSilentServer(t *testing.T) {
	eachDialer(t, func(t *testing.T, d Dialer) {
		addr := silent(t)
		for name, ends := range endings {
			if _, err := d.Dial(ends(t), netip.Addr{}, addr); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("dial, %s: %v", name, err)
			}
			err := Connect{addr, anywhere{}, d}.Check(ends(t))
			if want := "connect to " + addr.String() + ": no answer in time"; err == nil || err.Error() != want || !TimedOut(err) {
				t.Errorf("%s: got  %v\nwant %s", name, err, want)
			}
		}
		if left := connected(t, addr); len(left) > 1 { // The queue of the listener can hold one connection.
			t.Errorf("descriptors left: %v", left)
		}
	})
}

// TestConnectToServerThatResets checks that a connection is good if the server resets it, before or
// after the dialer polls it.
func TestConnectToServerThatResets(t *testing.T) {
	eachDialer(t, func(t *testing.T, d Dialer) {
		addr := server(t, func(conn net.Conn) {
			if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
				t.Error(err)
			}
		})
		all := make([]Connect, 200)
		for i := range all {
			all[i] = Connect{addr, anywhere{}, d}
		}
		ConnectAll(limited(t), d, all, func(i int, err error) {
			if err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	})
}

// TestConnectAtOnce checks more connections than the dialer reads events for at once. It makes them
// in one call and in many calls.
func TestConnectAtOnce(t *testing.T) {
	const each = 200
	eachDialer(t, func(t *testing.T, d Dialer) {
		addr := server(t, func(net.Conn) {})
		ctx := limited(t)
		var all []Connect
		for range each {
			all = append(all, Connect{addr, anywhere{}, d}, Connect{refusing, anywhere{}, d})
		}
		var called [2 * each]atomic.Int64
		judge := func(i int, err error) {
			called[i].Add(1)
			if refused := errors.Is(err, syscall.ECONNREFUSED); refused != (i%2 == 1) || !refused && err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
		ended := make(chan struct{})
		for i, c := range all {
			go func() {
				judge(i, c.Check(ctx))
				ended <- struct{}{}
			}()
		}
		ConnectAll(ctx, d, all, judge)
		for range all {
			<-ended
		}
		for i := range called {
			if got := called[i].Load(); got != 2 {
				t.Errorf("%d was reported %d times", i, got)
			}
		}
		if left := connected(t, addr); len(left) > 0 {
			t.Errorf("descriptors left: %v", left)
		}
	})
}

// TestSourceIsBoundWithoutPort checks that a dialer sets IP_BIND_ADDRESS_NO_PORT. Without this
// option, bind reserves a port for all destinations.
func TestSourceIsBoundWithoutPort(t *testing.T) {
	eachDialer(t, func(t *testing.T, d Dialer) {
		// Copy returns at the end of the test.
		addr := server(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		c, err := d.Dial(limited(t), netip.MustParseAddr("127.0.0.9"), addr)
		if err != nil {
			t.Fatal(err)
		}
		fds := connected(t, addr)
		if len(fds) != 1 {
			t.Fatalf("descriptors %v", fds)
		}
		if on, err := unix.GetsockoptInt(fds[0], unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT); on != 1 || err != nil {
			t.Errorf("IP_BIND_ADDRESS_NO_PORT is %d, %v", on, err)
		}
		if name, err := unix.Getsockname(fds[0]); err != nil || name.(*unix.SockaddrInet4).Addr != [4]byte{127, 0, 0, 9} {
			t.Errorf("bound to %+v, %v", name, err)
		}
		if got := c.RemoteAddr().String(); got != addr.String() {
			t.Errorf("remote address %s, want %s", got, addr)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
		if fds := connected(t, addr); len(fds) > 0 {
			t.Errorf("descriptors left: %v", fds)
		}
	})
}

func TestDialIPv6(t *testing.T) {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6: ", err)
	}
	defer func() { _ = listener.Close() }()
	addr := netip.MustParseAddrPort(listener.Addr().String())
	eachDialer(t, func(t *testing.T, d Dialer) {
		own := netip.MustParseAddr("::1")
		for _, zone := range []string{"", "lo", "1"} {
			addr := netip.AddrPortFrom(addr.Addr().WithZone(zone), addr.Port())
			for _, source := range []netip.Addr{{}, own} {
				if err := (Connect{addr, anywhere{source}, d}).Check(limited(t)); err != nil {
					t.Errorf("from %v: %v", source, err)
				}
				c, err := d.Dial(limited(t), source, addr)
				if err != nil {
					t.Errorf("from %v to %v: %v", source, addr, err)
					continue
				}
				_ = c.Close() // no data is lost
			}
		}
	})
}

// TestLinkLocalNeedsItsInterface checks the error for a link-local address that has no zone or an
// unknown zone.
func TestLinkLocalNeedsItsInterface(t *testing.T) {
	eachDialer(t, func(t *testing.T, d Dialer) {
		for _, zone := range []string{"", "no-such-nic"} {
			addr := netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone(zone), 80)
			if _, err := d.Dial(limited(t), netip.Addr{}, addr); !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.EAFNOSUPPORT) {
				t.Errorf("zone %q: %v", zone, err)
			}
		}
	})
}

// TestReadAfterTheEnd checks that a read after the end of the context still returns data that had
// already arrived.
func TestReadAfterTheEnd(t *testing.T) {
	const text = "220 ready\r\n"
	eachDialer(t, func(t *testing.T, d Dialer) {
		said := make(chan error)
		addr := server(t, func(conn net.Conn) {
			_, err := io.WriteString(conn, text)
			said <- err
			_, _ = io.Copy(io.Discard, conn) // Copy returns at the end of the test.
		})
		ctx, end := context.WithCancel(limited(t))
		c := held(ctx, t, d, addr)
		if err := <-said; err != nil {
			t.Fatal(err)
		}
		end()
		answer := make([]byte, 100)
		if n, err := c.Read(answer); err != nil || string(answer[:n]) != text {
			t.Errorf("%q, %v", answer[:n], err)
		}
		if n, err := c.Read(answer); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// TestReadEndsWithTheContext checks that a read from a silent server ends when the context ends.
func TestReadEndsWithTheContext(t *testing.T) {
	eachDialer(t, func(t *testing.T, d Dialer) {
		// Copy returns at the end of the test.
		addr := server(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		for name, ends := range endings {
			if n, err := held(ends(t), t, d, addr).Read(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %d bytes, %v", name, n, err)
			}
		}
	})
}

// TestHalfClosed checks that a client can write after the server has closed its direction of the
// connection. The server still reads.
func TestHalfClosed(t *testing.T) {
	eachDialer(t, func(t *testing.T, d Dialer) {
		got := make(chan string, 1)
		addr := server(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "bye") // the test expects to read this text
			_ = conn.(*net.TCPConn).CloseWrite()
			text, _ := io.ReadAll(conn)
			got <- string(text)
		})
		c := held(limited(t), t, d, addr)
		if text, err := io.ReadAll(c); string(text) != "bye" || err != nil {
			t.Errorf("read %q, %v", text, err)
		}
		if n, err := io.WriteString(c, "thanks"); n != 6 || err != nil {
			t.Errorf("wrote %d bytes, %v", n, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if text := <-got; text != "thanks" {
			t.Errorf("the server read %q", text)
		}
	})
}

// TestWriteMoreThanTheKernelTakes checks that a long write waits while the server reads. If the
// server does not read, the write ends with the context.
func TestWriteMoreThanTheKernelTakes(t *testing.T) {
	const size = 32 << 20
	eachDialer(t, func(t *testing.T, d Dialer) {
		sum := make(chan int64, 1)
		addr := server(t, func(conn net.Conn) {
			n, _ := io.Copy(io.Discard, conn)
			sum <- n
		})
		c := held(limited(t), t, d, addr)
		if n, err := c.Write(bytes.Repeat([]byte("x"), size)); n != size || err != nil {
			t.Errorf("wrote %d bytes, %v", n, err)
		}
		_ = c.Close() // After Close, the server reads the end of the data.
		if got := <-sum; got != size {
			t.Errorf("the server read %d bytes", got)
		}
		deaf := server(t, func(net.Conn) { <-t.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		c = held(ctx, t, d, deaf)
		if n, err := c.Write(make([]byte, size)); n == 0 || n >= size || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d bytes, %v", n, err)
		}
	})
}

func TestWholeCheckObeysOneTimeLimit(t *testing.T) {
	eachDialer(t, func(t *testing.T, d Dialer) {
		addr := server(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: ")
			_, _ = io.Copy(io.Discard, conn) // Copy returns when the check closes the connection.
		})
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		err := negotiation(t, "http", Target{Addr: addr, Dialer: d}).Check(ctx)
		if !errors.Is(err, errDrips) || time.Since(began) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// moving is a Sourcer that returns the next of its addresses after each call of Forget, and then
// stays at the last address.
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
			eachDialer(t, func(t *testing.T, d Dialer) {
				if err := (Connect{addr, moving{tt.addrs, new(int)}, d}).Check(limited(t)); !errors.Is(err, tt.want) {
					t.Errorf("connect: %v", err)
				}
				c, err := open(limited(t), d, moving{tt.addrs, new(int)}, addr)
				if !errors.Is(err, tt.want) {
					t.Errorf("open: %v", err)
				}
				if err == nil {
					_ = c.Close() // no data is lost
				}
			})
			c, err := Target{Addr: addr, Source: moving{tt.addrs, new(int)}}.datagrams(limited(t))
			if !errors.Is(err, tt.want) {
				t.Errorf("udp: %v", err)
			}
			if err == nil {
				_ = c.Close() // no data is lost
			}
		})
	}
}

// TestRepeatedAttemptWaitsForNoOther checks that ConnectAll repeats an attempt at once, even while
// another target is silent.
func TestRepeatedAttemptWaitsForNoOther(t *testing.T) {
	eachDialer(t, func(t *testing.T, d Dialer) {
		gone, own := netip.MustParseAddr("192.0.2.99"), netip.MustParseAddr("127.0.0.9")
		ctx, cancel := context.WithCancel(limited(t))
		defer cancel()
		checks := []Connect{
			{silent(t), anywhere{}, d},
			{server(t, func(net.Conn) {}), moving{[]netip.Addr{gone, own}, new(int)}, d},
		}
		var order []int
		ConnectAll(ctx, d, checks, func(i int, err error) {
			order = append(order, i)
			if i == 1 {
				if err != nil {
					t.Error(err)
				}
				cancel() // The call ends the attempt to connect to the silent target.
			}
		})
		if len(order) != 2 || order[0] != 1 {
			t.Errorf("done in the order %v", order)
		}
	})
}
