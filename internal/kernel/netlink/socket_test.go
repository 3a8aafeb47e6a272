package netlink

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair returns a Socket, and the descriptor at its other end. The test replies through this
// descriptor in place of the kernel.
func pair(t *testing.T) (*Socket, int) {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := New(ends[0])
	t.Cleanup(func() {
		s.Close()
		_ = unix.Close(ends[1])
	})
	return s, ends[1]
}

// message returns a netlink message that replies to a request.
func message(seq uint32, kind, flags uint16, body ...byte) []byte {
	b := Request{Type: kind, Flags: flags, Body: body}.append(nil, seq)
	binary.NativeEndian.PutUint16(b[6:], flags)
	return b
}

func code(errno syscall.Errno) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))
}

func TestAnswers(t *testing.T) {
	const multi = unix.NLM_F_MULTI
	address := message(1, unix.RTM_NEWADDR, multi, 1, 2, 3, 4)
	done := message(1, unix.NLMSG_DONE, multi, 0, 0, 0, 0)
	tests := []struct {
		name      string
		datagrams [][]byte
		bodies    int
		broken    bool
		err       error
	}{
		{"one answer", [][]byte{message(1, unix.RTM_NEWLINK, 0, 1, 2, 3, 4)}, 1, false, nil},
		{"the beginning of a dump", [][]byte{append(message(1, unix.RTM_NEWADDR, multi, 1), address...)}, 2, true, context.DeadlineExceeded},
		{"the end of a dump", [][]byte{append(address, done...)}, 1, false, nil},
		{"two datagrams", [][]byte{address, append(address, done...)}, 2, false, nil},
		{"an interrupted dump", [][]byte{append(message(1, unix.RTM_NEWADDR, multi|unix.NLM_F_DUMP_INTR), message(1, unix.NLMSG_DONE, multi)...)}, 1, false, ErrDumpInterrupted},
		{"an error", [][]byte{message(1, unix.NLMSG_ERROR, 0, code(unix.ENODEV)...)}, 0, false, unix.ENODEV},
		{"a dump that fails", [][]byte{append(address, message(1, unix.NLMSG_DONE, multi, code(unix.EBUSY)...)...)}, 1, false, unix.EBUSY},
		{"another request's", [][]byte{message(7, unix.RTM_NEWLINK, 0)}, 0, true, context.DeadlineExceeded},
		{"cut off", [][]byte{message(1, unix.RTM_NEWLINK, 0, 1, 2, 3, 4)[:17]}, 0, true, unix.EINVAL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, kernel := pair(t)
			for _, datagram := range tt.datagrams {
				if _, err := unix.Write(kernel, datagram); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			bodies := 0
			err := s.Query(ctx, Request{Type: unix.RTM_GETLINK}, func([]byte) { bodies++ })
			if bodies != tt.bodies || s.Broken != tt.broken || !errors.Is(err, tt.err) {
				t.Errorf("got %d bodies, broken %t, %v; want %d, %t, %v", bodies, s.Broken, err, tt.bodies, tt.broken, tt.err)
			}
		})
	}
}

func TestListenEndsWithItsContext(t *testing.T) {
	s, kernel := pair(t)
	if _, err := unix.Write(kernel, message(0, unix.RTM_NEWADDR, 0, 1, 2, 3, 4)); err != nil {
		t.Fatal(err)
	}
	var got []byte
	if err := s.Listen(t.Context(), func(body []byte) { got = bytes.Clone(body) }); err != nil || !bytes.Equal(got, []byte{1, 2, 3, 4}) {
		t.Errorf("got % x, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Listen(ctx, func([]byte) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestKernelAnswers checks a query of the real kernel. It needs no privilege: every process can
// list the interfaces of its network namespace.
func TestKernelAnswers(t *testing.T) {
	s, err := Dial(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Strict()
	names := map[string]bool{}
	err = s.Dump(t.Context(), Request{Type: unix.RTM_GETLINK, Body: make([]byte, unix.SizeofIfInfomsg)}, func() { clear(names) }, func(body []byte) {
		if a, err := Parse(body[unix.SizeofIfInfomsg:]); err == nil {
			names[a.Text(unix.IFLA_IFNAME)] = true
		}
	})
	if err != nil || !names["lo"] {
		t.Errorf("got %v, %v", names, err)
	}
	absent := append(make([]byte, unix.SizeofIfInfomsg), AppendAttribute(nil, unix.IFLA_IFNAME, []byte("absent\x00"))...)
	if done, err := s.Execute(t.Context(), Request{Type: unix.RTM_DELLINK, Body: absent}); done != 0 || err == nil {
		t.Errorf("got %d, %v", done, err)
	}
}

func TestParse(t *testing.T) {
	body := AppendAttribute(AppendAttribute(AppendAttribute(nil, 3, []byte("eth0\x00")), 4, []byte{1, 0, 0, 0}), 99, nil)
	a, err := Parse(body)
	if err != nil || a.Text(3) != "eth0" || a.Uint32(4) != binary.NativeEndian.Uint32([]byte{1, 0, 0, 0}) || a.Uint32(5) != 0 || a.Uint16(5, binary.BigEndian) != 0 {
		t.Errorf("got %v, %v", a, err)
	}
	for _, length := range []uint16{0, 3, 8} {
		bad := binary.NativeEndian.AppendUint16(nil, length)
		if _, err := Parse(append(bad, 0, 0, 1)); !errors.Is(err, ErrMalformed) {
			t.Errorf("a length of %d in 5 bytes: got %v", length, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(AppendAttribute(AppendAttribute(nil, 1, []byte("eth0")), 2, nil))
	f.Fuzz(func(_ *testing.T, data []byte) {
		a, _ := Parse(data)
		_, _, _ = a.Uint32(1), a.Uint16(2, binary.BigEndian), a.Text(3)
	})
}
