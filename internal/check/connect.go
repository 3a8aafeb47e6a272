package check

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"syscall"
)

// Connect is a check that is good if it can open a TCP connection.
type Connect struct {
	Addr   netip.AddrPort
	Source Sourcer
	Dialer Dialer // Dialer opens the connection. Nil means NetDialer.
}

// Check opens a connection and resets it, so that neither host keeps any state of the connection.
func (c Connect) Check(ctx context.Context) (err error) {
	tracerOf(ctx).dials()
	ConnectAll(ctx, c.Dialer, []Connect{c}, func(_ int, failure error) { err = failure })
	if err == nil {
		tracerOf(ctx).connected()
	}
	return err
}

// ConnectAll runs many checks with the dialer d instead of their own dialers, and returns when all
// checks are done. It calls done with the index and the result of each check. The calls come from
// one goroutine or from several.
func ConnectAll(ctx context.Context, d Dialer, checks []Connect, done func(index int, err error)) {
	d = orNet(d)
	sources, targets := make([]netip.Addr, len(checks)), make([]netip.AddrPort, len(checks))
	for i, c := range checks {
		sources[i], targets[i] = c.Source.Source(c.Addr.Addr()), c.Addr
	}
	var repeated sync.WaitGroup
	d.Probe(ctx, sources, targets, func(i int, err error) {
		c := checks[i]
		another, again, err := instead(c.Source, c.Addr.Addr(), sources[i], err)
		if !again {
			done(i, c.verdict(err))
			return
		}
		repeated.Go(func() {
			d.Probe(ctx, []netip.Addr{another}, targets[i:i+1], func(_ int, err error) { done(i, c.verdict(err)) })
		})
	})
	repeated.Wait()
}

// verdict returns the result of a connection attempt. After a reset, the check is good, because the
// server has accepted the connection before it sent the reset. The kernel reports an earlier reset
// as a refusal (tcp_reset in the kernel's tcp_input.c).
func (c Connect) verdict(err error) error {
	if err == nil || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return unconnected(c.Source, c.Addr, err)
}
