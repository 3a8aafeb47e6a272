// Package epoll opens TCP connections for less CPU time than package net. It makes fewer system
// calls, and it makes them without telling Go's scheduler, as none of them blocks. Connections that
// are due together are polled together; slow ones wait in one epoll instance, which one goroutine
// reads by way of Go's own poller.
//
// Errors are syscall.Errno, or os.ErrDeadlineExceeded when the context ended first.
package epoll

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Dialer opens connections. Checks share one.
type Dialer struct {
	epoll *os.File // registered with Go's own poller, so that waiting takes no thread
	fd    int
	ended chan struct{}

	mu      sync.Mutex
	waiting map[int32]chan<- struct{} // by a number of our own: the kernel reuses descriptors at once
	last    int32
}

// Open starts the goroutine that reads events. Close ends it.
func Open() (*Dialer, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("epoll: %w", err), unix.Close(fd))
	}
	d := &Dialer{epoll: os.NewFile(uintptr(fd), "epoll"), fd: fd, ended: make(chan struct{}), waiting: map[int32]chan<- struct{}{}}
	raw, err := d.epoll.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, d.epoll.Close())
	}
	go d.read(raw)
	return d, nil
}

// Close ends the reading goroutine. The caller must have ended every Dial and Probe, and must have
// closed every connection.
func (d *Dialer) Close() {
	_ = d.epoll.Close() // no data is lost
	<-d.ended
}

// Dial opens a connection from a local address; the zero Addr leaves the choice to the kernel. Only
// ctx limits the time of the connection's reads and writes. One goroutine may use it.
func (d *Dialer) Dial(ctx context.Context, source netip.Addr, target netip.AddrPort) (net.Conn, error) {
	fd, err := begin(source, target, false)
	if err != nil {
		return nil, err
	}
	c := &conn{dialer: d, ended: ctx.Done(), target: target, fd: fd}
	if err := c.finish(); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// read wakes those whose socket has an event, until Close.
func (d *Dialer) read(raw syscall.RawConn) {
	defer close(d.ended)
	events := make([]unix.EpollEvent, 64)
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			var err error
			n, err = ready(int(fd), events)
			return n > 0 && err == nil // else wait for an event or for Close
		})
		if err != nil {
			return // closed
		}
		d.wake(events[:max(0, n)])
	}
}

func (d *Dialer) wake(events []unix.EpollEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range events {
		select {
		case d.waiting[e.Fd] <- struct{}{}: // blocks forever if the number is not registered
		default: // or an earlier event has not been taken yet
		}
	}
}

// register returns a number whose events are sent to happened until forget.
func (d *Dialer) register(happened chan<- struct{}) int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.last++; d.waiting[d.last] != nil; d.last++ {
		continue
	}
	d.waiting[d.last] = happened
	return d.last
}

func (d *Dialer) forget(number int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.waiting, number)
}
