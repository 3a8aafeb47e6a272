// Package link reads and changes the addresses of network interfaces in the network namespace of
// the calling thread.
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

// Kernel reads and changes the interfaces and addresses of this host. It keeps no state between two
// calls, so several goroutines can use it at the same time. All calls end at the deadline of their
// context. They check for cancellation before each message to the kernel.
type Kernel struct{ lockDir string }

// New returns a Kernel and opens nothing. The Kernel adds and deletes addresses under a lock in
// lockDir, a directory that only root can write.
func New(lockDir string) *Kernel { return &Kernel{lockDir} }

// Addresses returns the address ip on all interfaces and with all prefix lengths, sorted by
// interface name and prefix length. Addresses also restores the sysctl promote_secondaries if a
// process was killed in Apply.
func (k *Kernel) Addresses(ctx context.Context, ip netip.Addr) ([]host.Address, error) {
	k.tidy()
	found, err := find(ctx, ip)
	if err != nil {
		return nil, fmt.Errorf("ip addr show to %s: %w", ip, knetlink.Translate(err))
	}
	return found, nil
}

// On returns the address ip on one interface, sorted by prefix length, and the kernel's name of the
// interface. The name nic can be an alternative name, or eth0@if7. If the interface does not exist,
// the error is a host.ErrNotInstalled. On costs less than Addresses, and changes on other
// interfaces do not disturb it.
func (k *Kernel) On(ctx context.Context, nic string, ip netip.Addr) (name string, found []host.Address, err error) {
	k.tidy()
	name, found, err = findOn(ctx, nic, ip)
	if err == nil || errors.Is(err, host.ErrNotInstalled) {
		return name, found, err
	}
	return name, nil, fmt.Errorf("ip addr show to %s dev %s: %w", ip, nic, knetlink.Translate(err))
}

// Interface returns the state of an interface, or a host.ErrNotInstalled if it does not exist. It
// accepts the same names as On.
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

// Own returns the addresses of an interface, given by its index, that have passed duplicate address
// detection.
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

// Apply makes changes in order and stops at the first failure. It returns the number of changes
// that succeeded. The error starts with the failed change in ip syntax. Errors: fs.ErrExist if an
// added address exists, fs.ErrNotExist if a deleted address does not exist, host.ErrNotInstalled
// for a missing interface or missing IPv6, fs.ErrPermission, context.DeadlineExceeded.
//
// An added IPv6 address is not usable before Settle returns. With the zero Broadcast, the address
// gets no broadcast address, as with iproute2. A deletion keeps all other addresses, even where the
// kernel alone would delete them with the address.
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

// Settle waits until duplicate address detection of an IPv6 address has finished (RFC 4862 section
// 5.4). The detection takes one to two seconds; while the interface is down, it does not finish.
// Settle returns nil when the address can be used. Errors: host.ErrDuplicate if another host has
// the address, host.ErrNoCarrier if the detection cannot begin, fs.ErrNotExist if the address was
// deleted. An IPv4 address is usable at once.
func (k *Kernel) Settle(ctx context.Context, a host.Address) error {
	if err := settle(ctx, a); err != nil {
		return fmt.Errorf("%s on %s: %w", a.Prefix, a.NIC, knetlink.Translate(err))
	}
	return nil
}
