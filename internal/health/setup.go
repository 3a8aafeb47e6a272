// Package health decides from checks of real servers which of them get new
// connections, and keeps the kernel's IPVS table that way.
//
// The parts: a wheel starts checks, trackers turn results into verdicts, a pure
// policy turns verdicts into the table that is wanted, and one reconciler, the
// only writer, makes the kernel hold it. The records of package record say
// which services it may touch.
package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

// Setup is the virtual services that a daemon looks after, with all addresses.
type Setup struct {
	Services []Service
	Warnings []string // what is checked otherwise than it was asked for
}

// Service is one virtual service.
type Service struct {
	lvs.Service
	Reals     []Real
	Fallback  *lvs.Destination // nil for none
	Quiescent bool             // a real server that is down stays with weight 0
	KeepAtEnd bool             // the service outlives the daemon

	FallbackCommand []string
	MonitorFile     string
	Alert           config.Alert
	Title, Comment  string
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
	UDP  bool // what applications over both are asked by
	// Virtual and VirtualPort are arguments of external checks.
	Virtual     string
	VirtualPort uint16
}

// NewSetup resolves the names of a configuration.
func NewSetup(ctx context.Context, cfg *config.Config, r config.Resolver) (Setup, error) {
	resolved, err := cfg.Resolve(ctx, r)
	if err != nil {
		return Setup{}, err
	}
	var setup Setup
	var known patterns
	for _, s := range resolved.Services {
		service := Service{
			Service: s.Service, Quiescent: s.Quiescent, KeepAtEnd: s.KeepAtEnd, FallbackCommand: s.FallbackCommand,
			MonitorFile: s.MonitorFile, Alert: s.Alert, Title: s.Title, Comment: s.Comment,
		}
		if s.Fallback != nil {
			d, err := s.FallbackDestination(ctx, r)
			if err != nil {
				return Setup{}, fmt.Errorf("%s:%d: %w", cfg.File, s.Fallback.Line, err)
			}
			service.Fallback = &d
		}
		for _, real := range s.Reals {
			probe, warning, err := newProbe(ctx, r, s, real, &known)
			if err != nil {
				return Setup{}, fmt.Errorf("%s:%d: real server %s of %s: %w", cfg.File, real.Line, real.Addr, s.ID, err)
			}
			if warning != "" {
				warning = fmt.Sprintf("%s:%d: %s: %s", cfg.File, s.Line, s.ID, warning)
				if !slices.Contains(setup.Warnings, warning) {
					setup.Warnings = append(setup.Warnings, warning)
				}
			}
			service.Reals = append(service.Reals, Real{Destination: real.Destination, Probe: probe})
		}
		setup.Services = append(setup.Services, service)
	}
	return setup, nil
}

// newProbe says how a real server is checked; the warning is for a check that
// proves less than what was asked for. What is configured and makes no
// difference for the check is left out, so that equal checks are equal.
func newProbe(ctx context.Context, r config.Resolver, s config.Service, real config.Real, known *patterns) (p Probe, warning string, err error) {
	p.Check = s.Check
	p.Addr = netip.AddrPortFrom(real.Addr.Addr(), s.CheckedPort(real))
	if real.Request != "" {
		p.Request, p.Receive = real.Request, real.Receive
	}
	p.login()
	if real.Request != "" {
		if err := p.elsewhere(ctx, r, s.IPv6); err != nil {
			return p, "", err
		}
	}
	warning = p.substitute(s)
	p.Port = 0
	kept := config.Check{Type: p.Type, Timeout: p.Timeout, Interval: p.Interval, Fall: p.Fall, Rise: p.Rise}
	switch p.Type {
	case config.On, config.Off:
		return Probe{Check: config.Check{Type: p.Type}}, warning, nil
	case config.Ping:
		kept.Attempts = max(1, p.Attempts)
		kept.Timeout *= time.Duration(kept.Attempts)
		return Probe{Check: kept, Addr: netip.AddrPortFrom(p.Addr.Addr(), 0)}, warning, nil
	case config.External, config.ExternalPerl:
		kept.Command = p.Command
		p = Probe{Check: kept, Addr: real.Addr, Virtual: strconv.FormatUint(uint64(s.ID.Mark), 10)}
		if !s.ID.IsMark() {
			p.Virtual, p.VirtualPort = hostText(s.ID.Addr.Addr()), s.ID.Addr.Port()
		}
		return p, warning, nil
	case config.Connect:
		p = Probe{Check: kept, Addr: p.Addr}
	case config.UDP:
		kept.Request, kept.Receive = p.Request, p.Receive
		p = Probe{Check: kept, Addr: p.Addr}
	case config.Negotiate, config.Combined:
		p.Attempts = 0
		p.UDP = s.ID.Protocol == lvs.UDP
		if _, err := known.compile(p.Receive); err != nil {
			return p, "", fmt.Errorf("receive: %w", err)
		}
	}
	return p, warning, nil
}

