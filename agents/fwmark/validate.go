package fwmark

import (
	"context"
	"fmt"
	"strings"

	"lvs-agents/ocf"
)

// Validate checks that the parameters fit together. With a check level of 10 or more, it also
// checks that this host has the interface and can mark packets.
func (a *Agent) Validate(ctx context.Context, c ocf.Call, level int) error {
	if err := a.consistent(); err != nil || level < 10 {
		return err
	}
	if err := a.haveInterface(ctx); err != nil {
		return err
	}
	_, err := a.want(ctx, c)
	return err
}

func (a *Agent) consistent() error {
	wrong := func(format string, args ...any) error { return ocf.WrongEverywhere(fmt.Errorf(format, args...)) }
	if len(a.IP) == 0 && len(a.Ports) == 0 && a.NIC == "" {
		return wrong("parameter ip, ports or interface is required: without all three, every packet of this host gets the mark")
	}
	for _, ip := range a.IP {
		switch addr := ip.Addr(); {
		case a.Family == IPv4 && addr.Is6(), a.Family == IPv6 && addr.Is4():
			return wrong("parameter ip: %s is not an address of family=%s; remove one of them", ip, a.Family)
		case addr.IsMulticast(), addr.IsLoopback():
			return wrong("parameter ip: %s cannot be a virtual address", ip)
		}
	}
	// iptables takes + at the end for a wildcard, and nft takes * for it.
	if len(a.NIC) > 15 || strings.ContainsAny(a.NIC, " \t\n/+*\"'") {
		return wrong("parameter interface=%q is not the name of one interface", a.NIC)
	}
	return nil
}

// haveInterface returns an error if this host lacks the interface.
func (a *Agent) haveInterface(ctx context.Context) error {
	if a.NIC == "" {
		return nil
	}
	_, err := a.kernel.Interface(ctx, a.NIC)
	return err
}
