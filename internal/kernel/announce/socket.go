package announce

import (
	"cmp"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/kernel/packet"
)

// openARP returns a socket that receives nothing (protocol 0). The kernel writes the Ethernet
// header of each packet.
func openARP(*netlink.LinkAttrs, netip.Addr) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	return fd, os.NewSyscallError("socket", err)
}

// lladdr returns the socket address for ARP packets to one link-layer address.
func lladdr(link *netlink.LinkAttrs, to net.HardwareAddr) unix.Sockaddr {
	return &unix.SockaddrLinklayer{Protocol: packet.NetworkOrder(unix.ETH_P_ARP), Ifindex: link.Index, Halen: 6, Addr: [8]byte(append(to[:6:6], 0, 0))}
}

// everybody returns the socket address for announcements to all hosts on the link: the broadcast
// address for IPv4, and the multicast address of all nodes for IPv6.
func everybody(link *netlink.LinkAttrs, ip netip.Addr) unix.Sockaddr {
	if ip.Is4() {
		return lladdr(link, packet.Broadcast)
	}
	return &unix.SockaddrInet6{Addr: netip.MustParseAddr("ff02::1").As16(), ZoneId: uint32(link.Index)}
}

// arp returns a gratuitous ARP request and a gratuitous ARP reply. The target's link-layer address
// is zero in the request, and the sender's address in the reply, as in send_arp of IPaddr2.
func arp(link *netlink.LinkAttrs, ip netip.Addr) [][]byte {
	mac := link.HardwareAddr
	return [][]byte{
		packet.ARP{Operation: packet.ARPRequest, SenderMAC: mac, Sender: ip, Target: ip}.Encode(),
		packet.ARP{Operation: packet.ARPReply, SenderMAC: mac, Sender: ip, TargetMAC: mac, Target: ip}.Encode(),
	}
}

// openICMPv6 returns a raw socket that sends from ip and receives nothing. The kernel computes the
// checksums of its packets (RFC 3542 section 3.1). The bind fails if this host does not have ip.
func openICMPv6(link *netlink.LinkAttrs, ip netip.Addr) (int, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = cmp.Or(
		filterICMPv6(fd),
		os.NewSyscallError("setsockopt IPV6_MULTICAST_HOPS", unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MULTICAST_HOPS, 255)),
		os.NewSyscallError("setsockopt IPV6_UNICAST_HOPS", unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_UNICAST_HOPS, 255)),
		os.NewSyscallError("setsockopt IPV6_MULTICAST_IF", unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MULTICAST_IF, link.Index)),
		os.NewSyscallError("bind", unix.Bind(fd, socketAddress(link, ip))),
	)
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// filterICMPv6 sets a filter on a socket, so that the socket receives only ICMPv6 messages of the
// given types.
func filterICMPv6(fd int, types ...int) error {
	var filter unix.ICMPv6Filter
	for i := range filter.Data {
		filter.Data[i] = ^uint32(0)
	}
	for _, kind := range types {
		filter.Data[kind/32] &^= 1 << (kind % 32)
	}
	return os.NewSyscallError("setsockopt ICMP6_FILTER", unix.SetsockoptICMPv6Filter(fd, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, &filter))
}

// socketAddress converts ip to the type that socket calls take.
func socketAddress(link *netlink.LinkAttrs, ip netip.Addr) unix.Sockaddr {
	if ip.Is4() {
		return &unix.SockaddrInet4{Addr: ip.As4()}
	}
	address := &unix.SockaddrInet6{Addr: ip.As16()}
	if ip.IsLinkLocalUnicast() {
		address.ZoneId = uint32(link.Index)
	}
	return address
}
