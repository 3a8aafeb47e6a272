package keepalived

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

const (
	mostMark           = 1<<32 - 1
	defaultPersistence = 360 * time.Second // The persistence without a number.
)

// method is a forwarding method with its header.
type method struct {
	forward       lvs.Forward
	encapsulation lvs.Encapsulation
}

// virtual is a virtual_server, before its real servers are added.
type virtual struct {
	service  config.Service
	protocol lvs.Protocol // protocol is 0 if the block does not say it.
	family   string       // family is the argument of ip_family, or empty.
	weight   int
	method   method
	host     string // host is the virtual host of all checks.
	checks   timing
	sorry    *statement
	// sorryMethod is the method of the sorry server. Nil means the method of the real servers.
	sorryMethod *method
	reals       []*statement
}

// virtual adds the services of a block virtual_server.
func (p *parser) virtual(s *statement) {
	v := virtual{weight: 1, method: method{forward: lvs.Masq}, checks: usual()}
	v.service = config.Service{Line: s.line}
	v.service.Scheduler = "wlc"
	for _, inner := range s.body {
		p.virtualSetting(&v, inner)
	}
	if policy := &v.service.Policy; policy.Hysteresis > 0 && policy.Hysteresis >= policy.Quorum {
		p.report(s.line, config.Ignored, fault.New(fmt.Sprintf("hysteresis %d is not below the quorum", policy.Hysteresis), ""))
		policy.Hysteresis = 0
	}
	if len(v.reals) == 0 {
		p.report(s.line, config.Ignored, fault.New(s.title()+" has no real server", ""))
		return
	}
	p.unheeded(s, &v)
	p.inhibit(&v)
	p.notify(&v)
	p.mail(&v)
	ids := p.identities(s, &v)
	p.repeated(s, v.service.Notify, len(ids))
	for _, id := range ids {
		p.service(v, id)
	}
}

// unheeded reports settings of a virtual_server that have no effect, because another setting is
// absent or the service is of another kind. They have no effect in keepalived either.
func (p *parser) unheeded(s *statement, v *virtual) {
	unheeded := func(key, reason string) {
		if setting := s.find(key); setting != nil {
			p.report(setting.line, config.Ignored, fault.New(setting.title()+": "+reason, ""))
		}
	}
	if v.sorry == nil {
		unheeded("sorry_server_lvs_method", "there is no sorry_server")
	}
	switch s.arg() {
	case "fwmark":
		unheeded("protocol", "a service with fwmark has each protocol")
	case "group": // It can have addresses and marks.
	default:
		unheeded("ip_family", "only a service with fwmark needs the family")
	}
}

// virtualSetting applies a statement of virtual_server.
func (p *parser) virtualSetting(v *virtual, s *statement) {
	switch s.key() {
	case "real_server":
		v.reals = append(v.reals, s)
	case "lvs_sched", "lb_algo":
		scheduler, err := lvs.ParseScheduler(s.arg())
		if err != nil {
			p.report(s.line, config.Error, fault.Of(err))
			return
		}
		v.service.Scheduler = scheduler
	case "ops":
		v.service.Flags |= lvs.OnePacket
	case "flag-1", "sh-fallback", "mh-fallback":
		v.service.Flags |= lvs.SchedOne
	case "flag-2", "sh-port", "mh-port":
		v.service.Flags |= lvs.SchedTwo
	case "flag-3":
		v.service.Flags |= lvs.SchedTri
	case "lvs_method", "lb_kind":
		v.method = p.method(s)
	case "persistence_timeout":
		v.service.Persistence = defaultPersistence
		if s.arg() != "" {
			v.service.Persistence = p.timer(s).Truncate(time.Second)
		}
	case "persistence_granularity":
		bits, err := lvs.ParseNetmask(s.arg(), !strings.Contains(s.arg(), "."))
		if err != nil {
			p.report(s.line, config.Error, fault.Of(err))
		}
		v.service.Granularity = bits
	case "persistence_engine":
		engine, err := lvs.ParseEngine(s.arg())
		if err != nil {
			p.report(s.line, config.Error, fault.Of(err))
		}
		v.service.Engine = engine
	case "protocol":
		protocols := map[string]lvs.Protocol{"TCP": lvs.TCP, "UDP": lvs.UDP, "SCTP": lvs.SCTP}
		if v.protocol = protocols[strings.ToUpper(s.arg())]; v.protocol == 0 {
			p.wrong(s, "unknown protocol", "write TCP, UDP or SCTP")
		}
	case "ip_family":
		v.family = s.arg()
	case "weight":
		v.weight = p.number(s, 0, lvs.MaxWeight)
	case "inhibit_on_failure":
		v.service.Quiescent = p.yes(s)
	case "quorum":
		// The quorum 1 is the policy without a quorum, except that it counts weights.
		if n := p.number(s, 1, 1<<30); n > 1 {
			v.service.Policy.Quorum = n
		}
	case "hysteresis":
		v.service.Policy.Hysteresis = p.number(s, 0, 1<<30)
	case "quorum_up":
		p.quorumProgram(&v.service.Notify.QuorumUp, s)
	case "quorum_down":
		p.quorumProgram(&v.service.Notify.QuorumDown, s)
	case "sorry_server":
		v.sorry = s
	case "sorry_server_lvs_method":
		m := p.method(s)
		v.sorryMethod = &m
	case "virtualhost":
		v.host = s.arg()
	case "smtp_alert":
		if p.yes(s) {
			p.drop(s, noQuorumMail, "write programs for quorum_up and quorum_down")
		}
	default:
		if !p.time(&v.checks, s) {
			p.unused(s)
		}
	}
}

