package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// Roads reads the routes of a director.
type Roads interface {
	Network(context.Context, host.Search) (host.Network, error)
	Route(ctx context.Context, ip netip.Addr) (host.Route, error)
}

// ExamineTunnels returns a finding for each virtual address whose clients can send packets that are
// too large for a tunnel. The function clamped reports whether a server limits the segments of its
// TCP clients to a size; nil means that no server does. A service with a mark has no address, so it
// is not examined.
func ExamineTunnels(ctx context.Context, r Roads, table lvs.Table, clamped func(server netip.AddrPort, segment int) bool) ([]Finding, error) {
	var findings []Finding
	examined := map[string]bool{}
	for _, v := range table {
		for _, d := range v.Destinations {
			key := fmt.Sprint(v.ID.Addr.Addr(), d.Addr.Addr(), d.Encapsulation)
			if v.ID.Mark != 0 || d.Forward != lvs.Tunnel || examined[key] {
				continue
			}
			examined[key] = true
			t, err := measure(ctx, r, v.ID, d)
			if err != nil {
				return nil, err
			}
			if t.room < t.client && (clamped == nil || v.ID.Protocol != lvs.TCP || !clamped(d.Addr, t.segment())) {
				findings = append(findings, t.finding())
			}
		}
	}
	return findings, nil
}

// tunnel has the sizes of packets on the way to a tunnel server.
type tunnel struct {
	service lvs.ServiceID
	server  lvs.Destination
	outside host.Network // outside is the network of the virtual address.
	inside  host.Route   // inside is the route to the server.
	// client is the size of the largest packet of a client, room of a packet in the tunnel.
	client, room int
}

// measure reads the sizes. If the network of the virtual address or the route to the server is
// unknown, both sizes are 0.
func measure(ctx context.Context, r Roads, id lvs.ServiceID, d lvs.Destination) (tunnel, error) {
	t := tunnel{service: id, server: d}
	var err error
	t.outside, err = r.Network(ctx, host.Search{IP: id.Addr.Addr()})
	if errors.Is(err, host.ErrNoNetwork) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	if t.inside, err = r.Route(ctx, d.Addr.Addr()); err == nil && t.inside.MTU > 0 {
		t.client, t.room = t.outside.MTU, t.inside.MTU-t.overhead()
	}
	return t, err
}

func (t tunnel) overhead() int { return t.server.Encapsulation.Overhead(t.server.Addr.Addr().Is6()) }

// segment returns the size of a TCP segment that fits.
func (t tunnel) segment() int {
	if t.service.Is6() {
		return t.room - 60
	}
	return t.room - 40
}

func (t tunnel) finding() Finding {
	server := t.server.Addr.Addr()
	fix := fmt.Sprintf("ip link set dev %s mtu %d here, and the same on the real servers and switches", t.inside.NIC, t.client+t.overhead())
	if t.service.Protocol == lvs.TCP {
		program := "iptables"
		if t.service.Is6() {
			program = "ip6tables"
		}
		fix += fmt.Sprintf("; or on %s: %s -t mangle -A OUTPUT -p tcp --sport %d --tcp-flags SYN,RST SYN -j TCPMSS --set-mss %d",
			server, program, t.service.Addr.Port(), t.segment())
	}
	return Finding{
		What: fmt.Sprintf("packets of clients with more than %[2]d bytes do not fit into the tunnel from %[1]s to %[3]s, and stall without ICMP",
			t.service.Addr.Addr(), t.room, server),
		Why: fmt.Sprintf("clients can send %d bytes to %s, but the route to the server over %s has MTU %d, and %s adds %d bytes",
			t.client, t.outside.NIC, t.inside.NIC, t.inside.MTU, t.server.Encapsulation.Type, t.overhead()),
		Fix: fix,
	}
}
