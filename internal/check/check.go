// Package check queries real servers, with one file for each type of check. It opens connections
// and sends packets. It does not decide about real servers: package health does.
//
// Every check opens its own connection. Its context is the time limit from the first packet to the
// last byte. It reads a limited number of bytes, even if the server sends more.
package check

import (
	"context"
	"net/netip"
)

// Checker queries one real server once.
type Checker interface {
	// Check returns nil if the server gave the expected reply. The text of the error is the reason
	// that an operator reads; it contains no secrets. ctx is the time limit of the whole check and
	// must have a deadline.
	Check(ctx context.Context) error
}

// Sourcer chooses the source address of a check.
type Sourcer interface {
	// Source returns the address to bind, or the zero Addr for the kernel's choice.
	Source(target netip.Addr) netip.Addr
	// Forget drops the remembered address for a target whose check failed.
	Forget(target netip.Addr)
}

// Never is a check that always fails with its reason.
type Never struct{ Reason error }

// Check implements Checker.
func (n Never) Check(context.Context) error { return n.Reason }
