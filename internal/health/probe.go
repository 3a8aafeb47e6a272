package health

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

// Setup is the virtual services that a daemon looks after, with all addresses.
type Setup struct {
	Services []Service
	Problems []config.Problem // what is left out, never up, or checked otherwise than it was asked for
}

// Service is one virtual service.
type Service struct {
	lvs.Service
	Reals     []Real
	Fallbacks []lvs.Destination // serve together when no real server does
	Quiescent bool              // a real server that is down stays with weight 0
	KeepAtEnd bool              // the service outlives the daemon

	FallbackCommand []string
	MonitorFile     string
	Alert           config.Alert
}

// Real is a real server with its configured weight. It is good while all of its probes are
// good, and bad while one is bad. Without probes it is good.
type Real struct {
	lvs.Destination
	Probes []Probe
}

// Probe says what is asked, of whom, and when. Equal probes are run once for
// all services that need them.
type Probe struct {
	config.Check
	Addr netip.AddrPort
	UDP  bool // what applications over both are asked by
	// Virtual and VirtualPort are arguments of external checks.
	Virtual     string
	VirtualPort uint16
}

// NewSetup resolves the names of a configuration. What cannot be used is left out,
// or never counts as up, and is among the problems; the error is for a configuration
// of which nothing is left. Names may be nil where there are only addresses.
func NewSetup(ctx context.Context, cfg *config.Config, names *config.Names) (Setup, error) {
	resolved, problems := cfg.Resolve(ctx, names)
	setup := Setup{Problems: problems}
	if err := config.Err(problems); err != nil {
		return setup, err
	}
	for _, s := range resolved.Services {
		service := Service{
			Service: s.Service, Quiescent: s.Quiescent, KeepAtEnd: s.KeepAtEnd, FallbackCommand: s.FallbackCommand,
			MonitorFile: s.MonitorFile, Alert: s.Alert,
		}
		for _, f := range s.Fallbacks {
			service.Fallbacks = append(service.Fallbacks, f.Destination())
		}
		for _, real := range s.Reals {
			service.Reals = append(service.Reals, Real{Destination: real.Destination, Probes: probesOf(s, real)})
		}
		setup.Services = append(setup.Services, service)
	}
	return setup, nil
}

// probesOf is the probes of a real server.
func probesOf(s config.Service, real config.Real) []Probe {
	probes := make([]Probe, 0, len(real.Checks))
	for _, c := range real.Checks {
		if p := newProbe(s, real, c); !slices.Contains(probes, p) {
			probes = append(probes, p)
		}
	}
	return probes
}

// newProbe is the probe of a check that is resolved. What makes no difference for the check
// is left out, so that equal checks are equal.
func newProbe(s config.Service, real config.Real, c config.Check) Probe {
	kept := config.Check{Type: c.Type, Timeout: c.Timeout, Interval: c.Interval, Fall: c.Fall, Rise: c.Rise}
	p := Probe{Check: kept, Addr: c.Target}
	switch c.Type {
	case config.On, config.Off:
		return Probe{Check: config.Check{Type: c.Type}}
	case config.Connect:
	case config.Ping:
		p.Attempts = max(1, c.Attempts)
		p.Timeout *= time.Duration(p.Attempts)
		p.Addr = netip.AddrPortFrom(c.Target.Addr(), 0)
	case config.External, config.ExternalPerl:
		p.Command, p.Addr, p.Virtual = c.Command, real.Addr, strconv.FormatUint(uint64(s.ID.Mark), 10)
		if !s.ID.IsMark() {
			p.Virtual, p.VirtualPort = hostText(s.ID.Addr.Addr()), s.ID.Addr.Port()
		}
	case config.UDP:
		p.Request, p.Receive, p.Unusable = c.Request, c.Receive, c.Unusable
	case config.Negotiate, config.Combined:
		p.Check = c
		p.Host, p.Port, p.Target, p.Attempts = "", 0, netip.AddrPort{}, 0
		p.UDP = s.ID.Protocol == lvs.UDP
	}
	return p
}

// name is what the probe checks, in a word.
func (p Probe) name() string { return cmp.Or(string(p.Application), string(p.Type)) }

// Table is the services with all real servers at their configured weights.
func (s Setup) Table() lvs.Table {
	table := make(lvs.Table, 0, len(s.Services))
	for _, service := range s.Services {
		v := lvs.VirtualService{Service: service.Service}
		for _, real := range service.Reals {
			v.Destinations = append(v.Destinations, real.Destination)
		}
		table = append(table, v)
	}
	return table
}

// Probes are the checks to run, each once.
func (s Setup) Probes() []Probe {
	var probes []Probe
	seen := map[Probe]bool{}
	for _, service := range s.Services {
		for _, real := range service.Reals {
			for _, p := range real.Probes {
				if !seen[p] {
					seen[p] = true
					probes = append(probes, p)
				}
			}
		}
	}
	return probes
}

// users is the real servers that each probe decides about.
func (s Setup) users() map[Probe][]place {
	users := map[Probe][]place{}
	for i, service := range s.Services {
		for j, real := range service.Reals {
			for _, p := range real.Probes {
				users[p] = append(users[p], place{i, j})
			}
		}
	}
	return users
}

// reals is the number of real servers.
func (s Setup) reals() int {
	n := 0
	for _, service := range s.Services {
		n += len(service.Reals)
	}
	return n
}

// byID is the services by their identity.
func (s Setup) byID() map[lvs.ServiceID]*Service {
	all := make(map[lvs.ServiceID]*Service, len(s.Services))
	for i := range s.Services {
		all[s.Services[i].ID] = &s.Services[i]
	}
	return all
}

// Virtual is the addresses of all services, from which nothing may be checked. A
// firewall mark does not tell its own.
func (s Setup) Virtual() []netip.Addr {
	var addrs []netip.Addr
	for _, service := range s.Services {
		if !service.ID.IsMark() {
			addrs = append(addrs, service.ID.Addr.Addr())
		}
	}
	return addrs
}

// shortest is the least time that a check of the probe has.
func (p Probe) shortest() time.Duration {
	if p.Type == config.Combined {
		return min(p.NegotiateTimeout, p.ConnectTimeout)
	}
	return p.Timeout
}

// fixed reports whether there is nothing to run: the verdict is the configuration's.
func (p Probe) fixed() bool { return p.Type == config.On || p.Type == config.Off }
