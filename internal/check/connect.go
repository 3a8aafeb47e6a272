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
func (c Connect) Check(ctx context.Context) error {
	if c.Connector != nil && c.Addr.Addr().Zone() == "" {
		if err := c.Connector.connect(ctx, c.Source.Source(c.Addr.Addr()), c.Addr); err != nil {
			c.Source.Forget(c.Addr.Addr())
			return fmt.Errorf("connect to %s: %w", c.Addr, err)
		}
		return nil
	}
	conn, err := open(ctx, c.Source, c.Addr)
	if err != nil {
		return err
	}
	_ = conn.SetLinger(0) // without it a TIME_WAIT entry stays for a minute
	return conn.Close()
}
