// Package check queries real servers. Each type of check has its own file. A check opens
// connections, sends packets and judges the reply. It does not decide whether a real server gets
// clients: package health decides.
//
// Each check opens its own connections, but pings share sockets. The context of a check limits the
// time from the first packet to the last byte. A check reads a limited number of bytes, even if the
// server sends more.
package check

import (
	"context"
	"net/netip"
)

// Checker is a check of one real server.
type Checker interface {
	// Check returns nil if the server gave the expected reply. The text of the error is the reason
	// that an operator reads, and contains no secrets. ctx limits the time of the whole check and
	// must have a deadline.
	Check(ctx context.Context) error
}

// Sourcer chooses the source address of a check.
type Sourcer interface {
	// Source returns the source address to bind for a target. After the zero Addr, the kernel
	// chooses the address.
	Source(target netip.Addr) netip.Addr
	// Forget drops the source address that is remembered for a target. A check calls Forget when it
	// could not reach the target.
	Forget(target netip.Addr)
}

// Never is a check that always fails with the error Reason.
type Never struct{ Reason error }

// Check returns Reason.
func (n Never) Check(context.Context) error { return n.Reason }
