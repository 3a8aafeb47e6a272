package health

import (
	"cmp"
	"context"
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
	Problems []config.Problem // what is left out, never up, or checked otherwise than it was asked for
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

// NewSetup resolves the names of a configuration. What cannot be used is left out,
// or never counts as up, and is among the problems; the error is for a configuration
// of which nothing is left. Names may be nil where there are only addresses.
func NewSetup(ctx context.Context, cfg *config.Config, names *config.Names) (Setup, error) {
	if names == nil {
		names = config.NewNames(nil)
	}
	resolved, problems := cfg.Resolve(ctx, names)
	setup := Setup{Problems: problems}
	if err := config.Err(problems); err != nil {
		return setup, err
	}
	answers := names.Lookup(ctx, elsewhere(resolved))
	for _, s := range resolved.Services {
		service := Service{
			Service: s.Service, Quiescent: s.Quiescent, KeepAtEnd: s.KeepAtEnd, FallbackCommand: s.FallbackCommand,
			MonitorFile: s.MonitorFile, Alert: s.Alert, Title: s.Title, Comment: s.Comment,
		}
		if s.Fallback != nil {
			d := s.FallbackDestination()
			service.Fallback = &d
		}
		for _, real := range s.Reals {
			probe, warning := newProbe(answers, s, real)
			if warning.What != "" {
				warning.File = cfg.File
				setup.note(warning)
			}
			service.Reals = append(service.Reals, Real{Destination: real.Destination, Probe: probe})
		}
		setup.Services = append(setup.Services, service)
	}
	return setup, nil
}

// note adds a problem that was not found before.
func (s *Setup) note(p config.Problem) {
	if !slices.Contains(s.Problems, p) {
		s.Problems = append(s.Problems, p)
	}
}

// elsewhere is the hosts that requests name.
func elsewhere(cfg *config.Config) []config.Host {
	var all []config.Host
	for _, s := range cfg.Services {
		for _, real := range s.Reals {
			if target, err := config.WholeURL(s.Check.Application, real.Request); err == nil && target != nil {
				all = append(all, config.Host{Name: target.Hostname(), IPv6: s.IPv6})
			}
		}
	}
	return all
}

// newProbe says how a real server is checked; the warning is for a check that
// proves less than what was asked for. What is configured and makes no
// difference for the check is left out, so that equal checks are equal.
func newProbe(answers map[config.Host]config.Answer, s config.Service, real config.Real) (p Probe, warning config.Problem) {
	p.Check = s.Check
	p.Addr = netip.AddrPortFrom(real.Addr.Addr(), s.CheckedPort(real))
	if real.Request != "" {
		p.Request, p.Receive, p.Unusable = real.Request, real.Receive, real.Unusable
	}
	p.login()
	if real.Request != "" {
		if warning = p.elsewhere(answers, s.IPv6); warning.What != "" {
			warning.What = fmt.Sprintf("real server %s of %s: %s", real.Addr, s.ID, warning.What)
			warning.Line = real.Line
		}
	}
	if other := p.substitute(s); other != "" {
		warning = config.Problem{Line: s.Line, Severity: config.Warning, What: s.ID.String() + ": " + other}
	}
	p.Port = 0
	kept := config.Check{Type: p.Type, Timeout: p.Timeout, Interval: p.Interval, Fall: p.Fall, Rise: p.Rise}
	switch p.Type {
	case config.On, config.Off:
		return Probe{Check: config.Check{Type: p.Type}}, warning
	case config.Ping:
		kept.Attempts = max(1, p.Attempts)
		kept.Timeout *= time.Duration(kept.Attempts)
		return Probe{Check: kept, Addr: netip.AddrPortFrom(p.Addr.Addr(), 0)}, warning
	case config.External, config.ExternalPerl:
		kept.Command = p.Command
		p = Probe{Check: kept, Addr: real.Addr, Virtual: strconv.FormatUint(uint64(s.ID.Mark), 10)}
		if !s.ID.IsMark() {
			p.Virtual, p.VirtualPort = hostText(s.ID.Addr.Addr()), s.ID.Addr.Port()
		}
		return p, warning
	case config.Connect:
		p = Probe{Check: kept, Addr: p.Addr}
	case config.UDP:
		kept.Request, kept.Receive, kept.Unusable = p.Request, p.Receive, p.Unusable
		p = Probe{Check: kept, Addr: p.Addr}
	case config.Negotiate, config.Combined:
		p.Attempts = 0
		p.UDP = s.ID.Protocol == lvs.UDP
	}
	return p, warning
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
// whom. A real server that cannot be asked is never up.
func (p *Probe) elsewhere(answers map[config.Host]config.Answer, ipv6 bool) (problem config.Problem) {
	target, err := config.WholeURL(p.Application, p.Request)
	if err != nil || target == nil {
		return problem // an error was one when the file was read
	}
	answer := answers[config.Host{Name: target.Hostname(), IPv6: ipv6}]
	switch {
	case answer.Err == nil:
	case answer.Addr.IsValid():
		problem = config.Problem{Severity: config.Warning, What: fmt.Sprintf("request: %v, so the last address of %s counts, %s", answer.Err, target.Hostname(), answer.Addr)}
	default:
		p.Unusable = "request: " + answer.Err.Error()
		problem = config.Problem{Severity: config.Warning, What: p.Unusable + ", so it is never up"}
	}
	port := p.Application.Port()
	if given, err := strconv.ParseUint(target.Port(), 10, 16); err == nil {
		port = uint16(given)
	}
	if answer.Addr.IsValid() {
		p.Addr = netip.AddrPortFrom(answer.Addr, port)
	}
	p.VirtualHost = cmp.Or(p.VirtualHost, target.Host)
	p.Request = cmp.Or(target.RequestURI(), "/")
	return problem
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

// fixed tells whether there is nothing to run: the verdict is the configuration's.
func (p Probe) fixed() bool { return p.Type == config.On || p.Type == config.Off }
