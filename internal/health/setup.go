// Package health decides from checks of real servers which of them get new
// connections, and keeps the kernel's IPVS table that way.
//
// The parts: a wheel starts checks, trackers turn results into verdicts, a pure
// policy turns verdicts into the table that is wanted, and one reconciler, the
// only writer, makes the kernel hold it. The records of package record say
// which services it may touch.
package health

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

// Setup is the virtual services that a daemon looks after, with all addresses.
type Setup struct {
	Services   []Service
	AutoReload bool
	Warnings   []string // what is checked otherwise than it was asked for
}

// Service is one virtual service.
type Service struct {
	lvs.Service
	Reals     []Real
	Fallback  *lvs.Destination // nil for none
	Quiescent bool             // a real server that is down stays with weight 0
}

// Real is a real server with its configured weight and what proves it good.
type Real struct {
	lvs.Destination
	Probe Probe
}

// Probe says what is asked, of whom, and when. Equal probes are run once for
// all services that need them.
type Probe struct {
	config.Check
	Addr netip.AddrPort
}

// NewSetup resolves the names of a configuration.
func NewSetup(ctx context.Context, cfg *config.Config, r config.Resolver) (Setup, error) {
	resolved, err := cfg.Resolve(ctx, r)
	if err != nil {
		return Setup{}, err
	}
	setup := Setup{AutoReload: cfg.AutoReload}
	for _, s := range resolved.Services {
		service := Service{Service: s.Service, Quiescent: s.Quiescent}
		if s.Fallback != nil {
			d, err := s.FallbackDestination(ctx, r)
			if err != nil {
				return Setup{}, fmt.Errorf("%s:%d: %w", cfg.File, s.Fallback.Line, err)
			}
			service.Fallback = &d
		}
		for _, real := range s.Reals {
			probe, warning, err := newProbe(s, real)
			if err != nil {
				return Setup{}, fmt.Errorf("%s:%d: real server %s of %s: %w", cfg.File, real.Line, real.Addr, s.ID, err)
			}
			if warning != "" {
				warning = fmt.Sprintf("%s:%d: %s: %s", cfg.File, s.Line, s.ID, warning)
				if !slices.Contains(setup.Warnings, warning) {
					setup.Warnings = append(setup.Warnings, warning)
				}
			}
			service.Reals = append(service.Reals, Real{real.Destination, probe})
		}
		setup.Services = append(setup.Services, service)
	}
	return setup, nil
}

// newProbe says how a real server is checked; the warning is for a check that
// proves less than what was asked for.
func newProbe(s config.Service, real config.Real) (p Probe, warning string, err error) {
	p.Check = s.Check
	if real.Request != "" {
		p.Request, p.Receive = real.Request, real.Receive
	}
	if p.Type == config.Combined {
		p.Type = config.Negotiate
	}
	if p.Type == config.Negotiate {
		p.Type, warning = negotiation(s)
	}
	if p.Type == config.Connect && s.ID.Protocol == lvs.UDP {
		p.Type = config.Ping
	}
	if p.Type == config.External || p.Type == config.ExternalPerl {
		return p, "", fmt.Errorf("checktype=%s is not available; use negotiate, connect or ping", p.Type)
	}
	port := p.Port
	if port == 0 {
		port = real.Addr.Port()
	}
	if port == 0 {
		port = p.Application.Port()
	}
	p.Port = 0
	if port == 0 && (p.Type == config.Connect || p.Type == config.Negotiate) {
		return p, "", fmt.Errorf("no port to check; add checkport=PORT")
	}
	if p.fixed() {
		return Probe{Check: config.Check{Type: p.Type}}, warning, nil
	}
	if p.Type == config.Ping {
		port = 0
	}
	if _, err := regexp.Compile(p.Receive); err != nil {
		return p, "", fmt.Errorf("receive: %w; write one without look-around and back references", err)
	}
	if p.Type != config.Negotiate { // whatever else is configured makes no other check of it
		p.Check = config.Check{Type: p.Type, Timeout: p.Timeout, Interval: p.Interval, Fall: p.Fall}
	}
	p.Addr = netip.AddrPortFrom(real.Addr.Addr(), port)
	return p, warning, nil
}

// negotiation is the check that is run for checktype=negotiate.
func negotiation(s config.Service) (config.CheckType, string) {
	switch application := s.Check.Application; {
	case application == "http":
		return config.Negotiate, ""
	case application == config.NoApplication:
		return config.On, "service=none has nothing to ask: its real servers count as good without a check; use checktype=connect"
	case s.ID.Protocol == lvs.UDP:
		return config.Ping, fmt.Sprintf("service=%s is checked by ping only; this version talks http", application)
	default:
		return config.Connect, fmt.Sprintf("service=%s is checked by connecting only; this version talks http", application)
	}
}

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
			if !seen[real.Probe] {
				seen[real.Probe] = true
				probes = append(probes, real.Probe)
			}
		}
	}
	return probes
}

// Virtual is the addresses of all services, from which nothing may be checked.
func (s Setup) Virtual() []netip.Addr {
	var addrs []netip.Addr
	for _, service := range s.Services {
		if !service.ID.IsMark() {
			addrs = append(addrs, service.ID.Addr.Addr())
		}
	}
	return addrs
}

// fixed tells whether there is nothing to run: the verdict is the configuration's.
func (p Probe) fixed() bool { return p.Type == config.On || p.Type == config.Off }
