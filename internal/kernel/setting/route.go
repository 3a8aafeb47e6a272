package setting

import (
	"context"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
)

// metric returns the metric of the default route through a gateway. The kernel puts the IPv4 route
// before other routes with the same metric. The IPv6 route has a low metric. In both cases, the
// other default routes stay in the table.
func metric(gateway netip.Addr) int {
	if gateway.Is6() {
		return host.RouteMetric6
	}
	return 0
}

func (k Kernel) defaultRoute(ctx context.Context, s host.Setting) (string, error) {
	there, err := k.HasDefaultRoute(ctx, s.IP, metric(s.IP))
	return onOff(there), err
}

func setRoute(ctx context.Context, s host.Setting, on bool) error {
	all := &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
	if s.IP.Is6() {
		all = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	}
	route := &netlink.Route{Gw: s.IP.AsSlice(), Dst: all, Priority: metric(s.IP)}
	return knetlink.With(ctx, func(h *netlink.Handle) error {
		switch {
		case !on:
			return h.RouteDel(route)
		case s.IP.Is6():
			return h.RouteAdd(route)
		}
		// RouteAddEcmp sends only the flag NLM_F_CREATE, as ip route prepend does, so other default
		// routes stay.
		return h.RouteAddEcmp(route)
	})
}
