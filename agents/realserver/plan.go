package realserver

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"

	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
)

func on(s host.Setting) ledger.Wanted { return ledger.Wanted{Setting: s, Value: host.On} }

func sysctl(value, format string, args ...any) ledger.Wanted {
	return ledger.Wanted{Setting: host.Setting{Kind: host.Sysctl, Name: fmt.Sprintf("net/"+format, args...)}, Value: value}
}

// want returns all settings that make this host a real server. The agent sets them in this order: a
// setting that hides an address comes before the address.
func (a *Agent) want(ctx context.Context) ([]ledger.Wanted, error) {
	if a.Forward == Masq {
		var routes []ledger.Wanted
		for _, ip := range a.Gateway {
			routes = append(routes, on(host.Setting{Kind: host.DefaultRoute, IP: ip}))
		}
		return routes, nil
	}
	want, err := a.silence(ctx)
	if err != nil {
		return nil, err
	}
	prepared := map[string]bool{}
	for _, ip := range a.IP {
		nic := a.place(ip)
		if !prepared[nic] {
			prepared[nic] = true
			if err := a.kernel.Prepare(ctx, nic); err != nil {
				return nil, err
			}
			want = append(want, a.tunnel(nic, ip)...)
		}
		address := host.Setting{Kind: host.HostAddress, NIC: nic, IP: ip}
		if ip.Is4() {
			address.Scope = a.Scope
		}
		want = append(want, on(address))
	}
	return want, nil
}

// place returns the interface that gets an address.
func (a *Agent) place(ip netip.Addr) string {
	switch {
	case a.NIC != "":
		return a.NIC
	case a.Forward == Gate:
		return "lo"
	case ip.Is6():
		return "ip6tnl0"
	}
	return "tunl0"
}

// tunnel returns the settings that make the kernel accept packets from a tunnel. The packets have
// the client's address as their source. The route to the client uses another interface, so strict
// reverse path filtering would drop the packets. The kernel uses the larger of the values of all
// and of the interface. So the value 2 (loose) of the interface is enough. With gue, the kernel
// removes the UDP header, and the interface then receives the packet as with ipip.
func (a *Agent) tunnel(nic string, ip netip.Addr) []ledger.Wanted {
	if a.Forward == Gate {
		return nil
	}
	want := []ledger.Wanted{on(host.Setting{Kind: host.LinkUp, NIC: nic})}
	if ip.Is4() {
		want = append(want, sysctl("2", "ipv4/conf/%s/rp_filter", nic))
	}
	if a.Forward == GUE {
		port := host.Setting{Kind: host.GUEPort, Name: strconv.Itoa(a.Port), IP: netip.IPv4Unspecified()}
		if ip.Is6() {
			port.IP = netip.IPv6Unspecified()
		}
		want = append(want, on(port))
	}
	return want
}

// silence returns the settings that prevent that the host replies to ARP queries for the IPv4
// addresses. IPv6 needs no such settings: a host answers a neighbour solicitation only for
// addresses of the interface that received it (net/ipv6/ndisc.c, ndisc_recv_ns).
func (a *Agent) silence(ctx context.Context) ([]ledger.Wanted, error) {
	var want []ledger.Wanted
	for _, ip := range a.IP {
		switch {
		case ip.Is6():
		case a.Method == BySysctl:
			return []ledger.Wanted{sysctl("1", "ipv4/conf/all/arp_ignore"), sysctl("2", "ipv4/conf/all/arp_announce")}, nil
		default:
			rules, err := a.rules(ctx, ip)
			if err != nil {
				return nil, err
			}
			want = append(want, rules...)
		}
	}
	return want, nil
}

func (a *Agent) rules(ctx context.Context, ip netip.Addr) ([]ledger.Wanted, error) {
	source := a.Source
	if !source.IsValid() {
		var err error
		if source, err = a.kernel.Source(ctx, ip); err != nil {
			return nil, err
		}
	}
	if a.Method == ByNFTables {
		return []ledger.Wanted{on(host.Setting{Kind: host.NFTables, IP: ip, Source: source})}, nil
	}
	program, err := a.kernel.ARPTables(ctx)
	if err != nil {
		return nil, err
	}
	drop := host.Setting{Kind: host.ARPTables, Name: program, IP: ip}
	mangle := drop
	mangle.Source = source
	return []ledger.Wanted{on(drop), on(mangle)}, nil
}

// silenced returns a fault and its fix if an ARP rule hides an address, but this host is also the
// director of the address. Without this fault, it returns an empty text.
func (a *Agent) silenced(ctx context.Context, settings []host.Setting) (string, error) {
	for _, s := range settings {
		if s.Kind != host.NFTables && s.Kind != host.ARPTables {
			continue
		}
		places, err := a.kernel.Addresses(ctx, s.IP)
		if err != nil {
			return "", err
		}
		for _, p := range places {
			if !p.Observed.Silent {
				return fmt.Sprintf("%s is on %s too, and the rule of %s keeps this host from replying to ARP requests for it; use method=sysctl on hosts that may be the director", s.IP, p.NIC, s.Kind), nil
			}
		}
	}
	return "", nil
}
