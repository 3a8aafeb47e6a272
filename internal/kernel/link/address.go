package link

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
)

// addresses lists the addresses of a family on one interface.
func addresses(ctx context.Context, index, family int) (list []netlink.Addr, err error) {
	err = reading(func(r *reader) (err error) {
		list, err = r.addresses(ctx, family, index, func(netlink.Addr) bool { return true })
		return err
	})
	return list, err
}

func family(ip netip.Addr) int {
	if ip.Is6() {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}

// find returns the address ip on every interface that has it, with all prefix lengths.
func find(ctx context.Context, ip netip.Addr) (found []host.Address, err error) {
	ip = ip.WithZone("").Unmap()
	err = reading(func(r *reader) (err error) {
		found, err = r.find(ctx, ip)
		return err
	})
	slices.SortStableFunc(found, func(a, b host.Address) int {
		return cmp.Or(strings.Compare(a.NIC, b.NIC), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	return found, err
}

func (r *reader) find(ctx context.Context, ip netip.Addr) ([]host.Address, error) {
	list, err := r.everywhere(ctx, family(ip), func(addr netlink.Addr) bool { return prefix(addr).Addr() == ip })
	if err != nil {
		return nil, err
	}
	var found []host.Address
	for _, addr := range list {
		link, err := r.link(ctx, addr.LinkIndex)
		if errors.Is(err, unix.ENODEV) {
			continue // the interface was removed after the dump, with its addresses
		}
		if err != nil {
			return nil, err
		}
		found = append(found, r.address(ctx, addr, &link))
	}
	return found, nil
}

// findOn returns the address ip on one interface, with all prefix lengths, and the kernel's name of
// the interface.
func findOn(ctx context.Context, nic string, ip netip.Addr) (name string, found []host.Address, err error) {
	ip = ip.WithZone("").Unmap()
	err = reading(func(r *reader) error {
		link, err := r.known(ctx, nic)
		if err != nil {
			return err
		}
		name = link.Name
		list, err := r.addresses(ctx, family(ip), link.Index, func(addr netlink.Addr) bool { return prefix(addr).Addr() == ip })
		for _, addr := range list {
			found = append(found, r.address(ctx, addr, &link))
		}
		return err
	})
	slices.SortStableFunc(found, func(a, b host.Address) int { return cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()) })
	return name, found, err
}

// prefix returns the local address with its prefix length. If the address has a peer address, the
// prefix length is the prefix length of the peer address.
func prefix(addr netlink.Addr) netip.Prefix {
	if addr.IPNet == nil {
		return netip.Prefix{}
	}
	ip, _ := netip.AddrFromSlice(addr.IP)
	bits, _ := addr.Mask.Size()
	if addr.Peer != nil {
		bits, _ = addr.Peer.Mask.Size()
	}
	return netip.PrefixFrom(ip.Unmap(), bits)
}

// address converts an address from netlink to host.Address. It reads the flags and not the
// lifetimes, because the kernel reports an unlimited preferred lifetime for a deprecated IPv4
// address.
func (r *reader) address(ctx context.Context, addr netlink.Addr, link *hardware) host.Address {
	a := host.Address{
		Prefix:     prefix(addr),
		NIC:        link.Name,
		Deprecated: addr.Flags&unix.IFA_F_DEPRECATED != 0,
		Scope:      scope(addr),

		NoPrefixRoute: addr.Flags&unix.IFA_F_NOPREFIXROUTE != 0,
		Observed: host.Observed{
			Tentative: addr.Flags&unix.IFA_F_TENTATIVE != 0,
			Duplicate: addr.Flags&unix.IFA_F_DADFAILED != 0,
			Interface: r.state(ctx, link),
		},
	}
	// If the interface has neighbours, the flag has no effect after the address was added.
	a.NoDAD = a.Observed.Silent && addr.Flags&unix.IFA_F_NODAD != 0
	if addr.Label != link.Name { // the kernel uses the name of the interface as the label by default
		a.Label = addr.Label
	}
	if broadcast, ok := netip.AddrFromSlice(addr.Broadcast); ok {
		a.Broadcast = broadcast.Unmap()
	}
	a.Observed.Diverted = r.diverted(ctx, a, link)
	return a
}

// scopes are the names of scopes that iproute2 knows without its file rt_scopes.
var scopes = []struct {
	number int
	name   string
}{{unix.RT_SCOPE_UNIVERSE, "global"}, {unix.RT_SCOPE_SITE, "site"}, {unix.RT_SCOPE_LINK, "link"}, {unix.RT_SCOPE_HOST, "host"}}

// scope returns the name or number of the scope of an IPv4 address. It is empty for the scope that
// the kernel and iproute2 choose by default, and for IPv6.
func scope(addr netlink.Addr) string {
	ip := prefix(addr).Addr()
	if ip.Is6() || addr.Scope == usualScope(ip) {
		return ""
	}
	for _, scope := range scopes {
		if scope.number == addr.Scope {
			return scope.name
		}
	}
	return strconv.Itoa(addr.Scope)
}

func usualScope(ip netip.Addr) int {
	// Like iproute2: a loopback address is never a source of packets to other hosts.
	if ip.Is4() && ip.IsLoopback() {
		return unix.RT_SCOPE_HOST
	}
	return unix.RT_SCOPE_UNIVERSE
}

// parseAddress reads a struct ifaddrmsg and its attributes (rtnetlink(7)). For a point-to-point
// address with a peer, IFA_ADDRESS is the address of the peer.
func parseAddress(body []byte) (netlink.Addr, bool) {
	if len(body) < unix.SizeofIfAddrmsg {
		return netlink.Addr{}, false
	}
	header := nl.DeserializeIfAddrmsg(body)
	a, err := knetlink.Parse(body[unix.SizeofIfAddrmsg:])
	addr := netlink.Addr{LinkIndex: int(header.Index), Scope: int(header.Scope), Flags: int(header.Flags)}
	if flags := a.Uint32(unix.IFA_FLAGS); flags != 0 {
		addr.Flags = int(flags)
	}
	addr.Label, addr.Broadcast = a.Text(unix.IFA_LABEL), bytes.Clone(a[unix.IFA_BROADCAST])
	local, peer := net.IP(bytes.Clone(a[unix.IFA_LOCAL])), net.IP(bytes.Clone(a[unix.IFA_ADDRESS]))
	switch {
	case local == nil || local.Equal(peer):
		addr.IPNet = ipNet(peer, int(header.Prefixlen))
	default:
		addr.IPNet, addr.Peer = ipNet(local, 8*len(local)), ipNet(peer, int(header.Prefixlen))
	}
	return addr, err == nil && addr.IPNet != nil
}

// ipNet returns nil if ip or bits is not valid.
func ipNet(ip net.IP, bits int) *net.IPNet {
	if mask := net.CIDRMask(bits, 8*len(ip)); mask != nil && (len(ip) == net.IPv4len || len(ip) == net.IPv6len) {
		return &net.IPNet{IP: ip, Mask: mask}
	}
	return nil
}
