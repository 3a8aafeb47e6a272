package directord

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/attribute"
	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
)

// peers searches for real servers and fallbacks that are other directors. Another director has the
// same table, so it sends the packets of a client on, and the packets loop.
type peers struct {
	name     string // name is the node attribute that every director publishes. Empty means none.
	nodes    func(ctx context.Context, name string) (map[string]string, error)
	resolver config.Resolver
	snapshot func(context.Context) (control.Snapshot, error)
	own      func(netip.Addr) bool // own reports whether this host has the address.
	log      logrus.FieldLogger
	warned   map[string]bool // warned has the texts of warnings that are already in the log.
}

func newPeers(s *server, d *health.Daemon) *peers {
	return &peers{
		name: s.attribute, nodes: attribute.Node{Programs: s.programs.started}.All, resolver: s.sys.Resolver,
		snapshot: d.Snapshot, own: ownAddress, log: s.log, warned: map[string]bool{},
	}
}

func ownAddress(addr netip.Addr) bool {
	has, _ := hostAddresses()
	return has[addr.Unmap()]
}

// run searches every minute until ctx ends, because a director can join later.
func (p *peers) run(ctx context.Context) {
	if p.name == "" {
		return
	}
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.search(ctx)
		}
	}
}

// search logs each real server or fallback that is another director, but each only once.
func (p *peers) search(ctx context.Context) {
	directors := p.directors(ctx)
	if len(directors) == 0 {
		return
	}
	snapshot, err := p.snapshot(ctx)
	if err != nil {
		return
	}
	for _, s := range snapshot.Services {
		servers := slices.Concat(s.Reals, s.OtherFallbacks)
		if s.Fallback != nil {
			servers = append(servers, *s.Fallback)
		}
		for _, server := range servers {
			addr, err := netip.ParseAddrPort(server.Addr)
			if name := directors[addr.Addr()]; err == nil && name != "" {
				p.warn(fmt.Sprintf("%s of %s is director %s, which has the same virtual services, so packets loop between the directors; remove it from %s",
					server.Addr, s.ID, name, snapshot.Config))
			}
		}
	}
}

func (p *peers) warn(text string) {
	if !p.warned[text] {
		p.log.Error(text)
		p.warned[text] = true
	}
}

// directors returns the names of the other directors by their addresses. It leaves out a director
// whose name has no address.
func (p *peers) directors(ctx context.Context) map[netip.Addr]string {
	values, err := p.nodes(ctx, p.name)
	if err != nil {
		return nil // The publisher already logs that the cluster does not reply.
	}
	directors := map[netip.Addr]string{}
	for name := range values {
		addrs, err := p.resolver.LookupNetIP(ctx, "ip", name)
		if err != nil || slices.ContainsFunc(addrs, p.own) {
			continue
		}
		for _, addr := range addrs {
			directors[addr.Unmap()] = name
		}
	}
	return directors
}
