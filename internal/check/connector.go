package check

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Connector opens connections only to see that they can be opened, with a
// third of the system calls of package net: those that are due together are
// looked at together, the slow ones wait in one epoll instance, nobody asks for
// addresses, and the reset is asked for before there is a connection.
type Connector struct {
	epoll *os.File // known to Go's own poller, so that waiting takes no thread
	fd    int
	ended chan struct{}

	mu      sync.Mutex
	waiting map[int32]chan<- struct{} // by a number of their own: descriptors are used again at once
	last    int32
}

// NewConnector starts a reader, which Close ends.
func NewConnector() (*Connector, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("epoll: %w", err), unix.Close(fd))
	}
	c := &Connector{epoll: os.NewFile(uintptr(fd), "epoll"), fd: fd, ended: make(chan struct{}), waiting: map[int32]chan<- struct{}{}}
	raw, err := c.epoll.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, c.epoll.Close())
	}
	go c.read(raw)
	return c, nil
}

// Close ends the reader. No check may run any more.
func (c *Connector) Close() {
	_ = c.epoll.Close() // nothing is lost
	<-c.ended
}

// read tells attempts that something has happened, until Close.
func (c *Connector) read(raw syscall.RawConn) {
	defer close(c.ended)
	events := make([]unix.EpollEvent, 64)
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			var err error
			n, err = ready(int(fd), events)
			return n > 0 && err == nil // else there is more to wait for, or Close to come
		})
		if err != nil {
			return // closed
		}
		c.tell(events[:max(0, n)])
	}
}

func (c *Connector) tell(events []unix.EpollEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range events {
		select {
		case c.waiting[e.Fd] <- struct{}{}: // never, if it waits no more
		default: // there is one that nobody has looked at
		}
	}
}

// pauses are made before the looks at all that have not been answered. Most
// real servers are near, and waiting for one alone costs as much as its connection.
var pauses = [...]time.Duration{0, time.Millisecond, 3 * time.Millisecond, 12 * time.Millisecond}

// All makes many checks at once and returns when all are done. It calls done
// for each by its index, from one goroutine or several.
func (c *Connector) All(ctx context.Context, checks []Connect, done func(index int, err error)) {
	begun := make([]unix.PollFd, 0, len(checks))
	which := make([]int, 0, len(checks))
	for i, check := range checks {
		fd, err := begin(check.Source, check.Addr, true)
		if err != nil {
			done(i, check.failed(err))
			continue
		}
		begun, which = append(begun, unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT}), append(which, i)
	}
	for _, pause := range pauses {
		if len(begun) == 0 || !rest(ctx, pause) {
			break
		}
		look(begun)
		left := 0
		for n, b := range begun {
			check, i, fd := checks[which[n]], which[n], int(b.Fd)
			if b.Revents == 0 {
				begun[left], which[left] = b, i
				left++
				continue
			}
			done(i, check.verdict(outcome(fd, b.Revents&^unix.POLLOUT != 0), fd))
		}
		begun, which = begun[:left], which[:left]
	}
	var others sync.WaitGroup
	for n, b := range begun {
		check, i, fd := checks[which[n]], which[n], int(b.Fd)
		others.Go(func() { done(i, check.verdict(c.await(ctx, fd), fd)) })
	}
	others.Wait()
}

// rest tells whether ctx lasts longer than a pause.
func rest(ctx context.Context, pause time.Duration) bool {
	if pause == 0 {
		return true
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// verdict ends an attempt. A reset comes from a server that has accepted: one
// before that is a refusal (tcp_reset in the kernel's tcp_input.c).
func (c Connect) verdict(err error, fd int) error {
	shut(fd)
	if err != nil && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		return c.failed(err)
	}
	return nil
}

// begin starts to connect. reset is for a connection that will be reset when it
// is closed.
func begin(s Sourcer, addr netip.AddrPort, reset bool) (fd int, err error) {
	err = from(s, addr.Addr(), func(source netip.Addr) error {
		if fd, err = socket(addr.Addr().Is6()); err != nil {
			return err
		}
		if source.IsValid() {
			lateport(fd)
			err = withAddr(unix.SYS_BIND, fd, netip.AddrPortFrom(source, 0))
		}
		if err == nil && reset {
			err = linger(fd)
		}
		if err == nil {
			err = withAddr(unix.SYS_CONNECT, fd, addr)
		}
		if err != nil && !errors.Is(err, unix.EINPROGRESS) {
			shut(fd)
			return err
		}
		return nil
	})
	return fd, err
}

// attempted tells whether an attempt has ended, and how.
func attempted(fd int) (ended bool, err error) {
	sockets := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if look(sockets); sockets[0].Revents == 0 {
		return false, nil
	}
	return true, outcome(fd, sockets[0].Revents&^unix.POLLOUT != 0)
}

// outcome is the error of an attempt that has ended, or of the connection since.
func outcome(fd int, bad bool) error {
	if !bad {
		return nil
	}
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	return err // nil if it was closed in the proper way
}

// await waits until a connection is open or refused.
func (c *Connector) await(ctx context.Context, fd int) error {
	happened := make(chan struct{}, 1)
	number := c.register(happened)
	defer c.forget(number)
	if err := watch(c.fd, fd, number, unix.EPOLLOUT|unix.EPOLLONESHOT); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-happened:
	}
	ended, err := attempted(fd)
	if !ended {
		return errSilent // also to the last look: the server is not to blame if nobody had time for one
	}
	return err
}

func (c *Connector) register(happened chan<- struct{}) int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.last++; c.waiting[c.last] != nil; c.last++ {
		continue
	}
	c.waiting[c.last] = happened
	return c.last
}

func (c *Connector) forget(number int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, number)
}
