package wire

import (
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/kernel/packet"
)

// filtered is the number of leading bytes that asker, opener and controller have in common.
const filtered = 4

// onlyToAskers sets a filter on a socket. The socket then receives only frames to link-layer
// addresses that start with these bytes.
func onlyToAskers(fd int) error {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: binary.BigEndian.Uint32(asker)},
		{Code: unix.BPF_RET | unix.BPF_K, K: 2048},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: unsafe.SliceData(program)})
}

// question returns a frame that queries for an IP address; the sender is who. For IPv4 it is an ARP
// probe (RFC 5227 section 1.1). The IPv4 sender address is empty, so that no receiver learns an
// address from it.
func question(ip netip.Addr, who net.HardwareAddr) []byte {
	if ip.Is6() {
		p, to := packet.Solicitation(ip, linkLocal(who), who)
		return packet.Ethernet(to, who, unix.ETH_P_IPV6, p)
	}
	probe := packet.ARP{Operation: packet.ARPRequest, SenderMAC: who, Target: ip}
	return packet.Ethernet(packet.Broadcast, who, unix.ETH_P_ARP, probe.Encode())
}

// answered returns the address that an ARP reply or a neighbour advertisement is about.
func answered(frame []byte) (netip.Addr, bool) {
	if arp, ok := packet.DecodeARP(packet.Payload(frame, unix.ETH_P_ARP)); ok {
		return arp.Sender, arp.Operation == packet.ARPReply
	}
	return packet.Advertised(packet.Payload(frame, unix.ETH_P_IPV6))
}

// asked returns the IPv4 address of the sender of an ARP request, or false for other frames.
func asked(frame []byte) (netip.Addr, bool) {
	arp, ok := packet.DecodeARP(packet.Payload(frame, unix.ETH_P_ARP))
	return arp.Sender, ok && arp.Operation == packet.ARPRequest
}
