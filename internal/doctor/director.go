package doctor

import (
	"context"
	"net/netip"

	"lvs-agents/internal/host"
)

// Director is a host whose kernel balances.
type Director interface {
	// Masqueraded returns the real servers that the director reaches with masquerading.
	Masqueraded() []netip.Addr
	// Forwards reports whether an interface forwards packets of a family.
	Forwards(v6 bool) bool
	Addresses(ctx context.Context, ip netip.Addr) ([]host.Address, error)
	Returns
}

// ExamineDirector returns the faults of a director with masq servers. The director must forward the
// replies of these servers to the clients.
func ExamineDirector(ctx context.Context, d Director) ([]Finding, error) {
	var findings []Finding
	remote := map[netip.Addr]bool{}
	for _, ip := range d.Masqueraded() {
		places, err := d.Addresses(ctx, ip)
		if err != nil {
			return nil, err
		}
		if len(places) > 0 { // This host has the address.
			continue
		}
		remote[ip] = true
		if d.Forwards(ip.Is6()) {
			continue
		}
		f := Finding{What: "replies of the masq server " + ip.String() + " do not reach clients",
			Why: "net.ipv4.ip_forward is 0", Fix: "sysctl -w net.ipv4.ip_forward=1"}
		if ip.Is6() {
			f.Why, f.Fix = "net.ipv6.conf.all.forwarding is 0", "sysctl -w net.ipv6.conf.all.forwarding=1"
		}
		findings = append(findings, f)
	}
	if len(remote) == 0 || len(findings) > 0 { // Without forwarding, no reply passes.
		return findings, nil
	}
	return examineReturns(ctx, d, remote)
}
