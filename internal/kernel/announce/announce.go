// Package announce talks to the neighbours on a link about an address: it tells
// them that the address is here now, with gratuitous ARP (RFC 5227 section 3) for
// IPv4 and unsolicited neighbour advertisements (RFC 4861 section 7.2.6) for
// IPv6, asks who has it, and whether they have learnt.
package announce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/link"
	"lvs-agents/internal/kernel/packet"
)

// Burst is how often and how long to announce.
type Burst struct {
	// Count is how often. For IPv4 each time is an ARP request and, half an
	// interval later, an ARP reply, as neighbours differ in which they learn from.
	Count    int
	Interval time.Duration
	Still    func() bool // asked before each packet; false ends the burst
	// Also gets each packet by itself as well. Nil for broadcast and multicast only.
	Also net.HardwareAddr
	// Socket is what Open returned. Nil lets Send open one.
	Socket *os.File
}

// Open returns the socket that a Burst for the same address sends with, so that the
// caller finds out whether it can announce, and another process does it. It returns
// nil on interfaces where there is nothing to do. Errors as for Send.
//
// The kernel waits for all processors when the last one closes an IPv4 socket: 8 to
// 12 ms.
func Open(ctx context.Context, nic string, ip netip.Addr) (*os.File, error) {
	ip = ip.WithZone("").Unmap()
	link, err := ethernet(ctx, nic)
	switch {
	case errors.Is(err, host.ErrNotInstalled):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("announce %s on %s: %w", ip, nic, err)
	case link == nil:
		return nil, nil
	}
	fd, err := open(link, ip)
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT):
		return nil, host.NotInstalled("announce %s on %s: %v; modprobe af_packet, and allow AF_PACKET where the cluster manager's unit has RestrictAddressFamilies", ip, nic, err)
	case err != nil:
		return nil, fmt.Errorf("announce %s on %s: %w", ip, nic, err)
	}
	return os.NewFile(uintptr(fd), "announcements"), nil
}

func open(link *netlink.LinkAttrs, ip netip.Addr) (int, error) {
	if ip.Is6() {
		return openICMPv6(link, ip)
	}
	return openARP(link, ip)
}

// Send announces ip on the interface nic, the first time at once. A packet that
// fails does not keep the next ones from being sent; the first error is returned
// in the end. It ends early when ctx does. It does nothing, successfully, on
// interfaces without link-layer addresses (lo, tunnels). Errors:
// host.ErrNotInstalled for a missing interface, fs.ErrPermission, unix.ENETDOWN
// for one that is down, unix.EADDRNOTAVAIL for an IPv6 address that is not there
// or still tentative.
//
// The kernel waits for all processors when the IPv4 socket is closed: 8 to 12
// ms, so call it where nobody waits for that.
func (b Burst) Send(ctx context.Context, nic string, ip netip.Addr) error {
	ip = ip.WithZone("").Unmap()
	link, err := ethernet(ctx, nic)
	if err == nil && link != nil {
		err = b.on(ctx, link, ip)
	}
	if err == nil || errors.Is(err, host.ErrNotInstalled) {
		return err
	}
	return fmt.Errorf("announce %s on %s: %w", ip, nic, err)
}

// on sends on the socket, or on one of its own.
func (b Burst) on(ctx context.Context, link *netlink.LinkAttrs, ip netip.Addr) error {
	packets := arp(link, ip)
	if ip.Is6() {
		packets = [][]byte{packet.Advertisement(ip, link.HardwareAddr)}
	}
	if b.Socket == nil {
		fd, err := open(link, ip)
		if err != nil {
			return err
		}
		b.Socket = os.NewFile(uintptr(fd), "announcements")
		defer b.Socket.Close()
	}
	fd := int(b.Socket.Fd())
	return b.each(ctx, len(packets), func(n int) error {
		err := send(fd, packets[n], everybody(link, ip))
		if len(b.Also) == 6 && ip.Is4() {
			err = cmp.Or(err, send(fd, packets[n], lladdr(link, b.Also)))
		}
		return err
	})
}

// each calls send with the number of a packet of a round.
func (b Burst) each(ctx context.Context, packets int, send func(n int) error) error {
	pause := b.Interval / time.Duration(packets)
	tick := time.NewTimer(pause)
	defer tick.Stop()
	var first error
	for n := range b.Count * packets {
		if n > 0 {
			select {
			case <-ctx.Done():
			case <-tick.C:
				tick.Reset(pause)
			}
		}
		if err := ctx.Err(); err != nil {
			return cmp.Or(first, err)
		}
		if !b.Still() {
			break
		}
		first = cmp.Or(first, send(n%packets))
	}
	return first
}

// ethernet returns an interface, and nil for one without link-layer addresses.
func ethernet(ctx context.Context, nic string) (*netlink.LinkAttrs, error) {
	attrs, err := link.Hardware(ctx, nic)
	switch {
	case err != nil:
		return nil, err
	case attrs.RawFlags&unix.IFF_LOOPBACK != 0 || len(attrs.HardwareAddr) == 0:
		return nil, nil
	case len(attrs.HardwareAddr) != 6:
		return nil, fmt.Errorf("link-layer address %s is not an Ethernet address", attrs.HardwareAddr)
	}
	return &attrs, nil
}

func send(fd int, packet []byte, to unix.Sockaddr) error {
	return os.NewSyscallError("sendto", unix.Sendto(fd, packet, unix.MSG_DONTWAIT, to))
}
