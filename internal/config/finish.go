package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// finish makes services of the blocks, now that the settings of the whole file
// are known, and judges them.
func (p *parser) finish() {
	for _, b := range p.blocks {
		if !b.broken {
			p.config.Services = append(p.config.Services, p.service(b))
		}
	}
	if len(p.blocks) == 0 {
		p.add(0, 0, Warning, fault.New("no virtual service in this file", ""))
	}
	p.problems = append(p.problems, p.config.judge()...)
	if !p.config.refusesAll() {
		return
	}
	for i := range p.problems {
		if p.problems[i].Severity == Refused {
			p.problems[i].Severity = Error // nothing would be left
		}
	}
}

// service makes a service of a block.
func (p *parser) service(b *block) Service {
	protocol, err := b.target.protocol(b.protocol)
	if err != nil {
		p.add(b.given["protocol"], 0, Error, fault.Of(err))
		protocol = lvs.TCP // something to go on with
	}
	s := b.rest
	s.Service, s.Host, s.IPv6, s.Line, s.Check = b.service, b.target.host.name, b.ipv6, b.virtual.line, b.checks(&p.global)
	s.Alert = b.alertOver(&p.global)
	if s.FallbackCommand = b.fallbackCommand; s.FallbackCommand == nil {
		s.FallbackCommand = p.global.fallbackCommand
	}
	if clean := cmp.Or(b.cleanStop, p.global.cleanStop); clean != nil {
		s.KeepAtEnd = !*clean
	}
	s.ID = b.target.id(protocol, b.ipv6)
	if s.Scheduler == "" {
		s.Scheduler = lvs.DefaultScheduler
	}
	if quiescent := cmp.Or(b.quiescent, p.global.quiescent); quiescent != nil {
		s.Quiescent = *quiescent
	}
	p.netmask(b, &s)
	p.onePacket(b, &s)
	s.Reals = p.reals(b, s)
	s.Fallback = p.fallback(b, s)
	p.request(b, s.Check)
	p.meaning(b, s.Check)
	p.need(b, s)
	p.receive(b, &s)
	return s
}

// request refuses an absolute URL: ldirectord asks the real server for a path
// of that name, and the check never succeeds.
func (p *parser) request(b *block, c Check) {
	scheme, rest, absolute := strings.Cut(urlLogin.ReplaceAllString(c.Request, "://"), "://")
	if !absolute || c.Application != "http" && c.Application != "https" || strings.ContainsAny(scheme, "/?") {
		return
	}
	_, path, _ := strings.Cut(rest, "/")
	p.add(b.given["request"], 0, Error, fault.New(
		"request="+fault.Quote(c.Request)+" is a whole URL; for all real servers of a service it must be a path",
		"write request="+fault.Quote("/"+path)))
}

func (p *parser) netmask(b *block, s *Service) {
	line := b.given["netmask"]
	if line == 0 || b.netmask == "" {
		return
	}
	bits, err := lvs.ParseNetmask(fault.Short(b.netmask), b.ipv6)
	switch {
	case err != nil:
		p.add(line, 0, Error, fault.Of(err))
	case s.Persistence == 0 && b.given["persistent"] == 0:
		p.add(line, 0, Warning, fault.New("netmask has no effect without persistent", "delete the line, or add persistent=SECONDS"))
	default:
		s.Granularity = bits
	}
}

func (p *parser) onePacket(b *block, s *Service) {
	switch {
	case !b.onePacket:
	case s.ID.Protocol == lvs.UDP:
		s.Flags |= lvs.OnePacket
	default:
		p.add(b.given["ops"], 0, Warning, fault.New("ops has an effect for protocol udp only", "delete the line"))
	}
}

// reals expands ranges and drops repetitions; the last one counts.
func (p *parser) reals(b *block, s Service) []Real {
	all := make([]Real, 0, len(b.reals))
	seen := make(map[netip.AddrPort]int, len(b.reals)) // indexes in all
	for _, written := range b.reals {
		if p.total += written.count(); p.total > maxReals {
			if !p.many {
				p.report(written.st, Error, fault.Of(tooMany()))
			}
			p.many = true
			break
		}
		checkPort := p.onlyChecked(&written, s)
		reals, err := written.expand(s.ID.Addr.Port())
		if err != nil {
			f := fault.Of(err)
			p.report(written.st, Error, f)
		}
		for _, r := range reals {
			r.Line, r.CheckPort = written.st.line, checkPort
			at, again := seen[r.Addr]
			if r.Host != "" || !again {
				seen[r.Addr] = len(all)
				all = append(all, r)
				continue
			}
			p.report(written.st, Warning, repetition(all[at], r))
			all[at] = r
		}
	}
	return all
}

