// Package doctor finds faults of a real server, and faults of a director: masq servers, connection
// synchronisation, and hash tables. It reads the kernel, and examines the packets that a real
// server sends. It also compares what a configuration needs with what the kernel has, and has the
// known faults of kernels.
package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"lvs-agents/internal/host"
)

// Finding is one fault.
type Finding struct {
	What string // What describes the effect on neighbours or clients.
	Why  string // Why is the cause of the effect, for example a setting.
	Fix  string // Fix is a command, or another instruction for the operator.
}

// String returns the finding on one line.
func (f Finding) String() string { return f.What + ": " + f.Why + "; " + f.Fix }

// Kernel reads the host that is examined.
type Kernel interface {
	Get(context.Context, host.Setting) (string, error)
	Addresses(ctx context.Context, ip netip.Addr) ([]host.Address, error)
	// Probe sends queries to the host as a neighbour would.
	Probe(ctx context.Context, ips []netip.Addr) (host.Heard, error)
	// Balances reports whether the host is a director for the address.
	Balances(ip netip.Addr) bool
	Route(ctx context.Context, ip netip.Addr) (host.Route, error)
}

// Examiner examines the host of a kernel.
type Examiner struct{ Kernel }

// Examine returns the faults of a real server that consists of these settings. The settings come
// from the ledger of the realserver resources, or from ByHand.
func (e Examiner) Examine(ctx context.Context, settings []host.Setting) ([]Finding, error) {
	x := &examination{kernel: e.Kernel, settings: settings, places: map[netip.Addr][]host.Address{}}
	for _, s := range settings {
		if s.Kind != host.HostAddress || slices.Contains(x.ips, s.IP) {
			continue
		}
		x.ips = append(x.ips, s.IP)
		places, err := e.Addresses(ctx, s.IP)
		if err != nil {
			return nil, err
		}
		x.places[s.IP] = places
	}
	if len(x.ips) > 0 {
		heard, err := e.Probe(ctx, x.ips)
		if err != nil {
			return nil, err
		}
		x.heard = heard
	}
	x.look(ctx)
	return x.findings, x.err
}

// ByHand returns the settings of a real server with these addresses that an operator has set up.
func ByHand(ips []netip.Addr, tunnel bool) []host.Setting {
	var settings []host.Setting
	for _, ip := range ips {
		nic := "lo"
		if tunnel {
			nic = map[bool]string{false: "tunl0", true: "ip6tnl0"}[ip.Is6()]
			settings = append(settings, host.Setting{Kind: host.LinkUp, NIC: nic})
		}
		settings = append(settings, host.Setting{Kind: host.HostAddress, NIC: nic, IP: ip})
	}
	return settings
}

// ByGateway returns the settings of a real server whose replies go through the director's address.
func ByGateway(gateway netip.Addr) []host.Setting {
	return []host.Setting{{Kind: host.DefaultRoute, IP: gateway}}
}

// examination collects the findings of one call of Examine.
type examination struct {
	kernel   Kernel
	settings []host.Setting
	ips      []netip.Addr
	places   map[netip.Addr][]host.Address
	heard    host.Heard

	findings []Finding
	err      error // err is the first error of the examination. It is nil without an error.
}

func (x *examination) found(what, why, fix string) {
	f := Finding{what, why, fix}
	if !slices.Contains(x.findings, f) {
		x.findings = append(x.findings, f)
	}
}

func (x *examination) look(ctx context.Context) {
	for _, s := range x.settings {
		switch s.Kind {
		case host.HostAddress:
			x.address(s)
		case host.LinkUp:
			x.tunnel(ctx, s)
		case host.DefaultRoute:
			x.way(ctx, s)
		case host.GUEPort:
			if x.get(ctx, s) != host.On {
				x.found("the kernel drops packets that arrive through the tunnel", "it does not receive GUE on UDP port "+s.Name, s.Command(host.On))
			}
		case host.ARPTables, host.NFTables:
			if x.get(ctx, s) != host.On {
				x.found("ARP packets with "+s.IP.String()+" are not blocked", "a rule of "+string(s.Kind)+" is missing", s.Command(host.On))
			}
		case host.Sysctl, host.SyncDaemon, host.Timeout, host.NFTMarks, host.IPTablesMarks: // sysctls are examined with the packets that the host sends
		}
	}
	for _, w := range x.heard.Answered {
		x.answer(ctx, w)
	}
	for _, w := range x.heard.Announced {
		x.announcement(ctx, w)
	}
	for _, w := range x.heard.Deaf {
		x.deaf(ctx, w)
	}
}

