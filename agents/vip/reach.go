package vip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/host"
	"lvs-agents/ocf"
)

// unreachable returns the reason why no neighbour can reach an address of the interface, and the
// fix. It returns an empty text if it knows no such reason.
func unreachable(nic host.Interface) string {
	switch {
	case nic.Master != "":
		return fmt.Sprintf("%s is a port of %s, which takes all its packets; give nic=%s, or ip link set dev %s nomaster",
			nic.Name, nic.Master, nic.Master[strings.IndexByte(nic.Master, ' ')+1:], nic.Name)
	case nic.ARPOff:
		return fmt.Sprintf("ARP is off on %s, so no neighbour learns where the address is; ip link set dev %[1]s arp on", nic.Name)
	}
	return ""
}

// astray returns the exit reason for an address whose packets the kernel does not accept: the fault
// and its fix.
func (a *Agent) astray(there host.Address) string {
	family := ""
	if a.IP.Is6() {
		family = "-6 "
	}
	return fmt.Sprintf("%s is on %s, but this host does not accept packets for it: ip route get %[1]s gives %[3]s instead of local; check ip %[4]srule and ip %[4]sroute show table local",
		a.IP, there.NIC, there.Observed.Diverted, family)
}

// window is how long the kernel can take to add the local route of an IPv6 address. A work queue
// adds the route after the address (net/ipv6/addrconf.c, addrconf_dad_work).
const window = 500 * time.Millisecond

// arrives returns an error if the kernel still diverts packets for the address when window has
// passed.
func (a *Agent) arrives(ctx context.Context, target host.Address) error {
	soon, cancel := context.WithTimeout(ctx, window)
	defer cancel()
	again := time.NewTicker(window / 50)
	defer again.Stop()
	for {
		_, have, err := a.kernel.On(ctx, target.NIC, a.IP)
		i := slices.IndexFunc(have, func(there host.Address) bool { return there.Observed.Diverted != "" })
		if err != nil || i < 0 {
			return err
		}
		select {
		case <-soon.Done():
			return errors.New(a.astray(have[i]))
		case <-again.C:
		}
	}
}

// compare logs a warning for each property of the address that differs from the parameters.
func (a *Agent) compare(c ocf.Call, there host.Address) {
	for _, difference := range a.differences(there) {
		c.Log.Warnf("%s is on %s already, %s", a.IP, there.NIC, difference)
	}
}

// differences returns the properties of the address that differ from the given parameters. For an
// existing IPv4 address, the kernel can change only the lifetime.
func (a *Agent) differences(there host.Address) (list []string) {
	const fix = "stop and start the resource to change that"
	if label := a.label(there.NIC); label != "" && label != there.Label {
		list = append(list, fmt.Sprintf("with %s instead of the label %s; %s", orNo("label", there.Label), label, fix))
	}
	if a.Broadcast != "" && a.IP.Is4() {
		if want := a.broadcastOf(there.Prefix, host.Network{}); want != there.Broadcast {
			have := ""
			if there.Broadcast.IsValid() {
				have = there.Broadcast.String()
			}
			list = append(list, fmt.Sprintf("with %s instead of the broadcast address %s; %s", orNo("broadcast address", have), want, fix))
		}
	}
	if a.NoPrefixRoute != there.NoPrefixRoute {
		what := map[bool]string{false: "with", true: "without"}[there.NoPrefixRoute]
		list = append(list, fmt.Sprintf("%s a route to its network although noprefixroute=%t; %s", what, a.NoPrefixRoute, fix))
	}
	if a.IP.Is6() && (a.PreferredLft == "0") != there.Deprecated && (a.PreferredLft == "0" || a.PreferredLft == "forever") {
		list = append(list, fmt.Sprintf("with another preferred lifetime than preferred_lft=%s; ip addr change %s dev %s preferred_lft %[1]s",
			a.PreferredLft, there.Prefix, there.NIC))
	}
	return list
}

func orNo(what, have string) string {
	if have == "" {
		return "no " + what
	}
	return "the " + what + " " + have
}
