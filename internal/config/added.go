package config

import (
	"net/netip"
	"slices"

	"lvs-agents/internal/lvs"
)

// Added returns a real server that the configuration does not have, with the checks Service.Checks.
// It gets the encapsulation of the first real server with the same forwarding method. The address
// must not be in the service. s must be the result of Resolve.
func (s Service) Added(d lvs.Destination) (Real, error) {
	same := slices.IndexFunc(s.Reals, func(r Real) bool { return r.Forward == d.Forward })
	if same >= 0 && d.Encapsulation == (lvs.Encapsulation{}) {
		d.Encapsulation = s.Reals[same].Encapsulation
	}
	real := Real{Destination: d, Line: s.Line}
	if d.Addr.Addr().Is6() != s.IPv6 && d.Forward != lvs.Tunnel {
		return real, s.family(real)
	}
	if f, is := s.itself(real); is {
		return real, f
	}
	if err := (lvs.VirtualService{Service: s.Service, Destinations: []lvs.Destination{d}}).Validate(); err != nil {
		return real, trim(err)
	}
	for _, c := range s.Checks {
		if !c.Target.IsValid() {
			c.Target = netip.AddrPortFrom(d.Addr.Addr(), real.CheckedPort(c))
		}
		real.Checks = append(real.Checks, c)
	}
	return real, nil
}

// usual completes the checks of a service for Added. Only checks that query another host get a
// target.
func (r *resolution) usual(s Service) []Check {
	checks := s.Checks
	if checks == nil && len(s.Reals) > 0 {
		checks = s.Reals[0].Checks
	}
	quiet := resolution{config: r.config, answers: r.answers} // The checks of the real servers have the same problems.
	all := make([]Check, len(checks))
	for i, c := range checks {
		c.Target = netip.AddrPort{}
		quiet.elsewhere(&c, s, Real{})
		quiet.substitute(&c, s)
		all[i] = c
	}
	return all
}
