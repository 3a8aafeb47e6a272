// Package epoll opens TCP connections for less CPU time than package net. It makes fewer system
// calls, and makes them without notice to Go's scheduler, because none of them blocks. Probe first
// polls all its new connections together. Slow connections then wait in one epoll instance. One
// goroutine reads the events of this instance with Go's own poller.
//
// Errors of Dial and Probe are syscall.Errno, or os.ErrDeadlineExceeded when the context ended
// first.
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

// Dialer opens connections. All checks share one Dialer.
type Dialer struct {
	epoll *os.File // epoll is registered with Go's own poller, so that no thread blocks.
	fd    int
	ended chan struct{}

	mu sync.Mutex
	// waiting has a channel for each socket that waits for events, by the number from register. A
	// file descriptor cannot be the key, because the kernel reuses the descriptor of a closed
	// socket at once.
	waiting map[int32]chan<- struct{}
	last    int32
}

// Open returns a Dialer. It also starts the goroutine that reads events. Close ends this goroutine.
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

// Close ends the goroutine that reads events. Before that, the caller must have ended every Dial
// and Probe, and must have closed every connection.
func (d *Dialer) Close() {
	_ = d.epoll.Close() // no data is lost
	<-d.ended
}

// Dial opens a connection from a source address. If the source address is the zero Addr, the kernel
// chooses it. Only ctx limits the time of reads and writes of the connection. Only one goroutine
// can use the connection.
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

// read wakes each goroutine whose socket has an event, until Close.
func (d *Dialer) read(raw syscall.RawConn) {
	defer close(d.ended)
	events := make([]unix.EpollEvent, 64)
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			var err error
			n, err = ready(int(fd), events)
			return n > 0 && err == nil // After false, raw.Read waits for an event or for Close.
		})
		if err != nil {
			return // Close was called
		}
		d.wake(events[:max(0, n)])
	}
}

func (d *Dialer) wake(events []unix.EpollEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range events {
		select {
		case d.waiting[e.Fd] <- struct{}{}: // If the number is not registered, the channel is nil, and this case is never chosen.
		default: // The goroutine has not received the previous event yet, or number is unknown.
		}
	}
}

// register returns a new number. wake sends each event with this number to happened, until forget
// removes the number.
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
