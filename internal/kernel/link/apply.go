package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
)

// apply makes one change. With p, the deletion of an address keeps the other addresses of its
// subnet.
func apply(ctx context.Context, p promotion, op host.AddressOp) error {
	switch op.Verb {
	case host.AddAddress:
		return add(ctx, op.Address)
	case host.DeleteAddress:
		return remove(ctx, p, op.Address)
	case host.ChangeAddress:
		return change(ctx, op.Address)
	case host.RaiseLink:
		return modify(ctx, op.Address.NIC, (*netlink.Handle).LinkSetUp)
	case host.LowerLink:
		return modify(ctx, op.Address.NIC, (*netlink.Handle).LinkSetDown)
	case host.AddPolicy, host.DeletePolicy:
		return policy(ctx, op)
	case host.FlushRoutes:
		return flushRoutes(op.Address.Prefix.Addr())
	}
	return fmt.Errorf("unknown address operation %d", op.Verb)
}

// modify runs f with a netlink handle and the interface nic.
func modify(ctx context.Context, nic string, f func(*netlink.Handle, netlink.Link) error) error {
	link, err := Hardware(ctx, nic)
	if err != nil {
		return err
	}
	return knetlink.With(ctx, func(h *netlink.Handle) error { return f(h, device(link)) })
}

func add(ctx context.Context, a host.Address) error {
	err := modify(ctx, a.NIC, func(h *netlink.Handle, link netlink.Link) error { return h.AddrAdd(link, encode(a)) })
	switch {
	// The kernel returns EACCES if IPv6 is disabled (net/ipv6/addrconf.c, ipv6_add_addr).
	case a.Prefix.Addr().Is6() && errors.Is(err, unix.EACCES):
		return host.NotInstalled("IPv6 is disabled on %s; sysctl net.ipv6.conf.%s.disable_ipv6=0", a.NIC, strings.ReplaceAll(a.NIC, ".", "/"))
	case a.Prefix.Addr().Is6() && errors.Is(err, unix.EOPNOTSUPP):
		return host.NotInstalled("IPv6 is not in this kernel; modprobe ipv6")
	}
	return err
}

// encode converts an address to the type of the library netlink. It always sets the broadcast
// address of IPv4, because the library would otherwise choose one.
func encode(a host.Address) *netlink.Addr {
	ip := a.Prefix.Addr()
	addr := &netlink.Addr{
		IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(a.Prefix.Bits(), ip.BitLen())},
		Label: a.Label,
	}
	if ip.Is4() {
		// With this value, the library does not compute a broadcast address.
		addr.Broadcast = net.IPv4zero
	}
	if a.Broadcast.IsValid() {
		addr.Broadcast = a.Broadcast.AsSlice()
	}
	addr.Scope = usualScope(ip)
	for _, scope := range scopes {
		if scope.name == a.Scope {
			addr.Scope = scope.number
		}
	}
	if a.Deprecated || a.Preferred > 0 {
		addr.ValidLft, addr.PreferedLft = math.MaxUint32, a.Preferred
	}
	if a.NoDAD && ip.Is6() {
		addr.Flags |= unix.IFA_F_NODAD
	}
	if a.NoPrefixRoute {
		addr.Flags |= unix.IFA_F_NOPREFIXROUTE
	}
	return addr
}

// remove deletes one address and keeps all other addresses.
func remove(ctx context.Context, p promotion, a host.Address) error {
	link, err := Hardware(ctx, a.NIC)
	if errors.Is(err, host.ErrNotInstalled) {
		return fmt.Errorf("no interface %s: %w", a.NIC, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	list, err := addresses(ctx, link.Index, family(a.Prefix.Addr()))
	if err != nil {
		return err
	}
	victim := slices.IndexFunc(list, func(addr netlink.Addr) bool { return prefix(addr) == a.Prefix })
	if victim < 0 {
		return fs.ErrNotExist
	}
	del := func() error {
		return knetlink.With(ctx, func(h *netlink.Handle) error { return h.AddrDel(device(link), &list[victim]) })
	}
	if carries(list, victim) {
		return p.during(a.NIC, del)
	}
	return del()
}

// carries reports whether an address is the first address of an IPv4 subnet that has other
// addresses. When the first address is deleted, the kernel also deletes the other addresses, unless
// the sysctl promote_secondaries is set (net/ipv4/devinet.c, __inet_del_ifa).
func carries(list []netlink.Addr, victim int) bool {
	own := prefix(list[victim])
	return own.Addr().Is4() && list[victim].Flags&unix.IFA_F_SECONDARY == 0 &&
		slices.ContainsFunc(list, func(other netlink.Addr) bool {
			return prefix(other) != own && prefix(other).Masked() == own.Masked()
		})
}

// change sets the lifetimes of an existing address. It repeats the flags that the address has,
// because the kernel clears the flags that a change does not name.
func change(ctx context.Context, a host.Address) error {
	return modify(ctx, a.NIC, func(h *netlink.Handle, link netlink.Link) error {
		list, err := addresses(ctx, link.Attrs().Index, family(a.Prefix.Addr()))
		for _, found := range list {
			if prefix(found) != a.Prefix {
				continue
			}
			changed := encode(a)
			changed.Flags = found.Flags & (unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_NODAD)
			changed.ValidLft = math.MaxUint32
			if !a.Deprecated && a.Preferred == 0 {
				changed.PreferedLft = math.MaxUint32
			}
			return h.AddrReplace(link, changed)
		}
		return cmp.Or(err, fs.ErrNotExist)
	})
}

// flushRoutes flushes the route cache, as ip route flush cache does.
func flushRoutes(ip netip.Addr) error {
	name := "ipv4"
	if ip.Is6() {
		name = "ipv6"
	}
	return os.WriteFile("/proc/sys/net/"+name+"/route/flush", []byte("-1\n"), 0)
}
