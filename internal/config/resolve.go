package config

import (
	"context"
	"fmt"
	"net/netip"

	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// Table returns what belongs into the kernel: the services and their real
// servers with the configured weights. Fallbacks are not in it: they come and
// go with the health of the real servers. Resolve describes the problems.
func (c *Config) Table(ctx context.Context, n *Names) (lvs.Table, []Problem) {
	resolved, problems := c.Resolve(ctx, n)
	table := make(lvs.Table, 0, len(resolved.Services))
	for _, s := range resolved.Services {
		table = append(table, s.VirtualService())
	}
	return table, problems
}

// Resolve returns the configuration with an address for every name. What has none,
// or one that is there already, is left out with a warning: a change of the DNS is
// no reason to refuse a file. It is an error only if nothing is left.
func (c *Config) Resolve(ctx context.Context, n *Names) (*Config, []Problem) {
	if n == nil {
		n = NewNames(nil)
	}
	n.begin()
	hosts := c.hosts()
	if len(hosts) == 0 {
		return c, nil
	}
	r := resolution{config: c, answers: n.Lookup(ctx, hosts), given: map[lvs.ServiceID]int{}}
	for _, s := range c.Services {
		if s.Host == "" {
			r.given[s.ID] = s.Line // an address counts before a name
		}
	}
	resolved := *c
	resolved.Services = make([]Service, 0, len(c.Services))
	before, left := 0, 0
	for _, s := range c.Services {
		before += len(s.Reals)
		if service, ok := r.service(s); ok {
			resolved.Services = append(resolved.Services, service)
			left += len(service.Reals)
		}
	}
	switch {
	case len(resolved.Services) == 0:
		r.add(Error, r.first.Line, fault.New(r.first.What+", and no virtual service is left", r.first.Fix))
	case before > 0 && left == 0:
		r.add(Error, r.first.Line, fault.New(r.first.What+", and no real server is left", r.first.Fix))
	}
	return &resolved, r.problems
}

// hosts are the names of a configuration.
func (c *Config) hosts() []Host {
	var all []Host
	add := func(name string, ipv6 bool) {
		if name == "" {
			return
		}
		if _, err := netip.ParseAddr(name); err != nil {
			all = append(all, Host{name, ipv6})
		}
	}
	for _, s := range c.Services {
		add(s.Host, s.IPv6)
		for _, r := range s.Reals {
			add(r.Host, s.IPv6)
			add(r.Last, s.IPv6)
		}
		if s.Fallback != nil {
			add(s.Fallback.Host, s.IPv6)
		}
	}
	return all
}

// resolution replaces names by addresses.
type resolution struct {
	config   *Config
	answers  map[Host]Answer
	given    map[lvs.ServiceID]int // lines of services
	total    int                   // of real servers
	first    Problem               // that something is left out for
	problems []Problem
}

func (r *resolution) add(severity Severity, line int, f fault.Fault) {
	r.problems = append(r.problems, Problem{File: r.config.File, Line: line, Severity: severity, What: fault.Printable(f.What), Fix: f.Fix})
}

// left warns that something is left out.
func (r *resolution) left(line int, what string, err error) {
	f := fault.Of(err)
	if r.first.What == "" {
		r.first = Problem{Line: line, What: what + ": " + f.What, Fix: f.Fix}
	}
	r.add(Warning, line, fault.New(what+": "+f.What+", so it is left out", f.Fix))
}

// addr is the address of a name; ok reports whether it has one.
func (r *resolution) addr(line int, what string, h Host) (addr netip.Addr, ok bool) {
	if addr, err := netip.ParseAddr(h.Name); err == nil {
		return addr, true
	}
	a := r.answers[h]
	switch {
	case a.Err == nil:
		return a.Addr, true
	case a.Addr.IsValid():
		f := fault.Of(a.Err)
		r.add(Warning, line, fault.New(fmt.Sprintf("%s %s: %s, so its last address counts, %s", what, h.Name, f.What, a.Addr), f.Fix))
		return a.Addr, true
	}
	r.left(line, what+" "+h.Name, a.Err)
	return addr, false
}

func (r *resolution) service(s Service) (Service, bool) {
	name := s.Host
	if name != "" {
		addr, ok := r.addr(s.Line, "virtual server", Host{name, s.IPv6})
		if !ok {
			return s, false
		}
		s.ID.Addr, s.Host = netip.AddrPortFrom(addr, s.ID.Addr.Port()), ""
		if err := (lvs.VirtualService{Service: s.Service}).Validate(); err != nil {
			r.left(s.Line, "virtual server "+name, trim(err))
			return s, false
		}
	}
	if line, again := r.given[s.ID]; again && line != s.Line {
		r.left(s.Line, "virtual server "+name, fault.Errorf("delete one of them", "virtual service %s is also in line %d", s.Name(), line))
		return s, false
	}
	r.given[s.ID] = s.Line
	r.reals(&s)
	r.fallback(&s)
	return s, true
}

// reals replaces the names of real servers by their addresses. Of two with
// one address the last one counts, as where both are written as addresses.
func (r *resolution) reals(s *Service) {
	all := make([]Real, 0, len(s.Reals))
	seen := make(map[netip.AddrPort]int, len(s.Reals)) // indexes in all
	for _, written := range s.Reals {
		for _, real := range r.addresses(written, s) {
			at, again := seen[real.Addr]
			if !again {
				seen[real.Addr] = len(all)
				all = append(all, real)
				continue
			}
			r.add(Warning, real.Line, Repetition(all[at], real))
			all[at] = real
		}
	}
	s.Reals = all
}

// Repetition is the fault of a real server that is given again.
func Repetition(before, again Real) fault.Fault {
	what := fmt.Sprintf("real server %s is given twice, first in line %d", again.Addr, before.Line)
	before.Line = again.Line
	if before == again {
		return fault.New(what, "delete this one")
	}
	return fault.New(what+" with other values; the last one counts", "delete one of them")
}

// addresses is the real servers of a name or a range of names.
func (r *resolution) addresses(real Real, s *Service) []Real {
	if real.Host == "" {
		r.total++
		return []Real{real}
	}
	name := real.Host
	first, ok := r.addr(real.Line, "real server", Host{real.Host, s.IPv6})
	if !ok {
		return nil
	}
	addrs := []netip.Addr{first}
	if real.Last != "" {
		name += "->" + real.Last
		last, ok := r.addr(real.Line, "real server", Host{real.Last, s.IPv6})
		if !ok {
			return nil
		}
		var err error
		if addrs, err = Range(first, last); err != nil {
			r.left(real.Line, "real servers "+name, err)
			return nil
		}
	}
	if r.total+len(addrs) > MaxReals {
		r.left(real.Line, "real servers "+name, TooManyReals())
		return nil
	}
	r.total += len(addrs)
	all := real.At(addrs, real.Addr.Port())
	for _, one := range all {
		v := lvs.VirtualService{Service: s.Service, Destinations: []lvs.Destination{one.Destination}}
		if one.Addr.Addr().Is6() != s.IPv6 {
			r.left(real.Line, "real server "+name, s.family(one))
			return nil
		}
		if err := v.Validate(); err != nil {
			r.left(real.Line, "real server "+name, trim(err))
			return nil
		}
	}
	return all
}

// fallback replaces the name of a fallback by its address. A fallback that is also a real
// server is left out.
func (r *resolution) fallback(s *Service) {
	if s.Fallback == nil {
		return
	}
	f := *s.Fallback
	addr, ok := r.addr(f.Line, "fallback", Host{f.Host, s.IPv6})
	if !ok {
		s.Fallback = nil
		return
	}
	name := f.Host
	f.Host = addr.String()
	s.Fallback = &f
	for _, real := range s.Reals {
		if real.Addr == s.fallbackAddr() {
			r.left(f.Line, "fallback "+name, fault.Errorf("choose another server: the fallback serves when no real server does", "it is also a real server of %s, in line %d", s.Name(), real.Line))
			s.Fallback = nil
			return
		}
	}
}

// FallbackDestination returns the fallback of a service as a destination of
// weight 1. The service must be resolved and have one.
func (s Service) FallbackDestination() lvs.Destination {
	return lvs.Destination{Addr: s.fallbackAddr(), Forward: s.Fallback.Forward, Weight: 1}
}
