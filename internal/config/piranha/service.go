package piranha

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// mostMark is the largest packet mark.
const mostMark = 1<<32 - 1

// service adds the virtual service of a block.
func (p *parser) service(v virtual, forward lvs.Forward) {
	port := p.port(v.settings, "port", 80)
	s := config.Service{Line: v.line, Quiescent: p.yes(v.settings, "quiesce_server")}
	if mark := p.number(v.settings, "fwmark", 0, mostMark); mark != 0 {
		s.ID = lvs.MarkService(uint32(mark), false) //nolint:gosec // number limits it.
		p.report(v.at("fwmark"), config.Warning, fault.New(fmt.Sprintf("lvs.cf does not say which packets have mark %d", mark), "convert the output of iptables-save, too"))
	} else {
		addr, _, _ := strings.Cut(v.text("address", ""), " ")
		ip, err := netip.ParseAddr(addr)
		if err != nil {
			return // The method address has reported it.
		}
		s.ID = lvs.AddrService(p.protocol(v), netip.AddrPortFrom(ip, port))
	}
	scheduler, err := lvs.ParseScheduler(v.text("scheduler", "wlc"))
	if err != nil {
		p.report(v.at("scheduler"), config.Error, fault.Of(err))
		return
	}
	s.Scheduler, s.Flags = scheduler, scheduler.Fallback()
	s.Persistence = p.seconds(v.settings, "persistent", 0)
	p.granularity(v, &s)
	if sorry := v.text("sorry_server", ""); sorry != "" {
		s.Fallbacks = []config.Fallback{{Host: p.ip(v.settings, "sorry_server", sorry).String(), Port: s.ID.Addr.Port(), Forward: forward, Line: v.at("sorry_server")}}
	}
	check := p.check(v, port)
	for _, server := range v.servers {
		p.real(&s, server, forward, check)
	}
	if v.text("load_monitor", "none") != "none" {
		p.report(v.at("load_monitor"), config.Dropped, fault.New("load_monitor changes weights by the load of the real server", "the weights stay as they are configured"))
	}
	p.config.Services = append(p.config.Services, s)
}

func (p *parser) protocol(v virtual) lvs.Protocol {
	switch word := v.text("protocol", "tcp"); word {
	case "tcp":
		return lvs.TCP
	case "udp":
		return lvs.UDP
	default:
		p.report(v.at("protocol"), config.Error, fault.New(fmt.Sprintf("unknown protocol %s", fault.Quote(word)), "write tcp or udp"))
		return lvs.TCP
	}
}

// services are the names of ports that sites use with piranha.
var services = map[string]uint16{
	"http": 80, "www": 80, "https": 443, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "pop3": 110, "nntp": 119,
	"imap": 143, "imap2": 143, "ldap": 389, "ldaps": 636, "imaps": 993, "pop3s": 995, "mysql": 3306, "postgresql": 5432,
}

func (p *parser) port(s settings, key string, otherwise uint16) uint16 {
	text := s.text(key, strconv.Itoa(int(otherwise)))
	if port, found := services[text]; found {
		return port
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		p.report(s.at(key), config.Error, fault.New(fmt.Sprintf("%s = %s is not a port", key, fault.Short(text)), "write a number from 1 to 65535"))
	}
	return uint16(n)
}

func (p *parser) granularity(v virtual, s *config.Service) {
	mask := v.text("pmask", "")
	switch {
	case mask == "" || mask == "255.255.255.255":
	case s.Persistence == 0:
		p.report(v.at("pmask"), config.Ignored, fault.New("pmask is without effect without persistent", ""))
	default:
		bits, err := lvs.ParseNetmask(mask, false)
		if err != nil {
			p.report(v.at("pmask"), config.Error, fault.Of(err))
		}
		s.Granularity = bits
	}
}

