package ipvs

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/ipvs"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
	"lvs-agents/internal/lvs"
)

// scripted returns a Kernel whose socket is connected to a test instead of the kernel. The function
// answer returns the datagrams that reply to a request. The Kernel uses 28 as the number of the
// family IPVS.
func scripted(t *testing.T, answer func(syscall.NetlinkMessage) [][]byte) *Kernel {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	far := os.NewFile(uintptr(pair[1]), "script")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buffer := make([]byte, 64<<10)
		for {
			n, err := far.Read(buffer)
			if err != nil {
				return
			}
			requests, _ := syscall.ParseNetlinkMessage(buffer[:n])
			for _, m := range requests {
				for _, datagram := range answer(m) {
					_, _ = far.Write(datagram)
				}
			}
		}
	}()
	k := New()
	k.socket, k.family = knetlink.New(pair[0]), 28
	t.Cleanup(func() {
		_ = k.Close()
		_ = far.Close()
		<-ended
	})
	return k
}

func reply(to syscall.NetlinkMessage, kind uint16, flags uint16, data []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(data)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, to.Header.Seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, data...)
	return append(b, make([]byte, -len(b)&3)...)
}

func ack(to syscall.NetlinkMessage, errno syscall.Errno) []byte {
	return reply(to, unix.NLMSG_ERROR, 0, append(binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno))), make([]byte, 16)...))
}

func done(to syscall.NetlinkMessage) []byte {
	return reply(to, unix.NLMSG_DONE, unix.NLM_F_MULTI, make([]byte, 4))
}

