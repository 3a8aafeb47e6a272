// Package check asks real servers whether they work, one file for each manner.
// It opens connections and sends packets; it decides nothing.
package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
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

// dial opens a TCP connection from the address that s chooses.
func dial(ctx context.Context, s Sourcer, addr netip.AddrPort) (*net.TCPConn, error) {
	source := s.Source(addr.Addr())
	dialer := net.Dialer{KeepAlive: -1}
	conn, err := dialer.DialTCP(ctx, "tcp", netip.AddrPortFrom(source, 0), addr)
	if err != nil {
		s.Forget(addr.Addr())
		return nil, fmt.Errorf("connect to %s: %w", addr, plain(err))
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // fails only on a closed connection
	}
	return conn, nil
}

// errSilent replaces the several errors that mean that time is up.
var errSilent = errors.New("no answer in time")

// plain is the innermost of Go's network errors: the outer ones repeat addresses.
func plain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return errSilent
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}
