// Package packet encodes and decodes the packets that announce an address or query for it: ARP,
// IPv6 neighbour discovery and ICMP echo. It also encodes TCP segments. It opens no socket.
package packet

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
)

// Broadcast is the link-layer address of all hosts on a link.
var Broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Operations of ARP (RFC 826).
const (
	ARPRequest = 1
	ARPReply   = 2
)

// ARP is an ARP packet for IPv4 over Ethernet. An invalid or unspecified Sender makes the packet a
// probe (RFC 5227 section 1.1). A nil TargetMAC is encoded as zeros.
type ARP struct {
	Operation byte
	SenderMAC net.HardwareAddr
	Sender    netip.Addr
	TargetMAC net.HardwareAddr
	Target    netip.Addr
}

// arpStart holds the hardware type, the protocol type and the lengths of both addresses.
var arpStart = []byte{0, 1, 0x08, 0x00, 6, 4, 0}

// arpLength is the length of an ARP packet in bytes.
const arpLength = 28

// Encode returns the packet without an Ethernet header. The link-layer addresses must have 6 bytes
// or be nil. The IP addresses must be IPv4 or invalid.
func (a ARP) Encode() []byte {
	p := append(append(make([]byte, 0, arpLength), arpStart...), a.Operation)
	p = append(appendMAC(p, a.SenderMAC), four(a.Sender)...)
	return append(appendMAC(p, a.TargetMAC), four(a.Target)...)
}

func appendMAC(p []byte, mac net.HardwareAddr) []byte {
	if mac == nil {
		return append(p, make([]byte, 6)...)
	}
	return append(p, mac...)
}

func four(ip netip.Addr) []byte {
	if !ip.IsValid() {
		return make([]byte, 4)
	}
	return ip.AsSlice()
}

// DecodeARP decodes a packet without an Ethernet header. Bytes after the ARP packet are padding and
// are ignored. The result shares no memory with p.
func DecodeARP(p []byte) (a ARP, ok bool) {
	if len(p) < arpLength || !bytes.HasPrefix(p, arpStart) {
		return ARP{}, false
	}
	return ARP{
		Operation: p[7],
		SenderMAC: bytes.Clone(p[8:14]), Sender: netip.AddrFrom4([4]byte(p[14:18])),
		TargetMAC: bytes.Clone(p[18:24]), Target: netip.AddrFrom4([4]byte(p[24:28])),
	}, true
}

// NetworkOrder converts a number to network byte order. Packet sockets need the protocol in this
// order (packet(7)).
func NetworkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// EthernetHeader is the length of an Ethernet header in bytes.
const EthernetHeader = 14

// Ethernet returns a frame from one host to another. Kind is an Ethernet type,
// ETH_P_ARP for example.
func Ethernet(to, from net.HardwareAddr, kind uint16, payload []byte) []byte {
	p := append(append(make([]byte, 0, EthernetHeader+len(payload)), to...), from...)
	return append(binary.BigEndian.AppendUint16(p, kind), payload...)
}

// Payload returns the payload of a frame, or nil if the frame has another Ethernet type than kind.
func Payload(frame []byte, kind uint16) []byte {
	if len(frame) < EthernetHeader || binary.BigEndian.Uint16(frame[12:]) != kind {
		return nil
	}
	return frame[EthernetHeader:]
}

// Types of ICMPv6 messages (RFC 4861 section 4).
const (
	neighbourSolicitation  = 135
	neighbourAdvertisement = 136
)

// The options of neighbour discovery (RFC 4861 section 4.6.1). Each option has a length of one unit
// of 8 bytes.
const (
	sourceLinkLayer = 1
	targetLinkLayer = 2
)

// Advertisement returns an unsolicited neighbour advertisement with the override
// flag (RFC 4861 section 4.4). The checksum is zero; on a raw socket, the kernel fills it in (RFC
// 3542 section 3.1).
func Advertisement(ip netip.Addr, mac net.HardwareAddr) []byte {
	const override = 0x20
	p := append([]byte{neighbourAdvertisement, 0, 0, 0, override, 0, 0, 0}, ip.AsSlice()...)
	return append(append(p, targetLinkLayer, 1), mac...)
}

// ipv6Header is the length of an IPv6 header without extensions, in bytes.
const ipv6Header = 40

// icmpv6 is the protocol number of ICMPv6.
const icmpv6 = 58

