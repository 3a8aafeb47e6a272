package ldirectord

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

// Write returns the configuration as ldirectord.cf, without Cluster. If the file cannot hold
// another part of it, there is a problem for this part. Without secrets, each secret is replaced by
// ***.
func Write(cfg *config.Config, secrets bool) (string, []config.Problem) {
	text := written(cfg, true)
	again, problems := Parse("the written ldirectord.cf", []byte(text))
	problems = slices.DeleteFunc(problems, func(p config.Problem) bool { return p.Severity != config.Error })
	if again != nil {
		problems = config.Lost(cfg, again, "ldirectord.cf")
	}
	if !secrets {
		shown := written(cfg, false)
		if shown != text {
			problems = append(problems, config.Problem{File: cfg.File, Severity: config.Warning, What: "logins and passwords are not shown", Fix: "write the file with --secrets"})
		}
		text = shown
	}
	return text, problems
}

// Bare returns a configuration with the services and real servers of cfg and their settings in the
// kernel. All other settings have their defaults.
func Bare(cfg *config.Config) *config.Config {
	table := config.Config{Services: slices.Clone(cfg.Services)}
	for i, s := range table.Services {
		bare := config.Service{Service: s.Service, Host: s.Host, IPv6: s.IPv6}
		for _, r := range s.Reals {
			bare.Reals = append(bare.Reals, config.Real{Destination: r.Destination, Host: r.Host, Last: r.Last})
		}
		table.Services[i] = bare
	}
	text := strings.ReplaceAll(written(&table, true), "\tchecktype=on\n", "")
	again, _ := Parse("the table", []byte(text))
	if again == nil { // The services are refused without their other settings.
		return &table
	}
	for i, s := range cfg.Services {
		for j, r := range s.Reals { // The kernel's table has no checks, either.
			if len(r.Checks) == 0 || r.Checks[0].Type == config.On {
				again.Services[i].Reals[j].Checks = nil
			}
		}
	}
	return again
}

// written returns the text of a file. The caller must check that the text has the same meaning.
func written(cfg *config.Config, secrets bool) string {
	w := writer{secrets: secrets}
	w.global(cfg)
	for _, s := range cfg.Services {
		w.service(s)
	}
	return w.String()
}

type writer struct {
	strings.Builder
	secrets bool
	indent  string
	// values gets the directives by their names, if it is not nil. Then there is no text.
	values map[string]string
}

// line writes a directive, unless its value is empty.
func (w *writer) line(name, value string) { w.put(name, value, "") }

func (w *writer) quoted(name, value string) { w.put(name, value, `"`) }

func (w *writer) put(name, value, quote string) {
	switch {
	case value == "":
	case w.values != nil:
		w.values[name] = value
	default:
		w.WriteString(w.indent + name + "=" + quote + value + quote + "\n")
	}
}

// CheckValues returns the check of the first real server of a service, the fallback and the
// handling of failed real servers: the values of CheckDirectives by their names. The values are
// complete only if NewSettings returns the same settings for them. They have no secrets.
func CheckValues(s config.Service) map[string]string {
	var c config.Check
	if len(s.Reals) > 0 && len(s.Reals[0].Checks) > 0 {
		c = s.Reals[0].Checks[0]
	}
	c.Login, c.Passwd, c.Secret = config.Secret{}, config.Secret{}, config.Secret{}
	w := writer{values: map[string]string{}}
	w.check(s, c)
	w.choice("quiescent", &s.Quiescent)
	w.policy(s)
	w.agent(s.Agent)
	for _, f := range s.Fallbacks {
		w.fallback(s, f)
		w.values["fallback"] = cmp.Or(w.values["fallback"], w.values["fallback6"])
	}
	w.time("checktimeout", c.Timeout, 0)
	w.time("checkinterval", c.Interval, 0)
	w.number("fall", c.Fall)
	known := CheckDirectives()
	maps.DeleteFunc(w.values, func(name, _ string) bool {
		return !slices.ContainsFunc(known, func(d Directive) bool { return d.Name == name })
	})
	return w.values
}

