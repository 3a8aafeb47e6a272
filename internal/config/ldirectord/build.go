package ldirectord

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// finish makes the services from the virtual blocks, and validates the services. The parser calls
// finish after it has read the whole file.
func (p *parser) finish() {
	for _, b := range p.blocks {
		if !b.broken {
			p.services(b)
		}
	}
	if len(p.blocks) == 0 {
		p.add(0, 0, config.Warning, fault.New("no virtual service in this file", ""))
	}
	p.problems = append(p.problems, p.config.Validate()...)
	if p.works || len(p.config.Services) == 0 {
		return
	}
	for i := range p.problems {
		if p.problems[i].Severity == config.Refused {
			// No real server of the file can ever be up, so each refused part is an error of the
			// whole file.
			p.problems[i].Severity = config.Error
		}
	}
}

// services adds the services that a virtual block of the file declares. The block has several
// services if its target has a range. Each problem is reported once.
func (p *parser) services(b *block) {
	before := len(p.problems)
	for t := range b.target.Each() {
		first := len(p.problems)
		p.config.Services = append(p.config.Services, p.service(b, t))
		again := func(problem config.Problem) bool { return slices.Contains(p.problems[before:first], problem) }
		p.problems = append(p.problems[:first], slices.DeleteFunc(slices.Clone(p.problems[first:]), again)...)
	}
}

// service returns the service that a virtual block of the file declares for a single target.
func (p *parser) service(b *block, t Target) config.Service {
	protocol, err := t.Protocol(b.protocol)
	if err != nil {
		p.add(b.given["protocol"], 0, config.Error, fault.Of(err))
		protocol = lvs.TCP // With a protocol, the rest of the block can be validated.
	}
	s := b.rest
	s.Service, s.Host, s.IPv6, s.Line = b.service, t.host.name, b.ipv6, b.virtual.line
	s.ID = t.ID(protocol, b.ipv6)
	s.Scheduler = cmp.Or(s.Scheduler, lvs.DefaultScheduler)
	if b.given["schedflags"] == 0 {
		s.Flags |= s.Scheduler.Fallback()
	}
	c := b.checkOver(&p.global, b.check, s.ID)
	s.Alert = b.alertOver(&p.global)
	s.Notify = b.notifyOver(&p.global)
	s.Policy = b.policyOver(&p.global)
	s.Agent = p.agent(b)
	if s.FallbackCommand = b.fallbackCommand; s.FallbackCommand == nil {
		s.FallbackCommand = p.global.fallbackCommand
	}
	if clean := cmp.Or(b.cleanStop, p.global.cleanStop); clean != nil {
		s.KeepAtEnd = !*clean
	}
	s.MarkedDown, s.Quiescent = b.markedDownOver(&p.global)
	s.Observe = b.observeOver(&p.global)
	p.netmask(b, &s)
	p.onePacket(b, &s)
	reals := p.reals(b, s)
	p.fallback(b, &s)
	p.request(b, c)
	p.meaning(b, c)
	p.need(b, s, c, reals)
	p.receive(b, &c, reals)
	p.works = p.works || !neverUp(c, reals)
	s.Reals, s.Checks = withChecks(c, reals)
	return s
}

// checkedReal is a real server with the settings of its line for its check.
type checkedReal struct {
	config.Real
	// request and receive replace the values of the service if request is set.
	request, receive string
	// unusable is why receive or request cannot be used. Empty means that they can.
	unusable string
	// port is the port to check unless the check has a port. 0 means the port of Addr.
	port uint16
}

// check returns the check of a real server of a service that has the check c.
func (r checkedReal) check(c config.Check) config.Check {
	c.Port = cmp.Or(c.Port, r.port)
	if r.request == "" {
		return withoutLogin(c)
	}
	c.Request, c.Receive, c.Unusable = r.request, r.receive, r.unusable
	return elsewhere(withoutLogin(c))
}