// real adds a real server. An inactive server gets weight 0, so that an operator can find it.
func (p *parser) real(s *config.Service, server settings, forward lvs.Forward, check config.Check) {
	if _, given := server.given["address"]; !given {
		p.report(server.line, config.Error, fault.New(fmt.Sprintf("server %s has no address", server.name), "write \"address = ADDRESS\""))
		return
	}
	addr := p.ip(server, "address", server.text("address", ""))
	port := s.ID.Addr.Port()
	if own := p.port(server, "port", port); own != port {
		switch {
		case s.ID.IsMark():
			p.report(server.at("port"), config.Ignored, fault.New("port: a connection with a mark keeps its port", ""))
		case forward.RewritesPort():
			port = own
		default:
			p.report(server.at("port"), config.Ignored, fault.New(fmt.Sprintf("only network = nat changes the port: connections come to port %d", port), ""))
		}
	}
	r := config.Real{Line: server.line, Checks: []config.Check{check}, Destination: lvs.Destination{
		Addr: netip.AddrPortFrom(addr, port), Forward: forward, Weight: p.number(server, "weight", 1, lvs.MaxWeight),
	}}
	if !p.yes(server, "active") {
		r.Weight = 0
		p.report(server.line, config.Warning, fault.New(fmt.Sprintf("server %s is not active: its weight is 0", server.name), "set active = 1, or remove it"))
	}
	s.Reals = append(s.Reals, r)
}

// check returns the check that nanny makes. A single failure makes a server bad. A bad server must
// be good for reentry seconds.
func (p *parser) check(v virtual, port uint16) config.Check {
	interval := max(p.seconds(v.settings, "timeout", 10), time.Second)
	reentry := p.seconds(v.settings, "reentry", 180)
	c := config.Check{
		Interval: interval, Timeout: interval, Attempts: 1, Fall: 1,
		Rise: max(1, int((reentry+interval-1)/interval)), Type: config.Connect, Application: config.NoApplication,
	}
	if p.number(v.settings, "fwmark", 0, mostMark) != 0 {
		c.Port = port
	}
	if program := v.text("send_program", ""); program != "" {
		p.report(v.at("send_program"), config.Dropped, fault.New(fmt.Sprintf("send_program = %s: its output decides; the check is a connection instead", fault.Short(program)),
			"write a program that exits with 0 for a good server, and use checktype=external"))
		for _, key := range []string{"expect", "use_regex"} {
			if _, given := v.get(key); given {
				p.report(v.at(key), config.Dropped, fault.New(key+": it is for the output of send_program", ""))
			}
		}
		return c
	}
	send, expect := v.text("send", ""), v.text("expect", "")
	if send == "" && expect == "" && port == 80 {
		send, expect = `GET / HTTP/1.0\r\n\r\n`, "HTTP"
	}
	if send == "" && expect == "" {
		return c
	}
	if p.http(v, send, expect, &c) {
		return c
	}
	if strings.Contains(send, `\t`) || strings.Contains(send, `\x`) {
		p.report(v.at("send"), config.Dropped, fault.New(`send has \t or \x, and ldirectord.cf cannot have these characters; the check is a connection instead`,
			"write a program that makes this check, and use checktype=external"))
		return c
	}
	c.Type = config.Negotiate
	c.Application = "simpletcp"
	c.Request = strings.ReplaceAll(send, `\r`, "")
	if strings.Contains(send, `\r`) {
		p.report(v.at("send"), config.Warning, fault.New(`the check sends \n instead of \r\n`, ""))
	}
	c.Receive = pattern(expect, p.yes(v.settings, "use_regex"))
	return c
}

// request is an HTTP request without a body.
var request = regexp.MustCompile(`^GET (/\S*)( HTTP/1\.[01])?(\\r|\\n)*$`)

// http makes an HTTP check if the dialogue is one. nanny looks only at the start of the reply.
func (p *parser) http(v virtual, send, expect string, c *config.Check) bool {
	found := request.FindStringSubmatch(send)
	if found == nil || p.yes(v.settings, "use_regex") {
		return false
	}
	first, last := 100, 599
	switch rest, ok := strings.CutPrefix(expect, "HTTP"); {
	case expect == "" || expect == "*" || ok && !strings.Contains(rest, " "):
	case ok:
		_, status, _ := strings.Cut(rest, " ")
		number, err := strconv.Atoi(cmp.Or(strings.TrimSpace(status), "0"))
		if err != nil || number < first || number > last {
			return false
		}
		first, last = number, number
	default:
		return false
	}
	for status := first; status <= last; status++ {
		c.Status.Add(status)
	}
	c.Type, c.Application, c.Request = config.Negotiate, "http", found[1]
	return true
}

// pattern returns the pattern of a reply. Without use_regex, the reply begins with the text. "*" is
// any reply.
func pattern(expect string, regex bool) string {
	switch {
	case expect == "*" || expect == "":
		return ""
	case regex:
		return expect
	}
	return "^" + regexp.QuoteMeta(expect)
}
