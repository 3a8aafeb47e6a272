package check

import (
	"context"
	"fmt"
	"net/netip"
)

// Connect is good when a TCP connection can be opened.
type Connect struct {
	Addr      netip.AddrPort
	Source    Sourcer
	Connector *Connector // nil opens connections in the way of package net
}

// Check opens a connection and resets it, so that nothing of it is left at
// either end.
func (c Connect) Check(ctx context.Context) (err error) {
	if c.together() {
		c.Connector.All(ctx, []Connect{c}, func(_ int, failure error) { err = failure })
		return err
	}
	conn, err := open(ctx, c.Source, c.Addr)
	if err != nil {
		return err
	}
	_ = conn.SetLinger(0) // without it a TIME_WAIT entry stays for a minute
	return conn.Close()
}

func (c Connect) together() bool { return c.Connector != nil && c.Addr.Addr().Zone() == "" }

// failed is the reason of a failure.
func (c Connect) failed(err error) error {
	c.Source.Forget(c.Addr.Addr())
	return fmt.Errorf("connect to %s: %w", c.Addr, err)
}

// Together returns the connector of a check that can be made together with
// others of the same connector, nil for other checks.
func Together(checker Checker) (Connect, *Connector) {
	if c, ok := checker.(Connect); ok && c.together() {
		return c, c.Connector
	}
	return Connect{}, nil
}
