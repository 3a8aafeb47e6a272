package link

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// route is what this package reads of a route.
type route struct {
	dst      netip.Prefix // of length 0 for a default route
	table    int
	kind     int // RTN_UNICAST and others
	protocol int
	index    int // of the interface, 0 for several next hops
	metric   int
	source   netip.Addr // invalid for none
	via      bool       // through a gateway
	hops     []hop
}

// hop is a next hop through a gateway.
type hop struct {
	gateway netip.Addr
	index   int
}

// routeFilter is which routes the kernel sends. Zero values stand for all.
type routeFilter struct{ table, kind, protocol, index int }

// routes calls each for every route of a table, of one family. The kernel sends
// what the filter lets through since Linux 4.20, everything before, so each must
// look again. A table that was never used has no routes. When the kernel calls a
// dump interrupted, begin is called and the routes come again.
//
// A full routing table of the Internet has a million routes: none is kept.
func (r *reader) routes(ctx context.Context, family int, f routeFilter, begin func(), each func(route)) error {
	r.strict()
	err := r.whole(ctx, func() *nl.NetlinkRequest {
		begin()
		request := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
		request.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: uint8(family), Table: uint8(f.table), Type: uint8(f.kind), Protocol: uint8(f.protocol)}})
		if f.index != 0 {
			request.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(f.index))))
		}
		return request
	}, func(body []byte) {
		if len(body) < unix.SizeofRtMsg {
			return
		}
		header := nl.DeserializeRtMsg(body)
		if int(header.Family) != family || header.Flags&unix.RTM_F_CLONED != 0 || int(header.Table) != f.table ||
			f.kind != 0 && int(header.Type) != f.kind || f.protocol != 0 && int(header.Protocol) != f.protocol {
			return
		}
		if parsed, ok := parseRoute(header, body[unix.SizeofRtMsg:]); ok && (f.index == 0 || parsed.index == f.index || parsed.index == 0) {
			each(parsed)
		}
	})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// parseRoute reads the attributes of a struct rtmsg (rtnetlink(7)).
func parseRoute(header *nl.RtMsg, raw []byte) (route, bool) {
	any4, any6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	to := any4
	if header.Family == unix.AF_INET6 {
		to = any6
	}
	parsed := route{table: int(header.Table), kind: int(header.Type), protocol: int(header.Protocol)}
	for kind, value := range attributes(raw) {
		switch kind {
		case unix.RTA_DST:
			to, _ = netip.AddrFromSlice(value)
		case unix.RTA_TABLE:
			parsed.table = number(value)
		case unix.RTA_OIF:
			parsed.index = number(value)
		case unix.RTA_PRIORITY:
			parsed.metric = number(value)
		case unix.RTA_PREFSRC:
			parsed.source, _ = netip.AddrFromSlice(value)
		case unix.RTA_GATEWAY:
			gateway, _ := netip.AddrFromSlice(value)
			parsed.via, parsed.hops = true, append(parsed.hops, hop{gateway: gateway})
		case unix.RTA_VIA:
			parsed.via = true
		case unix.RTA_MULTIPATH:
			parsed.hops = append(parsed.hops, nextHops(value)...)
		}
	}
	for i, h := range parsed.hops {
		if h.index == 0 {
			parsed.hops[i].index = parsed.index
		}
	}
	parsed.dst = netip.PrefixFrom(to, int(header.Dst_len))
	return parsed, parsed.dst.IsValid()
}

func number(value []byte) int {
	if len(value) < 4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(value))
}

// nextHops reads a sequence of struct rtnexthop with their attributes.
func nextHops(raw []byte) (hops []hop) {
	for len(raw) >= unix.SizeofRtNexthop {
		length := int(binary.NativeEndian.Uint16(raw))
		if length < unix.SizeofRtNexthop || length > len(raw) {
			return hops
		}
		index := number(raw[4:])
		for kind, value := range attributes(raw[unix.SizeofRtNexthop:length]) {
			if gateway, ok := netip.AddrFromSlice(value); ok && kind == unix.RTA_GATEWAY {
				hops = append(hops, hop{gateway, index})
			}
		}
		raw = raw[min((length+3)&^3, len(raw)):]
	}
	return hops
}