// method returns the forwarding method of a statement.
func (p *parser) method(s *statement) method {
	var m method
	switch strings.ToUpper(s.arg()) {
	case "NAT":
		m.forward = lvs.Masq
	case "DR":
		m.forward = lvs.Route
	case "TUN":
		m.forward = lvs.Tunnel
	default:
		p.wrong(s, "unknown forwarding method", "write NAT, DR or TUN")
		return m
	}
	args := s.args()[1:]
	for len(args) > 0 {
		checksum, known := lvs.ParseTunnelChecksum(args[0])
		switch {
		case args[0] == "type" && len(args) > 1:
			types := map[string]lvs.TunnelType{"ipip": lvs.IPIP, "gue": lvs.GUE, "gre": lvs.GRE}
			kind, found := types[args[1]]
			if !found {
				p.wrong(s, "unknown type of tunnel", "write ipip, gue or gre")
			}
			m.encapsulation.Type, args = kind, args[2:]
		case args[0] == "port" && len(args) > 1:
			port, err := strconv.ParseUint(args[1], 10, 16)
			if err != nil {
				p.wrong(s, "not a port", "")
			}
			m.encapsulation.Port, args = uint16(port), args[2:]
		case known:
			m.encapsulation.Checksum, args = checksum, args[1:]
		default:
			p.wrong(s, "unknown word "+fault.Quote(args[0]), "delete it")
			return m
		}
	}
	return m
}

// identities returns the identities of the services that a virtual_server makes.
func (p *parser) identities(s *statement, v *virtual) []lvs.ServiceID {
	args := s.args()
	switch {
	case len(args) == 2 && args[0] == "fwmark":
		return p.mark(s, args[1], v.is6(""))
	case len(args) == 2 && args[0] == "group":
		group, found := p.groups[args[1]]
		if !found {
			p.wrong(s, "no virtual_server_group has this name", "")
			return nil
		}
		p.used[group] = true
		var ids []lvs.ServiceID
		for _, entry := range group.body {
			ids = append(ids, p.entry(entry, v)...)
			if len(ids) > config.MaxReals {
				p.report(entry.line, config.Error, fault.Of(config.TooManyReals()))
				return nil
			}
		}
		return ids
	}
	return p.addresses(s, args, v)
}

// is6 reports whether a mark has IPv6 packets. Without a family, the first real server decides.
func (v *virtual) is6(family string) bool {
	if family = cmp.Or(family, v.family); family != "" {
		return family == "inet6"
	}
	return strings.Contains(v.reals[0].arg(), ":")
}

func (p *parser) mark(s *statement, text string, ipv6 bool) []lvs.ServiceID {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		p.wrong(s, fmt.Sprintf("not a mark from 1 to %d", uint32(mostMark)), "")
		return nil
	}
	p.report(s.line, config.Warning, fault.New(fmt.Sprintf("keepalived.conf does not say which packets have mark %d", n), "convert the output of iptables-save, too"))
	return []lvs.ServiceID{lvs.MarkService(uint32(n), ipv6)}
}

