package lvs

import (
	"errors"
	"fmt"
	"net/netip"
)

// TunnelType is the encapsulation of a tunnel, by the kernel's number. The zero value is IP-in-IP.
type TunnelType uint8

// The types of include/uapi/linux/ip_vs.h. GUE needs Linux 5.2, and GRE needs Linux 5.3.
const (
	IPIP TunnelType = iota
	GUE             // GUE: generic UDP encapsulation.
	GRE             // GRE: generic routing encapsulation.
)

var tunnelTypes = []string{"ipip", "gue", "gre"}

// String returns the type as ldirectord.cf and ipvsadm --tun-type spell it.
func (t TunnelType) String() string {
	if int(t) < len(tunnelTypes) {
		return tunnelTypes[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// TunnelChecksum is the checksum in the header of a GUE or GRE tunnel, by the kernel's flag. With
// the zero value, the header has none.
type TunnelChecksum uint16

// The flags of include/uapi/linux/ip_vs.h.
const (
	NoChecksum TunnelChecksum = iota
	Checksum
	// RemoteChecksum: only GUE has it. The receiver computes the checksum of the inner packet.
	RemoteChecksum
)

var tunnelChecksums = []string{"nocsum", "csum", "remcsum"}

// String returns the word of ipvsadm without --tun-.
func (c TunnelChecksum) String() string {
	if int(c) < len(tunnelChecksums) {
		return tunnelChecksums[c]
	}
	return fmt.Sprintf("flags %#x", uint16(c))
}

// ParseTunnelChecksum returns the checksum of a word: nocsum, csum or remcsum.
func ParseTunnelChecksum(word string) (c TunnelChecksum, ok bool) {
	for i, known := range tunnelChecksums {
		if word == known {
			return TunnelChecksum(i), true
		}
	}
	return 0, false
}

// GUEPort is the UDP port that IANA has assigned to GUE.
const GUEPort = 6080

// Encapsulation is the header that the method Tunnel puts before a packet. The zero value is
// IP-in-IP.
type Encapsulation struct {
	Type     TunnelType
	Port     uint16 // Port is the UDP port of GUE on the real server. It is zero for other types.
	Checksum TunnelChecksum
}

// options returns the options of ipvsadm for a tunnel that is not IP-in-IP, as ipvsadm -Sn prints
// them. For IP-in-IP, -i is enough.
func (e Encapsulation) options() string {
	if e == (Encapsulation{}) {
		return ""
	}
	port := ""
	if e.Type == GUE || e.Port != 0 {
		port = fmt.Sprintf(" --tun-port %d", e.Port)
	}
	return fmt.Sprintf(" --tun-type %s%s --tun-%s", e.Type, port, e.Checksum)
}

// check returns why a destination with the method f cannot have the encapsulation.
func (e Encapsulation) check(f Forward) error {
	switch {
	case e == Encapsulation{}:
		return nil
	case f != Tunnel && f != Local:
		return fmt.Errorf("only tunnels have the type %s", e.Type)
	case e.Type > GRE:
		return fmt.Errorf("unknown tunnel %s; use ipip, gue or gre", e.Type)
	case e.Type == GUE && e.Port == 0:
		return errors.New("a gue tunnel needs a UDP port; use port:6080")
	case e.Type != GUE && e.Port != 0:
		return fmt.Errorf("%s tunnels have no UDP port; use gue", e.Type)
	case e.Checksum > RemoteChecksum, e.Checksum == RemoteChecksum && e.Type != GUE, e.Type == IPIP:
		return fmt.Errorf("%s tunnels have no %s; use gue", e.Type, e.Checksum)
	}
	return nil
}

// checkHost returns why the kernel refuses an address as the address of a real server
// (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_new_dest).
func checkHost(a netip.Addr) error {
	const fix = "; use the address of one host"
	switch {
	case a.IsUnspecified(), a.Is4() && a.As4()[0] == 0:
		return errors.New("not the address of a host" + fix)
	case a.IsMulticast():
		return errors.New("a multicast address" + fix)
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return errors.New("the broadcast address" + fix)
	case a.Is6() && a.IsLinkLocalUnicast():
		return errors.New("a link-local address; use a global address, because IPVS has no zones")
	case a.Zone() != "":
		return errors.New("an address with a zone; leave out % and the text after it, because IPVS has no zones")
	case a.Is4In6():
		return fmt.Errorf("an IPv4 address in IPv6 form; use %s", a.Unmap())
	}
	return nil
}

// Overhead returns how many bytes the tunnel adds to a packet (net/netfilter/ipvs/ip_vs_xmit.c,
// __ip_vs_get_out_rt). outer6 means that the real server has an IPv6 address.
func (e Encapsulation) Overhead(outer6 bool) int {
	size := 20
	if outer6 {
		size = 40
	}
	switch e.Type {
	case GUE: // A UDP header, and a header of 4 bytes.
		size += 8 + 4
		if e.Checksum == RemoteChecksum {
			size += 8
		}
	case GRE:
		size += 4
		if e.Checksum == Checksum {
			size += 4
		}
	case IPIP:
	}
	return size
}