// onlyChecked takes the port off a real server that can get no other one than
// the service's, and returns it: ldirectord checks it.
func (p *parser) onlyChecked(w *writtenReal, s Service) uint16 {
	port := s.ID.Addr.Port()
	if !w.hasPort || w.port == port || s.ID.IsMark() || w.forward.RewritesPort() {
		return 0
	}
	w.hasPort = false
	if w.port != 0 {
		p.report(w.st, Warning, fault.New(fmt.Sprintf("only masq changes the port: port %d of the real server is checked, but connections come to %d", w.port, port),
			fmt.Sprintf("write port %d, and checkport=%d if that shall be checked", port, w.port)))
	}
	return w.port
}

// fallback chooses the fallback of a service and fits its port.
func (p *parser) fallback(b *block, s Service) *Fallback {
	written := cmp.Or(b.fallback, p.global.fallback)
	if b.ipv6 {
		written = cmp.Or(b.fallback6, p.global.fallback6)
	}
	if written == nil {
		return nil
	}
	f := &Fallback{Host: written.host.String(), Port: written.port, Forward: written.forward, Line: written.line}
	port := s.ID.Addr.Port() // 0 for marks
	switch {
	case !written.hasPort:
		f.Port = port
	case !s.ID.IsMark() && !f.Forward.RewritesPort() && f.Port != port:
		f.Port = port
		p.add(f.Line, 0, Warning, fault.New(
			fmt.Sprintf("fallback %s receives port %d of %s: only masq changes the port to %d", f.Host, port, s.Name(), written.port),
			fmt.Sprintf("let it listen on port %d", port)))
	}
	return f
}

// Defaults of ldirectord.
const (
	defaultCheckTimeout     = 5 * time.Second
	defaultNegotiateTimeout = 30 * time.Second
	defaultInterval         = 10 * time.Second
	defaultCommand          = "/bin/true"
)

// checks completes the check of a block.
func (b *block) checks(global *settings) Check {
	c := b.check
	c.Type = cmp.Or(c.Type, Negotiate)
	if c.Application == "" {
		c.Application = NoApplication
		if b.target.mark == 0 {
			c.Application = applicationOf(b.target.port)
		}
	}
	c.Timeout = cmp.Or(b.checkTimeout, b.negotiateTimeout, global.checkTimeout, global.negotiateTimeout, defaultCheckTimeout)
	negotiate := cmp.Or(b.negotiateTimeout, b.checkTimeout, global.negotiateTimeout, global.checkTimeout, defaultNegotiateTimeout)
	switch c.Type {
	case Negotiate:
		c.Timeout = negotiate
	case Combined:
		c.NegotiateTimeout, c.ConnectTimeout, c.Timeout = negotiate, c.Timeout, max(negotiate, c.Timeout)
	case Connect, Ping, UDP, On, Off, External, ExternalPerl:
	}
	c.Interval = cmp.Or(b.interval, global.interval, defaultInterval)
	c.Fall = cmp.Or(b.fall, global.fall, 1)
	c.Rise = cmp.Or(b.rise, global.rise, 1)
	c.Verify = c.verification()
	c.Attempts = cmp.Or(b.attempts, global.attempts, 1)
	if c.Type == External || c.Type == ExternalPerl {
		c.Command = cmp.Or(c.Command, defaultCommand)
	}
	return c
}

// alertOver fills what the block leaves out from the file.
func (b *block) alertOver(global *settings) Alert {
	a := b.alert
	if a.To == nil {
		a.To = global.alert.To
	}
	if a.Phases == nil {
		a.Phases = global.alert.Phases
	}
	if b.given["emailalertfreq"] == 0 {
		a.Repeat = global.alert.Repeat
	}
	a.Relay = cmp.Or(a.Relay, global.alert.Relay)
	return a
}

// meaning warns about checks that say nothing, and judges what only the whole
// block shows.
func (p *parser) meaning(b *block, c Check) {
	warn := func(directive, what, fix string) {
		p.add(cmp.Or(b.given[directive], b.virtual.line), 0, Warning, fault.New(what, fix))
	}
	negotiates := c.Type == Negotiate || c.Type == Combined
	switch {
	case (c.Type == External || c.Type == ExternalPerl) && b.given["checkcommand"] == 0:
		warn("checktype", "no checkcommand, so every real server counts as good", "add checkcommand=PROGRAM")
	case c.Type != External && c.Type != ExternalPerl && b.given["checkcommand"] != 0:
		warn("checkcommand", "checkcommand has no effect with checktype="+string(c.Type), "write checktype=external")
	case strings.Contains(c.Command, " "):
		warn("checkcommand", "ldirectord takes the whole value as the name of a program; here it is a program and its arguments", "")
	case negotiates && c.Method == "HEAD" && c.Receive != "":
		warn("httpmethod", "the answer to HEAD has no text, so receive never matches", "write httpmethod=GET")
	}
}

