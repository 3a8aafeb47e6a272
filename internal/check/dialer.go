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

// Dialer opens TCP connections from a source address. If the source address is the zero Addr, the
// kernel chooses it. The implementations are NetDialer, and the dialer of package epoll, which uses
// less CPU time. An error of a Dialer holds a syscall.Errno, or is os.ErrDeadlineExceeded if the
// context ended first.
type Dialer interface {
	// Dial opens a connection. A read or write that waits for the server ends when ctx ends. A read
	// after the end of ctx still returns data that has already arrived. Only one goroutine can use
	// the connection.
	Dial(ctx context.Context, source netip.Addr, target netip.AddrPort) (net.Conn, error)
	// Probe opens a connection from each source to the target with the same index, and resets it.
	// It calls done with each index and the result, from one goroutine or from several. It returns
	// when all calls are done. If a server accepts the connection and resets it first, the result
	// can be an error.
	Probe(ctx context.Context, sources []netip.Addr, targets []netip.AddrPort, done func(index int, err error))
}

// NetDialer opens connections with package net.
type NetDialer struct{}

var _ Dialer = NetDialer{}

// Dial opens a TCP connection with package net, see the interface Dialer. Several goroutines can
// use the connection.
func (NetDialer) Dial(ctx context.Context, source netip.Addr, target netip.AddrPort) (net.Conn, error) {
	c, err := dialTCP(ctx, source, target)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline) // SetDeadline fails only on a closed connection
	}
	past := time.Unix(1, 0)
	return netConn{c, context.AfterFunc(ctx, func() { _ = c.SetDeadline(past) })}, nil // SetDeadline fails only on a closed connection
}

// Probe opens and resets all connections at the same time, in a goroutine for each connection. See
// the interface Dialer.
func (NetDialer) Probe(ctx context.Context, sources []netip.Addr, targets []netip.AddrPort, done func(index int, err error)) {
	var all sync.WaitGroup
	for i, target := range targets {
		all.Go(func() {
			c, err := dialTCP(ctx, sources[i], target)
			if err == nil {
				_ = c.SetLinger(0) // The connection is closed with a reset. Otherwise the kernel keeps a TIME_WAIT entry for a minute.
				_ = c.Close()      // no data is lost
			}
			done(i, err)
		})
	}
	all.Wait()
}

func dialTCP(ctx context.Context, source netip.Addr, target netip.AddrPort) (*net.TCPConn, error) {
	dialer := net.Dialer{KeepAlive: -1, Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			// With this option, connect chooses the port, and the kernel can use one port for many
			// destinations. Without this option, bind reserves the port for all destinations. The
			// connection also works if the kernel refuses the option.
			_ = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		})
	}}
	c, err := dialer.DialTCP(ctx, "tcp", netip.AddrPortFrom(source, 0), target)
	if err != nil && ctx.Err() != nil {
		return nil, os.ErrDeadlineExceeded
	}
	return c, err
}

// netConn is a connection of package net whose reads and writes end with a context.
type netConn struct {
	*net.TCPConn
	hangUp func() bool // hangUp stops the function that waits for the end of the context.
}

// Read reads from the connection. After the time limit, package net returns an error and does not
// read. So Read itself reads once more: the data can have arrived in time while this process was
// busy.
func (c netConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if !isTimeout(err) {
		return n, err
	}
	raw, failed := c.SyscallConn()
	if failed != nil {
		return n, err
	}
	_ = raw.Control(func(fd uintptr) { // Control fails only on a closed connection
		if arrived, failed := unix.Read(int(fd), p); failed == nil && arrived > 0 {
			n, err = arrived, nil
		}
	})
	return n, err
}

// Close closes the connection, and ends the wait for the end of the context.
func (c netConn) Close() error {
	c.hangUp()
	return c.TCPConn.Close()
}

// orNet returns d, or NetDialer if d is nil.
func orNet(d Dialer) Dialer {
	if d == nil {
		return NetDialer{}
	}
	return d
}

// open opens a connection to addr from the source address that s chooses.
func open(ctx context.Context, d Dialer, s Sourcer, addr netip.AddrPort) (net.Conn, error) {
	var c net.Conn
	tracerOf(ctx).dials()
	err := from(s, addr.Addr(), func(source netip.Addr) (err error) {
		c, err = d.Dial(ctx, source, addr)
		return err
	})
	if err != nil {
		return nil, unconnected(s, addr, err)
	}
	tracerOf(ctx).connected()
	return c, nil
}

// unconnected returns the reason why a check could not open a connection. It also drops the
// remembered source address.
func unconnected(s Sourcer, addr netip.AddrPort, err error) error {
	s.Forget(addr.Addr())
	return fmt.Errorf("connect to %s: %w", addr, plain(err))
}
