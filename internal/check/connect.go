package check

import (
	"context"
	"net/netip"
)

// Connect is good when a TCP connection can be opened.
type Connect struct {
	Addr   netip.AddrPort
	Source Sourcer
}

// Check opens a connection and resets it, so that nothing of it is left at
// either end.
func (c Connect) Check(ctx context.Context) error {
	conn, err := open(ctx, c.Source, c.Addr)
	if err != nil {
		return err
	}
	_ = conn.SetLinger(0) // without it a TIME_WAIT entry stays for a minute
	return conn.Close()
}
