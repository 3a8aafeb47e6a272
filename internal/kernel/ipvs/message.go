package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/lvs"
)

// Commands of the generic netlink family IPVS, include/uapi/linux/ip_vs.h.
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

// Attributes of a command, of a service and of a destination, same file.
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

	destinationAddress = 1
	destinationPort    = 2
	destinationForward = 3
	destinationWeight  = 4
	destinationUpper   = 5
	destinationLower   = 6
	destinationFamily  = 11
)

// Flags of a service that are not an administrator's: persistence has a field
// of its own, and the kernel sets hashed by itself when it files a service
// (ip_vs_svc_hash), so comparing it would find a difference for ever.
const (
	flagPersistent = 0x0001
	flagHashed     = 0x0002
)

// forwardMask takes the forwarding method out of the connection flags.
const forwardMask = 0x0007

// typeMask takes the flags off an attribute's number, NLA_TYPE_MASK of
// include/uapi/linux/netlink.h.
const typeMask = 0x3fff

var errShort = errors.New("the kernel sent a malformed attribute")

// message is a request of the family with a number, see genl's struct genlmsghdr.
func message(family uint16, command uint8, flags int, attrs ...*nl.RtAttr) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(int(family), flags)
	const version = 1
	raw := []byte{command, version, 0, 0}
	for _, attr := range attrs {
		raw = append(raw, attr.Serialize()...)
	}
	req.AddRawData(raw)
	return req
}

// encodeID is the part of a service that names it.
func encodeID(id lvs.ServiceID) *nl.RtAttr {
	a := nl.NewRtAttr(attrService, nil)
	a.AddRtAttr(serviceFamily, nl.Uint16Attr(family(id.Is6())))
	if id.IsMark() {
		a.AddRtAttr(serviceMark, nl.Uint32Attr(id.Mark))
		return a
	}
	a.AddRtAttr(serviceProtocol, nl.Uint16Attr(uint16(id.Protocol)))
	a.AddRtAttr(serviceAddress, id.Addr.Addr().AsSlice())
	a.AddRtAttr(servicePort, binary.BigEndian.AppendUint16(nil, id.Addr.Port()))
	return a
}

// encodeService is the message for a service that writer sends where moby/ipvs
// cannot: after ip_vs was loaded anew.
func encodeService(op lvs.Op) (command uint8, attr *nl.RtAttr) {
	s := op.Service
	attr = encodeID(s.ID)
	if op.Verb == lvs.DeleteService {
		return delService, attr
	}
	flags, mask := serviceBits(s)
	attr.AddRtAttr(serviceScheduler, nl.ZeroTerminated(string(s.Scheduler)))
	attr.AddRtAttr(serviceFlags, append(nl.Uint32Attr(flags), nl.Uint32Attr(^uint32(0))...))
	attr.AddRtAttr(serviceTimeout, nl.Uint32Attr(uint32(s.Persistence/time.Second)))
	attr.AddRtAttr(serviceNetmask, nl.Uint32Attr(mask))
	if op.Verb == lvs.EditService {
		return setService, attr
	}
	return newService, attr
}

// serviceBits returns flags and netmask as the kernel wants them. The netmask
// of IPv4 is a network order mask in native memory, that of IPv6 a number from
// 1 to 128, also without persistence (ip_vs_ctl.c, ip_vs_add_service).
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

// encodeDestination fails for a forwarding method that there is no number for.
func encodeDestination(op lvs.Op) (command uint8, attrs []*nl.RtAttr, err error) {
	d := op.Destination
	a := nl.NewRtAttr(attrDestination, nil)
	a.AddRtAttr(destinationFamily, nl.Uint16Attr(family(d.Addr.Addr().Is6())))
	a.AddRtAttr(destinationAddress, d.Addr.Addr().AsSlice())
	a.AddRtAttr(destinationPort, binary.BigEndian.AppendUint16(nil, d.Addr.Port()))
	attrs = []*nl.RtAttr{encodeID(op.Service.ID), a}
	if op.Verb == lvs.DeleteDestination {
		return delDestination, attrs, nil
	}
	if d.Forward < lvs.Masq || d.Forward > lvs.Bypass {
		return 0, nil, fmt.Errorf("forwarding method %d is none", d.Forward)
	}
	a.AddRtAttr(destinationForward, nl.Uint32Attr(uint32(d.Forward-lvs.Masq)))
	a.AddRtAttr(destinationWeight, nl.Uint32Attr(uint32(d.Weight)))
	a.AddRtAttr(destinationUpper, nl.Uint32Attr(d.Upper))
	a.AddRtAttr(destinationLower, nl.Uint32Attr(d.Lower))
	if op.Verb == lvs.EditDestination {
		return setDestination, attrs, nil
	}
	return newDestination, attrs, nil
}

