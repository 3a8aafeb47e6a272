package realserver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"lvs-agents/ocf"
)

// Validate checks that the parameters fit together. With a check level of 10 or more, it also
// checks that this host has everything that the parameters need.
func (a *Agent) Validate(ctx context.Context, _ ocf.Call, level int) error {
	if err := a.consistent(); err != nil || level < 10 {
		return err
	}
	_, err := a.want(ctx)
	return err
}

func (a *Agent) consistent() error {
	wrong := func(format string, args ...any) error { return ocf.WrongEverywhere(fmt.Errorf(format, args...)) }
	switch {
	case a.Forward == Masq && len(a.Gateway) == 0:
		return wrong("parameter gateway is required with forward=masq; give the director's address on the network of the real servers")
	case a.Forward != Masq && len(a.IP) == 0:
		return wrong("parameter ip is required with forward=%s", a.Forward)
	case a.Forward != Masq && len(a.Gateway) > 0:
		return wrong("parameter gateway has no meaning with forward=%s; remove it", a.Forward)
	case a.Source.IsValid() && !a.Source.Is4():
		return wrong("parameter source=%s is not an IPv4 address; ARP has only IPv4 addresses", a.Source)
	case slices.Contains(a.IP, a.Source):
		return wrong("parameter source=%s is a virtual address; give an address of this host", a.Source)
	}
	for _, ip := range a.IP {
		if ip.IsLoopback() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || ip.Is6() && ip.IsLinkLocalUnicast() {
			return wrong("parameter ip=%s cannot be a virtual address", ip)
		}
	}
	for _, ip := range a.Gateway {
		if slices.ContainsFunc(a.Gateway, func(other netip.Addr) bool { return other != ip && other.Is4() == ip.Is4() }) {
			return wrong("parameter gateway has two addresses of one family; give the one that moves with the director")
		}
	}
	return nil
}
