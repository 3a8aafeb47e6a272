// Package announce exchanges packets about an address with the neighbours on a link. It announces
// the address with gratuitous ARP (RFC 5227 section 3) for IPv4 and with unsolicited neighbour
// advertisements (RFC 4861 section 7.2.6) for IPv6. It also queries which host has an address, and
// tests whether a neighbour sends to this host.
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

// Burst is a series of announcements of one address.
type Burst struct {
	// Count is the number of announcements. For IPv4 an announcement is an ARP request and, half
	// an interval later, an ARP reply: some neighbours learn only from one of the two.
	Count    int
	Interval time.Duration
	// Send calls Still before each packet. If Still returns false, Send sends no more packets.
	Still func() bool
	// Also is the link-layer address of a host that receives a unicast copy of each ARP packet. Nil
	// sends no copies.
	Also net.HardwareAddr
	// Socket is the result of Open. If it is nil, Send opens a socket.
	Socket *os.File
}

// Open opens a socket for the announcements of ip on the interface nic. An error shows the caller
// that this host cannot send announcements. The caller can pass the socket to another process. Open
// returns nil for interfaces without link-layer addresses (lo, tunnels).
//
// The error is host.ErrNotInstalled if the interface or this type of socket is missing. It is
// fs.ErrPermission without the right to send, and unix.EADDRNOTAVAIL for an IPv6 address that is
// missing or tentative.
//
// The close of the last copy of an IPv4 socket takes 8 to 12 ms, because the kernel waits for all
// processors.
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
		fix := "modprobe af_packet, and allow AF_PACKET"
		if ip.Is6() {
			fix = "boot without ipv6.disable=1, and allow AF_INET6"
		}
		return nil, host.NotInstalled("announce %s on %s: %v; %s where the cluster manager's unit has RestrictAddressFamilies", ip, nic, err, fix)
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

// Send announces ip on the interface nic. It sends the first packet at once. If a packet fails,
// Send sends the remaining packets and then returns the first error. It ends early when ctx ends.
// For interfaces without link-layer addresses (lo, tunnels), Send does nothing and returns nil.
//
// The error is host.ErrNotInstalled for a missing interface, and fs.ErrPermission without the right
// to send. It is unix.ENETDOWN for an IPv4 address on an interface that is down, and
// unix.EADDRNOTAVAIL for an IPv6 address that is missing or tentative.
//
// If Socket is nil, Send closes the socket that it has opened. For IPv4, the close takes 8 to 12
// ms, because the kernel waits for all processors. Call Send where this delays no action.
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

// on sends the announcements of ip on the interface link, through the socket of the burst. If the
// burst has no socket, on opens a socket and closes it at the end.
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

// each calls the function send once for each packet of each announcement. The argument n is the
// number of the packet in its announcement, from 0. After an error of send, each continues with the
// next packet.
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

// ethernet returns the attributes of an interface. It returns nil if the interface has no
// link-layer addresses.
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
