package check

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Connector opens connections only to see that they can be opened, with half
// the system calls of package net: all wait in one epoll instance, nobody asks
// for addresses, and the reset is asked for before there is a connection.
type Connector struct {
	epoll *os.File // known to Go's own poller, so that waiting takes no thread
	fd    int
	ended chan struct{}

	mu      sync.Mutex
	waiting map[int32]chan<- uint32 // by number of the attempt: descriptors are used again at once
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
	c := &Connector{epoll: os.NewFile(uintptr(fd), "epoll"), fd: fd, ended: make(chan struct{}), waiting: map[int32]chan<- uint32{}}
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
		if attempt := c.waiting[e.Fd]; attempt != nil {
			attempt <- e.Events // has room for one, and gets no second
			delete(c.waiting, e.Fd)
		}
	}
}

// connect opens a connection and resets it. source may be the zero Addr.
func (c *Connector) connect(ctx context.Context, source netip.Addr, addr netip.AddrPort) error {
	fd, err := socket(addr.Addr().Is6())
	if err != nil {
		return err
	}
	defer shut(fd)
	if source.IsValid() {
		if err := withAddr(unix.SYS_BIND, fd, netip.AddrPortFrom(source, 0)); err != nil {
			return err
		}
	}
	if err := linger(fd); err != nil {
		return err
	}
	if err := withAddr(unix.SYS_CONNECT, fd, addr); !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	// The others that are due start meanwhile, and most servers have answered by then.
	runtime.Gosched()
	if writable(fd) {
		return nil
	}
	return c.await(ctx, fd)
}

// await waits until a connection is open or refused.
func (c *Connector) await(ctx context.Context, fd int) error {
	happened := make(chan uint32, 1)
	number := c.register(happened)
	if err := watch(c.fd, fd, number); err != nil {
		c.forget(number)
		return err
	}
	select {
	case <-ctx.Done():
		c.forget(number)
		return errSilent
	case events := <-happened:
		if events&(unix.EPOLLERR|unix.EPOLLHUP) == 0 {
			return nil
		}
	}
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	return err // nil for a server that accepted and reset: it can be connected to
}

func (c *Connector) register(happened chan<- uint32) int32 {
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