func (w *writer) secret(name string, value config.Secret) {
	if w.secrets {
		w.quoted(name, value.Reveal())
		return
	}
	w.quoted(name, value.String())
}

// choice writes yes or no, unless the value is nil.
func (w *writer) choice(name string, value *bool) {
	if value != nil {
		w.line(name, map[bool]string{true: "yes", false: "no"}[*value])
	}
}

// flag writes a directive if its value differs from the default.
func (w *writer) flag(name string, value, unset bool) {
	if value != unset {
		w.choice(name, &value)
	}
}

// number writes a number of checks, unless it is the default 1.
func (w *writer) number(name string, value int) {
	if value != 1 {
		w.line(name, strconv.Itoa(value))
	}
}

func (w *writer) time(name string, value, unset time.Duration) {
	switch {
	case value == unset || value == 0:
	case value%time.Second == 0:
		w.line(name, strconv.Itoa(int(value/time.Second)))
	default:
		w.line(name, strconv.FormatInt(value.Milliseconds(), 10)+"ms")
	}
}

// global writes the directives that are outside of virtual blocks.
func (w *writer) global(cfg *config.Config) {
	w.flag("autoreload", cfg.AutoReload, false)
	w.quoted("logfile", cfg.LogFile)
	w.quoted("callback", cfg.Callback)
	for _, other := range cfg.Execute {
		w.line("execute", other)
	}
	w.flag("supervised", cfg.Supervised, false)
	w.line("maintenancedir", cfg.MaintenanceDir)
	w.line("emailalertfrom", cfg.AlertFrom)
	w.choice("sloppy_tcp", cfg.SloppyTCP)
	w.choice("sloppy_sctp", cfg.SloppySCTP)
	w.choice("expire_nodest_conn", cfg.ExpireNodestConn)
	w.choice("expire_quiescent_template", cfg.ExpireQuiescentTemplate)
	w.line("conn_reuse_mode", cfg.ConnReuseMode)
	w.time("own_fault", cfg.OwnFault, 0)
	var timeouts []string
	for i, name := range lvs.TimeoutNames() {
		if t := cfg.Timeouts[i]; t != 0 {
			timeouts = append(timeouts, fmt.Sprintf("%s %d", name, t/time.Second))
		}
	}
	w.line("lvs_timeouts", strings.Join(timeouts, " "))
}

// service writes a virtual block.
func (w *writer) service(s config.Service) {
	if w.Len() > 0 {
		w.WriteByte('\n')
	}
	directive, target := "virtual", s.Host+":"+strconv.Itoa(int(s.ID.Addr.Port()))
	switch {
	case s.ID.IsMark():
		target = strconv.FormatUint(uint64(s.ID.Mark), 10)
	case s.Host == "":
		target = s.ID.Addr.String()
	}
	if s.IPv6 {
		directive = "virtual6"
	}
	w.line(directive, target)
	w.indent = "\t"
	defer func() { w.indent = "" }()
	var base config.Check // the check of the service
	if len(s.Reals) > 0 && len(s.Reals[0].Checks) > 0 {
		base = s.Reals[0].Checks[0]
	}
	if base.Host != "" { // A check of another host is in the line of its real server.
		base.Request, base.Receive, base.Port = "", "", 0
	}
	for _, r := range s.Reals {
		w.real(s, r, base)
	}
	for _, f := range s.Fallbacks {
		w.fallback(s, f)
	}
	w.scheduling(s)
	w.check(s, base)
	w.flag("quiescent", s.Quiescent && s.MarkedDown == "", false)
	w.flag("cleanstop", !s.KeepAtEnd, true)
	w.line("monitorfile", s.MonitorFile)
	w.words("fallbackcommand", s.FallbackCommand)
	w.alert(s.Alert)
	w.notify(s.Notify)
	w.policy(s)
	w.agent(s.Agent)
}

