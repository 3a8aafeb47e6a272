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

// situation is one kind of behaviour of a real server during a check: a column of the matrix in
// docs/checks.md.
type situation struct {
	name  string
	limit time.Duration // time limit for the check in this situation
	// make prepares the situation for a check and returns the configuration to use. It returns ""
	// if the situation is impossible for that check, for example a wrong certificate without TLS.
	make func(t *testing.T, c *subject, id int) string
}

// long and short are time limits of checks. A check that ends on its own has the limit long, so
// that a busy test host does not change its verdict. A check that ends only at its limit has the
// limit short, so that the test is fast.
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

// faked returns the address of the fake server for a kind of misbehaviour and a check.
func (c *subject) faked(kind, id int) string {
	return fmt.Sprintf("127.1.%d.%d", kind, id+1)
}

// certifiedBy returns the make function of a situation whose server has the named certificate.
// verify, if not empty, replaces the line verify=name of the configuration.
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

// talk is what a fake server does with a connection. like is the beginning of a correct reply.
type talk func(c net.Conn, like []byte)

// fake returns the make function of a situation with a fake server. The fake server accepts every
// connection, discards the input, and calls say.
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
					_, _ = io.Copy(io.Discard, conn) // discards input until the check closes the connection or its sending side
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

// answers lets the functions that write to a connection write UDP datagrams to one client.
type answers struct {
	net.PacketConn
	to net.Addr
}

// Write sends p as one datagram, cut to 60,000 bytes. It sends no datagram if p is empty.
func (a answers) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return a.WriteTo(p[:min(len(p), 60000)], a.to)
}
func (a answers) Read([]byte) (int, error) { return 0, io.EOF }
func (a answers) RemoteAddr() net.Addr     { return a.to }
func (a answers) CloseWrite() error        { return io.EOF }

// drip sends the beginning of a correct reply again and again, one byte per second.
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
		_ = half.CloseWrite() // UDP returns an error, because UDP has no connection to close
	}
}

// flood sends the beginning of a correct reply, and then 64 MiB of data over TCP, or one datagram
// over UDP.
func flood(c net.Conn, like []byte) {
	if _, err := c.Write(like); len(like) > 0 && err != nil {
		return
	}
	filler := make([]byte, 64<<10)
	for i := range filler {
		filler[i] = 'A'
	}
	for range 1 << 10 { // 64 MiB: a check that reads all of it fails the test
		if _, err := c.Write(filler); err != nil {
			return
		}
		if _, ok := c.(answers); ok {
			return
		}
	}
}

// blackHole starts a server that does not accept connections and whose queue of new connections is
// full. The kernel then drops the packets of new clients.
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
	// With the queue length 0, one connection fits into the queue. The kernel queues or drops each
	// of these four connections before connect returns, so the test does not wait.
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
