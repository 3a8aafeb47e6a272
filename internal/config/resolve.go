package config

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// Table returns the services for the kernel, and their real servers with the configured weights.
// It has no fallbacks, because the daemon adds and removes fallbacks with the verdicts of the
// real servers. Table leaves out the same servers as Resolve, and returns the same problems with
// them.
func (c *Config) Table(ctx context.Context, n *Names) (lvs.Table, []Problem) {
	r := c.lookup(ctx, n, false)
	resolved := r.services()
	table := make(lvs.Table, 0, len(resolved.Services))
	for _, s := range resolved.Services {
		table = append(table, s.VirtualService())
	}
	return table, r.problems
}

// Resolve returns the configuration with addresses instead of names and a target for every check.
// It leaves out each service, real server and fallback whose name has no usable address. Of several
// with the same address, it keeps only one. For each that it leaves out, it adds a warning, because
// a change of the DNS must not make a file unusable. If no service or no real server is left, it
// adds an error. Then the checks have no targets.
func (c *Config) Resolve(ctx context.Context, n *Names) (*Config, []Problem) {
	r := c.lookup(ctx, n, true)
	resolved := *r.services()
	if Err(r.problems) == nil {
		r.targets(&resolved)
	}
	return &resolved, r.problems
}

// lookup looks up the names of services, real servers and fallbacks. It looks up the hosts of
// checks only with checks.
func (c *Config) lookup(ctx context.Context, n *Names, checks bool) *resolution {
	if n == nil {
		n = NewNames(nil)
	}
	n.begin()
	r := &resolution{config: c, given: map[lvs.ServiceID]int{}}
	r.named = c.hosts()
	all := r.named
	if checks {
		all = append(all, c.checkHosts()...)
	}
	if len(all) > 0 {
		r.answers = n.Lookup(ctx, all)
	}
	return r
}

// services returns a copy of the configuration with addresses instead of names. Without
// names it is the configuration itself.
func (r *resolution) services() *Config {
	c := r.config
	if len(r.named) == 0 {
		return c
	}
	for _, s := range c.Services {
		if s.Host == "" {
			// A service with an address has precedence over a service with a name.
			r.given[s.ID] = s.Line
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
	return &resolved
}

// hosts returns the names of services, real servers and fallbacks.
func (c *Config) hosts() []Host {
	var all []Host
	for _, s := range c.Services {
		all = appendName(all, s.Host, s.IPv6)
		for _, r := range s.Reals {
			all = appendName(all, r.Host, s.IPv6)
			all = appendName(all, r.Last, s.IPv6)
		}
		for _, f := range s.Fallbacks {
			all = appendName(all, f.Host, s.IPv6)
		}
	}
	return all
}

// appendName appends a host that is not an address.
func appendName(all []Host, name string, ipv6 bool) []Host {
	if name == "" {
		return all
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return all
	}
	return append(all, Host{name, ipv6})
}

// resolution replaces names by addresses.
type resolution struct {
	config   *Config
	named    []Host // named has the host names of services, real servers and fallbacks.
	answers  map[Host]Answer
	given    map[lvs.ServiceID]int // given has the line number of each service.
	total    int                   // total is the number of real servers so far.
	first    Problem               // first is why the first service, real server or fallback was left out.
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

// addr returns the address of a name; ok reports whether the name has an address.
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
		r.left(s.Line, "virtual server "+name, fault.Errorf("delete one of them", "virtual service %s is also in %s", s.Name(), r.config.place(line, s.Line)))
		return s, false
	}
	r.given[s.ID] = s.Line
	r.reals(&s)
	r.fallbacks(&s)
	return s, true
}

// reals replaces the names of real servers by their addresses. If two real servers have the same
// address, the later one in the file counts, as in a file without names.
func (r *resolution) reals(s *Service) {
	all := make([]Real, 0, len(s.Reals))
	// seen has the index in the list all by the address.
	seen := make(map[netip.AddrPort]int, len(s.Reals))
	for _, written := range s.Reals {
		for _, real := range r.addresses(written, s) {
			at, again := seen[real.Addr]
			if !again {
				seen[real.Addr] = len(all)
				all = append(all, real)
				continue
			}
			r.add(Warning, real.Line, Repetition(all[at], real, slices.Equal(all[at].Checks, real.Checks)))
			all[at] = real
		}
	}
	s.Reals = all
}

// Repetition returns the fault of a real server that the file has twice. same reports whether the
// checks of both are the same.
func Repetition(before, again Real, same bool) fault.Fault {
	what := fmt.Sprintf("real server %s is given twice, first in line %d", again.Addr, before.Line%linesOfFile)
	if same && before.Destination == again.Destination && before.Host == again.Host && before.Last == again.Last {
		return fault.New(what, "delete this one")
	}
	return fault.New(what+" with other values; the last one counts", "delete one of them")
}

// addresses returns the real servers of a name or a range of names.
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
		if one.Addr.Addr().Is6() != s.IPv6 && one.Forward != lvs.Tunnel {
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

// fallbacks replaces the names of fallbacks by their addresses. A fallback that is also a
// real server is left out.
func (r *resolution) fallbacks(s *Service) {
	var all []Fallback
	for _, f := range s.Fallbacks {
		addr, ok := r.addr(f.Line, "fallback", Host{f.Host, s.IPv6})
		if !ok {
			continue
		}
		name := f.Host
		f.Host = addr.String()
		if i := slices.IndexFunc(s.Reals, func(real Real) bool { return real.Addr == f.addr() }); i >= 0 {
			r.left(f.Line, "fallback "+name, fault.Errorf("choose another server: the fallback serves when no real server does", "it is also a real server of %s, in line %d", s.Name(), s.Reals[i].Line%linesOfFile))
			continue
		}
		all = append(all, f)
	}
	s.Fallbacks = all
}

// Destination returns the fallback as a destination of weight 1. Host must be an address.
func (f Fallback) Destination() lvs.Destination {
	return lvs.Destination{Addr: f.addr(), Forward: f.Forward, Encapsulation: f.Encapsulation, Weight: 1}
}