// entry returns the identities of a line of virtual_server_group.
func (p *parser) entry(s *statement, v *virtual) []lvs.ServiceID {
	if s.key() == "fwmark" && len(s.words) > 1 {
		return p.mark(s, s.arg(), v.is6(strings.Join(s.words[2:], "")))
	}
	return p.addresses(s, s.words, v)
}

// addresses returns the identities of "ADDRESS [PORT]" or "RANGE [PORT]".
func (p *parser) addresses(s *statement, words []string, v *virtual) []lvs.ServiceID {
	port := p.port(s, words, 1)
	if len(words) == 0 || len(words) > 2 {
		p.wrong(s, "not an address with a port", "write \"192.0.2.10 80\", for example")
		return nil
	}
	first, last, err := span(words[0])
	if err == nil {
		var all []netip.Addr
		if all, err = config.Range(first, last); err == nil {
			var ids []lvs.ServiceID
			for _, addr := range all {
				ids = append(ids, lvs.AddrService(p.protocol(s, v), netip.AddrPortFrom(addr, port)))
			}
			return ids
		}
	}
	p.report(s.line, config.Error, fault.New(s.title()+": "+fault.Of(err).What, "write an address, 192.0.2.10-20 or 192.0.2.0/28"))
	return nil
}

// protocol returns the protocol of a service with an address. keepalived's default is UDP.
func (p *parser) protocol(s *statement, v *virtual) lvs.Protocol {
	if v.protocol == 0 {
		v.protocol = lvs.UDP
		p.report(s.line, config.Warning, fault.New(s.title()+" has no protocol, and keepalived uses UDP", "write \"protocol TCP\" if TCP is meant"))
	}
	return v.protocol
}

// span returns the first and the last address of an address, of a range or of a network.
func span(text string) (first, last netip.Addr, err error) {
	if start, end, found := strings.Cut(text, "-"); found {
		if first, err = netip.ParseAddr(start); err != nil {
			return first, last, err
		}
		if !strings.ContainsAny(end, ".:") {
			end = start[:strings.LastIndexAny(start, ".:")+1] + end
		}
		last, err = netip.ParseAddr(end)
		return first, last, err
	}
	if !strings.Contains(text, "/") {
		first, err = netip.ParseAddr(text)
		return first, first, err
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return first, last, err
	}
	first = network.Masked().Addr()
	bytes := first.AsSlice()
	for bit := network.Bits(); bit < first.BitLen(); bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ = netip.AddrFromSlice(bytes)
	return first, last, nil
}

// port returns the port in the words of an address, or 0.
func (p *parser) port(s *statement, words []string, at int) uint16 {
	if len(words) <= at {
		return 0
	}
	n, err := strconv.ParseUint(words[at], 10, 16)
	if err != nil {
		p.wrong(s, fault.Quote(words[at])+" is not a port", "write a number from 1 to 65535")
	}
	return uint16(n)
}

// service adds one service with its real servers.
func (p *parser) service(v virtual, id lvs.ServiceID) {
	s := v.service
	s.ID = id
	s.IPv6 = id.IPv6 || id.Addr.Addr().Is6()
	anyPort := !id.IsMark() && id.Addr.Port() == 0
	if s.Persistence == 0 && (anyPort || s.Granularity != 0 || s.Engine != "") {
		s.Persistence = defaultPersistence
	}
	if s.Flags&lvs.OnePacket != 0 && id.Protocol != lvs.UDP && !id.IsMark() {
		s.Flags &^= lvs.OnePacket
		p.report(s.Line, config.Ignored, fault.New("ops has an effect only with UDP", ""))
	}
	if p.reals > config.MaxReals {
		return
	}
	given := map[netip.AddrPort]bool{}
	for _, real := range v.reals {
		p.real(&s, v, real, given)
		if p.reals > config.MaxReals {
			p.report(real.line, config.Error, fault.Of(config.TooManyReals()))
			return
		}
	}
	if v.sorry != nil {
		p.sorry(&s, v)
	}
	p.config.Services = append(p.config.Services, s)
}

