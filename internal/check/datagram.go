package check

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// attempts is how often a question is sent that may get lost.
const attempts = 3

// maxDatagram bounds an answer in bytes; the rest is cut.
const maxDatagram = 8 << 10

// datagrams opens a socket that receives from the target alone. So it also receives the ICMP error
// of a port that is not open. It ends with ctx.
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

// exchange sends a question, again while there is no answer, until accept
// takes an answer. accept returns false for what answers something else.
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

// exchanging is the check that sends a question over UDP.
func (t Target) exchanging(ctx context.Context, name string, question []byte, accept func([]byte) (bool, error)) error {
	c, err := t.datagrams(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return named(name, t.Addr, c.reason(ctx, c.exchange(ctx, question, accept)))
}

// datagram is the check that sends one fixed question over UDP.
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