func (x *examination) get(ctx context.Context, s host.Setting) string {
	value, err := x.kernel.Get(ctx, s)
	if err != nil && x.err == nil {
		x.err = err
	}
	return value
}

func (x *examination) address(s host.Setting) {
	what := "packets for " + s.IP.String() + " are not accepted"
	quiet := slices.DeleteFunc(slices.Clone(x.places[s.IP]), func(a host.Address) bool { return !a.Observed.Silent })
	if len(quiet) == 0 && (len(x.places[s.IP]) == 0 || !x.kernel.Balances(s.IP)) {
		if len(x.places[s.IP]) > 0 {
			what = s.IP.String() + " is on the wrong interface for a real server"
		}
		x.found(what, "it is not on "+s.NIC, s.Command(host.On))
	}
	for _, a := range quiet {
		if a.Prefix.Bits() != s.IP.BitLen() {
			x.found(fmt.Sprintf("the host accepts packets for every address in %s", a.Prefix.Masked()),
				fmt.Sprintf("%s is on %s with prefix length %d", s.IP, a.NIC, a.Prefix.Bits()),
				fmt.Sprintf("ip addr del %s dev %s; %s", a.Prefix, a.NIC, s.Command(host.On)))
		}
		if a.Observed.Down {
			x.found(what, a.NIC+" is down", "ip link set dev "+a.NIC+" up")
		}
	}
}

func (x *examination) tunnel(ctx context.Context, s host.Setting) {
	const what = "the kernel drops packets that arrive through the tunnel"
	if x.get(ctx, s) != host.On {
		x.found(what, s.NIC+" is down", s.Command(host.On))
	}
	own := conf(s.NIC, "rp_filter")
	if value, by := x.larger(ctx, s.NIC, "rp_filter"); s.NIC != "ip6tnl0" && value == 1 {
		x.found(what, by.Dotted()+" is 1, and the route back to clients does not use the tunnel", own.Command("2"))
	}
}

// Two addresses of networks for tests (RFC 2544, RFC 5180). The route to them is the route to
// clients that are not in a network of this host.
var (
	far  = netip.MustParseAddr("198.18.255.254")
	far6 = netip.MustParseAddr("2001:2::fffe")
)

// way examines whether replies to clients go to the director. The kernel can have the default route
// and prefer another one.
func (x *examination) way(ctx context.Context, s host.Setting) {
	client := far
	if s.IP.Is6() {
		client = far6
	}
	to, err := x.kernel.Route(ctx, client)
	if err != nil && x.err == nil {
		x.err = err
	}
	const what = "replies do not go through the director"
	switch {
	case to.Gateway == s.IP:
	case x.get(ctx, s) == host.Off:
		x.found(what, "there is no default route via "+s.IP.String(), s.Command(host.On))
	default:
		why := fmt.Sprintf("the kernel prefers another route to the default route via %s", s.IP)
		x.found(what, why, fmt.Sprintf("find the route with: ip route get %s; ip rule; ip route show table all", client))
	}
}

func conf(nic, name string) host.Setting {
	return host.Setting{Kind: host.Sysctl, Name: "net/ipv4/conf/" + nic + "/" + name}
}

// larger returns the effective value of a sysctl that exists for all interfaces and for one, and
// the setting with that value. The kernel uses the larger value (include/linux/inetdevice.h,
// IN_DEV_MAXCONF).
func (x *examination) larger(ctx context.Context, nic, name string) (int, host.Setting) {
	all, own := conf("all", name), conf(nic, name)
	a, _ := strconv.Atoi(x.get(ctx, all))
	o, _ := strconv.Atoi(x.get(ctx, own))
	if o > a {
		return o, own
	}
	return a, all
}

