package link

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	knetlink "lvs-agents/internal/kernel/netlink"
)

// reader is a route netlink socket for what every monitor asks. A netlink.Handle
// can do the same, but clears a buffer of 64 KiB for each answer and waits in the
// runtime's poller: a fifth of the CPU time of a monitor.
type reader struct {
	fd     int
	seq    uint32
	buffer []byte
}

// datagram is the most that the kernel sends at once (netlink_dump in
// net/netlink/af_netlink.c).
const datagram = 32 << 10

// reading runs f with a reader.
func reading(f func(*reader) error) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("open a netlink socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	return f(&reader{fd: fd, buffer: make([]byte, datagram)})
}

// ask sends a request and calls each with the body of every answer, which is valid
// until each returns. A missed deadline is EAGAIN, as with netlink.
func (r *reader) ask(ctx context.Context, request *nl.NetlinkRequest, each func(body []byte)) error {
	if err := r.arm(ctx); err != nil {
		return err
	}
	r.seq++
	request.Seq = r.seq
	if err := unix.Sendto(r.fd, request.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	var interrupted, done bool
	for !done {
		n, from, err := unix.Recvfrom(r.fd, r.buffer, 0)
		kernel, _ := from.(*unix.SockaddrNetlink)
		switch {
		case errors.Is(err, unix.EINTR) || err == nil && (kernel == nil || kernel.Pid != 0): // any process may send here
			continue
		case err != nil:
			return os.NewSyscallError("recvfrom", err)
		}
		more := false
		if more, done, err = answers(r.buffer[:n], r.seq, each); err != nil {
			return err
		}
		interrupted = interrupted || more
	}
	if interrupted {
		return netlink.ErrDumpInterrupted
	}
	return nil
}

// arm limits the wait for an answer to the time that ctx has left.
func (r *reader) arm(ctx context.Context) error {
	left, err := left(ctx)
	if err != nil {
		return err
	}
	limit := unix.NsecToTimeval(left.Nanoseconds())
	return os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(r.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit))
}

// left is the time until the deadline of ctx, a minute without one.
func left(ctx context.Context) (time.Duration, error) {
	if deadline, ok := ctx.Deadline(); ok {
		return max(time.Until(deadline), time.Microsecond), ctx.Err()
	}
	return time.Minute, ctx.Err()
}

// answers calls each with the bodies of the messages of one datagram that answer
// the request with this number. The error is that of the kernel, an Errno.
func answers(b []byte, seq uint32, each func(body []byte)) (interrupted, done bool, err error) {
	messages, err := syscall.ParseNetlinkMessage(b)
	for _, m := range messages {
		if m.Header.Seq != seq {
			continue
		}
		interrupted = interrupted || m.Header.Flags&unix.NLM_F_DUMP_INTR != 0
		done = m.Header.Flags&unix.NLM_F_MULTI == 0
		if m.Header.Type != unix.NLMSG_DONE && m.Header.Type != unix.NLMSG_ERROR {
			each(m.Data)
			continue
		}
		if len(m.Data) >= 4 {
			if code := int32(binary.NativeEndian.Uint32(m.Data)); code != 0 {
				return interrupted, true, syscall.Errno(-code)
			}
		}
		return interrupted, true, nil
	}
	if err != nil {
		return interrupted, true, fmt.Errorf("the kernel's answer of %d bytes: %w", len(b), err)
	}
	return interrupted, done, nil
}

