// Package announce tells the neighbours on a link that an address is here now:
// gratuitous ARP (RFC 5227 section 3) for IPv4, unsolicited neighbour
// advertisements (RFC 4861 section 7.2.6) for IPv6.
package announce

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/lvs"
)

// Send announces ip once on the interface nic: with an ARP request and an ARP
// reply, as neighbours differ in which they learn from, or with one neighbour
// advertisement. It does nothing, successfully, on interfaces without link-layer
// addresses (lo, tunnels). Errors: lvs.ErrNotInstalled for a missing interface,
// fs.ErrPermission, unix.ENETDOWN for one that is down, unix.EADDRNOTAVAIL for
// an IPv6 address that is not there or still tentative.
//
// The kernel waits for all processors when the IPv4 socket is closed: 8 to 12
// ms, so call it where nobody waits for that.
func Send(nic string, ip netip.Addr) error {
	return announce(nic, ip, func(send func() error) error { return send() })
}

// Burst is how often and how long to announce.
type Burst struct {
	Count    int
	Interval time.Duration
	Still    func() bool // asked before each time; false ends the burst
}

// Send announces like the function Send, the first time at once and then every
// interval. A time that fails does not keep the next ones from happening; the
// first error is returned in the end. It ends early when ctx does.
func (b Burst) Send(ctx context.Context, nic string, ip netip.Addr) error {
	return announce(nic, ip, func(send func() error) error { return b.each(ctx, send) })
}

func (b Burst) each(ctx context.Context, send func() error) error {
	tick := time.NewTimer(b.Interval)
	defer tick.Stop()
	var first error
	for n := range b.Count {
		if n > 0 {
			select {
			case <-ctx.Done():
			case <-tick.C:
				tick.Reset(b.Interval)
			}
		}
		if err := ctx.Err(); err != nil {
			return cmp.Or(first, err)
		}
		if !b.Still() {
			break
		}
		first = cmp.Or(first, send())
	}
	return first
}

// announce opens a socket and gives f a function that sends once.
func announce(nic string, ip netip.Addr, f func(send func() error) error) error {
	link, err := net.InterfaceByName(nic)
	var failed *os.SyscallError
	if errors.As(err, &failed) {
		return fmt.Errorf("announce %s on %s: %w", ip, nic, err)
	}
	if err != nil {
		return lvs.NotInstalled("network interface %q does not exist; create it or give one that ip link shows", nic)
	}
	if link.Flags&net.FlagLoopback != 0 || len(link.HardwareAddr) == 0 {
		return nil
	}
	ip = ip.WithZone("").Unmap()
	if err := overEthernet(link, ip, f); err != nil {
		return fmt.Errorf("announce %s on %s: %w", ip, nic, err)
	}
	return nil
}

func overEthernet(link *net.Interface, ip netip.Addr, f func(send func() error) error) error {
	if len(link.HardwareAddr) != 6 {
		return fmt.Errorf("link-layer address %s is not an Ethernet address", link.HardwareAddr)
	}
	packets, open := arp(link, ip), openARP
	if ip.Is6() {
		packets, open = advertisement(link, ip), openICMPv6
	}
	fd, to, err := open(link, ip)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return f(func() error {
		for _, packet := range packets {
			if err := unix.Sendto(fd, packet, unix.MSG_DONTWAIT, to); err != nil {
				return os.NewSyscallError("sendto", err)
			}
		}
		return nil
	})
}

// openARP returns a socket that receives nothing (protocol 0) and writes the
// Ethernet header by itself.
func openARP(link *net.Interface, _ netip.Addr) (int, unix.Sockaddr, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, os.NewSyscallError("socket", err)
	}
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ARP))
	broadcast := [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	return fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: link.Index, Halen: 6, Addr: broadcast}, nil
}

// arp returns a request and a reply for the address itself. The target's
// link-layer address is zero in the request and the sender's in the reply, like
// the forms of IPaddr2's send_arp.
func arp(link *net.Interface, ip netip.Addr) [][]byte {
	if !ip.Is4() {
		return nil
	}
	const request, reply = 1, 2
	form := func(operation byte, target []byte) []byte {
		packet := []byte{0, 1, 0x08, 0x00, 6, 4, 0, operation} // Ethernet, IPv4
		packet = append(append(packet, link.HardwareAddr...), ip.AsSlice()...)
		return append(append(packet, target...), ip.AsSlice()...)
	}
	return [][]byte{form(request, make([]byte, 6)), form(reply, link.HardwareAddr)}
}

// openICMPv6 returns a raw socket whose checksums the kernel computes (RFC 3542
// section 3.1). It receives nothing and sends from ip, whose presence the
// kernel checks thereby.
func openICMPv6(link *net.Interface, ip netip.Addr) (int, unix.Sockaddr, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		return -1, nil, os.NewSyscallError("socket", err)
	}
	var nothing unix.ICMPv6Filter
	for i := range nothing.Data {
		nothing.Data[i] = ^uint32(0)
	}
	from := &unix.SockaddrInet6{Addr: ip.As16()}
	if ip.IsLinkLocalUnicast() {
		from.ZoneId = uint32(link.Index)
	}
	err = cmp.Or(
		os.NewSyscallError("setsockopt ICMP6_FILTER", unix.SetsockoptICMPv6Filter(fd, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, &nothing)),
		os.NewSyscallError("setsockopt IPV6_MULTICAST_HOPS", unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MULTICAST_HOPS, 255)),
		os.NewSyscallError("setsockopt IPV6_MULTICAST_IF", unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MULTICAST_IF, link.Index)),
		os.NewSyscallError("bind", unix.Bind(fd, from)),
	)
	if err != nil {
		_ = unix.Close(fd)
		return -1, nil, err
	}
	allNodes := netip.MustParseAddr("ff02::1").As16()
	return fd, &unix.SockaddrInet6{Addr: allNodes, ZoneId: uint32(link.Index)}, nil
}

// advertisement returns an unsolicited neighbour advertisement: override flag,
// target ip, option target link-layer address (RFC 4861 sections 4.4 and 4.6.1).
func advertisement(link *net.Interface, ip netip.Addr) [][]byte {
	const kind, override, targetLinkLayer = 136, 0x20, 2
	packet := []byte{kind, 0, 0, 0, override, 0, 0, 0}
	packet = append(packet, ip.AsSlice()...)
	packet = append(packet, targetLinkLayer, 1) // one unit of 8 bytes
	return [][]byte{append(packet, link.HardwareAddr...)}
}
