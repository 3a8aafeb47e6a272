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
	knetlink "lvs-agents/internal/kernel/netlink"
)

// Network returns the directly connected network that holds an address. It uses the route with the
// longest prefix in the main table, then the lowest metric. It ignores default routes, host routes
// and routes through a gateway. For 127.0.0.0/8 it uses the local table. The error is a
// host.ErrNoNetwork if no route fits, and a host.ErrNotInstalled if the interface does not exist.
func (k *Kernel) Network(ctx context.Context, search host.Search) (host.Network, error) {
	var network host.Network
	err := reading(func(r *reader) (err error) {
		network, err = r.network(ctx, search)
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
	return network, fmt.Errorf("ip route list match %s: %w", search, knetlink.Translate(err))
}

func (r *reader) network(ctx context.Context, search host.Search) (host.Network, error) {
	want := routeFilter{table: unix.RT_TABLE_MAIN, kind: unix.RTN_UNICAST, protocol: search.Protocol}
	if search.IP.Is4() && search.IP.IsLoopback() {
		want = routeFilter{table: unix.RT_TABLE_LOCAL, kind: unix.RTN_LOCAL}
	}
	if search.NIC != "" {
		link, err := r.known(ctx, search.NIC)
		if err != nil {
			return host.Network{}, err
		}
		want.index = link.Index
	} else if search.IP.IsLinkLocalUnicast() && search.IP.Is6() {
		// Without an interface there is no result, because every interface is connected to fe80::/64.
		return host.Network{}, host.ErrNoNetwork
	}
	best, err := r.connected(ctx, search, want)
	if err != nil {
		return host.Network{}, err
	}
	link, err := r.link(ctx, best.index)
	if err != nil {
		return host.Network{}, err
	}
	network := host.Network{NIC: link.Name, Bits: best.dst.Bits(), MTU: link.MTU}
	network.Broadcast, err = broadcast(ctx, link.Index, best)
	return network, err
}

// connected returns the best route to a directly connected network.
func (r *reader) connected(ctx context.Context, search host.Search, want routeFilter) (best route, err error) {
	err = r.routes(ctx, family(search.IP), want, func() { best = route{} }, func(found route) {
		if leads(found, search) && better(found, best) {
			best = found
		}
	})
	if err == nil && !best.dst.IsValid() {
		err = host.ErrNoNetwork
	}
	return best, err
}

// leads reports whether a route leads to a directly connected network that holds the address of the
// search.
func leads(r route, search host.Search) bool {
	bits := r.dst.Bits()
	return !r.via && r.index != 0 && bits > 0 && bits < r.dst.Addr().BitLen() && (search.Bits == 0 || bits <= search.Bits) &&
		r.dst.Contains(search.IP.WithZone(""))
}

func better(r, best route) bool {
	return !best.dst.IsValid() || r.dst.Bits() > best.dst.Bits() || r.dst.Bits() == best.dst.Bits() && r.metric < best.metric
}

// broadcast returns the broadcast address of the address that route r uses as its source.
func broadcast(ctx context.Context, index int, r route) (netip.Addr, error) {
	if !r.source.Is4() {
		return netip.Addr{}, nil
	}
	list, err := addresses(ctx, index, netlink.FAMILY_V4)
	for _, addr := range list {
		if prefix(addr).Addr() == r.source {
			broadcast, _ := netip.AddrFromSlice(addr.Broadcast)
			return broadcast.Unmap(), err
		}
	}
	return netip.Addr{}, err
}

// Gateways returns the next hops of the default routes of one address family over an interface. It
// returns each next hop once.
func (k *Kernel) Gateways(ctx context.Context, nic string, v6 bool) ([]netip.Addr, error) {
	var gateways []netip.Addr
	err := reading(func(r *reader) (err error) {
		gateways, err = r.gateways(ctx, nic, v6)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ip route show default dev %s: %w", nic, knetlink.Translate(err))
	}
	return gateways, nil
}

func (r *reader) gateways(ctx context.Context, nic string, v6 bool) (found []netip.Addr, err error) {
	kind := netlink.FAMILY_V4
	if v6 {
		kind = netlink.FAMILY_V6
	}
	link, err := r.known(ctx, nic)
	if err != nil {
		return nil, err
	}
	filter := routeFilter{table: unix.RT_TABLE_MAIN, index: link.Index}
	err = r.routes(ctx, kind, filter, func() { found = nil }, func(r route) {
		if r.dst.Bits() > 0 {
			return
		}
		for _, hop := range r.hops {
			if gateway := hop.gateway.Unmap(); gateway.IsValid() && hop.index == link.Index && !slices.Contains(found, gateway) {
				found = append(found, gateway)
			}
		}
	})
	return found, err
}

// Source returns an address of this host in a network that holds ip. If this host has no such
// address, the error is a host.ErrNoNetwork.
func (k *Kernel) Source(ctx context.Context, ip netip.Addr) (source netip.Addr, err error) {
	err = reading(func(r *reader) error {
		list, err := r.everywhere(ctx, family(ip), func(addr netlink.Addr) bool {
			own := prefix(addr)
			return !own.IsSingleIP() && own.Contains(ip) && own.Addr() != ip && !own.Addr().IsLoopback()
		})
		if len(list) > 0 {
			source = prefix(list[0]).Addr()
		}
		return err
	})
	switch {
	case err != nil:
		return source, fmt.Errorf("ip addr show: %w", knetlink.Translate(err))
	case !source.IsValid():
		return source, fmt.Errorf("%w of this host holds %s; give source, the address of this host", host.ErrNoNetwork, ip)
	}
	return source, nil
}

// HasDefaultRoute reports whether the main table has a default route with this metric and with the
// gateway as its only next hop.
func (k *Kernel) HasDefaultRoute(ctx context.Context, gateway netip.Addr, metric int) (has bool, err error) {
	filter := routeFilter{table: unix.RT_TABLE_MAIN, kind: unix.RTN_UNICAST}
	err = reading(func(r *reader) error {
		return r.routes(ctx, family(gateway), filter, func() { has = false }, func(r route) {
			has = has || r.dst.Bits() == 0 && r.metric == metric && len(r.hops) == 1 && r.hops[0].gateway == gateway
		})
	})
	return has, err
}
