package config

import (
	"fmt"
	"net/netip"
	"slices"

	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// checkHosts returns the host names that checks query instead of a real server.
func (c *Config) checkHosts() []Host {
	var all []Host
	for _, s := range c.Services {
		for _, r := range s.Reals {
			for _, check := range r.Checks {
				all = appendName(all, check.Host, s.IPv6)
			}
		}
	}
	return all
}

// targets gives every check its target, and substitutes checks that are not possible. The
// services of resolved have addresses only.
func (r *resolution) targets(resolved *Config) {
	services := slices.Clone(resolved.Services)
	for i, s := range services {
		services[i].Checks = r.usual(s)
		services[i].Reals = slices.Clone(s.Reals)
		for j, real := range s.Reals {
			checks := make([]Check, len(real.Checks))
			for k, c := range real.Checks {
				c.Target = netip.AddrPortFrom(real.Addr.Addr(), real.CheckedPort(c))
				r.elsewhere(&c, s, real)
				r.substitute(&c, s)
				checks[k] = c
			}
			services[i].Reals[j].Checks = checks
		}
	}
	resolved.Services = services
}

// warn adds a warning that was not found before.
func (r *resolution) warn(line int, what string) {
	p := Problem{File: r.config.File, Line: line, Severity: Warning, What: what}
	if !slices.Contains(r.problems, p) {
		r.problems = append(r.problems, p)
	}
}

// elsewhere sets the target of a check that has its own host. If that host has no address, the
// check never succeeds.
func (r *resolution) elsewhere(c *Check, s Service, real Real) {
	if c.Host == "" {
		return
	}
	addr, err := netip.ParseAddr(c.Host)
	if err != nil {
		a := r.answers[Host{c.Host, s.IPv6}]
		addr, err = a.Addr, a.Err
	}
	about := fmt.Sprintf("real server %s of %s: request: ", real.Addr, s.ID)
	switch {
	case !addr.IsValid():
		c.Unusable = "request: " + err.Error()
		r.warn(real.Line, fault.Printable(about+err.Error()+", so it is never up"))
		return
	case err != nil:
		r.warn(real.Line, fault.Printable(fmt.Sprintf("%s%v, so the last address of %s counts, %s", about, err, c.Host, addr)))
	}
	c.Target = netip.AddrPortFrom(addr, c.Port)
}

// substitute replaces a check that is not possible for the service. It warns if no check replaces
// it.
func (r *resolution) substitute(c *Check, s Service) {
	switch {
	case c.Type == Connect && s.ID.Protocol == lvs.UDP:
		c.Type = Ping
	case c.Application != NoApplication:
	case c.Type == Combined:
		c.Type, c.Timeout = Connect, c.ConnectTimeout
	case c.Type == Negotiate:
		c.Type = On
		r.warn(s.Line, s.ID.String()+": service=none has no query: its real servers count as good without a check; use checktype=connect")
	}
}