// Solicitation returns a neighbour solicitation for ip (RFC 4861 section 4.3), with its IPv6 header
// and checksum. The sender has the address from and the link-layer address fromMAC. The result mac
// is the multicast link-layer address that the frame must be sent to.
func Solicitation(ip, from netip.Addr, fromMAC net.HardwareAddr) (p []byte, mac net.HardwareAddr) {
	target, source := ip.As16(), from.As16()
	group := netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(group[13:], target[13:])
	message := append([]byte{neighbourSolicitation, 0, 0, 0, 0, 0, 0, 0}, target[:]...)
	message = append(append(message, sourceLinkLayer, 1), fromMAC...)
	binary.BigEndian.PutUint16(message[2:], Checksum(append(pseudoHeader(source, group, len(message)), message...)))

	p = append(p, 0x60, 0, 0, 0)
	p = binary.BigEndian.AppendUint16(p, uint16(len(message)))
	p = append(p, icmpv6, 255)
	p = append(append(p, source[:]...), group[:]...)
	return append(p, message...), net.HardwareAddr{0x33, 0x33, 0xff, target[13], target[14], target[15]}
}

// pseudoHeader returns the bytes that the checksum of ICMPv6 covers in addition to the message (RFC
// 8200 section 8.1).
func pseudoHeader(from, to [16]byte, length int) []byte {
	p := append(append([]byte{}, from[:]...), to[:]...)
	p = binary.BigEndian.AppendUint32(p, uint32(length))
	return append(p, 0, 0, 0, icmpv6)
}

// Advertised returns the target address of a neighbour advertisement. p starts with an IPv6 header.
func Advertised(p []byte) (netip.Addr, bool) {
	const target = ipv6Header + 8
	if len(p) < target+16 || p[6] != icmpv6 || p[ipv6Header] != neighbourAdvertisement {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16([16]byte(p[target:])), true
}

// Checksum returns the Internet checksum (RFC 1071). If p has an odd number of bytes, a zero byte
// is added for the computation.
func Checksum(p []byte) uint16 {
	var sum uint32
	for i := 0; i < len(p); i += 2 {
		word := uint32(p[i]) << 8
		if i+1 < len(p) {
			word |= uint32(p[i+1])
		}
		sum += word
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// Types of echo messages (RFC 792, RFC 4443).
const (
	echoRequest4 = 8
	echoRequest6 = 128

	// EchoReply4 and EchoReply6 are the types of echo replies, for socket filters.
	EchoReply4 = 0
	EchoReply6 = 129
)

// Echo is an ICMP echo message.
type Echo struct {
	ID, Sequence uint16
	Data         []byte
}

// EncodeRequest returns an echo request. The kernel fills in the checksum of
// ICMPv6 (RFC 3542 section 3.1).
func (e Echo) EncodeRequest(ipv6 bool) []byte {
	kind := byte(echoRequest4)
	if ipv6 {
		kind = echoRequest6
	}
	p := []byte{kind, 0, 0, 0}
	p = binary.BigEndian.AppendUint16(p, e.ID)
	p = append(binary.BigEndian.AppendUint16(p, e.Sequence), e.Data...)
	if !ipv6 {
		binary.BigEndian.PutUint16(p[2:], Checksum(p))
	}
	return p
}

// DecodeReply decodes an echo reply without an IP header. The field Data of the result is a part of
// p.
func DecodeReply(p []byte, ipv6 bool) (e Echo, ok bool) {
	kind := byte(EchoReply4)
	if ipv6 {
		kind = EchoReply6
	}
	if len(p) < 8 || p[0] != kind {
		return Echo{}, false
	}
	return Echo{ID: binary.BigEndian.Uint16(p[4:]), Sequence: binary.BigEndian.Uint16(p[6:]), Data: p[8:]}, true
}

// IPv4 returns the sender and the payload of an IPv4 packet, as raw sockets receive
// it.
func IPv4(p []byte) (from netip.Addr, payload []byte, ok bool) {
	if len(p) < 20 {
		return netip.Addr{}, nil, false
	}
	return netip.AddrFrom4([4]byte(p[12:16])), p[min(int(p[0]&15)*4, len(p)):], true
}

// tcp is the protocol number of TCP.
const tcp = 6

// ACK returns a TCP segment without data and without options, with the flag ACK (RFC 9293 section
// 3.1). It has no IP header. Both addresses must have the same family.
func ACK(from, to netip.AddrPort, sequence, ack uint32) []byte {
	const header, flag, window = 5 << 4, 0x10, 0xffff
	p := binary.BigEndian.AppendUint16(nil, from.Port())
	p = binary.BigEndian.AppendUint16(p, to.Port())
	p = binary.BigEndian.AppendUint32(p, sequence)
	p = binary.BigEndian.AppendUint32(p, ack)
	p = binary.BigEndian.AppendUint16(append(p, header, flag), window)
	p = append(p, 0, 0, 0, 0)
	covered := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	covered = append(covered, 0, tcp)
	covered = binary.BigEndian.AppendUint16(covered, uint16(len(p)))
	binary.BigEndian.PutUint16(p[16:], Checksum(append(covered, p...)))
	return p
}
