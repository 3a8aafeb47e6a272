package link

import (
	"context"
	"errors"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	knetlink "lvs-agents/internal/kernel/netlink"
)

// reader is a route netlink socket for the reads of every monitor. vishvananda/netlink can read the
// same, but costs more (docs/adr/0008-cost-of-a-monitor.md).
type reader struct{ *knetlink.Socket }

// reading opens a reader, runs f with it and closes it.
func reading(f func(*reader) error) error {
	socket, err := knetlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer socket.Close()
	socket.Strict()
	return f(&reader{socket})
}

// addresses lists the addresses of a family that the function want accepts. With index 0 it reads
// all interfaces, otherwise the interface with this index. The kernel does not interrupt a dump
// that fits into one datagram (net/ipv4/devinet.c, inet_dump_ifaddr).
func (r *reader) addresses(ctx context.Context, family, index int, want func(netlink.Addr) bool) (list []netlink.Addr, err error) {
	err = r.Dump(ctx, addressRequest(family, index), func() { list = nil }, collect(&list, index, want))
	return list, err
}

func addressRequest(family, index int) knetlink.Request {
	header := nl.NewIfAddrmsg(family)
	header.Index = uint32(index)
	return knetlink.Request{Type: unix.RTM_GETADDR, Flags: unix.NLM_F_DUMP, Body: header.Serialize()}
}

func collect(list *[]netlink.Addr, index int, want func(netlink.Addr) bool) func(body []byte) {
	return func(body []byte) {
		if addr, ok := parseAddress(body); ok && (index == 0 || addr.LinkIndex == index) && want(addr) {
			*list = append(*list, addr)
		}
	}
}

// interruptions is the number of interrupted dumps of all addresses after which everywhere reads
// each interface separately.
const interruptions = 3

// everywhere lists the addresses of a family on all interfaces that the function want accepts. If
// addresses change all the time, the kernel interrupts every dump of all addresses. It does not
// interrupt the dump of an interface with few addresses.
func (r *reader) everywhere(ctx context.Context, family int, want func(netlink.Addr) bool) (list []netlink.Addr, err error) {
	for range interruptions {
		list = nil
		err = r.Query(ctx, addressRequest(family, 0), collect(&list, 0, want))
		if !errors.Is(err, knetlink.ErrDumpInterrupted) {
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
		// With ENODEV, the interface was removed together with its addresses, so it has none.
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}
