package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/kernel/packet"
	"lvs-agents/internal/pattern"
)

// anywhere is a Sourcer that always returns addr. The zero Addr lets the kernel choose.
type anywhere struct{ addr netip.Addr }

func (a anywhere) Source(netip.Addr) netip.Addr { return a.addr }
func (anywhere) Forget(netip.Addr)              {}

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

// negotiation makes a negotiate check. If the target has no Source, the kernel chooses the source
// address.
func negotiation(t *testing.T, application string, target Target) Checker {
	t.Helper()
	if target.Source == nil {
		target.Source = anywhere{}
	}
	c, err := Negotiate(application, target)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// perls compiles a regular expression of Perl. It returns nil for an empty text.
func perls(t *testing.T, text string) Pattern {
	t.Helper()
	if text == "" {
		return nil
	}
	p, err := Compile(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// says fails the test if the text of an error is not before and reason together. If reason is
// empty, says expects no error.
func says(t *testing.T, err error, before, reason string) {
	t.Helper()
	got, want := "", ""
	if err != nil {
		got = err.Error()
	}
	if reason != "" {
		want = before + reason
	}
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// answering returns a server function that reads a request of HTTP and sends a text.
func answering(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, text) // a write error is normal: the check can have closed the connection
		}
	}
}

func TestHTTP(t *testing.T) {
	tests := []struct{ name, answer, receive, want string }{
		{"good", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK\n", "OK", ""},
		{"any page", "HTTP/1.1 204 No Content\r\n\r\n", "", ""},
		{"end of line", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK\n", "^OK$", ""},
		{"look-ahead", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK\n", "(?=O)(.)K$", ""},
		{"look-ahead that fails", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK\n", "O(?!K)", `the page does not match "O(?!K)"`},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nO\r\n1\r\nK\r\n0\r\n\r\n", "OK", ""},
		{"until it closes", "HTTP/1.0 200 OK\r\n\r\nOK\n", "OK", ""},
		{"after a continue", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", "OK", ""},
		{"mismatch", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nNo\n", "OK", `the page does not match "OK"`},
		{"not found", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nOK", "OK", "status 404 Not Found"},
		{"moved", "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "", `redirected more than 7 times, at last to "/x"`},
		{"moved to another server", "HTTP/1.1 302 Found\r\nLocation: https://example.org/x\r\nContent-Length: 0\r\n\r\n", "", `redirected to "https://example.org/x", which has another host, port or protocol; request a page that this server has`},
		{"broken off", "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nOK\n", "OK", "closed in the middle of the answer"},
		{"broken off after much", "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nOK" + strings.Repeat("x", maxBody-maxHeader), "OK", "closed in the middle of the answer"},
		{"broken off after much, any page", "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nOK" + strings.Repeat("x", maxBody-maxHeader), "", "closed in the middle of the answer"},
		{"much in a large header", "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\nX: " + strings.Repeat("x", maxHeader) + "\r\n\r\nOK" + strings.Repeat("x", maxBody), "OK", ""},
		{"nothing", "", "OK", "closed without an answer"},
		{"another protocol", "220 mail ESMTP\r\n", "", `not an answer of HTTP: "220 mail ESMTP"`},
		{"a large page", "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nOK" + strings.Repeat("x", maxBody+maxHeader), "OK", ""},
		{"a large header", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxBody+maxHeader+1), "", "more than 1088 KiB of answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := server(t, answering(tt.answer))
			c := negotiation(t, "http", Target{Addr: addr, Host: "example.org", Request: "/a b", Receive: perls(t, tt.receive)})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			says(t, c.Check(ctx), fmt.Sprintf("GET http://%s/a b: ", addr), tt.want)
		})
	}
}

// TestSlowPatternObeysTheTimeLimit checks that a check with a time limit of 500 ms ends within 2 s,
// although one match takes longer than the time limit.
func TestSlowPatternObeysTheTimeLimit(t *testing.T) {
	text := strings.Repeat(strings.Repeat("a", 35)+"!\n", 10)
	slow := perls(t, "^(?!x)(a+)+$")
	for _, name := range []string{"simpletcp", "http"} {
		t.Run(name, func(t *testing.T) {
			addr := server(t, func(conn net.Conn) {
				if name == "simpletcp" {
					_, _ = io.WriteString(conn, text)
					return
				}
				answering("HTTP/1.0 200 OK\r\n\r\n" + text[:36])(conn)
			})
			checker := negotiation(t, name, Target{Addr: addr, Receive: slow})
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if err := checker.Check(ctx); !errors.Is(err, pattern.ErrLimit) {
				t.Error(err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("ended after %v", took)
			}
		})
	}
}

// TestPatternIsSharedByChecks checks that several checks can match with one Pattern at once. Each
// check has its own time limit.
func TestPatternIsSharedByChecks(t *testing.T) {
	shared := perls(t, "(?=O)(.)K$")
	var checks sync.WaitGroup
	for range 8 {
		checks.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if found, err := shared.Match(ctx, []byte("OK\n")); !found || err != nil {
				t.Error(found, err)
			}
		})
	}
	checks.Wait()
}

func TestHTTPRequest(t *testing.T) {
	requests := make(chan *http.Request, 1)
	addr := server(t, func(conn net.Conn) {
		if request, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			requests <- request
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	tests := []struct {
		name             string
		target           Target
		host, login, pwd string
	}{
		{"virtualhost", Target{Host: "www.example.org"}, "www.example.org", "", ""},
		{"virtualhost with a port", Target{Host: "www.example.org:8080"}, "www.example.org:8080", "", ""},
		{"address without its port", Target{}, "127.0.0.1", "", ""},
		{"login", Target{Login: "me", Passwd: "hunter:2"}, "127.0.0.1", "me", "hunter:2"},
		{"login without a password", Target{Login: "me"}, "127.0.0.1", "me", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.target.Addr, tt.target.Source, tt.target.Request = addr, anywhere{netip.MustParseAddr("127.0.0.9")}, "a b?c"
			if err := negotiation(t, "http", tt.target).Check(ctx); err != nil {
				t.Fatal(err)
			}
			r := <-requests
			login, pwd, _ := r.BasicAuth()
			if r.Host != tt.host || r.RequestURI != "/a%20b?c" || !r.Close || login != tt.login || pwd != tt.pwd {
				t.Errorf("%s %s close=%t %s:%s", r.Host, r.RequestURI, r.Close, login, pwd)
			}
		})
	}
	six, err := newHTTP("http", Target{Addr: netip.MustParseAddrPort("[2001:db8::1%eth0]:8080")})
	if err != nil || six.(HTTP).name != "[2001:db8::1]" {
		t.Error(six, err)
	}
}

func TestHTTPRedirectionToTheSameServer(t *testing.T) {
	const other = `redirected to "`
	tests := []struct{ service, addr, host, location, want string }{
		{"http", "192.0.2.21:80", "www.example.org", "/x?y#z", "/x?y"},
		{"http", "192.0.2.21:80", "www.example.org", "//www.example.org/x", "/x"},
		{"http", "192.0.2.21:80", "www.example.org", "http://www.example.org:80/x", "/x"},
		{"http", "192.0.2.21:80", "www.example.org:80", "http://www.example.org/x", "/x"},
		{"http", "192.0.2.21:80", "www.example.org", "HTTP://WWW.Example.org/x", "/x"},
		{"http", "192.0.2.21:80", "www.example.org", "http://192.0.2.21/x", "/x"},
		{"http", "192.0.2.21:80", "", "http://192.0.2.21:80/x", "/x"},
		{"http", "192.0.2.21:8080", "www.example.org", "http://www.example.org/x", "/x"},
		{"http", "192.0.2.21:8080", "www.example.org", "http://www.example.org:8080/x", "/x"},
		{"http", "192.0.2.21:8080", "www.example.org:81", "http://www.example.org:81/x", "/x"},
		{"http", "[2001:db8::1]:80", "", "http://[2001:db8::1]/x", "/x"},
		{"http", "[2001:db8::1]:80", "www.example.org", "http://[2001:DB8:0::1]:80/x", "/x"},
		{"http", "[2001:db8::1]:80", "[2001:db8:0::1]", "http://[2001:db8::1]/x", "/x"},
		{"https", "192.0.2.21:443", "www.example.org", "https://www.example.org:443/x", "/x"},
		{"https", "192.0.2.21:443", "www.example.org", "http://www.example.org:443/x", other},
		{"http", "192.0.2.21:80", "www.example.org", "https://www.example.org:80/x", other},
		{"http", "192.0.2.21:80", "www.example.org", "http://www.example.org:81/x", other},
		{"http", "192.0.2.21:80", "www.example.org", "http://www.example.com/x", other},
		{"http", "192.0.2.21:80", "", "http://192.0.2.22/x", other},
		{"http", "192.0.2.21:80", "", "http://me:hunter2@192.0.2.22/x", `redirected to "http://***@192.0.2.22/x", which has another host`},
	}
	for _, tt := range tests {
		t.Run(tt.addr+" "+tt.host+" "+tt.location, func(t *testing.T) {
			h, err := newHTTP(tt.service, Target{Addr: netip.MustParseAddrPort(tt.addr), Host: tt.host})
			if err != nil {
				t.Fatal(err)
			}
			got, err := h.(HTTP).follow("/", tt.location)
			if err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestHTTPFollowsAsManyRedirectionsAsLWP checks that a check follows 7 redirections, as LWP does.
func TestHTTPFollowsAsManyRedirectionsAsLWP(t *testing.T) {
	addr := server(t, func(conn net.Conn) {
		if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil && len(r.RequestURI) <= maxRedirects {
			_, _ = io.WriteString(conn, "HTTP/1.1 302 Found\r\nLocation: "+r.RequestURI+"x\r\n\r\n")
		} else {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := negotiation(t, "http", Target{Addr: addr}).Check(ctx); err != nil {
		t.Error(err)
	}
}

func TestSIPOverTCP(t *testing.T) {
	const trying, ok = "SIP/2.0 100 Trying\r\nCall-ID: %s\r\n", "SIP/2.0 200 OK\r\nCall-ID: %s\r\nContent-Length: 0\r\n\r\n"
	tests := []struct{ name, answer, want string }{
		{"good", ok, ""},
		{"after a provisional answer", trying + "\r\n" + ok, ""},
		{"after one with a body", trying + "content-length : 16\r\n\r\nSIP/2.0 500 No\r\n" + ok, ""},
		{"after one with a body, for short", trying + "l: 4\r\n\r\nbody" + ok, ""},
		{"after the answer to another", "SIP/2.0 500 No\r\nCall-ID: 1\r\n\r\n" + ok, ""},
		{"provisional only", trying + "\r\n", "closed in the middle of the answer"},
		{"refused after a provisional answer", trying + "\r\nSIP/2.0 403 Forbidden\r\nCall-ID: %s\r\n\r\n", `OPTIONS: answered "SIP/2.0 403 Forbidden"`},
		{"lines end in a newline", "SIP/2.0 100 Trying\nCall-ID: %s\n\nSIP/2.0 200 OK\nCall-ID: %s\n\n", ""},
		{"no end of the header", "SIP/2.0 200 OK\r\nCall-ID: %s\r\n", "closed in the middle of the answer"},
		{"a large header", "SIP/2.0 200 OK\r\nX: " + strings.Repeat("x", maxHeader), "more than 1088 KiB of answer"},
		{"another protocol", "220 mail ESMTP\r\n", `OPTIONS: answered "220 mail ESMTP"`},
		{"nothing", "", "closed without an answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := server(t, func(conn net.Conn) {
				request := textproto.NewReader(bufio.NewReader(conn))
				if _, err := request.ReadLine(); err != nil {
					return
				}
				header, err := request.ReadMIMEHeader()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, strings.ReplaceAll(tt.answer, "%s", header.Get("Call-ID")))
			})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			got, want := "", tt.want
			if err := negotiation(t, "sip", Target{Addr: addr}).Check(ctx); err != nil {
				got = err.Error()
			}
			if want != "" {
				want = fmt.Sprintf("sip %s: %s", addr, want)
			}
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// TestPanicOfALibraryIsAFailure checks that a check fails if a library panics. The MySQL library
// panics on a greeting that is too short.
func TestPanicOfALibraryIsAFailure(t *testing.T) {
	addr := server(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "\x04\x00\x00\x000000")
		_, _ = io.Copy(io.Discard, conn) // Copy returns when the check closes the connection.
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := negotiation(t, "mysql", Target{Addr: addr, Login: "a", Request: "SELECT 1"}).Check(ctx)
	if want := fmt.Sprintf("mysql %s: not an answer of mysql: ", addr); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// echoes opens a raw socket for ICMP echo packets. It skips the test if this process cannot open
// raw sockets.
func echoes(t *testing.T, source string) *net.IPConn {
	t.Helper()
	socket, err := listen(netip.MustParseAddr(source))
	if err != nil {
		t.Skip("not root, or no IPv6: no raw sockets: ", err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	return socket
}

func TestPing(t *testing.T) {
	echoes(t, "127.0.0.1")
	p := NewPinger(anywhere{}, uint16(os.Getpid()))
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, addr := range []string{"127.0.0.1", "127.0.0.7"} {
		if err := (Ping{Addr: netip.MustParseAddr(addr), Pinger: p, Attempts: 2}).Check(ctx); err != nil {
			t.Error(err)
		}
	}
}

// TestPingsInABurst checks that no reply is lost if Go's scheduler runs the readers only after all
// requests are sent. The sockets also receive replies for other processes.
func TestPingsInABurst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, text := range []string{"127.0.0.1", "::1"} {
		addr := netip.MustParseAddr(text)
		raw, err := echoes(t, text).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		held := 0
		err = raw.Control(func(fd uintptr) { held, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF) })
		if err != nil || held < answersRoom {
			t.Skip("no CAP_NET_ADMIN: the socket holds ", held, " bytes")
		}
		p := NewPinger(anywhere{}, uint16(os.Getpid()))
		defer p.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var all sync.WaitGroup
		var lost atomic.Int64
		for range 5000 {
			all.Go(func() {
				if p.ping(ctx, addr) != nil {
					lost.Add(1)
				}
			})
		}
		all.Wait()
		if lost := lost.Load(); lost > 0 {
			t.Errorf("%s: %d of 5000 answers were lost", addr, lost)
		}
	}
}

// TestPingerHearsAnswersOnly checks that the socket of a Pinger receives an echo reply, but not the
// echo request before it.
func TestPingerHearsAnswersOnly(t *testing.T) {
	for text, want := range map[string]byte{"127.0.0.1": packet.EchoReply4, "::1": packet.EchoReply6} {
		addr := netip.MustParseAddr(text)
		socket := echoes(t, text)
		if _, err := socket.WriteToIP(packet.Echo{ID: 1, Sequence: 1}.EncodeRequest(addr.Is6()), &net.IPAddr{IP: addr.AsSlice()}); err != nil {
			t.Fatal(err)
		}
		_ = socket.SetReadDeadline(time.Now().Add(5 * time.Second))
		buffer := make([]byte, 100) // an unfiltered socket would receive the request before the reply
		if _, _, err := socket.ReadFromIP(buffer); err != nil || buffer[0] != want {
			t.Errorf("%s: type %d, %v; want %d", addr, buffer[0], err, want)
		}
	}
}

func TestSources(t *testing.T) {
	vip, own := netip.MustParseAddr("192.0.2.10"), netip.MustParsePrefix("192.0.2.11/24")
	target := netip.MustParseAddr("192.0.2.21")
	eth0 := func(prefix string) Local { return Local{"eth0", netip.MustParsePrefix(prefix)} }
	tests := []struct {
		name  string
		route string
		local []Local
		want  string
	}{
		{"the kernel's choice", "192.0.2.11", nil, "192.0.2.11"},
		{"the VIP is the kernel's choice", "192.0.2.10", []Local{eth0("192.0.2.10/24"), {"eth0", own}}, "192.0.2.11"},
		{"the VIP is alone in the network", "192.0.2.10", []Local{eth0("192.0.2.10/24"), eth0("198.51.100.1/24"), {"eth1", netip.MustParsePrefix("203.0.113.1/24")}}, "198.51.100.1"},
		{"only another interface", "192.0.2.10", []Local{eth0("192.0.2.10/24"), {"lo", netip.MustParsePrefix("127.0.0.1/8")}, {"eth1", netip.MustParsePrefix("203.0.113.1/24")}}, "203.0.113.1"},
		{"nothing else", "192.0.2.10", []Local{eth0("192.0.2.10/24"), eth0("2001:db8::1/64")}, "invalid IP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSources()
			asked := 0
			s.route = func(netip.Addr) netip.Addr { asked++; return netip.MustParseAddr(tt.route) }
			s.local = func() []Local { return tt.local }
			s.Avoid([]netip.Addr{vip})
			for range 3 {
				if got := s.Source(target).String(); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			}
			if asked != 1 && tt.want != "invalid IP" {
				t.Errorf("the route was asked for %d times", asked)
			}
			s.Forget(target)
			s.Source(target)
			if asked == 1 {
				t.Error("it was not forgotten")
			}
		})
	}
	if got := NewSources().Source(netip.MustParseAddr("127.0.0.5")); got != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("towards lo from %s", got)
	}
}
