package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lean is a TCP connection that waits by way of a Connector. It makes half of
// the system calls of package net's, and Go's scheduler is told of none. One
// goroutine uses it, until its context ends.
type lean struct {
	connector *Connector
	ended     <-chan struct{}
	peer      netip.AddrPort
	fd        int
	number    int32 // at the connector, if happened is not nil
	happened  chan struct{}
}

// connect opens a connection from the address that s chooses.
func (c *Connector) connect(ctx context.Context, s Sourcer, addr netip.AddrPort) (*conn, error) {
	fd, err := begin(s, addr, false)
	if err == nil {
		opened := &lean{connector: c, ended: ctx.Done(), peer: addr, fd: fd}
		if err = opened.finish(); err == nil {
			r := &raw{Conn: opened}
			return &conn{Conn: r, raw: r, hangUp: func() bool { return true }}, nil
		}
		_ = opened.Close()
	}
	s.Forget(addr.Addr())
	return nil, fmt.Errorf("connect to %s: %w", addr, plain(err))
}

// finish waits until the connection is open or refused.
func (s *lean) finish() error {
	var over error
	for {
		ended, err := attempted(s.fd)
		switch {
		case ended:
			return err
		case over != nil:
			return over
		}
		over = s.wait()
	}
}

// wait waits until something has happened since the last time.
func (s *lean) wait() error {
	if s.happened == nil {
		s.happened = make(chan struct{}, 1)
		s.number = s.connector.register(s.happened)
		if err := watch(s.connector.fd, s.fd, s.number, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET); err != nil {
			return err
		}
	}
	select {
	case <-s.ended:
		return os.ErrDeadlineExceeded
	case <-s.happened:
		return nil
	}
}

// transfer makes a call that would block again when something has happened, and
// when the time is over: the server is not to blame if nobody had time to look.
func (s *lean) transfer(number uintptr, p []byte) (int, error) {
	var over error
	for {
		n, err := move(number, s.fd, p)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EAGAIN):
			if over != nil {
				return 0, over
			}
			over = s.wait()
		case !errors.Is(err, unix.EINTR):
			return 0, err
		}
	}
}

// Read implements net.Conn.
func (s *lean) Read(p []byte) (int, error) {
	n, err := s.transfer(unix.SYS_READ, p)
	if n == 0 && err == nil && len(p) > 0 {
		return 0, io.EOF
	}
	return n, err
}

// Write implements net.Conn.
func (s *lean) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := s.transfer(unix.SYS_WRITE, p[done:])
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// Close implements net.Conn.
func (s *lean) Close() error {
	if s.fd < 0 {
		return net.ErrClosed
	}
	shut(s.fd)
	s.fd = -1
	if s.happened != nil {
		s.connector.forget(s.number)
	}
	return nil
}

// LocalAddr implements net.Conn; nobody asks for it.
func (s *lean) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr implements net.Conn.
func (s *lean) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.peer) }

// SetDeadline implements net.Conn: the context alone is the time limit.
func (s *lean) SetDeadline(time.Time) error { return syscall.ENOTSUP }

// SetReadDeadline implements net.Conn.
func (s *lean) SetReadDeadline(time.Time) error { return syscall.ENOTSUP }

// SetWriteDeadline implements net.Conn.
func (s *lean) SetWriteDeadline(time.Time) error { return syscall.ENOTSUP }
