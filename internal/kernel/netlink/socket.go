package netlink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// datagram is the largest datagram that the kernel sends in a dump (net/netlink/af_netlink.c,
// netlink_recvmsg, max_recvmsg_len).
const datagram = 32 << 10

// waitStep is how often a wait for the kernel checks its context. The kernel replies to a request
// before the send of the request returns. So Query and Execute wait only if a reply was lost.
const waitStep = 20 * time.Millisecond

// Socket is a netlink socket to the kernel. One goroutine can use it at a time. It does not use
// Go's poller, so that a wait ends with its context.
type Socket struct {
	// Broken means that a reply was lost or can still arrive. The caller must close the socket.
	Broken bool

	fd     int
	seq    uint32
	buffer []byte
}

// Dial opens a socket for a protocol of netlink(7) in the network namespace of the calling thread.
// The socket is connected, so it receives only messages from the kernel.
func Dial(protocol int) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("connect a netlink socket: %w", err)
	}
	return New(fd), nil
}

// New returns a Socket on a non-blocking descriptor. Each read of the descriptor must return one
// datagram.
func New(fd int) *Socket { return &Socket{fd: fd, buffer: make([]byte, datagram)} }

// Close closes the descriptor.
func (s *Socket) Close() { _ = unix.Close(s.fd) }

// Strict makes the kernel apply the filters of a dump (Linux 4.20). An older kernel sends every
// object, so the caller must filter the objects of a dump too.
func (s *Socket) Strict() {
	_ = unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
}

// Query sends a request and calls the function each with the body of every reply. The body is valid
// until the function returns. Errors that a caller can test: the kernel's syscall.Errno, the error
// of ctx, and nl.ErrDumpInterrupted for a dump that the kernel reports as interrupted.
func (s *Socket) Query(ctx context.Context, request Request, each func(body []byte)) error {
	interrupted := false
	err := s.exchange(ctx, []Request{request}, func(m syscall.NetlinkMessage) (done bool, err error) {
		interrupted = interrupted || m.Header.Flags&unix.NLM_F_DUMP_INTR != 0
		if m.Header.Type == unix.NLMSG_DONE || m.Header.Type == unix.NLMSG_ERROR {
			return true, errno(m)
		}
		each(m.Data)
		return m.Header.Flags&unix.NLM_F_MULTI == 0, nil
	})
	if err == nil && interrupted {
		return ErrDumpInterrupted
	}
	return err
}

// Dump repeats Query until the kernel does not report the dump as interrupted. It calls the
// function begin before each attempt, and then the function each for all objects again.
func (s *Socket) Dump(ctx context.Context, request Request, begin func(), each func(body []byte)) error {
	request.Flags |= unix.NLM_F_DUMP
	return Whole(ctx, func() error {
		begin()
		return s.Query(ctx, request, each)
	})
}

// Execute sends requests for changes in one datagram. It returns the number of changes that
// succeeded before the first failure, and the error of this failure. After another error, such as
// the error of ctx, the number is 0. The kernel executes all requests in order. It replies to each
// request that fails, and to the last request (net/netlink/af_netlink.c, netlink_rcv_skb).
func (s *Socket) Execute(ctx context.Context, requests ...Request) (done int, err error) {
	first, last := s.seq+1, len(requests)-1
	requests[last].Flags |= unix.NLM_F_ACK
	var refused error
	err = s.exchange(ctx, requests, func(m syscall.NetlinkMessage) (bool, error) {
		at := int(m.Header.Seq - first)
		if failed := errno(m); failed != nil && refused == nil {
			done, refused = at, failed
		}
		return at == last, nil
	})
	if err == nil && refused == nil {
		done = len(requests)
	}
	return done, cmp.Or(refused, err)
}

// Join subscribes to a multicast group of messages about changes.
func (s *Socket) Join(group int) error {
	return os.NewSyscallError("setsockopt NETLINK_ADD_MEMBERSHIP", unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group))
}

// Listen waits for the next messages to a group, and calls the function each with the body of each
// message. The error unix.ENOBUFS means that the kernel dropped messages because they were not read
// in time.
func (s *Socket) Listen(ctx context.Context, each func(body []byte)) error {
	messages, err := s.receive(ctx)
	for _, m := range messages {
		each(m.Data)
	}
	return err
}

// exchange sends requests and calls the function each with the replies, until the function returns
// done or an error. It ignores replies to older requests.
func (s *Socket) exchange(ctx context.Context, requests []Request, each func(syscall.NetlinkMessage) (done bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	first := s.seq + 1
	var datagram []byte
	for _, request := range requests {
		s.seq++
		datagram = request.append(datagram, s.seq)
	}
	if err := unix.Send(s.fd, datagram, 0); err != nil {
		s.Broken = true
		return os.NewSyscallError("sendto", err)
	}
	for {
		messages, err := s.receive(ctx)
		if err != nil {
			s.Broken = true
			return err
		}
		for _, m := range messages {
			if m.Header.Seq-first >= uint32(len(requests)) {
				continue
			}
			if done, err := each(m); done {
				return err
			}
		}
	}
}

// receive returns the messages of the next datagram.
func (s *Socket) receive(ctx context.Context) ([]syscall.NetlinkMessage, error) {
	for {
		n, _, err := unix.Recvfrom(s.fd, s.buffer, 0)
		switch {
		case err == nil:
			messages, err := syscall.ParseNetlinkMessage(s.buffer[:n])
			if err != nil {
				return nil, fmt.Errorf("the kernel's reply of %d bytes: %w", n, err)
			}
			return messages, nil
		case errors.Is(err, unix.EAGAIN):
			if err := s.wait(ctx); err != nil {
				return nil, err
			}
		case !errors.Is(err, unix.EINTR):
			return nil, os.NewSyscallError("recvfrom", err)
		}
	}
}

// wait returns nil when the socket may be readable, and the error of ctx when ctx ends.
func (s *Socket) wait(ctx context.Context) error {
	step := waitStep
	if deadline, limited := ctx.Deadline(); limited {
		step = min(step, time.Until(deadline)+time.Millisecond)
	}
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, int(max(step, 0).Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		err = nil
	}
	return cmp.Or(ctx.Err(), os.NewSyscallError("poll", err))
}