// withChecks gives each real server its check. The real servers of a range share a check, and
// so do all real servers whose lines have no settings for checks. The second result is that shared
// check.
func withChecks(c config.Check, reals []checkedReal) (all []config.Real, shared []config.Check) {
	shared = []config.Check{checkedReal{}.check(c)}
	all = make([]config.Real, len(reals))
	for i, r := range reals {
		all[i] = r.Real
		switch {
		case r.request == "" && r.port == 0:
			all[i].Checks = shared
		case i > 0 && reals[i-1].Line == r.Line:
			all[i].Checks = all[i-1].Checks
		default:
			all[i].Checks = []config.Check{r.check(c)}
		}
	}
	return all, shared
}

func (p *parser) netmask(b *block, s *config.Service) {
	line := b.given["netmask"]
	if line == 0 || b.netmask == "" {
		return
	}
	bits, err := lvs.ParseNetmask(fault.Short(b.netmask), b.ipv6)
	switch {
	case err != nil:
		p.add(line, 0, config.Error, fault.Of(err))
	case s.Persistence == 0 && b.given["persistent"] == 0:
		p.add(line, 0, config.Warning, fault.New("netmask has no effect without persistent", "delete the line, or add persistent=SECONDS"))
	default:
		s.Granularity = bits
	}
}

func (p *parser) onePacket(b *block, s *config.Service) {
	switch {
	case !b.onePacket:
	case s.ID.IsMark() || s.ID.Protocol == lvs.UDP:
		s.Flags |= lvs.OnePacket
	default:
		p.add(b.given["ops"], 0, config.Warning, fault.New("ops has an effect for protocol udp and for firewall marks only", "delete the line"))
	}
}

// reals expands ranges and drops repetitions. The last line of a real server counts.
func (p *parser) reals(b *block, s config.Service) []checkedReal {
	all := make([]checkedReal, 0, len(b.reals))
	// seen has the index in the list all by the address.
	seen := make(map[netip.AddrPort]int, len(b.reals))
	for _, written := range b.reals {
		if p.total += written.count(); p.total > config.MaxReals {
			if !p.many {
				p.report(written.st, config.Error, fault.Of(config.TooManyReals()))
			}
			p.many = true
			break
		}
		checkPort := p.onlyChecked(&written, s, b.check.Port)
		reals, err := written.Expand(s.ID.Addr.Port())
		if err != nil {
			f := fault.Of(err)
			p.report(written.st, config.Error, f)
		}
		for _, r := range reals {
			r.Line = written.st.line
			real := checkedReal{Real: r, request: written.request, receive: written.receive, port: checkPort}
			at, again := seen[r.Addr]
			if r.Host != "" || !again {
				seen[r.Addr] = len(all)
				all = append(all, real)
				continue
			}
			p.report(written.st, config.Warning, repetition(all[at], real))
			all[at] = real
		}
	}
	return all
}

// repetition returns the fault of a real server that the file has twice.
func repetition(before, again checkedReal) fault.Fault {
	same := before.request == again.request && before.receive == again.receive && before.port == again.port
	return config.Repetition(before.Real, again.Real, same)
}

// onlyChecked removes the port of a real server whose forwarding method cannot change the port of
// the service. It returns the removed port, which ldirectord checks unless the service has the
// checkport given.
func (p *parser) onlyChecked(w *writtenReal, s config.Service, given uint16) uint16 {
	port := s.ID.Addr.Port()
	if !w.hasPort || w.port == port || s.ID.IsMark() || w.forward.RewritesPort() {
		return 0
	}
	w.hasPort = false
	switch {
	case w.port == 0:
	case given != 0:
		p.report(w.st, config.Warning, fault.New(fmt.Sprintf("only masq changes the port: connections come to port %d, not %d", port, w.port), fmt.Sprintf("write port %d", port)))
	default:
		p.report(w.st, config.Warning, fault.New(fmt.Sprintf("only masq changes the port: port %d of the real server is checked, but connections come to %d", w.port, port),
			fmt.Sprintf("write port %d, and checkport=%d to check that port", port, w.port)))
	}
	return w.port
}

func (p *parser) fallback(b *block, s *config.Service) {
	var warning fault.Fault
	if s.Fallbacks, warning = b.fallbackOver(&p.global, *s); warning.What != "" {
		p.add(s.Fallbacks[0].Line, 0, config.Warning, warning)
	}
}

