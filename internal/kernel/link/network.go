package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
)

// Network returns the directly connected network that holds an address: that of
// the route with the longest prefix in the main table, then with the lowest
// metric. Default routes, host routes and routes through a gateway do not count.
// 127.0.0.0/8 is on lo by the local table. Without one the error is an
// host.ErrNoNetwork, without the interface an host.ErrNotInstalled.
func (k *Kernel) Network(ctx context.Context, search host.Search) (host.Network, error) {
	var network host.Network
	err := with(func(s *socket) (err error) {
		network, err = s.network(ctx, search)
		return err
	})
	switch {
	case err == nil || errors.Is(err, host.ErrNotInstalled):
		return network, err
	case errors.Is(err, host.ErrNoNetwork) && search.NIC == "":
		return network, fmt.Errorf("%w holds %s; give nic and cidr_netmask", err, search)
	case errors.Is(err, host.ErrNoNetwork):
		return network, fmt.Errorf("%w of %s holds %s; give cidr_netmask, or another nic", err, search.NIC, search)
	}
	return network, fmt.Errorf("ip route list match %s: %w", search, translate(err))
}

func (s *socket) network(ctx context.Context, search host.Search) (host.Network, error) {
	want := wanted{Search: search, table: unix.RT_TABLE_MAIN, kind: unix.RTN_UNICAST}
	if search.IP.Is4() && search.IP.IsLoopback() {
		want.table, want.kind, want.Protocol = unix.RT_TABLE_LOCAL, unix.RTN_LOCAL, 0
	}
	if search.NIC != "" {
		link, err := Hardware(ctx, search.NIC)
		if err != nil {
			return host.Network{}, err
		}
		want.index = link.Index
	} else if search.IP.IsLinkLocalUnicast() && search.IP.Is6() {
		return host.Network{}, host.ErrNoNetwork // fe80::/64 is on every interface
	}
	route, err := s.route(ctx, want)
	if err != nil {
		return host.Network{}, err
	}
	link, err := byIndex(ctx, route.LinkIndex)
	if err != nil {
		return host.Network{}, err
	}
	bits, _ := route.Dst.Mask.Size()
	network := host.Network{NIC: link.Name, Bits: bits}
	network.Broadcast, err = broadcast(ctx, link.Index, route)
	return network, err
}

// wanted is the kind of routes that lead to a directly connected network.
type wanted struct {
	host.Search
	table, kind int
	index       int // of the interface, 0 for any
}

func (w wanted) matches(r netlink.Route) bool {
	if r.Dst == nil || r.Type != w.kind || r.Gw != nil || r.Via != nil || r.LinkIndex == 0 || w.index != 0 && r.LinkIndex != w.index {
		return false
	}
	bits, size := r.Dst.Mask.Size()
	return bits > 0 && bits < size && (w.Bits == 0 || bits <= w.Bits) &&
		(w.Protocol == 0 || int(r.Protocol) == w.Protocol) && r.Dst.Contains(w.IP.AsSlice())
}

func (s *socket) route(ctx context.Context, want wanted) (best netlink.Route, err error) {
	list, err := s.routes(ctx, family(want.IP), want.table)
	for _, r := range list {
		if want.matches(r) && better(r, best) {
			best = r
		}
	}
	if err == nil && best.Dst == nil {
		err = host.ErrNoNetwork
	}
	return best, err
}

// routes lists a routing table. Strict checking (Linux 4.20) makes the kernel send
// that table alone: the local one has entries for each address of the host. A
// table that was never used is an ENOENT then.
func (s *socket) routes(ctx context.Context, family, table int) (list []netlink.Route, err error) {
	if s.SetStrictCheck(true) == nil {
		defer func() { _ = s.SetStrictCheck(false) }()
	}
	for range dumps {
		if err := s.arm(ctx); err != nil {
			return nil, err
		}
		list, err = s.RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return list, err
}

func better(r, best netlink.Route) bool {
	if best.Dst == nil {
		return true
	}
	bits, _ := r.Dst.Mask.Size()
	most, _ := best.Dst.Mask.Size()
	return bits > most || bits == most && r.Priority < best.Priority
}

// broadcast is that of the interface's own address which the route uses.
func broadcast(ctx context.Context, index int, route netlink.Route) (netip.Addr, error) {
	if route.Src == nil || route.Family != netlink.FAMILY_V4 {
		return netip.Addr{}, nil
	}
	list, err := addresses(ctx, index, netlink.FAMILY_V4)
	for _, addr := range list {
		if addr.IP.Equal(route.Src) {
			broadcast, _ := netip.AddrFromSlice(addr.Broadcast)
			return broadcast.Unmap(), err
		}
	}
	return netip.Addr{}, err
}

// Gateways returns the next hops of the default routes over an interface, of
// one family, without doubles.
func (k *Kernel) Gateways(ctx context.Context, nic string, v6 bool) ([]netip.Addr, error) {
	var gateways []netip.Addr
	err := with(func(s *socket) (err error) {
		gateways, err = s.gateways(ctx, nic, v6)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ip route show default dev %s: %w", nic, translate(err))
	}
	return gateways, nil
}

func (s *socket) gateways(ctx context.Context, nic string, v6 bool) ([]netip.Addr, error) {
	kind := netlink.FAMILY_V4
	if v6 {
		kind = netlink.FAMILY_V6
	}
	link, err := Hardware(ctx, nic)
	if err != nil {
		return nil, err
	}
	list, err := s.routes(ctx, kind, unix.RT_TABLE_MAIN)
	var found []netip.Addr
	for _, r := range list {
		if r.Dst != nil {
			if bits, _ := r.Dst.Mask.Size(); bits > 0 {
				continue
			}
		}
		hops := append([]*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw}}, r.MultiPath...)
		for _, hop := range hops {
			gateway, ok := netip.AddrFromSlice(hop.Gw)
			if gateway = gateway.Unmap(); ok && hop.LinkIndex == link.Index && !slices.Contains(found, gateway) {
				found = append(found, gateway)
			}
		}
	}
	return found, err
}
