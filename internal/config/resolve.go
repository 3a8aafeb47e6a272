package config

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"lvs-agents/internal/lvs"
)

// Resolver looks up host names. *net.Resolver is one.
type Resolver interface {
	// LookupNetIP returns the addresses of a host; network is "ip4" or "ip6".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Table returns what belongs into the kernel: the services and their real
// servers with the configured weights. Fallbacks are not in it: they come and
// go with the health of the real servers. The resolver is used for names only;
// it may be nil where there are none.
func (c *Config) Table(ctx context.Context, r Resolver) (lvs.Table, error) {
	resolved, err := c.Resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	table := make(lvs.Table, 0, len(c.Services))
	for _, s := range resolved.Services {
		v := lvs.VirtualService{Service: s.Service}
		for _, real := range s.Reals {
			v.Destinations = append(v.Destinations, real.Destination)
		}
		table = append(table, v)
	}
	return table, nil
}

// Resolve returns the configuration with an address for every name of a
// virtual service or real server, the first that the resolver gives. Names of
// fallbacks stay; see Service.FallbackDestination.
func (c *Config) Resolve(ctx context.Context, r Resolver) (*Config, error) {
	l := lookup{resolver: r, config: c, known: map[query]answer{}}
	resolved := *c
	resolved.Services = make([]Service, len(c.Services))
	for i, s := range c.Services {
		resolved.Services[i] = l.service(ctx, s)
	}
	if l.names == 0 {
		return c, nil
	}
	if len(l.problems) == 0 {
		l.problems = resolved.judge()
	}
	return &resolved, Err(l.problems)
}

// FallbackDestination returns the fallback of a service as a destination of
// weight 1. The service must have one.
func (s Service) FallbackDestination(ctx context.Context, r Resolver) (lvs.Destination, error) {
	l := lookup{resolver: r, known: map[query]answer{}}
	addr, err := l.addr(ctx, query{s.Fallback.Host, s.IPv6})
	if err != nil {
		return lvs.Destination{}, fmt.Errorf("fallback %s: %w", s.Fallback.Host, err)
	}
	return lvs.Destination{Addr: netip.AddrPortFrom(addr, s.Fallback.Port), Forward: s.Fallback.Forward, Weight: 1}, nil
}

// Lookup returns the address of a name, or of an address that is written as one.
func Lookup(ctx context.Context, r Resolver, name string, ipv6 bool) (netip.Addr, error) {
	l := lookup{resolver: r, known: map[query]answer{}}
	return l.addr(ctx, query{name, ipv6})
}

type query struct {
	host string
	ipv6 bool
}

type answer struct {
	addr netip.Addr
	err  error
}

// lookup resolves names, each once.
type lookup struct {
	resolver Resolver
	config   *Config
	known    map[query]answer
	names    int // that were looked up
	problems []Problem
}

func (l *lookup) service(ctx context.Context, s Service) Service {
	if s.Host != "" {
		addr, err := l.addr(ctx, query{s.Host, s.IPv6})
		l.failed(s.Line, "virtual server", s.Host, err)
		s.ID.Addr = netip.AddrPortFrom(addr, s.ID.Addr.Port())
		s.Host = ""
	}
	reals := make([]Real, 0, len(s.Reals))
	for _, r := range s.Reals {
		if r.Host == "" {
			reals = append(reals, r)
			continue
		}
		reals = append(reals, l.real(ctx, r, s.IPv6)...)
	}
	s.Reals = reals
	return s
}

func (l *lookup) real(ctx context.Context, r Real, ipv6 bool) []Real {
	first, err := l.addr(ctx, query{r.Host, ipv6})
	l.failed(r.Line, "real server", r.Host, err)
	if err != nil {
		return nil
	}
	if r.Last == "" {
		return r.at([]netip.Addr{first}, r.Addr.Port())
	}
	last, err := l.addr(ctx, query{r.Last, ipv6})
	l.failed(r.Line, "real server", r.Last, err)
	if err != nil {
		return nil
	}
	addrs, err := span(first, last)
	l.failed(r.Line, "real servers", r.Host+"->"+r.Last, err)
	return r.at(addrs, r.Addr.Port())
}

func (l *lookup) failed(line int, what, host string, err error) {
	if err != nil {
		l.problems = append(l.problems, Problem{File: l.config.File, Line: line, Severity: Error, What: what + " " + host + ": " + err.Error()})
	}
}

func (l *lookup) addr(ctx context.Context, q query) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(q.host); err == nil {
		return addr, nil
	}
	l.names++
	found, seen := l.known[q]
	if !seen {
		found.addr, found.err = l.ask(ctx, q)
		l.known[q] = found
	}
	return found.addr, found.err
}

func (l *lookup) ask(ctx context.Context, q query) (netip.Addr, error) {
	if l.resolver == nil {
		return netip.Addr{}, errors.New("names are not looked up here; write an address")
	}
	network := "ip4"
	if q.ipv6 {
		network = "ip6"
	}
	addrs, err := l.resolver.LookupNetIP(ctx, network, q.host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, addr := range addrs {
		if addr = addr.Unmap(); addr.Is6() == q.ipv6 {
			return addr.WithZone(""), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no %s address", map[bool]string{false: "IPv4", true: "IPv6"}[q.ipv6])
}
