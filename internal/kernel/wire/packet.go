package wire

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// networkOrder is how the kernel wants protocol numbers of packet sockets.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// filtered is how many bytes of the askers' addresses are the same.
const filtered = 4

// onlyToAskers lets a socket hear nothing but what is sent to link-layer
// addresses that start as the askers' do.
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

const arpRequest, arpReply = 1, 2

var arpStart = []byte{0, 1, 0x08, 0x00, 6, 4, 0} // Ethernet, IPv4, their lengths (RFC 826)

// question asks who has an address. For IPv4 it is an ARP probe (RFC 5227
// section 1.1), whose sender has no address: nobody learns from it.
func question(ip netip.Addr, who net.HardwareAddr) []byte {
	if ip.Is6() {
		return solicitation(ip, who)
	}
	packet := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, who...)
	packet = append(packet, 0x08, 0x06)
	packet = append(append(packet, arpStart...), arpRequest)
	packet = append(append(packet, who...), 0, 0, 0, 0)
	return append(append(packet, make([]byte, 6)...), ip.AsSlice()...)
}

const solicit, advertise = 135, 136

// solicitation is a neighbour solicitation with the link-layer address of who asks
// (RFC 4861 section 4.3).
func solicitation(ip netip.Addr, who net.HardwareAddr) []byte {
	target, from := ip.As16(), linkLocal(who).As16()
	group := netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(group[13:], target[13:])
	message := append([]byte{solicit, 0, 0, 0, 0, 0, 0, 0}, target[:]...)
	message = append(append(message, 1, 1), who...) // source link-layer address
	binary.BigEndian.PutUint16(message[2:], checksum(from, group, message))

	packet := append([]byte{0x33, 0x33, 0xff, target[13], target[14], target[15]}, who...)
	packet = append(packet, 0x86, 0xdd, 0x60, 0, 0, 0)
	packet = binary.BigEndian.AppendUint16(packet, uint16(len(message)))
	packet = append(packet, unix.IPPROTO_ICMPV6, 255)
	packet = append(append(packet, from[:]...), group[:]...)
	return append(packet, message...)
}

// checksum is that of ICMPv6 (RFC 4443 section 2.3); the message has an even length.
func checksum(from, to [16]byte, message []byte) uint16 {
	pseudo := append(append([]byte{}, from[:]...), to[:]...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(message)))
	pseudo = append(pseudo, 0, 0, 0, unix.IPPROTO_ICMPV6)
	var sum uint32
	for _, part := range [][]byte{pseudo, message} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

const ethernet = 14 // length of its header

// arp takes an ARP packet apart.
func arp(packet []byte) (operation byte, sender netip.Addr, ok bool) {
	if len(packet) < ethernet+28 || packet[12] != 0x08 || packet[13] != 0x06 || !bytes.HasPrefix(packet[ethernet:], arpStart) {
		return 0, netip.Addr{}, false
	}
	return packet[ethernet+7], netip.AddrFrom4([4]byte(packet[ethernet+14:])), true
}

// answered is the address that a reply or neighbour advertisement is about.
func answered(packet []byte) (netip.Addr, bool) {
	if operation, sender, ok := arp(packet); ok {
		return sender, operation == arpReply
	}
	const message = ethernet + 40
	if len(packet) < message+24 || packet[12] != 0x86 || packet[13] != 0xdd || packet[ethernet+6] != unix.IPPROTO_ICMPV6 || packet[message] != advertise {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16([16]byte(packet[message+8:])), true
}

// asked is the address from which a host asks for another with ARP.
func asked(packet []byte) (netip.Addr, bool) {
	operation, sender, ok := arp(packet)
	return sender, ok && operation == arpRequest
}