func family(ipv6 bool) uint16 {
	if ipv6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// attributes holds the values of attributes by their numbers; those with larger
// numbers are of no interest.
type attributes [32][]byte

// parse is nl.ParseRouteAttr without its panic on lengths that do not add up.
func parse(data []byte) (attributes, error) {
	var found attributes
	for len(data) >= unix.SizeofRtAttr {
		length := int(binary.NativeEndian.Uint16(data))
		kind := binary.NativeEndian.Uint16(data[2:]) & typeMask
		if length < unix.SizeofRtAttr || length > len(data) {
			return found, errShort
		}
		if int(kind) < len(found) {
			found[kind] = data[unix.SizeofRtAttr:length]
		}
		const align = unix.RTA_ALIGNTO - 1
		data = data[min(len(data), (length+align)&^align):]
	}
	return found, nil
}

// parseNested reads what is in the one attribute that a service or destination
// comes in.
func parseNested(data []byte, number int) (attributes, error) {
	outer, err := parse(data)
	if err != nil || outer[number] == nil {
		return outer, errShort
	}
	return parse(outer[number])
}

// u32 is an attribute of 4 bytes, or zero where the kernel sent none.
func (a *attributes) u32(n int) uint32 {
	if len(a[n]) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(a[n])
}

func (a *attributes) u16(n int, order binary.ByteOrder) uint16 {
	if len(a[n]) < 2 {
		return 0
	}
	return order.Uint16(a[n])
}

func decodeService(data []byte) (lvs.Service, error) {
	a, err := parseNested(data, attrService)
	if err != nil {
		return lvs.Service{}, err
	}
	ipv6 := a.u16(serviceFamily, binary.NativeEndian) == unix.AF_INET6
	s := lvs.Service{
		Scheduler:   lvs.Scheduler(strings.TrimRight(string(a[serviceScheduler]), "\x00")),
		Flags:       lvs.Flags(a.u32(serviceFlags) &^ (flagPersistent | flagHashed)),
		Granularity: granularity(&a, ipv6),
	}
	if a.u32(serviceFlags)&flagPersistent != 0 {
		s.Persistence = time.Duration(a.u32(serviceTimeout)) * time.Second
	}
	if mark := a.u32(serviceMark); mark != 0 {
		s.ID = lvs.MarkService(mark, ipv6)
		return s, nil
	}
	s.ID.Protocol = lvs.Protocol(a.u16(serviceProtocol, binary.NativeEndian))
	s.ID.Addr, err = addrPort(a[serviceAddress], ipv6, a.u16(servicePort, binary.BigEndian))
	return s, err
}

// granularity reads the netmask as a prefix length, zero for a single address.
// See serviceBits for the two forms.
func granularity(a *attributes, ipv6 bool) int {
	full, length := 32, 0
	switch {
	case len(a[serviceNetmask]) < 4:
	case ipv6:
		full, length = 128, int(a.u32(serviceNetmask))
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
	if own := a.u16(destinationFamily, binary.NativeEndian); own != 0 { // since Linux 3.18
		ipv6 = own == unix.AF_INET6
	}
	d := lvs.Destination{
		Forward: lvs.Masq + lvs.Forward(a.u32(destinationForward)&forwardMask),
		Weight:  int(int32(a.u32(destinationWeight))),
		Upper:   a.u32(destinationUpper),
		Lower:   a.u32(destinationLower),
	}
	d.Addr, err = addrPort(a[destinationAddress], ipv6, a.u16(destinationPort, binary.BigEndian))
	return d, err
}

// decodeFamily finds the number of a family in the answer of genl's controller.
func decodeFamily(data []byte) (uint16, error) {
	a, err := parse(data)
	if id := a.u16(nl.GENL_CTRL_ATTR_FAMILY_ID, binary.NativeEndian); err == nil && id != 0 {
		return id, nil
	}
	return 0, errShort
}

// compile-time check of the order that encodeDestination relies on.
var _ = [1]struct{}{}[lvs.Route-lvs.Masq-3]