// scheduling writes the settings of the kernel's service.
func (w *writer) scheduling(s config.Service) {
	w.line("scheduler", string(s.Scheduler))
	w.line("persistent", nonzero(s.Persistence/time.Second))
	if s.Granularity != 0 {
		w.line("netmask", netmask(s))
	}
	w.line("persistence_engine", string(s.Engine))
	w.flag("ops", s.Flags&lvs.OnePacket != 0, false)
	if s.Flags&^lvs.OnePacket != s.Scheduler.Fallback() {
		w.line("schedflags", strings.Join(s.SchedulerFlags(), ","))
	}
	if !s.ID.IsMark() {
		w.line("protocol", s.ID.Protocol.String())
	}
}

func netmask(s config.Service) string {
	if s.IPv6 {
		return strconv.Itoa(s.Granularity)
	}
	return lvs.Netmask(lvs.ServiceID{}, s.Granularity)
}

func nonzero[T ~int | ~int64 | ~uint16 | ~uint32](n T) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(int64(n), 10)
}

// real writes a real server. The part of its check that differs from the check of the service is in
// its line.
func (w *writer) real(s config.Service, r config.Real, base config.Check) {
	c := base
	if len(r.Checks) > 0 {
		c = r.Checks[0]
	}
	port := r.Addr.Port()
	if c.Host == "" && c.Port != base.Port && !r.Forward.RewritesPort() {
		port = c.Port
	}
	address := hostText(r.Host, r.Addr.Addr())
	if r.Last != "" {
		address += "->" + bracketedText(r.Last)
	}
	if port != 0 || s.ID.Addr.Port() != 0 && !s.ID.IsMark() { // Without a port, it would be the port of the service.
		address += ":" + strconv.Itoa(int(port))
	}
	words := []string{address, realOptions(r.Destination)}
	switch {
	case c.Host != "":
		words = append(words, fmt.Sprintf("%q, %q", wholeRequest(c, w.secrets), c.Receive))
	case c.Request != base.Request || c.Receive != base.Receive:
		words = append(words, `"`+c.Request+`", "`+c.Receive+`"`)
	}
	directive := "real"
	if s.IPv6 && r.Host != "" {
		directive = "real6"
	}
	if r.Tier != 0 {
		words = append(words, fmt.Sprintf("tier:%d", r.Tier))
	}
	w.line(directive, strings.Join(words, " ")+thresholds(r.Destination))
}

// Real returns a real server without its check, as ParseReal reads it. With port 0, the real
// server has the port of the service.
func Real(d lvs.Destination) string {
	address := bracketedText(d.Addr.Addr().String())
	if d.Addr.Port() != 0 {
		address += ":" + strconv.Itoa(int(d.Addr.Port()))
	}
	return address + " " + realOptions(d) + thresholds(d)
}

// realOptions returns the forwarding method and the weight of a real server.
func realOptions(d lvs.Destination) string {
	return method(d.Forward, d.Encapsulation) + " " + strconv.Itoa(d.Weight)
}

// thresholds returns what follows the weight and the texts of a check.
func thresholds(d lvs.Destination) string {
	text := ""
	if d.Lower != 0 {
		text += fmt.Sprintf(" l:%d", d.Lower)
	}
	if d.Upper != 0 {
		text += fmt.Sprintf(" u:%d", d.Upper)
	}
	e := d.Encapsulation
	if e.Port != 0 && (e.Type != lvs.GUE || e.Port != lvs.GUEPort) {
		text += fmt.Sprintf(" port:%d", e.Port)
	}
	if e.Checksum != lvs.NoChecksum {
		text += " " + e.Checksum.String()
	}
	return text
}

func method(f lvs.Forward, e lvs.Encapsulation) string {
	switch f {
	case lvs.Masq:
		return "masq"
	case lvs.Tunnel:
		return e.Type.String()
	case lvs.Route, lvs.Local, lvs.Bypass:
	}
	return "gate"
}

func hostText(name string, addr netip.Addr) string {
	if name != "" {
		return bracketedText(name)
	}
	return bracketedText(addr.String())
}

