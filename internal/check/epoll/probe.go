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

// pauses are the times before each poll of the connections that are not open yet. Most servers
// reply within a millisecond. If each connection waited separately, the wait would cost a third of
// the check.
var pauses = [...]time.Duration{0, time.Millisecond}

// attempt is a socket that is being connected. index is the index of its target.
type attempt struct{ index, fd int }

// Probe opens a connection from each source to the target with the same index, and resets it. It
// calls done with each index and the result, from one goroutine or from several. It returns when
// all calls are done. If a server accepts the connection and resets it first, the result is
// ECONNRESET, EPIPE or nil.
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

// finished polls all attempts. It closes the attempts that have ended, calls done for them, and
// returns the other attempts.
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

// rest waits for the time pause. It returns false if ctx ended first.
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

// begin starts a connection attempt and returns its socket. If reset is true, the kernel sends a
// reset when the socket is closed.
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

// attempted reports whether a connection attempt has ended, and returns the error of the attempt.
func attempted(fd int) (ended bool, err error) {
	sockets := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	poll(sockets)
	events := sockets[0].Revents
	return events != 0, outcome(fd, events)
}

// outcome returns the error of a connection attempt. After the connection has opened, outcome
// returns the error of the open connection.
func outcome(fd int, events int16) error {
	if events&^unix.POLLOUT == 0 {
		return nil
	}
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	return err // err is nil if the server has closed an open connection.
}

// await waits until a connection is open or refused. After ctx ends, await polls once more. The
// server is not to blame if this process had no time to poll earlier.
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
