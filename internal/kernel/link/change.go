package link

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
)

func (s *socket) apply(ctx context.Context, op host.AddressOp) error {
	switch op.Verb {
	case host.AddAddress:
		return s.add(ctx, op.Address)
	case host.DeleteAddress:
		return s.delete(ctx, op.Address)
	case host.ChangeAddress:
		return s.change(ctx, op.Address)
	case host.RaiseLink:
		return s.raise(ctx, op.Address.NIC)
	case host.AddPolicy, host.DeletePolicy:
		return s.policy(ctx, op)
	case host.FlushRoutes:
		return flushRoutes(op.Address.Prefix.Addr())
	}
	return fmt.Errorf("address verb %d is none", op.Verb)
}

func (s *socket) add(ctx context.Context, a host.Address) error {
	link, err := Hardware(ctx, a.NIC)
	if err != nil {
		return err
	}
	if err := s.arm(ctx); err != nil {
		return err
	}
	err = s.AddrAdd(device(link), encode(a))
	switch {
	case a.Prefix.Addr().Is6() && errors.Is(err, unix.EACCES): // net/ipv6/addrconf.c, ipv6_add_addr
		return host.NotInstalled("IPv6 is disabled on %s; sysctl net.ipv6.conf.%s.disable_ipv6=0", a.NIC, strings.ReplaceAll(a.NIC, ".", "/"))
	case a.Prefix.Addr().Is6() && errors.Is(err, unix.EOPNOTSUPP):
		return host.NotInstalled("IPv6 is not in this kernel; modprobe ipv6")
	}
	return err
}

// encode fills in what netlink would otherwise guess: a broadcast address, and
// lifetimes that end at once.
func encode(a host.Address) *netlink.Addr {
	ip := a.Prefix.Addr()
	addr := &netlink.Addr{
		IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(a.Prefix.Bits(), ip.BitLen())},
		Label: a.Label,
	}
	if ip.Is4() {
		addr.Broadcast = net.IPv4zero // turns netlink's own computation off
	}
	if a.Broadcast.IsValid() {
		addr.Broadcast = a.Broadcast.AsSlice()
	}
	addr.Scope = usualScope(ip)
	for number, name := range scopes {
		if name == a.Scope {
			addr.Scope = number
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

func (s *socket) delete(ctx context.Context, a host.Address) error {
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
	for _, victim := range list {
		if prefix(victim) == a.Prefix {
			return s.spare(ctx, a.NIC, victim, func() error {
				if err := s.arm(ctx); err != nil {
					return err
				}
				return s.AddrDel(device(link), &victim)
			})
		}
	}
	return fs.ErrNotExist
}

// spare runs remove so that only the victim goes. With the first IPv4 address
// of a subnet the kernel deletes all others of that subnet, unless the sysctl
// promote_secondaries makes the next one the first (net/ipv4/devinet.c,
// __inet_del_ifa).
func (s *socket) spare(ctx context.Context, nic string, victim netlink.Addr, remove func() error) error {
	if !prefix(victim).Addr().Is4() {
		return remove()
	}
	alone, first, err := s.subnet(ctx, victim)
	switch {
	case err != nil:
		return err
	case alone || !first:
		return remove()
	}
	return s.promote.during(nic, remove)
}

// subnet tells whether an address is alone in its subnet on its interface and,
// if not, whether it is the first, which the others live and die with.
func (s *socket) subnet(ctx context.Context, a netlink.Addr) (alone, first bool, err error) {
	list, err := addresses(ctx, a.LinkIndex, netlink.FAMILY_V4)
	alone = true
	for _, other := range list {
		switch {
		case prefix(other) == prefix(a):
			first = other.Flags&unix.IFA_F_SECONDARY == 0
		case prefix(other).Masked() == prefix(a).Masked():
			alone = false
		}
	}
	return alone, first, err
}
