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

// timing says when checks run, and how often they can fail.
type timing struct {
	interval, timeout time.Duration
	retry             int // retry is how many failures have no effect. -1 means the default of the check.
	// delay is the time until a check that has failed runs again. 0 means the default of the check.
	delay time.Duration
}

func usual() timing { return timing{interval: 60 * time.Second, timeout: 5 * time.Second, retry: -1} }

// defaultDelay returns the delay of a checker without delay_before_retry.
func (t timing) defaultDelay(keyword string) time.Duration {
	switch keyword {
	case "DNS_CHECK":
		return t.interval
	case "HTTP_GET", "SSL_GET":
		return 3 * time.Second
	}
	return time.Second
}

// delayed returns the time until a check that has failed runs again, or 0 if that is the interval.
// The health daemon does not wait longer than the interval, so delayed reports a longer time.
func (p *parser) delayed(service *config.Service, keyword string, t timing) time.Duration {
	delay := cmp.Or(t.delay, t.defaultDelay(keyword))
	switch {
	case t.retry <= 0 || delay == t.interval:
	case delay < t.interval:
		return delay
	default:
		p.report(service.Line, config.Dropped, fault.New(
			fmt.Sprintf("delay_before_retry %s of %s: a check that has failed runs again after its interval, %ss", seconds(delay), keyword, seconds(t.interval)),
			"use a shorter interval"))
	}
	return 0
}

// mostRetries limits the failures that have no effect.
const mostRetries = 1 << 20

// time applies a statement about the times of checks. It reports whether the statement is one.
func (p *parser) time(t *timing, s *statement) bool {
	switch s.key() {
	case "delay_loop":
		t.interval = p.timer(s)
		if t.interval == 0 {
			p.wrong(s, "not a positive number of seconds", "")
		}
	case "connect_timeout":
		t.timeout = p.timer(s)
	case "retry", "nb_get_retry":
		t.retry = p.number(s, 0, mostRetries)
	case "delay_before_retry":
		t.delay = p.timer(s)
	default:
		return false
	}
	return true
}

// checks returns the checks of a checker. HTTP_GET has a check for each url, and SMTP_CHECK for
// each host.
func (p *parser) checks(service *config.Service, s *statement, t timing, host string, real *statement) []config.Check {
	c := config.Check{Rise: 1, Attempts: 1, Type: config.Connect, Application: config.NoApplication}
	if service.ID.IsMark() {
		c.Port = p.port(real, real.words, 2)
	}
	var inner []*statement
	retries := 1
	switch s.key() {
	case "HTTP_GET":
		c.Type, c.Application, c.VirtualHost = config.Negotiate, "http", host
	case "SSL_GET":
		c.Type, c.Application, c.Verify, c.VirtualHost = config.Negotiate, "https", "no", host
	case "SMTP_CHECK":
		c.Type, c.Application = config.Negotiate, "smtp"
	case "DNS_CHECK":
		c.Type, c.Application, c.Request, retries = config.Negotiate, "dns", ".", 3
		if s.find("type") == nil {
			p.drop(s, "keepalived requests the type SOA, and the check requests an address", "use an external check for other records")
		}
	case "PING_CHECK":
		c.Type = config.Ping
	case "UDP_CHECK":
		c.Type = config.UDP
	case "MISC_CHECK":
		c.Type, retries = config.External, 0
	case "TCP_CHECK":
		if service.ID.Protocol == lvs.UDP {
			c.Type = config.Ping
			p.drop(s, "a UDP service has no check with a TCP connection; the check is a ping instead", "use an external check")
		}
	}
	for _, b := range s.body {
		if b.key() == "url" || b.key() == "host" {
			inner = append(inner, b)
		} else {
			p.checkSetting(&c, &t, b)
		}
	}
	if t.retry < 0 {
		t.retry = retries
	}
	c.FastInterval = p.delayed(service, s.key(), t)
	if c.Type == config.External { // Its default timeout is the interval, and not connect_timeout.
		t.timeout = t.interval
		p.external(s, &c)
	}
	c.Interval, c.Timeout, c.Fall = t.interval, cmp.Or(c.Timeout, t.timeout), t.retry+1
	if s.key() == "HTTP_GET" || s.key() == "SSL_GET" {
		if len(inner) == 0 {
			p.wrong(s, "no url", "write \"url { path / }\" in several lines")
		}
		return p.urls(c, inner)
	}
	if len(inner) > 0 {
		return p.hosts(c, t, inner)
	}
	return []config.Check{c}
}

