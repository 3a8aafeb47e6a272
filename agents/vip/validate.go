package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"lvs-agents/ocf"
)

// Validate checks that the parameters fit together. With a check level of 10 or more, it also
// checks that this node has an interface for the address.
func (a *Agent) Validate(ctx context.Context, c ocf.Call, level int) error {
	if err := a.consistent(c); err != nil || level < 10 {
		return err
	}
	if err := a.enter(); err != nil {
		return err
	}
	_, err := a.target(ctx)
	return err
}

// consistent returns an error if the parameters would be wrong on every node.
func (a *Agent) consistent(c ocf.Call) error {
	if err := a.nonsense(c); err != nil {
		return ocf.WrongEverywhere(err)
	}
	return nil
}

func (a *Agent) nonsense(c ocf.Call) error {
	switch {
	case a.dotted && a.IP.Is6():
		return fmt.Errorf("parameter cidr_netmask is an IPv4 netmask, but ip=%s is IPv6; give a prefix length", a.IP)
	case a.impossible():
		return fmt.Errorf("parameter ip=%s cannot be a virtual address", a.IP)
	case a.Bits > a.IP.BitLen():
		return fmt.Errorf("parameter cidr_netmask=%d is longer than the address %s; the most is %d", a.Bits, a.IP, a.IP.BitLen())
	case a.IP.IsMulticast():
		return fmt.Errorf("parameter ip=%s is a multicast address; an interface cannot have it", a.IP)
	case a.IP.Is6() && a.IP.IsLinkLocalUnicast() && a.NIC == "":
		return fmt.Errorf("parameter ip=%s is link-local and exists on every interface; give nic", a.IP)
	case a.Broadcast != "" && a.IP.Is6():
		return fmt.Errorf("parameter broadcast=%s is for IPv4, but ip=%s is IPv6", a.Broadcast, a.IP)
	case a.Bits > 0 && isBroadcast(netip.PrefixFrom(a.IP, a.Bits)):
		return fmt.Errorf("parameter ip=%s is the broadcast address of its network %s, so no host sends to it alone; give another address", a.IP, netip.PrefixFrom(a.IP, a.Bits).Masked())
	case len(a.label(a.surelyNamed("x"))) > longestLabel:
		return fmt.Errorf("label %q is longer than %d characters; give a shorter iflabel", a.label(a.surelyNamed("NIC")), longestLabel)
	case len(a.refused) > 0:
		return fmt.Errorf("parameter %s=true is not supported, because the cluster cannot see the address of each instance; use one resource for each address", a.refused[0])
	case c.CloneMax > 1 && a.NIC != "lo":
		return errors.New("an address on several nodes at once (clone-max above 1) is not supported, because the kernel has no CLUSTERIP any more; use ocf:lvs:ipvs to share load")
	}
	return a.strangeNeighbour()
}

// surelyNamed returns the parameter nic. It returns other if the kernel can have a shorter name
// for the interface.
func (a *Agent) surelyNamed(other string) string {
	if a.NIC == "" || len(a.NIC) > longestLabel || strings.Contains(a.NIC, "@") {
		return other
	}
	return a.NIC
}

// strangeNeighbour returns an error if the parameter confirm has an address of the other family, or
// the address of the resource itself.
func (a *Agent) strangeNeighbour() error {
	for _, ip := range a.Confirm.addresses {
		if ip.Is4() != a.IP.Is4() || ip == a.IP {
			return fmt.Errorf("parameter confirm: %s is not a neighbour of ip=%s", ip, a.IP)
		}
	}
	return nil
}

// impossible reports whether no resource can have the address, because every host has it or no host
// can have it.
func (a *Agent) impossible() bool {
	switch a.IP {
	case netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback():
		return true
	}
	return a.IP.Is4() && a.IP.As4()[0] == 0
}

// warnOfParameters logs the given parameters that have no effect.
func (a *Agent) warnOfParameters(c ocf.Call) {
	if len(a.ignored) > 0 {
		c.Log.Warnf("parameters without effect: %s: an address on several nodes at once is not supported, because the kernel has no CLUSTERIP any more; use ocf:lvs:ipvs to share load", strings.Join(a.ignored, ", "))
	}
	if a.SendArpOpts != "" {
		c.Log.Warn("parameter send_arp_opts has no effect: the agent sends ARP requests and replies on its own")
	}
}