// rules reports whether ARP rules are used for an address, and whether all of them exist.
func (x *examination) rules(ctx context.Context, ip netip.Addr) (used, complete bool) {
	complete = true
	for _, s := range x.settings {
		if s.IP == ip && (s.Kind == host.NFTables || s.Kind == host.ARPTables) {
			used = true
			complete = complete && x.get(ctx, s) == host.On
		}
	}
	return used, complete
}

// onWire returns the address w.IP on the interface w.NIC. It returns false if that interface does
// not have the address.
func (x *examination) onWire(w host.Word) (host.Address, bool) {
	i := slices.IndexFunc(x.places[w.IP], func(a host.Address) bool { return a.NIC == w.NIC })
	if i < 0 {
		return host.Address{}, false
	}
	return x.places[w.IP][i], true
}

func (x *examination) answer(ctx context.Context, w host.Word) {
	a, onWire := x.onWire(w)
	if onWire && x.kernel.Balances(w.IP) {
		return // A director must reply to ARP queries for its addresses.
	}
	protocol := map[bool]string{false: "ARP", true: "neighbour solicitations"}[w.IP.Is6()]
	what := fmt.Sprintf("%s answers %s for %s, so client packets bypass the director", w.NIC, protocol, w.IP)
	if onWire {
		x.found(what, fmt.Sprintf("%s is on %s", a.Prefix, a.NIC), host.AddressOp{Verb: host.DeleteAddress, Address: a}.String())
		return
	}
	if w.IP.Is6() {
		x.found(what, "no address of this host explains the reply", "find the neighbour proxy with: ip -6 neigh show proxy")
		return
	}
	byRules, complete := x.rules(ctx, w.IP)
	value, by := x.larger(ctx, w.NIC, "arp_ignore")
	all := conf("all", "arp_ignore")
	switch {
	case !complete:
		x.found(what, "an ARP rule is missing", "add the rule with the command of the finding that names it")
	case byRules:
		x.found(what, "the ARP rules exist, but an earlier rule matches first", "check the order of the ARP rules")
	case value == 0:
		x.found(what, all.Dotted()+" is 0", all.Command("1"))
	case by != all:
		x.found(what, fmt.Sprintf("%s is %d, which overrides the lower net.ipv4.conf.all.arp_ignore", by.Dotted(), value), by.Command("0")+"; "+all.Command("1"))
	default:
		x.found(what, fmt.Sprintf("%s is %d", all.Dotted(), value), all.Command("1"))
	}
}

func (x *examination) announcement(ctx context.Context, w host.Word) {
	if _, onWire := x.onWire(w); onWire {
		return // The function answer reports this fault.
	}
	what := fmt.Sprintf("%s announces %s in its own ARP requests, so neighbours learn it", w.NIC, w.IP)
	byRules, complete := x.rules(ctx, w.IP)
	value, by := x.larger(ctx, w.NIC, "arp_announce")
	all := conf("all", "arp_announce")
	switch {
	case !complete:
		x.found(what, "an ARP rule is missing", "add the rule with the command of the finding that names it")
	case byRules:
		x.found(what, "the ARP rules exist, but an earlier rule matches first", "check the order of the ARP rules")
	default:
		x.found(what, fmt.Sprintf("%s is %d", by.Dotted(), value), all.Command("2"))
	}
}

// deaf reports an interface that does not reply even for its own address. The probe proves nothing
// then.
func (x *examination) deaf(ctx context.Context, w host.Word) {
	value, by := x.larger(ctx, w.NIC, "arp_ignore")
	switch {
	case w.IP.Is6():
		x.found(w.NIC+" does not answer neighbour solicitations, not even for its own "+w.IP.String(), "a rule drops them", "check the rules: ip6tables -S, nft list ruleset")
	case value == 8:
		x.found(w.NIC+" answers no ARP request, not even from the director", by.Dotted()+" is 8", by.Command("1"))
	default:
		x.found(w.NIC+" does not answer ARP, not even for its own "+w.IP.String(), "a rule drops ARP requests", "check the rules: arptables -L, nft list ruleset")
	}
}
