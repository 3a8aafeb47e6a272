package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// Validate returns the problems of all services. It does not look up names: Resolve validates their
// addresses.
func (c *Config) Validate() []Problem {
	var found []Problem
	seen := map[string]int{}
	for _, s := range c.Services {
		report := func(line int, f fault.Fault) {
			found = append(found, Problem{File: c.File, Line: line, Severity: Error, What: f.What, Fix: f.Fix})
		}
		if line, again := seen[s.Name()]; again {
			report(s.Line, fault.New(fmt.Sprintf("virtual service %s is given twice, first in line %d", s.Name(), line), "delete one of them"))
		}
		seen[s.Name()] = s.Line
		s.judge(report)
		for _, f := range s.PolicyFaults() {
			report(s.Line, f)
		}
		if s.MarkedDown.Ends() && c.ExpireNodestConn != nil && !*c.ExpireNodestConn {
			report(s.Line, fault.New(fmt.Sprintf("on_marked_down=%s of %s contradicts expire_nodest_conn=no: its clients would get no answer and no error", s.MarkedDown, s.Name()),
				"delete the line expire_nodest_conn"))
		}
	}
	return slices.Concat(found, c.markWarnings(), c.HashWarnings(), c.weightWarnings(), c.itselfWarnings(), c.intervalWarnings())
}

// markWarnings returns a warning for each firewall mark of IPv4 packets whose real servers all have
// IPv6 addresses and tunnels. Such tunnels are possible, but virtual6 was probably meant.
func (c *Config) markWarnings() []Problem {
	var found []Problem
	for _, s := range c.Services {
		other := func(r Real) bool { return r.Addr.Addr().Is6() && r.Forward == lvs.Tunnel }
		if s.ID.IsMark() && !s.IPv6 && len(s.Reals) > 0 && !slices.ContainsFunc(s.Reals, func(r Real) bool { return !other(r) }) {
			found = append(found, Problem{
				File: c.File, Line: s.Line, Severity: Warning,
				What: fmt.Sprintf("all real servers of %s are IPv6, but the service is for IPv4 packets", s.Name()),
				Fix:  fmt.Sprintf("for IPv6 packets write virtual6=%d", s.ID.Mark),
			})
		}
	}
	return found
}

// weightWarnings returns warnings about services with weights that their scheduler ignores. Weights
// can also be for the quorum.
func (c *Config) weightWarnings() []Problem {
	var found []Problem
	for _, s := range c.Services {
		if !s.Scheduler.IgnoresWeights() {
			continue
		}
		warn := func(fix, format string, args ...any) {
			what := fmt.Sprintf("%s: scheduler %s ignores all weights except 0, so ", s.Name(), s.Scheduler) + fmt.Sprintf(format, args...)
			found = append(found, Problem{File: c.File, Line: s.Line, Severity: Warning, What: what, Fix: fix})
		}
		weights := make([]int, 0, len(s.Reals))
		for _, r := range s.Reals {
			if r.Weight > 0 {
				weights = append(weights, r.Weight)
			}
		}
		if len(weights) > 0 && slices.Min(weights) < slices.Max(weights) && s.Policy.Quorum == 0 {
			warn("use wrr or wlc, or the same weight for all", "the weights %d and %d have the same effect", slices.Min(weights), slices.Max(weights))
		}
		if s.Policy.SlowStart > 0 {
			warn("use wrr or wlc, or delete slowstart", "slowstart has no effect")
		}
	}
	return found
}

// itselfWarnings returns a warning for each real server with the address of its service. ldirectord
// accepts such real servers.
func (c *Config) itselfWarnings() []Problem {
	var found []Problem
	for _, s := range c.Services {
		for _, r := range s.Reals {
			if f, is := s.itself(r); is {
				found = append(found, Problem{File: c.File, Line: r.Line, Severity: Warning, What: f.What, Fix: f.Fix})
			}
		}
	}
	return found
}