// sorry adds the sorry server as the fallback.
func (p *parser) sorry(s *config.Service, v virtual) {
	addr, err := netip.ParseAddr(v.sorry.arg())
	if err != nil {
		p.wrong(v.sorry, "not an address", "")
		return
	}
	m := v.method
	if v.sorryMethod != nil {
		m = *v.sorryMethod
	}
	s.Fallbacks = []config.Fallback{{
		Host: addr.String(), Port: p.realPort(s, v.sorry, m.forward), Forward: m.forward, Encapsulation: m.encapsulation, Line: v.sorry.line,
	}}
}

// realPort returns the port of a real server. Only NAT changes the port.
func (p *parser) realPort(s *config.Service, real *statement, forward lvs.Forward) uint16 {
	port := s.ID.Addr.Port()
	own := cmp.Or(p.port(real, real.words, 2), port)
	switch {
	case s.ID.IsMark():
		return 0
	case own != port && !forward.RewritesPort():
		p.report(real.line, config.Ignored, fault.New(fmt.Sprintf("only lvs_method NAT changes the port: connections come to port %d", port), ""))
		return port
	}
	return own
}

// real adds a real server. given are the addresses of the real servers before it.
func (p *parser) real(s *config.Service, v virtual, block *statement, given map[netip.AddrPort]bool) {
	p.reals++
	addr, err := netip.ParseAddr(block.arg())
	if err != nil {
		p.wrong(block, "not an address", "write \"real_server 192.0.2.21 80\", for example")
		return
	}
	m, weight, timing, host := v.method, v.weight, v.checks, v.host
	r := config.Real{Line: block.line}
	var checkers []*statement
	for _, inner := range block.body {
		switch inner.key() {
		case "weight":
			weight = p.number(inner, 0, lvs.MaxWeight)
		case "lvs_method", "lb_kind":
			m = p.method(inner)
		case "uthreshold":
			r.Upper = uint32(p.number(inner, 0, lvs.MaxThreshold)) //nolint:gosec // number limits it.
		case "lthreshold":
			r.Lower = uint32(p.number(inner, 0, lvs.MaxThreshold)) //nolint:gosec // number limits it.
		case "inhibit_on_failure", "notify_up", "notify_down", "smtp_alert":
			// The methods inhibit, notify and mail read them.
		case "virtualhost":
			host = inner.arg()
		case "TCP_CHECK", "HTTP_GET", "SSL_GET", "SMTP_CHECK", "DNS_CHECK", "PING_CHECK", "MISC_CHECK", "UDP_CHECK":
			checkers = append(checkers, inner)
		default:
			if !p.time(&timing, inner) {
				p.unused(inner)
			}
		}
	}
	r.Addr = netip.AddrPortFrom(addr, p.realPort(s, block, m.forward))
	r.Forward, r.Encapsulation, r.Weight = m.forward, m.encapsulation, weight
	if given[r.Addr] {
		p.report(block.line, config.Ignored, fault.New(block.title()+" is given twice", "delete one of them"))
		return
	}
	if addr.Is6() != s.IPv6 && m.forward != lvs.Tunnel {
		p.report(block.line, config.Ignored, fault.New(block.title()+" has another address family than the service", "delete it"))
		return
	}
	given[r.Addr] = true
	for _, c := range checkers {
		r.Checks = append(r.Checks, p.checks(s, c, timing, host, block)...)
	}
	for i, c := range r.Checks {
		if c.Host != "" { // A check of another host has no default port.
			r.Checks[i].Port = cmp.Or(c.Port, r.Addr.Port())
		}
	}
	s.Reals = append(s.Reals, r)
}

// inhibit sets the reaction of a service to a real server that is down. A real server can have
// another reaction than the service in keepalived.
func (p *parser) inhibit(v *virtual) {
	var other *statement
	inhibiting := 0
	for _, real := range v.reals {
		own := v.service.Quiescent
		if s := real.find("inhibit_on_failure"); s != nil {
			if own = p.yes(s); own != v.service.Quiescent {
				other = s
			}
		}
		if own {
			inhibiting++
		}
	}
	if inhibiting > 0 && inhibiting < len(v.reals) {
		p.report(other.line, config.Warning, fault.New("inhibit_on_failure is a setting of the whole service: each real server that is down gets weight 0", ""))
	}
	v.service.Quiescent = inhibiting > 0
}