// CheckedPort is the port of a real server that is checked, 0 if there is none.
func (s Service) CheckedPort(r Real) uint16 {
	return cmp.Or(s.Check.Port, r.CheckPort, r.Addr.Port(), s.Check.Application.Port())
}

// asksPort tells whether the check of a service needs a port.
func (s Service) asksPort() bool {
	switch s.Check.Type {
	case Negotiate:
		return s.Check.Application != NoApplication
	case Connect:
		return s.ID.Protocol != lvs.UDP // that is a ping
	case Combined, UDP:
		return true
	case Ping, On, Off, External, ExternalPerl:
	}
	return false
}

// hearsNothing tells whether no answer is expected of a real server.
func (s Service) hearsNothing(r Real) bool {
	if r.Request != "" {
		return r.Receive == ""
	}
	return s.Check.Receive == ""
}

// need reports what a check lacks.
func (p *parser) need(b *block, s Service) {
	for _, r := range s.Reals {
		if s.CheckedPort(r) == 0 && s.asksPort() {
			p.add(r.Line, 0, Warning, fault.New("no port to check, so this real server is never up", "add checkport=PORT"))
			break
		}
	}
	if s.Check.Type == UDP && slices.ContainsFunc(s.Reals, s.hearsNothing) {
		p.add(cmp.Or(b.given["checktype"], b.virtual.line), 0, Warning, fault.New(
			"checktype=udp without receive: a server whose host is down counts as good, too", `add request="TEXT" and receive="TEXT"`))
	}
	if s.Check.Type != Negotiate && s.Check.Type != Combined || len(s.Reals) == 0 {
		return
	}
	if f := s.Check.meaningless(s.ID.Protocol); f.What != "" {
		p.add(cmp.Or(b.given["service"], b.virtual.line), 0, Warning, f)
	}
}

// judge reports what is wrong with the services, names left out.
func (c *Config) judge() []Problem {
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
	}
	return found
}

// judge finds the line for what lvs.VirtualService.Validate reports: it
// validates the service alone, then each real server alone.
func (s Service) judge(report func(line int, f fault.Fault)) {
	s.ID = s.standIn()
	if err := (lvs.VirtualService{Service: s.Service}).Validate(); err != nil {
		f := trim(err)
		if s.Persistence == 0 && s.ID.Addr.Port() == 0 {
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
		if r.Addr.Addr().Is6() != s.IPv6 {
			report(r.Line, s.family(r))
		} else if err := v.Validate(); err != nil {
			report(r.Line, trim(err))
		}
		if line, again := seen[r.Addr]; again {
			report(r.Line, fault.New(fmt.Sprintf("real server %s is given twice, first in line %d", r.Addr, line), "delete one of them"))
		}
		seen[r.Addr] = r.Line
	}
	if line, real := seen[s.fallbackAddr()]; real {
		report(s.Fallback.Line, fault.New(fmt.Sprintf("fallback %s is also a real server of %s, in line %d", s.fallbackAddr(), s.Name(), line),
			"choose another server: the fallback serves when no real server does"))
	}
}

// family is the fault of a real server of the other address family.
func (s Service) family(r Real) fault.Fault {
	what, fix := fmt.Sprintf("real server %s of %s: one is IPv6, the other is not", r.Addr, s.Name()), "use addresses of one family"
	if s.ID.IsMark() && !s.IPv6 {
		fix = fmt.Sprintf("for a firewall mark of IPv6 packets write virtual6=%d", s.ID.Mark)
	}
	return fault.New(what, fix)
}

// standIn is the identity of the service with some address if it has none yet.
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

// fallbackAddr is zero without a fallback or while that is a name.
func (s Service) fallbackAddr() netip.AddrPort {
	if s.Fallback == nil {
		return netip.AddrPort{}
	}
	addr, err := netip.ParseAddr(s.Fallback.Host)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, s.Fallback.Port)
}

// trim takes the virtual service off an error of Validate: the line says which.
func trim(err error) fault.Fault {
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return fault.Of(err)
}
