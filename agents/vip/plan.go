package vip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"lvs-agents/internal/host"
	"lvs-agents/ocf"
)

// target returns the address with the properties that it must have on this node.
func (a *Agent) target(ctx context.Context) (host.Address, error) {
	if a.NIC != "" {
		state, err := a.kernel.Interface(ctx, a.NIC)
		if err != nil {
			return host.Address{}, err
		}
		a.NIC = state.Name
	}
	network, err := a.kernel.Network(ctx, host.Search{IP: a.IP, Bits: a.Bits, NIC: a.NIC, Protocol: a.Protocol})
	switch {
	// Without a connected network, the agent uses nic and cidr_netmask if both are set, as IPaddr2
	// does.
	case err != nil && (a.NIC == "" || a.Bits == 0 || !errors.Is(err, host.ErrNoNetwork)):
		return host.Address{}, err
	case err == nil && a.NIC == "" && a.IP.Is6() && a.Bits != 0 && a.Bits != network.Bits && a.Bits != a.IP.BitLen():
		return host.Address{}, fmt.Errorf("the network of %s on %s has prefix length %d, not %d; give cidr_netmask=%[3]d or 128, or nic as well", a.IP, network.NIC, network.Bits, a.Bits)
	}
	target := host.Address{NIC: cmp.Or(a.NIC, network.NIC), Prefix: netip.PrefixFrom(a.IP, cmp.Or(a.Bits, network.Bits)), NoPrefixRoute: a.NoPrefixRoute}
	if a.IP.Is6() {
		target.NoDAD = a.NoDAD
		target.Deprecated, target.Preferred = a.lifetime()
		return target, nil
	}
	if target.Label = a.label(target.NIC); len(target.Label) > longestLabel {
		return target, ocf.Lacking(fmt.Errorf("label %q is longer than %d characters; give a shorter iflabel", target.Label, longestLabel))
	}
	target.Broadcast = a.broadcastOf(target.Prefix, network)
	for _, prefix := range []netip.Prefix{target.Prefix, netip.PrefixFrom(a.IP, cmp.Or(network.Bits, 32))} {
		if isBroadcast(prefix) {
			return target, fmt.Errorf("%s is the broadcast address of the network %s on %s, so no host sends to it alone; give another address", a.IP, prefix.Masked(), target.NIC)
		}
	}
	return target, nil
}

// policy returns the operation that adds or deletes the address label of an IPv6 address.
func (a *Agent) policy(verb host.AddressVerb) host.AddressOp {
	return host.AddressOp{Verb: verb, Policy: uint32(a.AddrLabelValue), Address: host.Address{Prefix: netip.PrefixFrom(a.IP, 128)}}
}

// broadcastOf returns the broadcast address that the address must have.
func (a *Agent) broadcastOf(prefix netip.Prefix, network host.Network) netip.Addr {
	switch a.Broadcast {
	case "":
		return network.Broadcast
	case "-":
		return prefix.Masked().Addr()
	case "+":
		return last(prefix)
	}
	ip, _ := netip.ParseAddr(a.Broadcast) // no error is possible: Set has already parsed the address
	return ip
}

// isBroadcast reports whether an IPv4 address is the last address of its network, which is the
// broadcast address (RFC 919 section 7). Networks of 31 bits have no broadcast address (RFC 3021).
func isBroadcast(address netip.Prefix) bool {
	return address.IsValid() && address.Addr().Is4() && address.Bits() < 31 && last(address) == address.Addr()
}

// last returns the last address of an IPv4 network.
func last(prefix netip.Prefix) netip.Addr {
	raw := prefix.Addr().As4()
	for bit := prefix.Bits(); bit < 32; bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(raw)
}

// longestLabel is the length of the longest label: IFNAMSIZ of linux/if.h without the zero byte at
// its end.
const longestLabel = 15

// label returns the label that the kernel must give the address. A label in the parameter nic has
// precedence over iflabel.
func (a *Agent) label(nic string) string {
	label := cmp.Or(a.nicLabel, a.Label)
	if label == "" || a.IP.Is6() {
		return ""
	}
	return nic + ":" + label
}