// fallbackOver chooses the fallback of a service and adapts its port. The warning is empty if
// the port needs no change.
func (own *settings) fallbackOver(file *settings, s config.Service) (all []config.Fallback, warning fault.Fault) {
	written := cmp.Or(own.fallback, file.fallback)
	if s.IPv6 {
		written = cmp.Or(own.fallback6, file.fallback6)
	}
	if written == nil {
		return nil, warning
	}
	f := config.Fallback{Host: written.host.String(), Port: written.port, Forward: written.forward, Encapsulation: written.tunnel, Line: written.line}
	port := s.ID.Addr.Port() // 0 for marks
	switch {
	case !written.hasPort:
		f.Port = port
	case !s.ID.IsMark() && !f.Forward.RewritesPort() && f.Port != port:
		f.Port = port
		warning = fault.New(
			fmt.Sprintf("fallback %s receives port %d of %s: only masq changes the port to %d", f.Host, port, s.Name(), written.port),
			fmt.Sprintf("let it listen on port %d", port))
	}
	return []config.Fallback{f}, warning
}

// Defaults of ldirectord.
const (
	defaultCheckTimeout     = 5 * time.Second
	defaultNegotiateTimeout = 30 * time.Second
	defaultInterval         = 10 * time.Second
	defaultCommand          = "/bin/true"
)

// checkOver completes a check of a service: with the settings of its block, then with the
// settings of the file, then with ldirectord's defaults.
func (own *settings) checkOver(file *settings, c config.Check, id lvs.ServiceID) config.Check {
	c.Type = cmp.Or(c.Type, config.Negotiate)
	if c.Application == "" {
		c.Application = config.NoApplication
		if !id.IsMark() {
			c.Application = config.ApplicationOf(id.Addr.Port())
		}
	}
	c.Timeout = cmp.Or(own.checkTimeout, own.negotiateTimeout, file.checkTimeout, file.negotiateTimeout, defaultCheckTimeout)
	negotiate := cmp.Or(own.negotiateTimeout, own.checkTimeout, file.negotiateTimeout, file.checkTimeout, defaultNegotiateTimeout)
	switch c.Type {
	case config.Negotiate:
		c.Timeout = negotiate
	case config.Combined:
		c.NegotiateTimeout, c.ConnectTimeout, c.Timeout = negotiate, c.Timeout, max(negotiate, c.Timeout)
	case config.Connect, config.Ping, config.UDP, config.On, config.Off, config.External, config.ExternalPerl:
	}
	c.Interval = cmp.Or(own.interval, file.interval, defaultInterval)
	c.FastInterval, c.DownInterval = cmp.Or(own.fast, file.fast), cmp.Or(own.down, file.down)
	c.Fall = cmp.Or(own.fall, file.fall, 1)
	c.Rise = cmp.Or(own.rise, file.rise, 1)
	c.Verify = verification(c)
	c.Attempts = cmp.Or(own.attempts, file.attempts, 1)
	if c.Type == config.External || c.Type == config.ExternalPerl {
		c.Command = cmp.Or(c.Command, defaultCommand)
	}
	return c
}

// verification returns Verify, or the default of Perl's libraries on Debian.
func verification(c config.Check) config.Verification {
	switch c.Application {
	case "https", "pops", "imaps":
		return cmp.Or(c.Verify, "chain")
	case "ldaps":
		return cmp.Or(c.Verify, "no")
	case config.NoApplication:
	}
	return ""
}

// alertOver returns the settings of the block for mail, completed with the settings of the file.
func (own *settings) alertOver(file *settings) config.Alert {
	a := own.alert
	if a.To == nil {
		a.To = file.alert.To
	}
	if a.Phases == nil {
		a.Phases = file.alert.Phases
	}
	if own.given["emailalertfreq"] == 0 {
		a.Repeat = file.alert.Repeat
	}
	a.Relay = cmp.Or(a.Relay, file.alert.Relay)
	return a
}