// itself returns the fault of a real server that has the address of its service. The kernel also
// balances connections of the director itself (ip_vs_core.c, NF_INET_LOCAL_OUT). So its checks
// would reach all real servers.
func (s Service) itself(r Real) (f fault.Fault, is bool) {
	at := s.ID.Addr
	if s.ID.IsMark() || s.Host != "" || r.Host != "" || at.Addr() != r.Addr.Addr() || at.Port() != 0 && at.Port() != r.Addr.Port() {
		return f, false
	}
	return fault.New(fmt.Sprintf("real server %s has the address of its service %s, so its checks would reach the service and not one server", r.Addr, s.Name()),
		"for a server on the director itself, use 127.0.0.1 or ::1"), true
}

// intervalWarnings returns a warning for each service whose FastInterval has no effect, because
// every result of a check gives a verdict.
func (c *Config) intervalWarnings() []Problem {
	var found []Problem
	idle := func(c Check) bool { return c.FastInterval > 0 && c.Fall <= 1 && c.Rise <= 1 }
	for _, s := range c.Services {
		if slices.ContainsFunc(s.Reals, func(r Real) bool { return slices.ContainsFunc(r.Checks, idle) }) {
			found = append(found, Problem{
				File: c.File, Line: s.Line, Severity: Warning,
				What: fmt.Sprintf("fastinter of %s has no effect, because one check gives a verdict", s.Name()),
				Fix:  "set fall or rise above 1, or delete fastinter",
			})
		}
	}
	return found
}

// judge reports each error of lvs.VirtualService.Validate with its line. To find the line, it
// validates the service without real servers. If the service alone is valid, it validates the
// service with each real server.
func (s Service) judge(report func(line int, f fault.Fault)) {
	s.ID = s.standIn()
	if err := (lvs.VirtualService{Service: s.Service}).Validate(); err != nil {
		f := trim(err)
		if s.Persistence == 0 && s.ID.Addr.Port() == 0 && !s.ID.IsMark() {
			f.Fix = "add persistent=SECONDS"
		}
		report(s.Line, f)
		return
	}
	seen := make(map[netip.AddrPort]int, len(s.Reals))
	for _, r := range s.Reals {
		if r.Host != "" {
			continue
		}
		v := lvs.VirtualService{Service: s.Service, Destinations: []lvs.Destination{r.Destination}}
		if r.Addr.Addr().Is6() != s.IPv6 && r.Forward != lvs.Tunnel {
			report(r.Line, s.family(r))
		} else if err := v.Validate(); err != nil {
			report(r.Line, trim(err))
		}
		if line, again := seen[r.Addr]; again {
			report(r.Line, fault.New(fmt.Sprintf("real server %s is given twice, first in line %d", r.Addr, line), "delete one of them"))
		}
		seen[r.Addr] = r.Line
	}
	for _, f := range s.Fallbacks {
		if line, real := seen[f.addr()]; real {
			report(f.Line, fault.New(fmt.Sprintf("fallback %s is also a real server of %s, in line %d", f.addr(), s.Name(), line),
				"choose another server: the fallback serves when no real server does"))
		}
	}
}

// family returns the fault of a real server whose address family differs from the family of its
// service.
func (s Service) family(r Real) fault.Fault {
	what, fix := fmt.Sprintf("real server %s of %s: one is IPv6, the other is not", r.Addr, s.Name()), "use a tunnel (ipip, gue or gre), or addresses of one family"
	if s.ID.IsMark() && !s.IPv6 {
		fix = fmt.Sprintf("for a firewall mark of IPv6 packets write virtual6=%d", s.ID.Mark)
	}
	return fault.New(what, fix)
}

// standIn returns the identity of the service, with an example address if it has none yet.
func (s Service) standIn() lvs.ServiceID {
	if s.Host == "" {
		return s.ID
	}
	addr := netip.MustParseAddr("192.0.2.1")
	if s.IPv6 {
		addr = netip.MustParseAddr("2001:db8::1")
	}
	return lvs.AddrService(s.ID.Protocol, netip.AddrPortFrom(addr, s.ID.Addr.Port()))
}

// addr returns the address of the fallback. It is zero while the fallback is a name.
func (f Fallback) addr() netip.AddrPort {
	addr, err := netip.ParseAddr(f.Host)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, f.Port)
}

// trim removes the virtual service from an error of Validate, because the line number already
// identifies the service.
func trim(err error) fault.Fault {
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return fault.Of(err)
}
