package check

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"syscall"
)

// Connect is good when a TCP connection can be opened.
type Connect struct {
	Addr   netip.AddrPort
	Source Sourcer
	Dialer Dialer // nil for NetDialer
}

// Check opens a connection and resets it, so that nothing of it is left at
// either end.
func (c Connect) Check(ctx context.Context) (err error) {
	ConnectAll(ctx, c.Dialer, []Connect{c}, func(_ int, failure error) { err = failure })
	return err
}

// ConnectAll makes many checks with d instead of their dialers, and returns when all are done. It
// calls done for each by its index, from one goroutine or several.
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

// verdict judges an attempt. A reset comes from a server that has accepted: a reset before
// that is a refusal (tcp_reset in the kernel's tcp_input.c).
func (c Connect) verdict(err error) error {
	if err == nil || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return unconnected(c.Source, c.Addr, err)
}
