package checks

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"
)

// situation is a behaviour of a real server during a check.
type situation struct {
	name  string
	limit time.Duration // time limit of the check
	// make prepares the situation for a check and returns the configuration to use. The configuration
	// is empty if the situation does not exist for that check.
	make func(t *testing.T, c *subject, id int) string
}

// The time limits of the checks. A check that ends without its limit has a long one, so that a busy
// machine changes no verdict. A check that ends at its limit has a short one.
const (
	long  = 60 * time.Second
	short = 1500 * time.Millisecond
)

func situations() []situation {
	return []situation{
		{"right", long, func(_ *testing.T, c *subject, _ int) string { return c.at(c.right) }},
		{"right, IPv6", long, func(_ *testing.T, c *subject, _ int) string { return c.six() }},
		{"wrong answer", long, func(_ *testing.T, c *subject, _ int) string { return c.changed(c.wrong) }},
		{"wrong credentials", long, func(_ *testing.T, c *subject, _ int) string { return c.changed([2]string{passwd, "wr0ng"}) }},
		{"wrong secret", short, func(_ *testing.T, c *subject, _ int) string { return c.changed([2]string{secret, "wr0ng"}) }},
		{"redirect loop", long, func(_ *testing.T, c *subject, _ int) string { return c.redirected() }},
		{"refused", long, func(_ *testing.T, c *subject, id int) string { return c.at(c.faked(1, id)) }},
		{"black hole", short, blackHole},
		{"silent", short, fake(2, nil)},
		{"dripping", short, func(t *testing.T, c *subject, id int) string {
			if c.udp {
				return ""
			}
			return fake(3, drip)(t, c, id)
		}},
		{"garbage", long, fake(4, garble)},
		{"oversized", long, fake(5, flood)},
		{"expired", long, certifiedBy("expired", "")},
		{"wrong name", long, certifiedBy("wrong-name", "")},
		{"wrong name, verify=chain", long, certifiedBy("wrong-name", "verify=chain")},
		{"self-signed", long, certifiedBy("self-signed", "")},
		{"self-signed, verify=no", long, certifiedBy("self-signed", "verify=no")},
	}
}

// faked returns the configuration with the address of a fake server.
func (c *subject) faked(kind, id int) string {
	return fmt.Sprintf("127.1.%d.%d", kind, id+1)
}

// certifiedBy checks the server with another certificate.
func certifiedBy(certificate, verify string) func(*testing.T, *subject, int) string {
	return func(_ *testing.T, c *subject, _ int) string {
		if c.tlsNet == 0 {
			return ""
		}
		text := c.at(tlsAddr(c.tlsNet, certificate))
		if verify != "" {
			text = replace(text, "verify=name", verify)
		}
		return text
	}
}

// talk is the behaviour of a fake server on a connection.
type talk func(c net.Conn, like []byte)

// fake starts a server that accepts every connection, discards its input, and calls talk.
func fake(kind int, say talk) func(*testing.T, *subject, int) string {
	return func(t *testing.T, c *subject, id int) string {
		addr := c.faked(kind, id)
		if c.udp {
			fakeUDP(t, addr, c.port, say)
			return c.at(addr)
		}
		listener := listen(t, fmt.Sprintf("%s:%d", addr, c.port))
		ended := make(chan struct{})
		t.Cleanup(func() { close(ended) })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					defer func() { _ = conn.Close() }()
					if say != nil {
						go say(conn, c.like)
					}
					_, _ = io.Copy(io.Discard, conn) // until the check closes the connection, or its half
					<-ended
				}()
			}
		}()
		return c.at(addr)
	}
}

func fakeUDP(t *testing.T, addr string, port int, say talk) {
	t.Helper()
	socket, err := net.ListenPacket("udp", fmt.Sprintf("%s:%d", addr, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			_, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			if say != nil {
				say(answers{socket, from}, nil)
			}
		}
	}()
}

// answers writes datagrams to one client.
type answers struct {
	net.PacketConn
	to net.Addr
}

// Write sends a datagram, cut to the maximum size. It sends no datagram for an empty text.
func (a answers) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return a.WriteTo(p[:min(len(p), 60000)], a.to)
}
func (a answers) Read([]byte) (int, error) { return 0, io.EOF }
func (a answers) RemoteAddr() net.Addr     { return a.to }
func (a answers) CloseWrite() error        { return io.EOF }

// drip sends a correct beginning, one byte per second.
func drip(c net.Conn, like []byte) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := 0; ; i = (i + 1) % len(like) {
		if _, err := c.Write(like[i : i+1]); err != nil {
			return
		}
		<-tick.C
	}
}

// garble sends 4 KiB of random bytes, which are not valid in any protocol.
func garble(c net.Conn, _ []byte) {
	noise := make([]byte, 4<<10)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(noise) // never fails
	if _, err := c.Write(noise); err != nil {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // UDP has nothing to close
	}
}

// flood sends a correct beginning and then endless data.
func flood(c net.Conn, like []byte) {
	if _, err := c.Write(like); len(like) > 0 && err != nil {
		return
	}
	filler := make([]byte, 64<<10)
	for i := range filler {
		filler[i] = 'A'
	}
	for range 1 << 10 { // a check that reads everything has failed
		if _, err := c.Write(filler); err != nil {
			return
		}
		if _, ok := c.(answers); ok {
			return
		}
	}
}

// blackHole is a server whose queue of connections is full, so that the kernel drops new packets.
func blackHole(t *testing.T, c *subject, id int) string {
	if c.udp {
		return ""
	}
	addr := net.ParseIP(c.faked(6, id)).To4()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	err = errors.Join(syscall.Bind(socket, &syscall.SockaddrInet4{Port: c.port, Addr: [4]byte(addr)}), syscall.Listen(socket, 0))
	if err != nil {
		t.Fatal(err)
	}
	// A queue of length 0 has space for one connection. The kernel decides about these connections
	// before connect returns, so the test does not wait.
	for range 4 {
		filler, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Close(filler) })
		if err := syscall.Connect(filler, &syscall.SockaddrInet4{Port: c.port, Addr: [4]byte(addr)}); err != nil && !errors.Is(err, syscall.EINPROGRESS) {
			t.Fatal(err)
		}
	}
	return c.at(addr.String())
}
