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
	"lvs-agents/internal/policy"
)

// Setup has the virtual services of a daemon. All host names in it are replaced by addresses.
type Setup struct {
	Services []Service
	// Problems are the parts of the configuration that the daemon does not use as they are written.
	// The daemon leaves the part out, never counts it as up, or checks it in another way.
	Problems []config.Problem
	// OwnFault is how long the daemon lets failed servers serve while it suspects itself. 0 means that
	// it never does.
	OwnFault time.Duration
}

// Service is one virtual service with its real servers and fallbacks.
type Service struct {
	lvs.Service
	Reals     []Real
	Fallbacks []lvs.Destination // Fallbacks serve together when no real server does.
	Quiescent bool              // Quiescent says that a bad real server stays in the kernel, with weight 0.
	// MarkedDown is what happens to the connections of a bad real server.
	MarkedDown config.MarkedDown
	Observe    bool // Observe is config.Service.Observe.
	// KeepAtEnd says that the service stays in the kernel after the daemon has ended.
	KeepAtEnd bool

	FallbackCommand []string
	MonitorFile     string
	Alert           config.Alert
	Notify          config.Notify
	Policy          policy.Settings

	// origin is the service in the configuration. The real servers that operators add have its
	// checks. Nil means that operators can add none.
	origin *config.Service
}

// Real is a real server with its configured weight. It is good while all of its probes are
// good, and bad while one is bad. Without probes it is good.
type Real struct {
	lvs.Destination
	Tier   int // Tier is policy.Server.Tier.
	Probes []Probe
	// Agent reads what the server says about itself. It has no part in the verdict. Zero means none.
	Agent Probe
}

// Probe is a check of one address: the query, the target and the times. The daemon runs equal
// probes once for all services that need them.
type Probe struct {
	config.Check
	Addr netip.AddrPort
	UDP  bool // UDP says that the check uses UDP, for an application that has both TCP and UDP.
	// Virtual and VirtualPort are the address and the port of the virtual service, as arguments of
	// external checks. With a firewall mark, Virtual is the mark and VirtualPort is 0.
	Virtual     string
	VirtualPort uint16
}

// NewSetup resolves the names of a configuration. NewSetup leaves out parts that cannot be used, or
// never counts them as up, and lists them in Problems. NewSetup returns an error if the
// configuration has no usable service. Names can be nil if the configuration has only addresses.
func NewSetup(ctx context.Context, cfg *config.Config, names *config.Names) (Setup, error) {
	resolved, problems := cfg.Resolve(ctx, names)
	setup := Setup{Problems: problems, OwnFault: cfg.OwnFault}
	if err := config.Err(problems); err != nil {
		return setup, err
	}
	for _, s := range resolved.Services {
		service := Service{
			Service: s.Service, Quiescent: s.Quiescent, MarkedDown: s.MarkedDown, Observe: s.Observe, KeepAtEnd: s.KeepAtEnd, FallbackCommand: s.FallbackCommand,
			MonitorFile: s.MonitorFile, Alert: s.Alert, Notify: s.Notify, Policy: s.Policy, origin: usualOf(s),
		}
		for _, real := range s.Reals {
			service.Reals = append(service.Reals, Real{Destination: real.Destination, Tier: real.Tier, Probes: probesOf(s, real), Agent: agentOf(s, real)})
		}
		for _, f := range s.Fallbacks {
			service.Fallbacks = append(service.Fallbacks, service.lastResort(f.Destination()))
		}
		setup.Services = append(setup.Services, service)
	}
	return setup, nil
}

// lastResort returns the destination of a fallback. With mh, the bad real servers keep their slots
// in the hash table, and a client tries 4,093 slots at most. So the fallback gets as many slots as
// the largest real server.
func (s Service) lastResort(d lvs.Destination) lvs.Destination {
	d.Last = true
	if s.Scheduler == "mh" && s.FallsBack() {
		for _, real := range s.Reals {
			d.Weight = max(d.Weight, real.Weight)
		}
	}
	return d
}

// probesOf returns the probes of a real server.
func probesOf(s config.Service, real config.Real) []Probe {
	probes := make([]Probe, 0, len(real.Checks))
	for _, c := range real.Checks {
		if p := newProbe(s, real, c); !slices.Contains(probes, p) {
			probes = append(probes, p)
		}
	}
	return probes
}

