package cib

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// address adds the address of a primitive.
func (p *parser) address(g *config.Group, e *etree.Element) {
	if !p.plain(e) {
		return
	}
	given := map[string]string{}
	var names []string
	for _, pair := range e.FindElements("instance_attributes/nvpair") {
		name := value(pair, "name")
		given[name] = strings.TrimSpace(value(pair, "value"))
		names = append(names, name)
	}
	ip, err := netip.ParseAddr(given["ip"])
	if err != nil || ip.IsUnspecified() {
		p.about(config.Error, e, "ip is not an address", "write ip=ADDRESS")
		return
	}
	a := config.VirtualAddress{IP: ip, Bits: p.prefixLength(e, given["cidr_netmask"], ip)}
	a.NIC, a.Label, _ = strings.Cut(given["nic"], ":")
	for _, name := range names {
		if !set(&a, name, given[name]) {
			p.dropped(e, "parameter "+fault.Quote(name)+" is not converted", "compare it with the parameters of ocf:lvs:vip (docs/ipaddr2.md)")
		}
	}
	g.Addresses = append(g.Addresses, a)
}

// prefixLength returns the prefix length of a number or, for IPv4, of a dotted netmask.
func (p *parser) prefixLength(e *etree.Element, netmask string, ip netip.Addr) int {
	if netmask == "" {
		return 0
	}
	if bits, err := lvs.ParseNetmask(netmask, ip.Is6()); err == nil {
		return bits
	}
	bits, err := strconv.Atoi(netmask)
	if err != nil || bits < 1 || bits > ip.BitLen() {
		p.about(config.Error, e, fmt.Sprintf("cidr_netmask %s is not a prefix length", fault.Quote(netmask)), "write a number")
		return 0
	}
	return bits
}

// set sets a field of an address from a parameter of IPaddr2. It reports whether the address has
// a field for it.
func set(a *config.VirtualAddress, name, text string) bool {
	switch name {
	case "ip", "cidr_netmask", "nic":
	case "broadcast":
		a.Broadcast = text
	case "iflabel":
		a.Label = text
	case "network_namespace":
		a.Namespace = text
	case "preferred_lft":
		a.PreferredLft = text
	case "noprefixroute":
		a.NoPrefixRoute = yes(text)
	case "nodad":
		a.NoDAD = yes(text)
	case "check_link_status":
		a.CheckLink = yes(text)
	case "lvs_support":
		a.OnLoopback = yes(text)
	default:
		n, err := strconv.Atoi(text)
		return err == nil && announce(&a.Announce, name, n)
	}
	return true
}

func announce(a *config.Announcements, name string, n int) bool {
	switch name {
	case "arp_count":
		a.Count = &n
	case "arp_count_refresh":
		a.RefreshCount = &n
	case "arp_interval":
		a.Interval = time.Duration(n) * time.Millisecond
	default:
		return false
	}
	return true
}

// yes reports whether a shell function of resource-agents reads a text as true (ocf_is_true).
func yes(text string) bool {
	return slices.Contains([]string{"yes", "true", "1", "YES", "TRUE", "True", "ja", "on", "ON"}, text)
}
