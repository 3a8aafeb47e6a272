package check

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// attempts is how many times a check sends a query at most, because the network can lose a
// datagram.
const attempts = 3

// maxDatagram is how many bytes of a reply a check reads. The kernel discards the rest.
const maxDatagram = 8 << 10

// datagrams opens a UDP socket that is connected to the target. A connected socket also receives
// the ICMP error that a closed port causes. The socket closes when ctx ends.
func (t Target) datagrams(ctx context.Context) (*conn, error) {
	var c *net.UDPConn
	tracerOf(ctx).dials()
	err := from(t.Source, t.Addr.Addr(), func(source netip.Addr) (err error) {
		var dialer net.Dialer
		c, err = dialer.DialUDP(ctx, "udp", netip.AddrPortFrom(source, 0), t.Addr)
		return err
	})
	if err != nil {
		t.Source.Forget(t.Addr.Addr())
		return nil, fmt.Errorf("send to %s: %w", t.Addr, plain(err))
	}
	tracerOf(ctx).connected()
	return ending(ctx, c), nil
}

// exchange sends a query and reads replies until accept returns true or an error. If accept does
// not end the exchange in time, exchange sends the query again. accept returns false for a reply
// that does not count, such as a reply to another query.
func (c *conn) exchange(ctx context.Context, question []byte, accept func([]byte) (bool, error)) error {
	deadline, _ := ctx.Deadline()
	pause := time.Until(deadline) / attempts
	buffer := make([]byte, maxDatagram)
	for n := range attempts {
		_ = c.SetDeadline(deadline.Add(-pause * time.Duration(attempts-1-n))) // SetDeadline fails only on a closed socket
		if _, err := c.Write(question); err != nil {
			return err
		}
		for {
			size, err := c.Read(buffer)
			if isTimeout(err) && n+1 < attempts && ctx.Err() == nil {
				c.raw.late.Store(false)
				break
			}
			if err != nil {
				return err
			}
			if done, err := accept(buffer[:size]); done || err != nil {
				return err
			}
		}
	}
	return errSilent
}

// exchanging opens a socket, sends a query over UDP and judges the reply with accept.
func (t Target) exchanging(ctx context.Context, name string, question []byte, accept func([]byte) (bool, error)) error {
	c, err := t.datagrams(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return named(name, t.Addr, c.reason(ctx, c.exchange(ctx, question, accept)))
}

// datagram is a check that sends one fixed query over UDP.
type datagram struct {
	name     string
	target   Target
	question []byte
	accept   func(context.Context, []byte) (bool, error)
}

// Check sends the query and judges the reply.
func (d datagram) Check(ctx context.Context) error {
	return d.target.exchanging(ctx, d.name, d.question, func(answer []byte) (bool, error) { return d.accept(ctx, answer) })
}