// external completes the check of MISC_CHECK.
func (p *parser) external(s *statement, c *config.Check) {
	c.Host, c.Port = "", 0
	for _, key := range []string{"connect_ip", "connect_port", "connect_timeout"} {
		if inner := s.find(key); inner != nil {
			p.report(inner.line, config.Ignored, fault.New(inner.title()+": the program makes its own connections", "use misc_timeout for the time"))
		}
	}
	if c.Command == "" {
		p.wrong(s, "no misc_path", "write \"misc_path PROGRAM\"")
		return
	}
	p.report(s.line, config.Warning, fault.New("an external check has four more arguments: the addresses and ports of the service and of the real server",
		"make sure that the program accepts them, or write a script that calls it without them"))
}

// checkSetting applies a statement of a checker.
func (p *parser) checkSetting(c *config.Check, t *timing, s *statement) {
	switch s.key() {
	case "connect_ip":
		if addr, err := netip.ParseAddr(s.arg()); err == nil {
			c.Host = addr.String()
		} else {
			p.wrong(s, "not an address", "")
		}
	case "connect_port":
		c.Port = p.port(s, s.words, 1)
	case "virtualhost", "sni_name":
		c.VirtualHost = s.arg()
	case "name":
		c.Request = s.arg()
	case "enable_sni":
		// A check of HTTPS always has SNI.
	case "misc_path":
		c.Command = strings.Join(s.args(), " ")
	case "misc_timeout":
		c.Timeout = p.timer(s)
	case "type":
		if kind := strings.ToUpper(s.arg()); kind != "A" && kind != "AAAA" {
			p.unused(s)
		}
	case "log_all_failures", "alpha":
		if p.yes(s) {
			p.unused(s)
		}
	default:
		if !p.time(t, s) {
			p.unused(s)
		}
	}
}

// hosts returns a check for each block host of SMTP_CHECK.
func (p *parser) hosts(c config.Check, t timing, hosts []*statement) []config.Check {
	var all []config.Check
	for _, host := range hosts {
		own, times := c, t
		for _, s := range host.body {
			p.checkSetting(&own, &times, s)
		}
		own.Interval, own.Timeout, own.Fall = times.interval, times.timeout, times.retry+1
		all = append(all, own)
	}
	return all
}

// urls returns a check for each block url.
func (p *parser) urls(c config.Check, urls []*statement) []config.Check {
	var all []config.Check
	for _, url := range urls {
		own := c
		for _, s := range url.body {
			switch s.key() {
			case "path":
				own.Request = s.arg()
			case "virtualhost":
				own.VirtualHost = s.arg()
			case "regex":
				own.Receive = s.arg()
			case "status_code":
				p.statuses(&own.Status, s)
			default:
				p.unused(s)
			}
		}
		if own.Request == "" {
			p.wrong(url, "no path", "write \"path /\"")
		}
		if inverse := url.find("regex_no_match"); inverse != nil {
			own.Receive = ""
		}
		if own.Receive != "" && own.Status == (config.Statuses{}) {
			own.Status = every()
		}
		all = append(all, own)
	}
	return all
}

// find returns the first statement of a block with a keyword, or nil.
func (s *statement) find(key string) *statement {
	for _, inner := range s.body {
		if inner.key() == key {
			return inner
		}
	}
	return nil
}

const leastStatus, mostStatus = 100, 599

// every returns all statuses: with an expression, keepalived ignores the status.
func every() config.Statuses {
	var all config.Statuses
	for n := leastStatus; n <= mostStatus; n++ {
		all.Add(n)
	}
	return all
}

// statuses adds the statuses of "200 301-303".
func (p *parser) statuses(to *config.Statuses, s *statement) {
	if len(s.args()) == 0 {
		p.wrong(s, "no status", "write \"status_code 200\"")
	}
	for _, item := range s.args() {
		start, end, found := strings.Cut(item, "-")
		if !found {
			end = start
		}
		first, err1 := strconv.Atoi(start)
		last, err2 := strconv.Atoi(end)
		if err1 != nil || err2 != nil || first < leastStatus || last > mostStatus || last < first {
			p.wrong(s, fault.Quote(item)+" is not a status from 100 to 599", "")
			return
		}
		for n := first; n <= last; n++ {
			to.Add(n)
		}
	}
}
