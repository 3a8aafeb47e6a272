// Package check queries real servers, with one file for each kind of check. It opens connections
// and sends packets; it decides nothing.
//
// Every check dials on its own. Its context is the one time limit from the first packet to the
// last byte. It reads a bounded amount, even if a server or a library would go further.
package check

import (
	"context"
	"net/netip"
)

// Checker queries one real server once.
type Checker interface {
	// Check returns nil if the server answered as it should. The error is the
	// reason that an operator reads; it holds no secrets. ctx is the time limit
	// of the whole check and must have a deadline.
	Check(ctx context.Context) error
}

// Sourcer chooses the address of this host that queries a server.
type Sourcer interface {
	// Source returns the address to bind, or the zero Addr for the kernel's choice.
	Source(target netip.Addr) netip.Addr
	// Forget drops what is remembered for a target whose check failed.
	Forget(target netip.Addr)
}

// Never is a check that always fails, for its reason.
type Never struct{ Reason error }

// Check implements Checker.
func (n Never) Check(context.Context) error { return n.Reason }
