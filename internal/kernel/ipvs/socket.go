package ipvs

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// genlHeader is the size of struct genlmsghdr (include/uapi/linux/genetlink.h).
const genlHeader = 4

// socket is a generic netlink socket. One goroutine uses it at a time. Once
// broken is true (a missed deadline, a lost message) it must be closed.
type socket struct {
	file   *os.File
	buffer []byte
	broken bool
}

// dial opens a socket in the network namespace of the calling thread.
// Connected to the kernel, it takes messages from nobody else.
func dial() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_GENERIC)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("connect a netlink socket: %w", err)
	}
	return newSocket(os.NewFile(uintptr(fd), "netlink")), nil
}

// newSocket takes over a file whose reads return one datagram each. The kernel
// makes no datagram of a dump longer than 32 KiB (net/netlink/af_netlink.c,
// netlink_recvmsg, max_recvmsg_len).
func newSocket(file *os.File) *socket {
	return &socket{file: file, buffer: make([]byte, 32<<10)}
}

func (s *socket) Close() { _ = s.file.Close() }

// lookup returns the number of the family IPVS; syscall.ENOENT without IPVS.
func (s *socket) lookup(ctx context.Context) (id uint16, err error) {
	name := nl.NewRtAttr(nl.GENL_CTRL_ATTR_FAMILY_NAME, nl.ZeroTerminated("IPVS"))
	req := message(nl.GENL_ID_CTRL, nl.GENL_CTRL_CMD_GETFAMILY, 0, name)
	err = s.within(ctx, func() error {
		if err := s.send(req.Serialize()); err != nil {
			return err
		}
		return s.receive(req.Seq, 1, func(m syscall.NetlinkMessage) (bool, error) {
			if err := errno(m); err != nil {
				return true, err
			}
			id, err = decodeFamily(m.Data[min(genlHeader, len(m.Data)):])
			return true, err
		})
	})
	return id, err
}

// dump calls each with the attributes of every object; they are valid until it
// returns. nl.ErrDumpInterrupted says that some may be missing.
func (s *socket) dump(ctx context.Context, req *nl.NetlinkRequest, each func(attrs []byte) error) error {
	interrupted := false
	err := s.within(ctx, func() error {
		if err := s.send(req.Serialize()); err != nil {
			return err
		}
		var bad error
		err := s.receive(req.Seq, 1, func(m syscall.NetlinkMessage) (bool, error) {
			interrupted = interrupted || m.Header.Flags&unix.NLM_F_DUMP_INTR != 0
			if m.Header.Type == unix.NLMSG_ERROR || m.Header.Type == unix.NLMSG_DONE {
				return true, errno(m)
			}
			if bad == nil { // and read on to the end: the next dump starts clean
				bad = each(m.Data[min(genlHeader, len(m.Data)):])
			}
			return false, nil
		})
		return cmp.Or(err, bad)
	})
	if err == nil && interrupted {
		return nl.ErrDumpInterrupted
	}
	return err
}

// execute sends requests in one datagram and returns how many succeeded before
// the first that did not, with its error. The kernel goes through all of them,
// in order, and answers each (af_netlink.c, netlink_rcv_skb).
func (s *socket) execute(ctx context.Context, requests []*nl.NetlinkRequest) (done int, err error) {
	var datagram []byte
	first := requests[0].Seq
	for i, req := range requests {
		req.Seq = first + uint32(i)
		datagram = append(datagram, req.Serialize()...)
	}
	var failed error
	err = s.within(ctx, func() error {
		if err := s.send(datagram); err != nil {
			return err
		}
		answered := 0
		return s.receive(first, len(requests), func(m syscall.NetlinkMessage) (bool, error) {
			if failed == nil {
				failed = errno(m)
			}
			if failed == nil {
				done++
			}
			answered++
			return answered == len(requests), nil
		})
	})
	if failed != nil {
		return done, failed
	}
	return done, err
}

// within runs f. When ctx ends meanwhile, what f waits for fails with ctx's
// error and the socket is broken: an answer may still come.
func (s *socket) within(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	past := time.Unix(1, 0)
	stop := context.AfterFunc(ctx, func() { _ = s.file.SetDeadline(past) })
	err := f()
	if !stop() {
		s.broken = true
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ctx.Err()
	}
	return err
}

func (s *socket) send(datagram []byte) error {
	_, err := s.file.Write(datagram)
	s.broken = s.broken || err != nil
	return err
}

// receive calls each with the answers to count requests from a sequence number
// on, until it says that it is done. Answers to older requests are skipped.
func (s *socket) receive(first uint32, count int, each func(syscall.NetlinkMessage) (done bool, err error)) error {
	for {
		n, err := s.file.Read(s.buffer)
		if err != nil {
			s.broken = true // ENOBUFS: the kernel could not queue an answer
			return err
		}
		messages, err := syscall.ParseNetlinkMessage(s.buffer[:n])
		if err != nil {
			s.broken = true
			return err
		}
		for _, m := range messages {
			if m.Header.Seq-first >= uint32(count) {
				continue
			}
			if done, err := each(m); done || err != nil {
				return err
			}
		}
	}
}

// errno is the error that an acknowledgement or the end of a dump carries.
func errno(m syscall.NetlinkMessage) error {
	if m.Header.Type != unix.NLMSG_ERROR && m.Header.Type != unix.NLMSG_DONE || len(m.Data) < 4 {
		return nil
	}
	if n := int32(binary.NativeEndian.Uint32(m.Data)); n != 0 {
		return syscall.Errno(-n)
	}
	return nil
}
