// Package check asks real servers whether they work, one file for each manner.
// It opens connections and sends packets; it decides nothing.
//
// Every check dials itself and has one time limit from the first packet to the
// last byte, that of its context, and reads a bounded amount, whatever a server
// or a library of its protocol does.
package check

import (
	"context"
	"net/netip"
)

// Checker asks one real server once.
type Checker interface {
	// Check returns nil if the server answered as it should. The error is the
	// reason that an operator reads; it holds no secrets. ctx is the time limit
	// of the whole check and must have a deadline.
	Check(ctx context.Context) error
}

// Sourcer chooses the own address from which a server is asked.
type Sourcer interface {
	// Source returns the address to bind, or the zero Addr for the kernel's choice.
	Source(target netip.Addr) netip.Addr
	// Forget drops what is remembered for a target whose check failed.
	Forget(target netip.Addr)
}

// Never is the check of what cannot be asked: it always fails.
type Never struct{ Reason error }

// Check implements Checker.
func (n Never) Check(context.Context) error { return n.Reason }
