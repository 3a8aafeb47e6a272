package link

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	knetlink "lvs-agents/internal/kernel/netlink"
)

// route holds the attributes of a route that this package uses.
type route struct {
	dst      netip.Prefix // dst is the destination. Its prefix length is 0 for a default route.
	table    int
	kind     int // kind is the type of the route, for example RTN_UNICAST.
	protocol int
	cached   bool // cached says that the route is a copy for one destination in the route cache.
	// index is the index of the interface. It is 0 if the route has several next hops.
	index  int
	metric int
	mtu    int // mtu is the MTU of the route. It is 0 if only the interface has one.
	// source is the preferred source address. It is invalid if the route has none.
	source netip.Addr
	via    bool // via says that the route leads through a gateway.
	hops   []hop
}

// hop is a next hop through a gateway.
type hop struct {
	gateway netip.Addr
	index   int
}

// routeFilter selects the routes that a dump returns. The table must be set. Another field that is
// zero selects all routes.
type routeFilter struct{ table, kind, protocol, index int }

// routes calls the function each for every route of one family that the filter selects. Before
// Linux 4.20, the kernel ignores the filter, so routes filters too. A table that was never used has
// no routes. If the kernel reports that a dump was interrupted, routes calls the function begin,
// and then each for all routes again.
//
// A full routing table of the Internet has a million routes, so routes does not store them.
func (r *reader) routes(ctx context.Context, family int, f routeFilter, begin func(), each func(route)) error {
	header := nl.RtMsg{RtMsg: unix.RtMsg{Family: uint8(family), Table: uint8(f.table), Type: uint8(f.kind), Protocol: uint8(f.protocol)}}
	body := header.Serialize()
	if f.index != 0 {
		body = knetlink.AppendAttribute(body, unix.RTA_OIF, nl.Uint32Attr(uint32(f.index)))
	}
	err := r.Dump(ctx, knetlink.Request{Type: unix.RTM_GETROUTE, Body: body}, begin, func(body []byte) {
		if found, ok := parseRoute(body); ok && f.fits(family, found) {
			each(found)
		}
	})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// fits reports whether the filter selects a route.
func (f routeFilter) fits(v int, r route) bool {
	return family(r.dst.Addr()) == v && !r.cached && r.table == f.table && (f.kind == 0 || r.kind == f.kind) &&
		(f.protocol == 0 || r.protocol == f.protocol) && (f.index == 0 || r.index == f.index || r.index == 0)
}

// parseRoute reads a struct rtmsg and its attributes (rtnetlink(7)).
func parseRoute(body []byte) (parsed route, ok bool) {
	if len(body) < unix.SizeofRtMsg {
		return parsed, false
	}
	header := nl.DeserializeRtMsg(body)
	a, err := knetlink.Parse(body[unix.SizeofRtMsg:])
	metrics, err2 := knetlink.Parse(a[unix.RTA_METRICS])
	parsed = route{
		table: int(cmp.Or(a.Uint32(unix.RTA_TABLE), uint32(header.Table))), kind: int(header.Type), protocol: int(header.Protocol),
		cached: header.Flags&unix.RTM_F_CLONED != 0, index: int(a.Uint32(unix.RTA_OIF)), metric: int(a.Uint32(unix.RTA_PRIORITY)),
		via: a[unix.RTA_GATEWAY] != nil || a[unix.RTA_VIA] != nil,
		mtu: int(metrics.Uint32(unix.RTAX_MTU)), hops: nextHops(a[unix.RTA_MULTIPATH]),
	}
	parsed.source, _ = netip.AddrFromSlice(a[unix.RTA_PREFSRC])
	if gateway, ok := netip.AddrFromSlice(a[unix.RTA_GATEWAY]); ok {
		parsed.hops = append(parsed.hops, hop{gateway, parsed.index})
	}
	to, given := netip.AddrFromSlice(a[unix.RTA_DST])
	switch {
	case given:
	case header.Family == unix.AF_INET6:
		to = netip.IPv6Unspecified()
	default:
		to = netip.IPv4Unspecified()
	}
	parsed.dst = netip.PrefixFrom(to, int(header.Dst_len))
	return parsed, cmp.Or(err, err2) == nil && parsed.dst.IsValid()
}

// nextHops reads a sequence of struct rtnexthop with their attributes.
func nextHops(raw []byte) (hops []hop) {
	for len(raw) >= unix.SizeofRtNexthop {
		length := int(binary.NativeEndian.Uint16(raw))
		if length < unix.SizeofRtNexthop || length > len(raw) {
			return hops
		}
		a, err := knetlink.Parse(raw[unix.SizeofRtNexthop:length])
		if gateway, ok := netip.AddrFromSlice(a[unix.RTA_GATEWAY]); ok && err == nil {
			hops = append(hops, hop{gateway, int(binary.NativeEndian.Uint32(raw[4:]))})
		}
		raw = raw[min((length+3)&^3, len(raw)):]
	}
	return hops
}
