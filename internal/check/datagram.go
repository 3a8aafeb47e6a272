package check

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// attempts is how often a check sends a query, because a datagram can get lost.
const attempts = 3

// maxDatagram limits a reply in bytes; the rest is cut.
const maxDatagram = 8 << 10

// datagrams opens a socket that is connected to the target. It also receives the ICMP error
// of a closed port. It closes when ctx ends.
func (t Target) datagrams(ctx context.Context) (*conn, error) {
	var c *net.UDPConn
	err := from(t.Source, t.Addr.Addr(), func(source netip.Addr) (err error) {
		var dialer net.Dialer
		c, err = dialer.DialUDP(ctx, "udp", netip.AddrPortFrom(source, 0), t.Addr)
		return err
	})
	if err != nil {
		t.Source.Forget(t.Addr.Addr())
		return nil, fmt.Errorf("send to %s: %w", t.Addr, plain(err))
	}
	return ending(ctx, c), nil
}

// exchange sends a query, and sends it again if there is no reply, until accept takes a reply.
// accept returns false for a reply to another query.
func (c *conn) exchange(ctx context.Context, question []byte, accept func([]byte) (bool, error)) error {
	deadline, _ := ctx.Deadline()
	pause := time.Until(deadline) / attempts
	buffer := make([]byte, maxDatagram)
	for n := range attempts {
		_ = c.SetDeadline(deadline.Add(-pause * time.Duration(attempts-1-n))) // fails only on a closed socket
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

// exchanging sends a query over UDP and judges the reply.
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

// Check implements Checker.
func (d datagram) Check(ctx context.Context) error {
	return d.target.exchanging(ctx, d.name, d.question, func(answer []byte) (bool, error) { return d.accept(ctx, answer) })
}