// substitute chooses the check that is run for what was asked, and warns where
// it proves less.
func (p *Probe) substitute(s config.Service) (warning string) {
	if p.Type == config.Connect && s.ID.Protocol == lvs.UDP {
		p.Type = config.Ping
	}
	if p.Type != config.Negotiate && p.Type != config.Combined || p.Application != config.NoApplication {
		return ""
	}
	if p.Type == config.Combined {
		p.Type, p.Timeout = config.Connect, p.ConnectTimeout
		return ""
	}
	p.Type = config.On
	return "service=none has nothing to ask: its real servers count as good without a check; use checktype=connect"
}

// login takes the login of a URL out of the request, which is shown. It is the
// only one of HTTP, as for ldirectord.
func (p *Probe) login() {
	request, own := p.Request, string(p.Application)
	switch own {
	case "http", "https":
	case "http_proxy":
		request, own = strings.TrimPrefix(request, "/"), "http"
	default:
		return
	}
	p.Login, p.Passwd = config.Secret{}, config.Secret{}
	scheme, rest, _ := strings.Cut(request, "://")
	target, err := url.Parse(request)
	if err != nil || scheme != own || target.User == nil {
		return // an error is looked at where the URL is used
	}
	passwd, _ := target.User.Password()
	p.Login, p.Passwd = config.NewSecret(target.User.Username()), config.NewSecret(passwd)
	authority, _, _ := strings.Cut(rest, "/")
	p.Request = scheme + "://" + rest[strings.LastIndex(authority, "@")+1:]
}

// elsewhere takes a request that is a whole URL apart: it says what is asked of
// whom.
func (p *Probe) elsewhere(ctx context.Context, r config.Resolver, ipv6 bool) error {
	scheme, _, whole := strings.Cut(p.Request, "://")
	if !whole || scheme != string(p.Application) || scheme != "http" && scheme != "https" {
		return nil
	}
	target, err := url.Parse(p.Request)
	if err != nil {
		return errors.New("request is no URL; what is special in a login is written as %XX") // the error has the password
	}
	addr, err := config.Lookup(ctx, r, target.Hostname(), ipv6)
	if err != nil {
		return fmt.Errorf("request: %s: %w", target.Hostname(), err)
	}
	port := p.Application.Port()
	if target.Port() != "" {
		given, err := strconv.ParseUint(target.Port(), 10, 16)
		if err != nil {
			return fmt.Errorf("request: port %s is not a number from 1 to 65535", target.Port())
		}
		port = uint16(given)
	}
	p.Addr = netip.AddrPortFrom(addr, port)
	p.VirtualHost = cmp.Or(p.VirtualHost, target.Host)
	p.Request = cmp.Or(target.RequestURI(), "/")
	return nil
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

// users is the real servers that each probe decides about.
func (s Setup) users() map[Probe][]place {
	users := map[Probe][]place{}
	for i, service := range s.Services {
		for j, real := range service.Reals {
			users[real.Probe] = append(users[real.Probe], place{i, j})
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

// fallbacks is the address of the fallback of each service that has one.
func (s Setup) fallbacks() map[lvs.ServiceID]netip.AddrPort {
	all := map[lvs.ServiceID]netip.AddrPort{}
	for _, service := range s.Services {
		if service.Fallback != nil {
			all[service.ID] = service.Fallback.Addr
		}
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

// fixed tells whether there is nothing to run: the verdict is the configuration's.
func (p Probe) fixed() bool { return p.Type == config.On || p.Type == config.Off }
