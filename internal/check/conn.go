package check

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
)

// maxAnswer is how many bytes a check reads from one connection at most.
const maxAnswer = maxHeader + maxBody

// conn is a connection that ends with its check. It reads at most maxAnswer bytes.
type conn struct {
	net.Conn // Conn is the connection that the protocol uses, with or without TLS.
	raw      *raw
	hangUp   func() bool // hangUp stops the function that waits for the end of the context.
	tracer   *tracer     // tracer measures the phases of the check. It can be nil.
}

// raw is the connection below TLS, or the whole connection without TLS. Libraries read in separate
// goroutines, so the fields are atomic.
type raw struct {
	net.Conn
	read atomic.Int64 // read is how many bytes were read from the connection.
	late atomic.Bool  // late says that a read has timed out.
}

// dial opens a TCP connection that several goroutines can use. The connection closes when ctx ends,
// even if a library sets another time limit.
func dial(ctx context.Context, s Sourcer, addr netip.AddrPort) (*conn, error) {
	c, err := open(ctx, NetDialer{}, s, addr)
	if err != nil {
		return nil, err
	}
	return ending(ctx, c), nil
}

// ending makes a conn that closes when ctx ends.
func ending(ctx context.Context, c net.Conn) *conn {
	bounded := bound(ctx, c)
	bounded.hangUp = context.AfterFunc(ctx, func() { _ = c.Close() })
	return bounded
}

// bound makes a conn of a connection that already ends with the context of the check.
func bound(ctx context.Context, c net.Conn) *conn {
	r := &raw{Conn: c}
	return &conn{Conn: r, raw: r, hangUp: func() bool { return true }, tracer: tracerOf(ctx)}
}

// Read reads from the connection. After maxAnswer bytes it returns an error.
func (r *raw) Read(p []byte) (int, error) {
	left := maxAnswer - r.read.Load()
	if left <= 0 {
		return 0, errEndless
	}
	n, err := r.Conn.Read(p[:min(int64(len(p)), left)])
	r.read.Add(int64(n))
	if isTimeout(err) {
		r.late.Store(true)
	}
	return n, err
}

// Read reads data of a reply.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tracer.received(p[:n])
	return n, err
}

// Close closes the connection, and ends the wait for the end of the context.
func (c *conn) Close() error {
	c.hangUp()
	return c.Conn.Close()
}
