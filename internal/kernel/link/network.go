package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/lvs"
)

// Network returns the directly connected network that holds ip, on the
// interface nic or, if that is empty, on any: that of the route with the
// longest prefix in the main table, then with the lowest metric. Default
// routes, host routes and routes through a gateway do not count. 127.0.0.0/8
// is on lo by the local table. Without one the error is an lvs.ErrNoNetwork,
// without the interface an lvs.ErrNotInstalled.
func (k *Kernel) Network(ctx context.Context, ip netip.Addr, nic string) (lvs.Network, error) {
	var network lvs.Network
	err := with(func(s *socket) (err error) {
		network, err = s.network(ctx, ip, nic)
		return err
	})
	switch {
	case err == nil || errors.Is(err, lvs.ErrNotInstalled):
		return network, err
	case errors.Is(err, lvs.ErrNoNetwork) && nic == "":
		return network, fmt.Errorf("%w holds %s; give nic and cidr_netmask", err, ip)
	case errors.Is(err, lvs.ErrNoNetwork):
		return network, fmt.Errorf("%w of %s holds %s; give cidr_netmask, or another nic", err, nic, ip)
	}
	return network, fmt.Errorf("ip route list match %s: %w", ip, translate(err))
}

func (s *socket) network(ctx context.Context, ip netip.Addr, nic string) (lvs.Network, error) {
	want := wanted{ip: ip, table: unix.RT_TABLE_MAIN, kind: unix.RTN_UNICAST}
	if ip.Is4() && ip.IsLoopback() {
		want.table, want.kind = unix.RT_TABLE_LOCAL, unix.RTN_LOCAL
	}
	if nic != "" {
		link, err := s.link(ctx, nic)
		if err != nil {
			return lvs.Network{}, err
		}
		want.index = link.Attrs().Index
	} else if ip.IsLinkLocalUnicast() && ip.Is6() {
		return lvs.Network{}, lvs.ErrNoNetwork // fe80::/64 is on every interface
	}
	route, err := s.route(ctx, want)
	if err != nil {
		return lvs.Network{}, err
	}
	if err := s.arm(ctx); err != nil {
		return lvs.Network{}, err
	}
	link, err := s.LinkByIndex(route.LinkIndex)
	if err != nil {
		return lvs.Network{}, err
	}
	bits, _ := route.Dst.Mask.Size()
	network := lvs.Network{NIC: link.Attrs().Name, Bits: bits}
	network.Broadcast, err = s.broadcast(ctx, link, route)
	return network, err
}

// wanted is the kind of routes that lead to a directly connected network.
type wanted struct {
	ip          netip.Addr
	table, kind int
	index       int // of the interface, 0 for any
}

func (w wanted) matches(r netlink.Route) bool {
	if r.Dst == nil || r.Type != w.kind || r.Gw != nil || r.Via != nil || r.LinkIndex == 0 || w.index != 0 && r.LinkIndex != w.index {
		return false
	}
	bits, size := r.Dst.Mask.Size()
	return bits > 0 && bits < size && r.Dst.Contains(w.ip.AsSlice())
}

func (s *socket) route(ctx context.Context, want wanted) (best netlink.Route, err error) {
	for range dumps {
		if err := s.arm(ctx); err != nil {
			return best, err
		}
		best = netlink.Route{}
		filter := &netlink.Route{Table: want.table}
		err = s.RouteListFilteredIter(family(want.ip), filter, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			if want.matches(r) && better(r, best) {
				best = r
			}
			return true
		})
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err == nil && best.Dst == nil {
		err = lvs.ErrNoNetwork
	}
	return best, err
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
func (s *socket) broadcast(ctx context.Context, link netlink.Link, route netlink.Route) (netip.Addr, error) {
	if route.Src == nil || route.Family != netlink.FAMILY_V4 {
		return netip.Addr{}, nil
	}
	list, err := s.addresses(ctx, link, netlink.FAMILY_V4)
	for _, addr := range list {
		if addr.IP.Equal(route.Src) {
			broadcast, _ := netip.AddrFromSlice(addr.Broadcast)
			return broadcast.Unmap(), err
		}
	}
	return netip.Addr{}, err
}