func bracketedText(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

func (w *writer) fallback(s config.Service, f config.Fallback) {
	directive, port := "fallback", ""
	if s.IPv6 {
		directive = "fallback6"
	}
	if f.Port != 0 {
		port = ":" + strconv.Itoa(int(f.Port))
	}
	w.line(directive, bracketedText(f.Host)+port+" "+method(f.Forward, f.Encapsulation))
}

// wholeRequest returns the URL of a check of another host.
func wholeRequest(c config.Check, secrets bool) string {
	host := bracketedText(c.Host)
	if c.Port != c.Application.Port() {
		host += ":" + strconv.Itoa(int(c.Port))
	}
	return withLogin(string(c.Application)+"://"+host+c.Request, c, secrets)
}

// withLogin adds the login of an HTTP check to its URL.
func withLogin(request string, c config.Check, secrets bool) string {
	scheme, rest, whole := strings.Cut(request, "://")
	if !whole || c.Login == (config.Secret{}) {
		return request
	}
	login := config.Redacted + ":" + config.Redacted
	if secrets {
		login = url.UserPassword(c.Login.Reveal(), c.Passwd.Reveal()).String()
	}
	return scheme + "://" + login + "@" + rest
}

// check writes the check of a service.
func (w *writer) check(s config.Service, c config.Check) {
	if c.Type == "" {
		if len(s.Reals) > 0 { // Real servers without a check always count as good.
			w.line("checktype", string(config.On))
		}
		return
	}
	if c.Type == config.Combined {
		w.line("checktype", strconv.Itoa(c.Connects))
		w.time("negotiatetimeout", c.NegotiateTimeout, 0)
		w.time("checktimeout", c.ConnectTimeout, 0)
	} else {
		w.line("checktype", string(c.Type))
	}
	usual := config.NoApplication
	if !s.ID.IsMark() {
		usual = config.ApplicationOf(s.ID.Addr.Port())
	}
	if c.Application != usual {
		w.line("service", string(c.Application))
	}
	w.line("checkport", nonzero(c.Port))
	switch c.Type {
	case config.Negotiate:
		w.time("negotiatetimeout", c.Timeout, defaultNegotiateTimeout)
	case config.Combined:
	default:
		w.time("checktimeout", c.Timeout, defaultCheckTimeout)
	}
	w.time("checkinterval", c.Interval, defaultInterval)
	w.time("fastinter", c.FastInterval, 0)
	w.time("downinter", c.DownInterval, 0)
	w.number("checkcount", c.Attempts)
	w.number("failurecount", c.Fall)
	w.number("rise", c.Rise)
	w.query(c)
}

// query writes what a check sends and receives.
func (w *writer) query(c config.Check) {
	if c.Verify != verification(config.Check{Application: c.Application}) {
		w.line("verify", string(c.Verify))
	}
	w.line("httpstatus", c.Status.String())
	w.line("disable_on", c.DisableOn.String())
	w.line("httpmethod", c.Method)
	w.line("virtualhost", c.VirtualHost)
	w.quoted("request", withLogin(c.Request, c, w.secrets))
	w.quoted("receive", c.Receive)
	if c.Command != "" && c.Command != defaultCommand {
		w.line("checkcommand", w.command(c.Command))
	}
	w.quoted("database", c.Database)
	if !slices.Contains([]config.Application{"http", "https", "http_proxy"}, c.Application) {
		w.secret("login", c.Login)
		w.secret("passwd", c.Passwd)
	}
	w.secret("secret", c.Secret)
}

// command returns a command with its passwords only if the file has secrets.
func (w *writer) command(command string) string {
	if w.secrets {
		return command
	}
	return config.HideCommand(command)
}

func (w *writer) alert(a config.Alert) {
	w.line("emailalert", strings.Join(a.To, ", "))
	w.time("emailalertfreq", a.Repeat, 0)
	var phases []string
	for _, p := range a.Phases {
		phases = append(phases, string(p))
	}
	if a.Phases != nil {
		w.line("emailalertstatus", cmp.Or(strings.Join(phases, ","), "none"))
	}
	w.line("smtp", a.Relay)
	w.line("servicename", a.Title)
	w.line("comment", a.Comment)
}
