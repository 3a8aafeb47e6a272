package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/lvs"
)

// place is where a directive may stand.
type place uint8

const (
	inFile  place = 1 << iota // outside of virtual blocks, for all services
	inBlock                   // in a virtual block, for its service
	inBoth  = inFile | inBlock
)

// directive declares a directive of ldirectord.cf.
type directive struct {
	name  string
	where place
	class class
	// set stores a clean value; nil for what is accepted and not used yet.
	set  func(s *scope, value string) error
	many bool // may be given more than once
}

// scope is what a setter may change.
type scope struct {
	*settings
	block  *block // nil outside of blocks
	config *Config
	parser *parser
	st     statement
}

// named is the directive with its value, for messages.
func (s *scope) named(value string) string { return s.st.dir.name + " " + quote(value) }

// in names the directive and its value in front of an error.
func (s *scope) in(value string, err error) error {
	f := asFault(err)
	return fault{s.named(value) + ": " + f.what, f.fix}
}

func (s *scope) warn(what, fix string) { s.parser.report(s.st, Warning, fault{what, fix}) }

// directives declares all directives that ldirectord knows.
func directives() map[string]*directive {
	all := []directive{
		{name: "virtual", where: inFile, class: address, many: true},
		{name: "virtual6", where: inFile, class: address, many: true},
		{name: "real", where: inBlock, class: address, set: setReal(false), many: true},
		{name: "real6", where: inBlock, class: address, set: setReal(true), many: true},
		{name: "fallback", where: inBoth, class: address, set: setFallback(false)},
		{name: "fallback6", where: inBoth, class: address, set: setFallback(true)},

		{name: "autoreload", where: inFile, class: yesOrNo, set: setYesNo(func(s *scope) *bool { return &s.config.AutoReload })},
		{name: "logfile", where: inFile, class: quotedText, set: setText(func(s *scope) *string { return &s.config.LogFile })},
		{name: "checktimeout", where: inBoth, class: plain, set: setSeconds(func(s *scope) *time.Duration { return &s.checkTimeout })},
		{name: "negotiatetimeout", where: inBoth, class: plain, set: setSeconds(func(s *scope) *time.Duration { return &s.negotiateTimeout })},
		{name: "checkinterval", where: inBoth, class: plain, set: setSeconds(func(s *scope) *time.Duration { return &s.interval })},
		{name: "failurecount", where: inBoth, class: plain, set: setFailureCount},
		{name: "quiescent", where: inBoth, class: yesOrNo, set: setQuiescent},

		{name: "scheduler", where: inBlock, class: plain, set: setScheduler},
		{name: "schedflags", where: inBlock, class: plain, set: setSchedulerFlags},
		{name: "ops", where: inBlock, class: yesOrNo, set: setYesNo(func(s *scope) *bool { return &s.block.onePacket })},
		{name: "protocol", where: inBlock, class: plain, set: setText(func(s *scope) *string { return &s.block.protocol })},
		{name: "persistent", where: inBlock, class: plain, set: setPersistent},
		{name: "netmask", where: inBlock, class: plain, set: setText(func(s *scope) *string { return &s.block.netmask })},

		{name: "service", where: inBlock, class: plain, set: setService},
		{name: "checktype", where: inBlock, class: plain, set: setCheckType},
		{name: "checkport", where: inBlock, class: plain, set: setCheckPort},
		{name: "request", where: inBlock, class: quotedText, set: setText(func(s *scope) *string { return &s.block.check.Request })},
		{name: "receive", where: inBlock, class: quotedText, set: setReceive},
		{name: "virtualhost", where: inBlock, class: bareText, set: setText(func(s *scope) *string { return &s.block.check.VirtualHost })},
		{name: "login", where: inBlock, class: quotedText, set: setSecret(func(s *scope) *Secret { return &s.block.check.Login })},
		{name: "passwd", where: inBlock, class: quotedText, set: setSecret(func(s *scope) *Secret { return &s.block.check.Passwd })},
		{name: "database", where: inBlock, class: quotedText, set: setText(func(s *scope) *string { return &s.block.check.Database })},

		{name: "execute", where: inFile, class: verbatim, set: refuse("execute starts another configuration, which this version does not", "make the other file a resource of its own"), many: true},
		{name: "timeout", where: inFile, class: verbatim, set: refuse("timeout is not a directive any more", "write checktimeout= or negotiatetimeout=")},
		{name: "connecttimeout", where: inFile, class: verbatim, set: refuse("connecttimeout is not a directive any more", "write checktimeout= or negotiatetimeout=")},
	}
	all = append(all, unused(inFile, "callback", "emailalertfrom", "fork", "maintenancedir", "readdquiescent", "supervised")...)
	all = append(all, unused(inBlock, "checkcommand", "comment", "httpmethod", "load", "monitorfile", "secret", "servicename")...)
	all = append(all, unused(inBoth, "checkcount", "cleanstop", "emailalert", "emailalertfreq", "emailalertstatus", "fallbackcommand", "smtp")...)
	byName := make(map[string]*directive, len(all))
	for i := range all {
		byName[all[i].name] = &all[i]
	}
	return byName
}

