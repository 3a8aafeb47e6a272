package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
)

// kinds are the names of route types in iproute2, by the number of the type.
var kinds = [...]string{
	unix.RTN_UNICAST: "unicast", unix.RTN_LOCAL: "local", unix.RTN_BROADCAST: "broadcast", unix.RTN_ANYCAST: "anycast", unix.RTN_MULTICAST: "multicast",
	unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable", unix.RTN_PROHIBIT: "prohibit", unix.RTN_THROW: "throw",
}

// diverted returns the field Diverted of host.Observed. It returns an empty text for an address
// that is not usable yet, because the kernel has no route to this address.
func (r *reader) diverted(ctx context.Context, a host.Address, link *hardware) string {
	seen := a.Observed
	if seen.Down || seen.NoCarrier || seen.Tentative || seen.Duplicate {
		return ""
	}
	vrf := 0
	if link.port == "vrf" {
		vrf = link.Index
	}
	found, err := r.settledRoute(ctx, a.Prefix.Addr(), vrf)
	switch {
	case refused(err):
		return "no route"
	// A failed lookup does not prove that the kernel diverts packets.
	case err != nil || found.kind == unix.RTN_LOCAL:
		return ""
	}
	text := ""
	if found.kind < len(kinds) {
		text = kinds[found.kind]
	}
	if out, err := r.link(ctx, found.index); found.index != 0 && err == nil {
		text += " dev " + out.Name
	}
	if found.kind == unix.RTN_UNICAST { // For other types of routes, the kernel reports no table.
		text += " table " + tableName(found.table)
	}
	return text
}

// routeWait is how long settledRoute waits for the local route of an IPv6 address.
const routeWait = 200 * time.Millisecond

// settledRoute repeats lookup until the kernel has added the local route of an IPv6 address. The
// kernel adds it in a work queue, after the address is no longer tentative (net/ipv6/addrconf.c,
// addrconf_dad_completed).
func (r *reader) settledRoute(ctx context.Context, ip netip.Addr, vrf int) (found route, err error) {
	if ip.Is4() {
		return r.lookup(ctx, ip, vrf)
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for until := time.After(routeWait); ; {
		found, err = r.lookup(ctx, ip, vrf)
		if err == nil && found.kind == unix.RTN_LOCAL {
			return found, err
		}
		select {
		case <-until:
			return found, err
		case <-ctx.Done():
			return found, err
		case <-again.C:
		}
	}
}

// lookup returns the kernel's route to an address. If vrf is the index of a port of a VRF, the
// lookup uses the rules of that VRF.
func (r *reader) lookup(ctx context.Context, ip netip.Addr, vrf int) (found route, err error) {
	message := &nl.RtMsg{RtMsg: unix.RtMsg{Family: uint8(family(ip)), Dst_len: uint8(ip.BitLen()), Flags: unix.RTM_F_FIB_MATCH}}
	if ip.Is4() { // for IPv6, the kernel always reports the table, and refuses the flag
		message.Flags |= unix.RTM_F_LOOKUP_TABLE
	}
	body := knetlink.AppendAttribute(message.Serialize(), unix.RTA_DST, ip.AsSlice())
	if vrf != 0 {
		body = knetlink.AppendAttribute(body, unix.RTA_OIF, nl.Uint32Attr(uint32(vrf)))
	}
	err = r.Query(ctx, knetlink.Request{Type: unix.RTM_GETROUTE, Body: body}, func(body []byte) {
		found, _ = parseRoute(body)
	})
	return found, err
}

// Route returns the kernel's route to an address.
func (k *Kernel) Route(ctx context.Context, ip netip.Addr) (to host.Route, err error) {
	err = reading(func(r *reader) error {
		found, err := r.lookup(ctx, ip, 0)
		if refused(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(found.hops) == 1 {
			to.Gateway = found.hops[0].gateway
		}
		if found.index == 0 { // The route has several next hops.
			return nil
		}
		out, err := r.link(ctx, found.index)
		to.NIC, to.MTU = out.Name, cmp.Or(found.mtu, out.MTU)
		return err
	})
	if err != nil {
		return to, fmt.Errorf("ip route get %s: %w", ip, knetlink.Translate(err))
	}
	return to, nil
}

// refused reports whether the kernel found no route, or a route that refuses packets
// (net/ipv4/fib_semantics.c, fib_props).
func refused(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	return errno == unix.ENETUNREACH || errno == unix.EHOSTUNREACH || errno == unix.EINVAL || errno == unix.EACCES
}

func tableName(table int) string {
	switch table {
	case unix.RT_TABLE_MAIN:
		return "main"
	case unix.RT_TABLE_LOCAL:
		return "local"
	case unix.RT_TABLE_DEFAULT:
		return "default"
	}
	return fmt.Sprint(table)
}
