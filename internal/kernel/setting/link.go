package setting

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
)

func family(ip netip.Addr) int {
	if ip.Is6() {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}

func onOff(on bool) string {
	if on {
		return host.On
	}
	return host.Off
}

func isMissing(err error) bool { return errors.As(err, new(netlink.LinkNotFoundError)) }

// address looks for the address as one of this host only: the same address with
// another prefix length is another setting.
func address(ctx context.Context, h *netlink.Handle, s host.Setting) (string, error) {
	link, err := h.LinkByName(s.NIC)
	if isMissing(err) {
		return Gone, nil
	}
	if err != nil {
		return "", err
	}
	list, err := dump(ctx, func() ([]netlink.Addr, error) { return h.AddrList(link, family(s.IP)) })
	for _, a := range list {
		if bits, size := a.Mask.Size(); bits == size && a.IP.Equal(s.IP.AsSlice()) {
			if a.Flags&unix.IFA_F_TENTATIVE != 0 {
				return tentative, err
			}
			return host.On, err
		}
	}
	return host.Off, err
}

// tentative is the value of an IPv6 address that the kernel does not use yet: it
// looks whether there is something to detect, and adds the route, in a work queue.
const tentative = "tentative"

// settle waits for that, which is a matter of microseconds.
func settle(ctx context.Context, h *netlink.Handle, s host.Setting) error {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		value, err := address(ctx, h, s)
		if value != tentative || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}

func setAddress(ctx context.Context, h *netlink.Handle, s host.Setting, on bool) error {
	link, err := h.LinkByName(s.NIC)
	if err != nil {
		return err
	}
	addr := &netlink.Addr{IPNet: netlink.NewIPNet(s.IP.AsSlice())}
	if s.IP.Is6() {
		// Nobody else may notice it, so there is nothing to detect; and it is no
		// source of the host's own connections.
		addr.Flags, addr.ValidLft, addr.PreferedLft = unix.IFA_F_NODAD, math.MaxUint32, 0
	} else {
		addr.Broadcast = net.IPv4zero // turns netlink's own computation off
		addr.Scope = map[string]int{"link": unix.RT_SCOPE_LINK, "host": unix.RT_SCOPE_HOST}[s.Scope]
	}
	if !on {
		return h.AddrDel(link, &netlink.Addr{IPNet: addr.IPNet})
	}
	err = h.AddrAdd(link, addr)
	if s.IP.Is6() && errors.Is(err, unix.EACCES) { // net/ipv6/addrconf.c, ipv6_add_addr
		return host.NotInstalled("IPv6 is disabled on %[1]s; sysctl -w net.ipv6.conf.%[1]s.disable_ipv6=0", s.NIC)
	}
	if err != nil {
		return err
	}
	return settle(ctx, h, s)
}

// linkUp takes an interface that does not exist for one that is down.
func linkUp(h *netlink.Handle, s host.Setting) (string, error) {
	link, err := h.LinkByName(s.NIC)
	if isMissing(err) {
		return Gone, nil
	}
	if err != nil {
		return "", err
	}
	return onOff(link.Attrs().RawFlags&unix.IFF_UP != 0), nil
}

func setLink(h *netlink.Handle, s host.Setting, on bool) error {
	link, err := h.LinkByName(s.NIC)
	if err != nil {
		return err
	}
	if on {
		return h.LinkSetUp(link)
	}
	return h.LinkSetDown(link)
}

// tunnels are the devices that take every packet of their kind. They come with
// their module and cannot be removed.
var tunnels = map[string]struct {
	link   netlink.Link
	module string
}{
	"tunl0":   {&netlink.Iptun{LinkAttrs: netlink.LinkAttrs{Name: "tunl0"}}, "ipip"},
	"ip6tnl0": {&netlink.Ip6tnl{LinkAttrs: netlink.LinkAttrs{Name: "ip6tnl0"}}, "ip6_tunnel"},
}

// Prepare returns nil if the interface exists and has no neighbours that would
// ask for its addresses. The kernel loads the module of tunl0 or ip6tnl0 for
// that, which is not undone.
func (Kernel) Prepare(ctx context.Context, nic string) error {
	_, err := withHandle(ctx, func(h *netlink.Handle) (string, error) {
		link, err := h.LinkByName(nic)
		if err == nil && link.Attrs().RawFlags&(unix.IFF_LOOPBACK|unix.IFF_NOARP) == 0 {
			return "", errors.New("it has neighbours, which would get answers; use lo, a tunnel or a dummy interface")
		}
		tunnel, known := tunnels[nic]
		if !isMissing(err) || !known {
			return "", err
		}
		// Asking for a device of the kind loads the module, and the device is there
		// before ours could be made (net/core/rtnetlink.c, __rtnl_newlink).
		if err := h.LinkAdd(tunnel.link); err != nil && !errors.Is(err, unix.EEXIST) {
			return "", host.NotInstalled("interface %s does not exist (%v); modprobe %s", nic, err, tunnel.module)
		}
		return "", nil
	})
	switch {
	case isMissing(err):
		return host.NotInstalled("network interface %q does not exist; create it or give one that ip link shows", nic)
	case err != nil && !errors.Is(err, host.ErrNotInstalled):
		return fmt.Errorf("interface %s: %w", nic, translate(err))
	}
	return err
}

// Source returns the host's own address in the network that holds ip, to which
// neighbours send. Without one the error is an host.ErrNoNetwork.
func (Kernel) Source(ctx context.Context, ip netip.Addr) (netip.Addr, error) {
	var source netip.Addr
	_, err := withHandle(ctx, func(h *netlink.Handle) (string, error) {
		list, err := dump(ctx, func() ([]netlink.Addr, error) { return h.AddrList(nil, family(ip)) })
		for _, a := range list {
			own, _ := netip.AddrFromSlice(a.IP)
			if bits, size := a.Mask.Size(); bits < size && a.Contains(ip.AsSlice()) && own.Unmap() != ip && !own.IsLoopback() {
				source = own.Unmap()
				break
			}
		}
		return "", err
	})
	switch {
	case err != nil:
		return source, fmt.Errorf("ip addr show: %w", translate(err))
	case !source.IsValid():
		return source, fmt.Errorf("%w of this host holds %s; give source, the address of this host", host.ErrNoNetwork, ip)
	}
	return source, nil
}

// route is the default route through a gateway. An IPv4 one comes before others
// of its metric, an IPv6 one has a low metric: so the others stay.
func route(s host.Setting) *netlink.Route {
	r := &netlink.Route{Gw: s.IP.AsSlice(), Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}}
	if s.IP.Is6() {
		r.Dst, r.Priority = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}, host.RouteMetric6
	}
	return r
}

func defaultRoute(ctx context.Context, h *netlink.Handle, s host.Setting) (value string, err error) {
	if h.SetStrictCheck(true) == nil { // the kernel sends this table alone
		defer func() { _ = h.SetStrictCheck(false) }()
	}
	want := route(s)
	err = knetlink.Whole(ctx, func() error {
		value = host.Off
		return h.RouteListFilteredIter(family(s.IP), &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			bits := 0
			if r.Dst != nil {
				bits, _ = r.Dst.Mask.Size()
			}
			if bits == 0 && r.Type == unix.RTN_UNICAST && r.Gw.Equal(want.Gw) && r.Priority == want.Priority {
				value = host.On
			}
			return true
		})
	})
	if errors.Is(err, unix.ENOENT) { // a table that was never used
		err = nil
	}
	return value, err
}

func setRoute(h *netlink.Handle, s host.Setting, on bool) error {
	switch {
	case !on:
		return h.RouteDel(route(s))
	case s.IP.Is6():
		return h.RouteAdd(route(s))
	}
	return h.RouteAddEcmp(route(s)) // NLM_F_CREATE alone: ip route prepend
}
