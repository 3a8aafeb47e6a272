package ipvs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	knetlink "lvs-agents/internal/kernel/netlink"
	"lvs-agents/internal/lvs"
)

// The commands of the generic netlink family IPVS (include/uapi/linux/ip_vs.h).
const (
	newService     = 1
	setService     = 2
	delService     = 3
	getService     = 4
	newDestination = 5
	setDestination = 6
	delDestination = 7
	getDestination = 8
)

// The attributes of a command, of a service and of a destination (include/uapi/linux/ip_vs.h).
const (
	attrService     = 1
	attrDestination = 2

	serviceFamily    = 1
	serviceProtocol  = 2
	serviceAddress   = 3
	servicePort      = 4
	serviceMark      = 5
	serviceScheduler = 6
	serviceFlags     = 7
	serviceTimeout   = 8
	serviceNetmask   = 9
	serviceEngine    = 11

	destinationAddress = 1
	destinationPort    = 2
	destinationForward = 3
	destinationWeight  = 4
	destinationUpper   = 5
	destinationLower   = 6

	destinationActive   = 7
	destinationInactive = 8

	destinationStats  = 10
	destinationFamily = 11

	destinationTunnelType     = 13
	destinationTunnelPort     = 14
	destinationTunnelChecksum = 15
)

// The attributes of counters, inside destinationStats.
const (
	statsInPackets  = 2
	statsOutPackets = 3
	statsConnRate   = 6
	statsInRate     = 9  // statsInRate is in bytes per second.
	statsOutRate    = 10 // statsOutRate is in bytes per second.
)

// Flags that decodeService removes. Persistence has a separate field. The kernel sets the hashed
// flag itself (ip_vs_svc_hash), so a comparison of this flag would always find a difference.
const (
	flagPersistent = 0x0001
	flagHashed     = 0x0002
)

// forwardMask selects the forwarding method in the connection flags.
const forwardMask = 0x0007

// genlHeader is the size of struct genlmsghdr (include/uapi/linux/genetlink.h).
const genlHeader = 4

// room is the capacity for the attributes of one service or destination.
const room = 128

// message returns a request to the generic netlink family with the number family.
func message(family uint16, command uint8, attrs ...[]byte) knetlink.Request {
	const version = 1
	return knetlink.Request{Type: family, Body: bytes.Join(append([][]byte{{command, version, 0, 0}}, attrs...), nil)}
}

// encodeID encodes the attributes that identify a service.
func encodeID(id lvs.ServiceID) []byte {
	return knetlink.AppendAttribute(nil, attrService, idValues(id))
}

func idValues(id lvs.ServiceID) []byte {
	a := knetlink.AppendAttribute(make([]byte, 0, room), serviceFamily, nl.Uint16Attr(family(id.Is6())))
	if id.IsMark() {
		return knetlink.AppendAttribute(a, serviceMark, nl.Uint32Attr(id.Mark))
	}
	a = knetlink.AppendAttribute(a, serviceProtocol, nl.Uint16Attr(uint16(id.Protocol)))
	a = knetlink.AppendAttribute(a, serviceAddress, id.Addr.Addr().AsSlice())
	return knetlink.AppendAttribute(a, servicePort, binary.BigEndian.AppendUint16(nil, id.Addr.Port()))
}

// encodeService encodes a change of a service. A batch has these messages. The writer also sends
// them, to confirm or to repeat a change of moby/ipvs.
func encodeService(op lvs.Op) (command uint8, attr []byte) {
	s := op.Service
	if op.Verb == lvs.DeleteService {
		return delService, encodeID(s.ID)
	}
	flags, mask := serviceBits(s)
	a := knetlink.AppendAttribute(idValues(s.ID), serviceScheduler, nl.ZeroTerminated(string(s.Scheduler)))
	a = knetlink.AppendAttribute(a, serviceFlags, append(nl.Uint32Attr(flags), nl.Uint32Attr(^uint32(0))...))
	a = knetlink.AppendAttribute(a, serviceTimeout, nl.Uint32Attr(uint32(s.Persistence/time.Second)))
	a = knetlink.AppendAttribute(a, serviceNetmask, nl.Uint32Attr(mask))
	if s.Engine != "" {
		a = knetlink.AppendAttribute(a, serviceEngine, nl.ZeroTerminated(string(s.Engine)))
	}
	command = newService
	if op.Verb == lvs.EditService {
		command = setService
	}
	return command, knetlink.AppendAttribute(nil, attrService, a)
}

// serviceBits returns flags and netmask in the form that the kernel expects. The IPv4 netmask is a
// mask in network byte order. The IPv6 netmask is a number from 1 to 128, even without persistence
// (ip_vs_ctl.c, ip_vs_add_service).
func serviceBits(s lvs.Service) (flags, netmask uint32) {
	flags = uint32(s.Flags)
	if s.Persistence > 0 {
		flags |= flagPersistent
	}
	length := s.Granularity
	if s.ID.Is6() {
		if length == 0 {
			length = 128
		}
		return flags, uint32(length)
	}
	if length == 0 {
		length = 32
	}
	return flags, binary.NativeEndian.Uint32(net.CIDRMask(length, 32))
}

