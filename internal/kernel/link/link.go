// Package link reads and changes the addresses of network interfaces, in the
// network namespace that the calling thread is in.
package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
)

// Kernel is the network of this kernel. It keeps nothing between two calls, so
// that several goroutines may use it at once. All calls end with their context's
// deadline; cancellation is seen before each message to the kernel.
type Kernel struct{ lockDir string }

// New returns a Kernel and opens nothing. Whoever adds or deletes addresses does
// so under a lock in lockDir, a directory that only root can write.
func New(lockDir string) *Kernel { return &Kernel{lockDir} }

// Addresses returns every occurrence of ip, on whatever interface and with
// whatever prefix length, by interface name and prefix length. It also puts back
// the sysctl promote_secondaries where an Apply was killed.
func (k *Kernel) Addresses(ctx context.Context, ip netip.Addr) ([]host.Address, error) {
	k.tidy()
	found, err := find(ctx, ip)
	if err != nil {
		return nil, fmt.Errorf("ip addr show to %s: %w", ip, knetlink.Translate(err))
	}
	return found, nil
}

// On returns the occurrences of ip on one interface, by prefix length, and the name
// that the kernel has for the interface: nic may be an alternative one, or eth0@if7.
// Without the interface the error is an host.ErrNotInstalled. It is cheaper than
// Addresses, and changes on other interfaces do not disturb it.
func (k *Kernel) On(ctx context.Context, nic string, ip netip.Addr) (name string, found []host.Address, err error) {
	k.tidy()
	name, found, err = findOn(ctx, nic, ip)
	if err == nil || errors.Is(err, host.ErrNotInstalled) {
		return name, found, err
	}
	return name, nil, fmt.Errorf("ip addr show to %s dev %s: %w", ip, nic, knetlink.Translate(err))
}

// Interface returns the state of the interface of this name, or an
// host.ErrNotInstalled if there is none. The name may be one of those of On.
func (k *Kernel) Interface(ctx context.Context, nic string) (state host.Interface, err error) {
	err = reading(func(r *reader) error {
		link, err := r.known(ctx, nic)
		if err == nil {
			state = r.state(ctx, &link)
		}
		return err
	})
	if err == nil || errors.Is(err, host.ErrNotInstalled) {
		return state, err
	}
	return state, fmt.Errorf("ip link show dev %s: %w", nic, knetlink.Translate(err))
}

// Interfaces returns the attributes of all interfaces.
func Interfaces(ctx context.Context) (list []netlink.LinkAttrs, err error) {
	err = reading(func(r *reader) error {
		all, err := r.all(ctx)
		for _, link := range all {
			list = append(list, link.LinkAttrs)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ip link show: %w", knetlink.Translate(err))
	}
	return list, nil
}

// Own returns the addresses of an interface, by its index, that duplicate address detection
// has settled.
func Own(ctx context.Context, index int, v6 bool) (own []netip.Addr, err error) {
	version := netlink.FAMILY_V4
	if v6 {
		version = netlink.FAMILY_V6
	}
	list, err := addresses(ctx, index, version)
	for _, addr := range list {
		if addr.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			own = append(own, prefix(addr).Addr())
		}
	}
	return own, err
}

// Apply makes changes in order, stops at the first that fails and returns how
// many succeeded; the error starts with the change in ip syntax. Errors:
// fs.ErrExist for adding what is there, fs.ErrNotExist for deleting what is
// not, host.ErrNotInstalled for a missing interface or missing IPv6,
// fs.ErrPermission, context.DeadlineExceeded.
//
// An IPv6 address that was added is not usable before Settle returns. The zero
// Broadcast means that the address gets none, as with iproute2. Deleting an
// address leaves all others alone, also where the kernel would not.
func (k *Kernel) Apply(ctx context.Context, ops []host.AddressOp) (done int, err error) {
	if len(ops) == 0 {
		return 0, nil
	}
	err = k.locked(ctx, func(p promotion) error {
		for ; done < len(ops); done++ {
			if err := apply(ctx, p, ops[done]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return done, fmt.Errorf("%s: %w", ops[done], knetlink.Translate(err))
	}
	return done, nil
}

// Settle waits until duplicate address detection of an IPv6 address is over
// (RFC 4862 section 5.4), which takes one to two seconds, and for ever while the
// interface is down. It returns nil when the address can be used. Errors:
// host.ErrDuplicate when another host has it, host.ErrNoCarrier when the detection
// cannot begin, fs.ErrNotExist when the address is gone. IPv4 addresses are settled when they are there.
func (k *Kernel) Settle(ctx context.Context, a host.Address) error {
	if err := settle(ctx, a); err != nil {
		return fmt.Errorf("%s on %s: %w", a.Prefix, a.NIC, knetlink.Translate(err))
	}
	return nil
}
