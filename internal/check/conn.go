package check

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
)

// maxAnswer limits the bytes that a check reads in all.
const maxAnswer = maxHeader + maxBody

// conn is a connection that lives no longer than its check and reads no more
// than maxAnswer.
type conn struct {
	net.Conn // the connection of the protocol, with TLS or without
	raw      *raw
	hangUp   func() bool // forgets the context
}

// raw is the connection without TLS. Its fields are atomic because libraries read in separate
// goroutines.
type raw struct {
	net.Conn
	read atomic.Int64 // bytes so far
	late atomic.Bool  // a read timed out
}

// dial opens a TCP connection that several goroutines may use. It is closed when ctx ends, even if
// a library sets another time limit.
func dial(ctx context.Context, s Sourcer, addr netip.AddrPort) (*conn, error) {
	c, err := open(ctx, NetDialer{}, s, addr)
	if err != nil {
		return nil, err
	}
	return ending(ctx, c), nil
}

// ending makes a connection that closes when its context ends.
func ending(ctx context.Context, c net.Conn) *conn {
	bounded := bound(c)
	bounded.hangUp = context.AfterFunc(ctx, func() { _ = c.Close() })
	return bounded
}

// bound limits the bytes that are read from a connection that ends on its own.
func bound(c net.Conn) *conn {
	r := &raw{Conn: c}
	return &conn{Conn: r, raw: r, hangUp: func() bool { return true }}
}

// Read implements net.Conn.
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

// Close implements net.Conn.
func (c *conn) Close() error {
	c.hangUp()
	return c.Conn.Close()
}