// encodeDestination encodes a change of a destination. It fails for an unknown forwarding method.
func encodeDestination(op lvs.Op) (command uint8, attrs [][]byte, err error) {
	d := op.Destination
	a := knetlink.AppendAttribute(make([]byte, 0, room), destinationFamily, nl.Uint16Attr(family(d.Addr.Addr().Is6())))
	a = knetlink.AppendAttribute(a, destinationAddress, d.Addr.Addr().AsSlice())
	a = knetlink.AppendAttribute(a, destinationPort, binary.BigEndian.AppendUint16(nil, d.Addr.Port()))
	command = delDestination
	if op.Verb != lvs.DeleteDestination {
		if d.Forward < lvs.Masq || d.Forward > lvs.Bypass {
			return 0, nil, fmt.Errorf("unknown forwarding method %d", d.Forward)
		}
		a = knetlink.AppendAttribute(a, destinationForward, nl.Uint32Attr(uint32(d.Forward-lvs.Masq)))
		a = knetlink.AppendAttribute(a, destinationWeight, nl.Uint32Attr(uint32(d.Weight)))
		a = knetlink.AppendAttribute(a, destinationUpper, nl.Uint32Attr(d.Upper))
		a = knetlink.AppendAttribute(a, destinationLower, nl.Uint32Attr(d.Lower))
		a = appendTunnel(a, d.Encapsulation)
		command = newDestination
	}
	if op.Verb == lvs.EditDestination {
		command = setDestination
	}
	return command, [][]byte{encodeID(op.Service.ID), knetlink.AppendAttribute(nil, attrDestination, a)}, nil
}

// appendTunnel appends the attributes of a tunnel that is not IP-in-IP. Without them, the kernel
// sets IP-in-IP (ip_vs_ctl.c, ip_vs_genl_parse_dest).
func appendTunnel(a []byte, e lvs.Encapsulation) []byte {
	if e == (lvs.Encapsulation{}) {
		return a
	}
	a = knetlink.AppendAttribute(a, destinationTunnelType, []byte{byte(e.Type)})
	a = knetlink.AppendAttribute(a, destinationTunnelPort, binary.BigEndian.AppendUint16(nil, e.Port))
	return knetlink.AppendAttribute(a, destinationTunnelChecksum, nl.Uint16Attr(uint16(e.Checksum)))
}

func family(ipv6 bool) uint16 {
	if ipv6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// parseNested parses the attributes of a service or a destination, which are inside one outer
// attribute.
func parseNested(data []byte, number int) (knetlink.Attributes, error) {
	outer, err := knetlink.Parse(data)
	if err != nil || outer[number] == nil {
		return outer, knetlink.ErrMalformed
	}
	return knetlink.Parse(outer[number])
}

func decodeService(data []byte) (lvs.Service, error) {
	a, err := parseNested(data, attrService)
	if err != nil {
		return lvs.Service{}, err
	}
	ipv6 := a.Uint16(serviceFamily, binary.NativeEndian) == unix.AF_INET6
	s := lvs.Service{
		Scheduler:   lvs.Scheduler(a.Text(serviceScheduler)),
		Flags:       lvs.Flags(a.Uint32(serviceFlags) &^ (flagPersistent | flagHashed)),
		Granularity: granularity(&a, ipv6),
	}
	if a.Uint32(serviceFlags)&flagPersistent != 0 {
		s.Persistence = time.Duration(a.Uint32(serviceTimeout)) * time.Second
		s.Engine = lvs.Engine(a.Text(serviceEngine))
	}
	if mark := a.Uint32(serviceMark); mark != 0 {
		s.ID = lvs.MarkService(mark, ipv6)
		return s, nil
	}
	s.ID.Protocol = lvs.Protocol(a.Uint16(serviceProtocol, binary.NativeEndian))
	s.ID.Addr, err = addrPort(a[serviceAddress], ipv6, a.Uint16(servicePort, binary.BigEndian))
	return s, err
}

// granularity converts the netmask from the kernel to a prefix length. It returns zero for a
// netmask of a single address. See serviceBits for the kernel's forms of IPv4 and IPv6 netmasks.
func granularity(a *knetlink.Attributes, ipv6 bool) int {
	full, length := 32, 0
	switch {
	case len(a[serviceNetmask]) < 4:
	case ipv6:
		full, length = 128, int(a.Uint32(serviceNetmask))
	default:
		length = bits.LeadingZeros32(^binary.BigEndian.Uint32(a[serviceNetmask]))
	}
	if length == full {
		return 0
	}
	return length
}

func decodeDestination(data []byte, ipv6 bool) (lvs.Destination, error) {
	a, err := parseNested(data, attrDestination)
	if err != nil {
		return lvs.Destination{}, err
	}
	// The kernel sends the family of a destination since Linux 3.18.
	if own := a.Uint16(destinationFamily, binary.NativeEndian); own != 0 {
		ipv6 = own == unix.AF_INET6
	}
	d := lvs.Destination{
		Forward: lvs.Masq + lvs.Forward(a.Uint32(destinationForward)&forwardMask),
		Weight:  int(int32(a.Uint32(destinationWeight))),
		Upper:   a.Uint32(destinationUpper),
		Lower:   a.Uint32(destinationLower),
	}
	if d.Forward == lvs.Tunnel && len(a[destinationTunnelType]) > 0 {
		d.Encapsulation = lvs.Encapsulation{
			Type:     lvs.TunnelType(a[destinationTunnelType][0]),
			Port:     a.Uint16(destinationTunnelPort, binary.BigEndian),
			Checksum: lvs.TunnelChecksum(a.Uint16(destinationTunnelChecksum, binary.NativeEndian)),
		}
	}
	d.Addr, err = addrPort(a[destinationAddress], ipv6, a.Uint16(destinationPort, binary.BigEndian))
	return d, err
}

// decodeFamily reads the number of a family from the reply of generic netlink's controller.
func decodeFamily(data []byte) (uint16, error) {
	a, err := knetlink.Parse(data)
	if id := a.Uint16(nl.GENL_CTRL_ATTR_FAMILY_ID, binary.NativeEndian); err == nil && id != 0 {
		return id, nil
	}
	return 0, knetlink.ErrMalformed
}

// The build fails if the order of the forwarding methods changes: encodeDestination relies on it.
var _ = [1]struct{}{}[lvs.Route-lvs.Masq-3]
