package epoll

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pauses are made before each poll of the connections that are not open yet. Most servers are less
// than a millisecond away, and waiting for each of them alone costs a third of its check.
var pauses = [...]time.Duration{0, time.Millisecond}

// attempt is a connection that is being opened.
type attempt struct{ index, fd int }

// Probe opens a connection from each source to the target of the same index, and resets it. It
// calls done for each index, from one goroutine or several, and returns when all are done. A server
// that accepted and reset the connection first gives ECONNRESET or nil.
func (d *Dialer) Probe(ctx context.Context, sources []netip.Addr, targets []netip.AddrPort, done func(index int, err error)) {
	open := make([]attempt, 0, len(targets))
	for i, target := range targets {
		fd, err := begin(sources[i], target, true)
		if err != nil {
			done(i, err)
			continue
		}
		open = append(open, attempt{i, fd})
	}
	for _, pause := range pauses {
		if len(open) == 0 || !rest(ctx, pause) {
			break
		}
		open = finished(open, done)
	}
	var others sync.WaitGroup
	for _, a := range open {
		others.Go(func() {
			err := d.await(ctx, a.fd)
			shut(a.fd)
			done(a.index, err)
		})
	}
	others.Wait()
}

// finished closes the attempts that have ended, calls done for them, and returns the others.
func finished(open []attempt, done func(index int, err error)) []attempt {
	sockets := make([]unix.PollFd, len(open))
	for n, a := range open {
		sockets[n] = unix.PollFd{Fd: int32(a.fd), Events: unix.POLLOUT}
	}
	poll(sockets)
	left := open[:0]
	for n, a := range open {
		events := sockets[n].Revents
		if events == 0 {
			left = append(left, a)
			continue
		}
		err := outcome(a.fd, events)
		shut(a.fd)
		done(a.index, err)
	}
	return left
}

// rest waits for a pause and reports whether ctx lasted longer.
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

// begin starts to connect. The kernel sends a reset when it closes a socket that has reset set.
func begin(source netip.Addr, target netip.AddrPort, reset bool) (fd int, err error) {
	if fd, err = socket(target.Addr().Is6()); err != nil {
		return 0, err
	}
	if source.IsValid() {
		latePort(fd)
		err = withAddr(unix.SYS_BIND, fd, netip.AddrPortFrom(source, 0))
	}
	if err == nil && reset {
		err = linger(fd)
	}
	if err == nil {
		err = withAddr(unix.SYS_CONNECT, fd, target)
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		shut(fd)
		return 0, err
	}
	return fd, nil
}

// attempted reports whether an attempt has ended, and how.
func attempted(fd int) (ended bool, err error) {
	sockets := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	poll(sockets)
	events := sockets[0].Revents
	return events != 0, outcome(fd, events)
}

// outcome is the error of an attempt that ended with events, or of the connection since then.
func outcome(fd int, events int16) error {
	if events&^unix.POLLOUT == 0 {
		return nil
	}
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	return err // nil if the server has closed an open connection
}

// await waits until a connection is open or refused. It polls once more after ctx: a server is not
// to blame if this process had no time to poll earlier.
func (d *Dialer) await(ctx context.Context, fd int) error {
	happened := make(chan struct{}, 1)
	number := d.register(happened)
	defer d.forget(number)
	if err := watch(d.fd, fd, number, unix.EPOLLOUT|unix.EPOLLONESHOT); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-happened:
	}
	ended, err := attempted(fd)
	if !ended {
		return os.ErrDeadlineExceeded
	}
	return err
}