// strict makes the kernel obey the filters of a dump (Linux 4.20). Before, it sends
// everything, so that each reader of a dump filters, too.
func (r *reader) strict() {
	_ = unix.SetsockoptInt(r.fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
}

// whole makes a dump until the kernel does not call it interrupted. request is called
// for each attempt.
func (r *reader) whole(ctx context.Context, request func() *nl.NetlinkRequest, each func(body []byte)) error {
	return knetlink.Whole(ctx, func() error { return r.ask(ctx, request(), each) })
}

// addresses lists the addresses of a family that want holds for, on the interface
// with an index, or on all with index 0. What fits into one datagram is never
// interrupted (net/ipv4/devinet.c, inet_dump_ifaddr).
func (r *reader) addresses(ctx context.Context, family, index int, want func(netlink.Addr) bool) (list []netlink.Addr, err error) {
	r.strict()
	err = r.whole(ctx, func() *nl.NetlinkRequest {
		list = nil
		return addressRequest(family, index)
	}, collect(&list, index, want))
	return list, err
}

func addressRequest(family, index int) *nl.NetlinkRequest {
	request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	header := nl.NewIfAddrmsg(family)
	header.Index = uint32(index)
	request.AddData(header)
	return request
}

func collect(list *[]netlink.Addr, index int, want func(netlink.Addr) bool) func(body []byte) {
	return func(body []byte) {
		if addr, ok := parseAddress(body); ok && (index == 0 || addr.LinkIndex == index) && want(addr) {
			*list = append(*list, addr)
		}
	}
}

// interruptions is how many dumps of all addresses are tried before each interface
// is read on its own.
const interruptions = 3

// everywhere lists the addresses of a family that want holds for, on all
// interfaces. Where addresses come and go all the time, every dump of them all is
// interrupted; one of an interface with few addresses never is.
func (r *reader) everywhere(ctx context.Context, family int, want func(netlink.Addr) bool) (list []netlink.Addr, err error) {
	r.strict()
	for range interruptions {
		list = nil
		err = r.ask(ctx, addressRequest(family, 0), collect(&list, 0, want))
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return list, err
		}
	}
	links, err := r.all(ctx)
	if err != nil {
		return nil, err
	}
	list = nil
	for _, link := range links {
		some, err := r.addresses(ctx, family, link.Index, want)
		if err != nil && !errors.Is(err, unix.ENODEV) { // it went away with its addresses
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}

// all lists the interfaces.
func (r *reader) all(ctx context.Context) (list []hardware, err error) {
	err = r.whole(ctx, func() *nl.NetlinkRequest {
		list = nil
		request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
		request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		return request
	}, func(body []byte) {
		if link := parseLink(body); link.Index != 0 {
			list = append(list, link)
		}
	})
	return list, err
}

// parseAddress reads a struct ifaddrmsg and its attributes (rtnetlink(7)). Where
// a point-to-point address has a peer, IFA_ADDRESS is the peer's.
func parseAddress(body []byte) (netlink.Addr, bool) {
	if len(body) < unix.SizeofIfAddrmsg {
		return netlink.Addr{}, false
	}
	header := nl.DeserializeIfAddrmsg(body)
	addr := netlink.Addr{LinkIndex: int(header.Index), Scope: int(header.Scope), Flags: int(header.Flags)}
	var local, peer net.IP
	for kind, value := range attributes(body[unix.SizeofIfAddrmsg:]) {
		switch kind {
		case unix.IFA_ADDRESS:
			peer = bytes.Clone(value)
		case unix.IFA_LOCAL:
			local = bytes.Clone(value)
		case unix.IFA_BROADCAST:
			addr.Broadcast = bytes.Clone(value)
		case unix.IFA_LABEL:
			addr.Label = unix.ByteSliceToString(value)
		case unix.IFA_FLAGS:
			if len(value) >= 4 {
				addr.Flags = int(binary.NativeEndian.Uint32(value))
			}
		}
	}
	switch {
	case local == nil || local.Equal(peer):
		addr.IPNet = ipNet(peer, int(header.Prefixlen))
	default:
		addr.IPNet, addr.Peer = ipNet(local, 8*len(local)), ipNet(peer, int(header.Prefixlen))
	}
	return addr, addr.IPNet != nil
}

// ipNet is nil for what is no address.
func ipNet(ip net.IP, bits int) *net.IPNet {
	if mask := net.CIDRMask(bits, 8*len(ip)); mask != nil && (len(ip) == net.IPv4len || len(ip) == net.IPv6len) {
		return &net.IPNet{IP: ip, Mask: mask}
	}
	return nil
}

// hardware is what is needed of an interface.
type hardware struct {
	netlink.LinkAttrs
	ethernet bool
	kind     string // empty for hardware
	port     string // the kind of what the interface is a port of
}

// link returns an interface by its index; the error ENODEV says that there is none.
func (r *reader) link(ctx context.Context, index int) (hardware, error) {
	return r.links(ctx, &nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Index: int32(index)}})
}

// named returns an interface by its name, also by an alternative one.
func (r *reader) named(ctx context.Context, nic string) (hardware, error) {
	kind := unix.IFLA_IFNAME
	if len(nic) >= unix.IFNAMSIZ { // only an alternative one can be
		kind = unix.IFLA_ALT_IFNAME
	}
	return r.links(ctx, nl.NewIfInfomsg(unix.AF_UNSPEC), nl.NewRtAttr(kind, nl.ZeroTerminated(nic)))
}

func (r *reader) links(ctx context.Context, parts ...nl.NetlinkRequestData) (found hardware, err error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	for _, part := range parts {
		request.AddData(part)
	}
	err = r.ask(ctx, request, func(body []byte) { found = parseLink(body) })
	return found, err
}

// parseLink reads what is needed of a struct ifinfomsg and its attributes.
func parseLink(body []byte) (h hardware) {
	if len(body) < unix.SizeofIfInfomsg {
		return h
	}
	header := nl.DeserializeIfInfomsg(body)
	h.Index, h.RawFlags, h.ethernet = int(header.Index), header.Flags, header.Type == unix.ARPHRD_ETHER
	for kind, value := range attributes(body[unix.SizeofIfInfomsg:]) {
		switch kind {
		case unix.IFLA_IFNAME:
			h.Name = unix.ByteSliceToString(value)
		case unix.IFLA_ADDRESS:
			h.HardwareAddr = bytes.Clone(value)
		case unix.IFLA_MASTER:
			if len(value) >= 4 {
				h.MasterIndex = int(binary.NativeEndian.Uint32(value))
			}
		case unix.IFLA_LINKINFO:
			h.readKinds(value)
		}
	}
	return h
}

func (h *hardware) readKinds(info []byte) {
	for kind, value := range attributes(info) {
		switch kind {
		case unix.IFLA_INFO_KIND:
			h.kind = unix.ByteSliceToString(value)
		case unix.IFLA_INFO_SLAVE_KIND:
			h.port = unix.ByteSliceToString(value)
		}
	}
}

// attributes goes through what follows the fixed part of a message, up to the
// first that is damaged. (nl.ParseRouteAttr panics if the last one is.)
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			length := int(binary.NativeEndian.Uint16(b))
			kind := binary.NativeEndian.Uint16(b[2:]) &^ unix.NLA_F_NESTED
			if length < unix.SizeofRtAttr || length > len(b) || !yield(kind, b[unix.SizeofRtAttr:length]) {
				return
			}
			b = b[min((length+3)&^3, len(b)):]
		}
	}
}
