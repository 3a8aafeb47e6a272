package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// Returns reads which replies of masq servers pass through a director. It has eight methods,
// because only several facts together prove where a reply goes.
type Returns interface {
	Traffic(context.Context) ([]lvs.Traffic, error)
	Handshakes() []host.Handshake
	// SourceDrops returns the number of packets that rp_filter has dropped.
	SourceDrops() int
	// Accepts reports whether a server accepts a connection of this host, and returns the size of
	// the largest segment that the server wants.
	Accepts(ctx context.Context, server netip.AddrPort) (segment int, ok bool)
	Network(context.Context, host.Search) (host.Network, error)
	Source(ctx context.Context, ip netip.Addr) (netip.Addr, error)
	Get(context.Context, host.Setting) (string, error)
}

// returnWait is how long a reply can be under way, or not be in the kernel's counters.
const returnWait = 3 * time.Second

// most is the number of servers that the doctor connects to. A wrong path usually concerns all.
const most = 10

// silence has the signs of missing replies.
type silence struct {
	servers []lvs.Traffic    // No reply of servers has passed.
	clients []host.Handshake // clients wait for a server in their own network.
	waits   bool             // waits says that a client waits for a server.
}

// suspect reports whether a reply can be missing. The counters can lack the newest packets.
func (s silence) suspect() bool {
	return s.waits || slices.ContainsFunc(s.servers, func(t lvs.Traffic) bool { return t.In > 0 })
}

// examineReturns returns a finding for each masq server whose replies do not pass through this
// director. A server that does not accept connections is not a finding, because the health daemon
// reports it.
func examineReturns(ctx context.Context, r Returns, remote map[netip.Addr]bool) ([]Finding, error) {
	before, err := listen(ctx, r, remote)
	if err != nil || !before.suspect() {
		return nil, err
	}
	drops := r.SourceDrops()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(returnWait):
	}
	after, err := listen(ctx, r, remote)
	if err != nil {
		return nil, err
	}
	drops = r.SourceDrops() - drops
	var findings []Finding
	explained := map[netip.AddrPort]bool{}
	for _, c := range after.clients {
		if explained[c.Server] || !slices.Contains(before.clients, c) || !accepts(ctx, r, c.Server) {
			continue
		}
		f, err := bypass(ctx, r, c)
		if err != nil {
			return nil, err
		}
		findings, explained[c.Server] = append(findings, f), true
	}
	for _, t := range after.servers {
		if t.In == 0 || explained[t.Server] || !slices.ContainsFunc(before.servers, t.Of) || len(explained) > most || !accepts(ctx, r, t.Server) {
			continue
		}
		findings, explained[t.Server] = append(findings, lost(ctx, r, t, drops)), true
	}
	return findings, nil
}

func accepts(ctx context.Context, r Returns, server netip.AddrPort) bool {
	_, ok := r.Accepts(ctx, server)
	return ok
}

// listen reads the signs of missing replies of remote servers.
func listen(ctx context.Context, r Returns, remote map[netip.Addr]bool) (s silence, err error) {
	traffic, err := r.Traffic(ctx)
	if err != nil {
		return s, err
	}
	for _, t := range traffic {
		if remote[t.Server.Addr()] && t.Out == 0 {
			s.servers = append(s.servers, t)
		}
	}
	for _, c := range r.Handshakes() {
		if remote[c.Server.Addr()] {
			s.waits = true
			if shared := network(ctx, r, c.Server.Addr()); shared.IsValid() && shared.Contains(c.Client.Addr()) {
				s.clients = append(s.clients, c)
			}
		}
	}
	return s, nil
}

// network returns the directly connected network of an address, or the zero Prefix.
func network(ctx context.Context, r Returns, ip netip.Addr) netip.Prefix {
	found, err := r.Network(ctx, host.Search{IP: ip})
	if err != nil {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(ip, found.Bits).Masked()
}

// bypass returns the finding for a client in the network of its server. The director must also
// replace the client's address, so that the server replies to the director.
func bypass(ctx context.Context, r Returns, c host.Handshake) (Finding, error) {
	shared := network(ctx, r, c.Server.Addr())
	conntrack := host.Setting{Kind: host.Sysctl, Name: "net/ipv4/vs/conntrack"}
	value, err := r.Get(ctx, conntrack)
	program := "iptables"
	if c.Server.Addr().Is6() {
		program = "ip6tables"
	}
	fix := fmt.Sprintf("%s -t nat -A POSTROUTING -s %s -d %s -p tcp --dport %d -j MASQUERADE", program, shared, c.Server.Addr(), c.Server.Port())
	if value != "1" {
		fix = conntrack.Command("1") + "; " + fix
	}
	return Finding{
		What: fmt.Sprintf("clients in the network of masq server %s get no replies", c.Server),
		Why: fmt.Sprintf("the connection of %s to %s waits in SYN_RECV, because the server is in %s too and replies past this director",
			c.Client, c.Virtual, shared),
		Fix: fix,
	}, err
}

// lost returns the finding for a server that has got packets, and none of whose replies has passed.
func lost(ctx context.Context, r Returns, t lvs.Traffic, drops int) Finding {
	f := Finding{What: fmt.Sprintf("replies of masq server %s do not pass through this director", t.Server)}
	if drops > 0 && t.Server.Addr().Is4() {
		f.Why = fmt.Sprintf("in %s, rp_filter has dropped %d packets, because the route to their source uses another interface", returnWait, drops)
		f.Fix = conf("all", "rp_filter").Command("2")
		return f
	}
	f.Why = fmt.Sprintf("virtual service %s has sent it %d packets and no reply has passed, although it accepts connections of this host", t.Service, t.In)
	gateway := "DIRECTOR"
	if own, err := r.Source(ctx, t.Server.Addr()); err == nil {
		gateway = own.String()
	}
	f.Fix = fmt.Sprintf("on %s: lvsctl doctor --gateway %s, then the command that it prints", t.Server.Addr(), gateway)
	return f
}