// agentCheck is the application of the probe Real.Agent.
const agentCheck config.Application = "agent-check"

// agentOf returns the probe that reads what a real server says about itself. It is zero if the
// service has no agent.
func agentOf(s config.Service, real config.Real) Probe {
	const longest = 5 * time.Second
	a := s.Agent
	if a.Port == 0 {
		return Probe{}
	}
	addr := a.Addr
	if !addr.IsValid() {
		addr = real.Addr.Addr()
	}
	return Probe{Addr: netip.AddrPortFrom(addr, a.Port), Check: config.Check{
		Type: config.Negotiate, Application: agentCheck, Request: a.Send, Interval: a.Interval, Timeout: min(a.Interval, longest), Fall: 1,
	}}
}

// isAgent reports whether the probe is a Real.Agent.
func (p Probe) isAgent() bool { return p.Application == agentCheck }

// all returns the probes of a real server, and its agent as the last one.
func (r Real) all() []Probe {
	if r.Agent == (Probe{}) {
		return r.Probes
	}
	return append(slices.Clone(r.Probes), r.Agent)
}

// newProbe returns the probe of a check whose names are resolved. It leaves out fields that the
// check does not use, so that equal checks have equal probes.
func newProbe(s config.Service, real config.Real, c config.Check) Probe {
	kept := config.Check{Type: c.Type, Timeout: c.Timeout, Interval: c.Interval, FastInterval: c.FastInterval, DownInterval: c.DownInterval, Fall: c.Fall, Rise: c.Rise}
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

// name returns the application of the check, or the type if the check has no application.
func (p Probe) name() string { return cmp.Or(string(p.Application), string(p.Type)) }

// Table returns the virtual services with all real servers at their configured weights.
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

// Probes returns the different probes of all real servers, with their agents, each probe once.
func (s Setup) Probes() []Probe {
	var probes []Probe
	seen := map[Probe]bool{}
	for _, service := range s.Services {
		for _, real := range service.Reals {
			for _, p := range real.all() {
				if !seen[p] {
					seen[p] = true
					probes = append(probes, p)
				}
			}
		}
	}
	return probes
}

// users returns, for each probe, the real servers that have this probe.
func (s Setup) users() map[Probe][]place {
	users := map[Probe][]place{}
	for i, service := range s.Services {
		for j, real := range service.Reals {
			for _, p := range real.all() {
				users[p] = append(users[p], place{i, j})
			}
		}
	}
	return users
}

// reals returns the number of real servers in all services.
func (s Setup) reals() int {
	n := 0
	for _, service := range s.Services {
		n += len(service.Reals)
	}
	return n
}

// byID returns the services by their identity.
func (s Setup) byID() map[lvs.ServiceID]*Service {
	all := make(map[lvs.ServiceID]*Service, len(s.Services))
	for i := range s.Services {
		all[s.Services[i].ID] = &s.Services[i]
	}
	return all
}

// Virtual returns the addresses of all services. Checks must not use them as their source. A
// service with a firewall mark has no known address.
func (s Setup) Virtual() []netip.Addr {
	var addrs []netip.Addr
	for _, service := range s.Services {
		if !service.ID.IsMark() {
			addrs = append(addrs, service.ID.Addr.Addr())
		}
	}
	return addrs
}

// shortest returns the shortest timeout of the probe's checks.
func (p Probe) shortest() time.Duration {
	if p.Type == config.Combined {
		return min(p.NegotiateTimeout, p.ConnectTimeout)
	}
	return p.Timeout
}

// reaction returns the longest time until the checks turn a fault of a good real server into a
// verdict. The second check can start up to two fast intervals after the first one.
func (p Probe) reaction() time.Duration {
	fall := time.Duration(max(1, p.Fall))
	if p.FastInterval == 0 || fall == 1 {
		return fall*p.Interval + p.Timeout
	}
	return p.Interval + fall*p.FastInterval + p.Timeout
}

// fixed reports whether the configuration itself has the verdict, so that the daemon runs no check.
func (p Probe) fixed() bool { return p.Type == config.On || p.Type == config.Off }
