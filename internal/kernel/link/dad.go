package link

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
)

// settle waits until duplicate address detection of an address has finished. It subscribes to
// changes of addresses. It then reads the address, and reads the address again after every change.
func settle(ctx context.Context, a host.Address) error {
	changes, err := knetlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer changes.Close()
	if err := changes.Join(unix.RTNLGRP_IPV6_IFADDR); err != nil {
		return fmt.Errorf("subscribe to address changes: %w", err)
	}
	for {
		if settled, err := settled(ctx, a); settled || err != nil {
			return err
		}
		if err := awaitChange(ctx, changes, a.Prefix.Addr()); err != nil {
			return fmt.Errorf("duplicate address detection has not finished: %w", err)
		}
	}
}

// awaitChange returns when an address has changed, or when changes can have been lost.
func awaitChange(ctx context.Context, changes *knetlink.Socket, ip netip.Addr) error {
	for changed := false; !changed; {
		err := changes.Listen(ctx, func(body []byte) {
			addr, ok := parseAddress(body)
			changed = changed || ok && prefix(addr).Addr() == ip
		})
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		changed = changed || err != nil
	}
	return nil
}

// settled reports whether duplicate address detection of an address has finished.
func settled(ctx context.Context, a host.Address) (settled bool, err error) {
	_, found, err := findOn(ctx, a.NIC, a.Prefix.Addr())
	if err != nil && !errors.Is(err, host.ErrNotInstalled) {
		return false, err
	}
	for _, f := range found {
		switch {
		case f.Prefix != a.Prefix:
		case f.Observed.Duplicate:
			return false, fmt.Errorf("%w (duplicate address detection failed)", host.ErrDuplicate)
		case f.Observed.Tentative && f.Observed.NoCarrier:
			return false, host.ErrNoCarrier
		default:
			return !f.Observed.Tentative, nil
		}
	}
	return false, fmt.Errorf("the address is gone: %w", fs.ErrNotExist)
}
