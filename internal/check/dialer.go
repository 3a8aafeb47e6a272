package check

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Dialer opens TCP connections from a local address; the zero Addr leaves the choice to the kernel.
// NetDialer is one; the dialer of package epoll costs less. An error of either holds a
// syscall.Errno, or is os.ErrDeadlineExceeded if the context ended first.
type Dialer interface {
	// Dial opens a connection. Its reads and writes end with ctx and not earlier. A read after that
	// still returns what has arrived. One goroutine may use the connection.
	Dial(ctx context.Context, source netip.Addr, target netip.AddrPort) (net.Conn, error)
	// Probe opens a connection from each source to the target of the same index, and resets it. It
	// calls done for each index, from one goroutine or several, and returns when all are done. A
	// server that accepted and reset the connection first may give an error.
	Probe(ctx context.Context, sources []netip.Addr, targets []netip.AddrPort, done func(index int, err error))
}

// NetDialer opens connections with package net.
type NetDialer struct{}

var _ Dialer = NetDialer{}

// Dial implements Dialer. Several goroutines may use the connection.
func (NetDialer) Dial(ctx context.Context, source netip.Addr, target netip.AddrPort) (net.Conn, error) {
	c, err := dialTCP(ctx, source, target)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline) // fails only on a closed connection
	}
	past := time.Unix(1, 0)
	return netConn{c, context.AfterFunc(ctx, func() { _ = c.SetDeadline(past) })}, nil // fails as above
}

// Probe implements Dialer, with a goroutine for each connection.
func (NetDialer) Probe(ctx context.Context, sources []netip.Addr, targets []netip.AddrPort, done func(index int, err error)) {
	var all sync.WaitGroup
	for i, target := range targets {
		all.Go(func() {
			c, err := dialTCP(ctx, sources[i], target)
			if err == nil {
				_ = c.SetLinger(0) // otherwise a TIME_WAIT entry stays for a minute
				_ = c.Close()      // it was open
			}
			done(i, err)
		})
	}
	all.Wait()
}

func dialTCP(ctx context.Context, source netip.Addr, target netip.AddrPort) (*net.TCPConn, error) {
	dialer := net.Dialer{KeepAlive: -1, Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			// With the option, connect chooses the port, and can use one port for many destinations.
			// Otherwise bind reserves the port for all destinations. A connection is possible without it.
			_ = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		})
	}}
	c, err := dialer.DialTCP(ctx, "tcp", netip.AddrPortFrom(source, 0), target)
	if err != nil && ctx.Err() != nil {
		return nil, os.ErrDeadlineExceeded
	}
	return c, err
}

// netConn is a connection of package net whose time ends with a context.
type netConn struct {
	*net.TCPConn
	hangUp func() bool // forgets the context
}

// Read implements net.Conn. After the time limit, package net does not read. So Read reads once
// more, since the data can have arrived in time while this process was busy.
func (c netConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if !isTimeout(err) {
		return n, err
	}
	raw, failed := c.SyscallConn()
	if failed != nil {
		return n, err
	}
	_ = raw.Control(func(fd uintptr) { // fails only on a closed connection
		if arrived, failed := unix.Read(int(fd), p); failed == nil && arrived > 0 {
			n, err = arrived, nil
		}
	})
	return n, err
}

// Close implements net.Conn.
func (c netConn) Close() error {
	c.hangUp()
	return c.TCPConn.Close()
}

// orNet returns NetDialer for nil.
func orNet(d Dialer) Dialer {
	if d == nil {
		return NetDialer{}
	}
	return d
}

// open opens a connection from the address that s chooses.
func open(ctx context.Context, d Dialer, s Sourcer, addr netip.AddrPort) (net.Conn, error) {
	var c net.Conn
	err := from(s, addr.Addr(), func(source netip.Addr) (err error) {
		c, err = d.Dial(ctx, source, addr)
		return err
	})
	if err != nil {
		return nil, unconnected(s, addr, err)
	}
	return c, nil
}

// unconnected is the reason why no connection could be opened.
func unconnected(s Sourcer, addr netip.AddrPort, err error) error {
	s.Forget(addr.Addr())
	return fmt.Errorf("connect to %s: %w", addr, plain(err))
}