func destinations(t *testing.T, n int) []lvs.Op {
	t.Helper()
	var ops []lvs.Op
	for i := range n {
		op, err := lvs.ParseOp("-a -f 1 -r 192.0.2." + strconv.Itoa(i+1) + ":80 -m -w 1")
		if err != nil {
			t.Fatal(err)
		}
		ops = append(ops, op)
	}
	return ops
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

// TestThousandServicesInBatches checks how many datagrams a large plan needs. The kernel replies to
// the last request of a datagram, and to a request that fails.
func TestThousandServicesInBatches(t *testing.T) {
	var acks, fails atomic.Int64
	k := scripted(t, func(m syscall.NetlinkMessage) [][]byte {
		switch {
		case fails.Load() > 0 && int64(m.Header.Seq) >= fails.Load():
			return [][]byte{ack(m, syscall.EEXIST)}
		case m.Header.Flags&unix.NLM_F_ACK != 0:
			acks.Add(1)
			return [][]byte{ack(m, 0)}
		}
		return nil
	})
	var want lvs.Table
	for i := range 1000 {
		v := lvs.VirtualService{Service: lvs.Service{ID: lvs.MarkService(uint32(i+1), false), Scheduler: "rr"}}
		for _, op := range destinations(t, 10) {
			v.Destinations = append(v.Destinations, op.Destination)
		}
		want = append(want, v)
	}
	ops := lvs.Plan(want, nil, lvs.ScopeOf(want))
	if done, err := k.Apply(t.Context(), ops); done != 11000 || err != nil || acks.Load() != 16+157 {
		t.Errorf("got %d, %v in %d datagrams", done, err, acks.Load())
	}
	acks.Store(0)
	fails.Store(int64(len(ops) + 100))
	if done, err := k.Apply(t.Context(), ops); done != 99 || !errors.Is(err, fs.ErrExist) || acks.Load() != 1 {
		t.Errorf("got %d, %v after %d datagrams", done, err, acks.Load())
	}
}

func TestLostAcknowledgement(t *testing.T) {
	k := scripted(t, func(syscall.NetlinkMessage) [][]byte { return nil })
	ops := destinations(t, 3)
	got, err := k.Apply(soon(t), ops)
	if want := ops[0].String() + ": context deadline exceeded"; got != 0 || !errors.Is(err, context.DeadlineExceeded) || err.Error() != want {
		t.Errorf("got %d, %v; want 0, %s", got, err, want)
	}
	if k.socket != nil {
		t.Error("the socket is still open")
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	k := scripted(t, func(syscall.NetlinkMessage) [][]byte { cancel(); return nil })
	if _, err := k.Table(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWaitingForAnotherGoroutineEndsWithTheDeadline(t *testing.T) {
	k := New()
	<-k.turn
	defer k.release()
	ops := destinations(t, 1)
	_, err := k.Apply(soon(t), ops)
	if want := ops[0].String() + ": context deadline exceeded"; !errors.Is(err, context.DeadlineExceeded) || err.Error() != want {
		t.Errorf("got %v; want %s", err, want)
	}
}

func TestFirstFailureOfABatch(t *testing.T) {
	var sent atomic.Int32
	k := scripted(t, func(m syscall.NetlinkMessage) [][]byte {
		n := sent.Add(1)
		old := m
		// The sequence number makes this message a reply to an earlier request.
		old.Header.Seq -= 1000
		if n%3 == 0 {
			return [][]byte{ack(old, syscall.EPERM), ack(m, syscall.EEXIST)}
		}
		return [][]byte{ack(old, syscall.EPERM), ack(m, 0)}
	})
	ops := destinations(t, 10)
	got, err := k.Apply(t.Context(), ops)
	if want := ops[2].String() + ": file already exists"; got != 2 || !errors.Is(err, fs.ErrExist) || err.Error() != want {
		t.Errorf("got %d, %v; want 2, %s", got, err, want)
	}
	if n := sent.Load(); n != 10 {
		t.Errorf("%d messages were sent at once, want 10", n)
	}
}

func TestReloadedModule(t *testing.T) {
	k := scripted(t, func(m syscall.NetlinkMessage) [][]byte {
		switch m.Header.Type {
		case nl.GENL_ID_CTRL:
			number := knetlink.AppendAttribute(nil, nl.GENL_CTRL_ATTR_FAMILY_ID, nl.Uint16Attr(29))
			return [][]byte{reply(m, nl.GENL_ID_CTRL, 0, append(make([]byte, genlHeader), number...))}
		case 29:
			return [][]byte{ack(m, 0)}
		}
		return [][]byte{ack(m, syscall.ENOENT)}
	})
	if got, err := k.Apply(t.Context(), destinations(t, 100)); got != 100 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
}

// TestFirstWriteIsConfirmed checks how the Kernel repeats a change after moby/ipvs has reported
// success. The test gives the kernel's replies.
func TestFirstWriteIsConfirmed(t *testing.T) {
	for _, tt := range []struct {
		name, op string
		answer   syscall.Errno
		want     writer
		err      error
	}{
		{"added", "-A -f 1 -s rr", syscall.EEXIST, writer{confirmed: true}, nil},
		{"not added", "-A -f 1 -s rr", 0, writer{blind: true}, nil},
		{"deleted", "-D -f 1", syscall.ESRCH, writer{confirmed: true}, nil},
		{"not deleted", "-D -f 1", 0, writer{blind: true}, nil},
		{"edited", "-E -f 1 -s rr", 0, writer{}, nil},
		{"our number is stale", "-A -f 1 -s rr", syscall.ENOENT, writer{}, nil},
		{"refused", "-A -f 1 -s rr", syscall.EPERM, writer{}, syscall.EPERM},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := scripted(t, func(m syscall.NetlinkMessage) [][]byte { return [][]byte{ack(m, tt.answer)} })
			k.writer = &writer{}
			op, err := lvs.ParseOp(tt.op)
			if err != nil {
				t.Fatal(err)
			}
			if err := k.confirm(t.Context(), op); !errors.Is(err, tt.err) || *k.writer != tt.want {
				t.Errorf("got %v, %+v; want %v, %+v", err, *k.writer, tt.err, tt.want)
			}
			k.writer = nil
		})
	}
}

// services returns the reply to a dump. The reply has a service for each of the firewall marks.
func services(m syscall.NetlinkMessage, flags uint16, marks ...uint32) []byte {
	var datagram []byte
	for _, mark := range marks {
		_, attr := encodeService(lvs.Op{Verb: lvs.AddService, Service: lvs.Service{ID: lvs.MarkService(mark, false), Scheduler: "rr"}})
		datagram = append(datagram, reply(m, 28, unix.NLM_F_MULTI|flags, append(make([]byte, genlHeader), attr...))...)
	}
	return datagram
}

func TestDumps(t *testing.T) {
	tests := []struct {
		name        string
		interrupted int // interrupted is how many dumps the fake kernel interrupts.
		limit       time.Duration
		want        string
	}{
		{name: "listed twice and out of order", limit: time.Minute, want: "-A -f 1 -s rr\n-A -f 2 -s rr\n"},
		{name: "interrupted", interrupted: 3, limit: time.Minute, want: "-A -f 1 -s rr\n-A -f 2 -s rr\n"},
		{name: "interrupted until the deadline", interrupted: math.MaxInt, limit: 100 * time.Millisecond,
			want: "ipvsadm -Sn: the list keeps changing and the kernel interrupted N dumps: context deadline exceeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := scripted(t, func(m syscall.NetlinkMessage) [][]byte {
				if m.Data[0] == getDestination {
					return [][]byte{done(m)}
				}
				tt.interrupted--
				if tt.interrupted >= 0 {
					return [][]byte{services(m, unix.NLM_F_DUMP_INTR, 7), done(m)}
				}
				return [][]byte{services(m, 0, 2, 1), services(m, 0, 2), done(m)}
			})
			ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
			defer cancel()
			table, err := k.Table(ctx)
			got := table.String()
			if err != nil {
				got = regexp.MustCompile(`interrupted \d+ dumps`).ReplaceAllString(err.Error(), "interrupted N dumps")
			}
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// TestLostAcknowledgementOfMoby checks that a call ends at its deadline if a reply to moby/ipvs is
// lost. A socket filter drops the replies. Without the deadline, moby/ipvs waits without limit.
func TestLostAcknowledgementOfMoby(t *testing.T) {
	k := New()
	before := sockets(t)
	h, err := ipvs.New("")
	if err != nil {
		t.Fatal(err)
	}
	k.writer = &writer{handle: h}
	for fd := range sockets(t) {
		if !before[fd] {
			swallow(t, fd)
		}
	}
	err = k.guard(soon(t), func(h *ipvs.Handle) error {
		// GetServices changes nothing. The test runs in the network namespace of the host.
		_, err := h.GetServices()
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) || k.writer != nil {
		t.Errorf("got %v, writer %v", err, k.writer)
	}
}

// sockets lists the descriptors of this process that are sockets.
func sockets(t *testing.T) map[int]bool {
	t.Helper()
	found := map[int]bool{}
	paths, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if target, _ := os.Readlink(path); strings.HasPrefix(target, "socket:") {
			fd, _ := strconv.Atoi(filepath.Base(path))
			found[fd] = true
		}
	}
	return found
}

func swallow(t *testing.T, fd int) {
	t.Helper()
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing}); err != nil {
		t.Fatal(err)
	}
}

func TestMessagesReadBack(t *testing.T) {
	for _, text := range []string{
		"-A -t 192.0.2.10:80 -s rr -p 600 -M 255.255.255.0 -b flag-1,flag-3",
		"-A -u [2001:db8::10]:53 -s wlc -p 60 -M 64 -o",
		"-A -f 5 -6 -s mh -p 1 -M 1",
		"-A -f 5 -s rr -p 60 --pe sip",
		"-A -f 5 -s a-foreign-name",
		"-a -t 192.0.2.10:80 -r 192.0.2.21:8080 -m -w 65535 -x 9 -y 3",
		"-a -f 5 -6 -r [2001:db8::21]:80 -i -w 0",
		"-a -f 5 -6 -r 192.0.2.21:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
		"-a -f 5 -r [2001:db8::21]:80 -i -w 1 --tun-type gre --tun-nocsum",
	} {
		t.Run(text, func(t *testing.T) {
			want, err := lvs.ParseOp(strings.Replace(text, "a-foreign-name", "rr", 1))
			if err != nil {
				t.Fatal(err)
			}
			got := lvs.Op{Verb: want.Verb, Service: want.Service}
			if ofDestination(want) {
				_, attrs, err := encodeDestination(want)
				if err != nil {
					t.Fatal(err)
				}
				if got.Destination, err = decodeDestination(attrs[1], want.Service.ID.Is6()); err != nil {
					t.Fatal(err)
				}
			} else {
				if strings.Contains(text, "a-foreign-name") {
					want.Service.Scheduler = "a-foreign-name"
				}
				_, attr := encodeService(want)
				if got.Service, err = decodeService(attr); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(want.String(), got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	op, _ := lvs.ParseOp("-a -t 192.0.2.10:80 -r 192.0.2.21:80 -m -w 1")
	_, attrs, _ := encodeDestination(op)
	_, attr := encodeService(op)
	f.Add(attrs[1])
	f.Add(attr)
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = decodeService(data)
		_, _ = decodeDestination(data, false)
		_, _ = decodeDestination(data, true)
		_, _ = decodeFamily(data)
	})
}

func TestTranslate(t *testing.T) {
	tests := []struct {
		verb lvs.Verb
		err  error
		want error
	}{
		{lvs.AddService, syscall.EEXIST, fs.ErrExist},
		{lvs.AddService, syscall.ENOENT, host.ErrNotInstalled},
		{lvs.EditService, syscall.ENOENT, host.ErrNotInstalled},
		{lvs.EditService, syscall.ESRCH, fs.ErrNotExist},
		{lvs.DeleteService, syscall.ESRCH, fs.ErrNotExist},
		{lvs.AddDestination, syscall.ESRCH, fs.ErrNotExist},
		{lvs.EditDestination, syscall.ENOENT, fs.ErrNotExist},
		{lvs.DeleteDestination, syscall.ENOENT, fs.ErrNotExist},
		{0, syscall.EPERM, fs.ErrPermission},
		{lvs.AddDestination, syscall.ERANGE, syscall.ERANGE},
		{0, context.Canceled, context.Canceled},
	}
	for _, tt := range tests {
		if got := translate(lvs.Op{Verb: tt.verb}, tt.err); !errors.Is(got, tt.want) {
			t.Errorf("%d, %v: got %v, want %v", tt.verb, tt.err, got, tt.want)
		}
	}
}