// unused are directives that change no packet's way.
func unused(where place, names ...string) []directive {
	all := make([]directive, len(names))
	for i, name := range names {
		all[i] = directive{name: name, where: where, class: verbatim, many: true}
	}
	return all
}

// hidden tells whether the values of the directive must not be shown.
func (d *directive) hidden() bool { return slices.Contains(secretNames, d.name) }

// line is the directive as it should be written.
func (d *directive) line(value string) string {
	switch {
	case d.hidden():
		return d.name + `="` + redacted + `"`
	case d.class == quotedText:
		return d.name + `="` + short(value) + `"`
	}
	return d.name + "=" + short(value)
}

type setter = func(s *scope, value string) error

func refuse(what, fix string) setter {
	return func(*scope, string) error { return fault{what, fix} }
}

func setText(field func(*scope) *string) setter {
	return func(s *scope, value string) error {
		*field(s) = value
		return nil
	}
}

func setSecret(field func(*scope) *Secret) setter {
	return func(s *scope, value string) error {
		*field(s) = NewSecret(value)
		return nil
	}
}

func setYesNo(field func(*scope) *bool) setter {
	return func(s *scope, value string) error {
		switch value {
		case "yes", "no":
			*field(s) = value == "yes"
			return nil
		}
		return faultf("write yes or no", "%s is neither yes nor no", s.named(value))
	}
}

func setQuiescent(s *scope, value string) error {
	var yes bool
	err := setYesNo(func(*scope) *bool { return &yes })(s, value)
	if err == nil {
		s.quiescent = &yes
	}
	return err
}

// maxSeconds bounds times: 31 days, as for persistence.
const maxSeconds = int(lvs.MaxPersistence / time.Second)

func (s *scope) number(value, what string, limit int) (int, error) {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil || n < 1 || int(n) > limit {
		fix := ""
		if d, err := time.ParseDuration(value); err == nil && what == "seconds" && d >= time.Second && d%time.Second == 0 {
			fix = "write " + strconv.Itoa(int(d/time.Second))
		}
		return 0, faultf(fix, "%s is not a number of %s from 1 to %d", s.named(value), what, limit)
	}
	return int(n), nil
}

func setSeconds(field func(*scope) *time.Duration) setter {
	return func(s *scope, value string) error {
		n, err := s.number(value, "seconds", maxSeconds)
		if err == nil {
			*field(s) = time.Duration(n) * time.Second
		}
		return err
	}
}

func setFailureCount(s *scope, value string) (err error) {
	s.fall, err = s.number(value, "failures", 1000)
	return err
}

func setPersistent(s *scope, value string) error {
	if value == "0" {
		return faultf("delete the line for no persistence", "persistence of 0 seconds")
	}
	return setSeconds(func(s *scope) *time.Duration { return &s.block.service.Persistence })(s, value)
}

func setScheduler(s *scope, value string) (err error) {
	if s.block.service.Scheduler, err = lvs.ParseScheduler(short(value)); err != nil {
		names := lvs.Schedulers()
		return fault{err.Error() + orUse(value, strings.Join(names, ", "), names...), ""}
	}
	return nil
}

func setSchedulerFlags(s *scope, value string) error {
	op, err := lvs.ParseOp("-A -f 1 -b " + value)
	if err != nil {
		return faultf("use sh-fallback, sh-port, mh-fallback, mh-port or flag-1 to flag-3", "unknown scheduler flag in %s", quote(value))
	}
	s.block.service.Flags |= op.Service.Flags
	return nil
}

func setService(s *scope, value string) error {
	names := make([]string, len(applications))
	for i, known := range applications {
		names[i] = string(known.name)
		if names[i] == value {
			s.block.check.Application = known.name
			return nil
		}
	}
	return faultf("", "unknown service %s%s", quote(value), orUse(value, strings.Join(names, ", "), names...))
}

func setCheckType(s *scope, value string) error {
	names := []string{string(Negotiate), string(Connect), string(Ping), string(On), string(Off), string(External), string(ExternalPerl)}
	if connects, err := strconv.ParseUint(value, 10, 16); err == nil {
		s.block.check.Type, s.block.check.Connects = Combined, int(connects)
		s.warn("combined checks are not used by this version yet", "")
		return nil
	}
	if !slices.Contains(names, value) {
		return faultf("", "unknown checktype %s%s", quote(value), orUse(value, strings.Join(names, ", ")+" or a number", names...))
	}
	s.block.check.Type = CheckType(value)
	if strings.HasPrefix(value, string(External)) {
		s.warn("checktype "+value+" is not used by this version yet", "")
	}
	return nil
}

func setCheckPort(s *scope, value string) error {
	port, err := parsePort(value)
	if err != nil || port == 0 {
		return faultf("", "%s is not a port from 1 to 65535", s.named(value))
	}
	s.block.check.Port = port
	return nil
}

func setReceive(s *scope, value string) error {
	s.block.check.Receive = value
	s.pattern(value)
	return nil
}

// pattern remembers a regular expression for Config.Patterns.
func (s *scope) pattern(text string) {
	if text == "" || s.parser.patterns[text] {
		return
	}
	s.parser.patterns[text] = true
	s.config.patterns = append(s.config.patterns, pattern{s.st.line, s.st.column, text})
}

func setReal(ipv6 bool) setter {
	return func(s *scope, value string) error {
		r, err := parseReal(value)
		if err != nil {
			return s.in(value, err)
		}
		if ipv6 && !s.block.ipv6 {
			return faultf("write real=", "real6= in a block of virtual=")
		}
		if r.lost != "" {
			s.warn("ldirectord loses "+r.lost, `write ADDRESS METHOD WEIGHT "REQUEST", "RECEIVE" l:N u:N`)
		}
		s.pattern(r.receive)
		s.block.reals = append(s.block.reals, writtenReal{r, s.st})
		return nil
	}
}

func setFallback(ipv6 bool) setter {
	return func(s *scope, value string) error {
		if value == "" {
			value = map[bool]string{false: "127.0.0.1", true: "[::1]"}[ipv6]
			s.warn("no address, so "+value+" is meant", "write "+s.st.dir.name+"="+value)
		}
		f, err := parseFallback(value, ipv6)
		if err != nil {
			return s.in(value, err)
		}
		f.line = s.st.line
		if f.ipv6 && s.block != nil && !s.block.ipv6 {
			return faultf("write an IPv4 address", "IPv6 fallback in a block of virtual=")
		}
		if f.ipv6 || s.block != nil && s.block.ipv6 {
			s.fallback6 = &f
			return nil
		}
		s.fallback = &f
		return nil
	}
}

// writtenFallback is a fallback before it is known for which services.
type writtenFallback struct {
	host    host
	port    uint16
	hasPort bool
	forward lvs.Forward
	ipv6    bool
	line    int
}

// parseFallback reads ADDRESS[:PORT] [METHOD].
func parseFallback(text string, ipv6 bool) (writtenFallback, error) {
	f := writtenFallback{forward: lvs.Route, ipv6: ipv6}
	words := strings.Fields(text)
	if len(words) > 2 {
		return f, faultf("write ADDRESS:PORT METHOD", "%s after the forwarding method", quote(words[2]))
	}
	e, err := parseEndpoint(words[0])
	if err == nil && len(words) == 2 {
		f.forward, err = lvs.ParseForward(short(words[1]))
	}
	f.host, f.port, f.hasPort = e.host, e.port, e.portText != ""
	f.ipv6 = ipv6 || e.host.addr.Is6()
	if err == nil && ipv6 && e.host.addr.Is4() {
		err = faultf("write fallback=", "IPv4 address in fallback6=")
	}
	return f, err
}
