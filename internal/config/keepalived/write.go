package keepalived

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// Write returns the configuration as keepalived.conf of the preferred director. If the file cannot
// have another part of the configuration, there is a problem for this part. If a problem is an
// error, the text cannot be used. Without secrets, each password in a command is replaced by ***.
func Write(cfg *config.Config, secrets bool) (string, []config.Problem) {
	return WriteFor("", cfg, secrets)
}

// WriteFor is Write for the file of a director. An empty director is the preferred one. There is a
// warning for each other director.
func WriteFor(director string, cfg *config.Config, secrets bool) (string, []config.Problem) {
	w := writer{file: cfg.File, cluster: config.Cluster{}, scripts: map[string]string{}, hidden: map[string]string{}}
	if cfg.Cluster != nil {
		w.cluster = *cfg.Cluster
	}
	if director != "" && !slices.ContainsFunc(w.cluster.Nodes, func(n config.Node) bool { return n.Name == director }) {
		w.report(0, config.Error, "the files have no director "+fault.Quote(director), "give the name of --host, or of the files")
		return "", w.problems
	}
	w.self = cmp.Or(director, preferred(w.cluster.Groups))
	cfg = w.served(cfg)
	w.global(cfg)
	w.groups()
	for _, s := range cfg.Services {
		w.service(s)
	}
	again, found := Parse("the written keepalived.conf", []byte(w.String()))
	if again == nil {
		return "", append(w.problems, slices.DeleteFunc(found, func(p config.Problem) bool { return p.Severity != config.Error })...)
	}
	w.problems = append(w.problems, config.Lost(cfg, again, "keepalived.conf")...)
	w.lost(*again.Cluster)
	if secrets {
		return w.String(), w.problems
	}
	return w.shown(), w.problems
}

// served returns the configuration without the services that have no real servers. keepalived
// ignores these services.
func (w *writer) served(cfg *config.Config) *config.Config {
	part := *cfg
	part.Services = nil
	for _, s := range cfg.Services {
		if len(s.Reals) > 0 {
			part.Services = append(part.Services, s)
			continue
		}
		w.report(s.Line, config.Dropped, s.Name()+" has no real server, so keepalived ignores the service", "add a real server")
	}
	return &part
}

// shown returns the written text without the passwords of commands.
func (w *writer) shown() string {
	lines := strings.Split(w.String(), "\n")
	hidden := false
	for i, line := range lines {
		if shown, found := w.hidden[line]; found {
			lines[i] = shown
		} else if keyword, _, _ := strings.Cut(strings.TrimSpace(line), " "); keyword == "misc_path" || keyword == "script" {
			command, quoted := strings.CutSuffix(line, `"`)
			if lines[i] = config.HideCommand(command); quoted {
				lines[i] += `"`
			}
		}
		hidden = hidden || lines[i] != line
	}
	if hidden {
		w.report(0, config.Warning, "passwords of commands are not shown", "write the file with --secrets")
	}
	return strings.Join(lines, "\n")
}

// writer writes blocks of keepalived.conf.
type writer struct {
	strings.Builder

	file     string
	cluster  config.Cluster
	self     string // self is the name of the director that gets the file. Empty means the first one.
	problems []config.Problem
	depth    int
	mail     []string          // mail are the addresses that get mail.
	scripts  map[string]string // scripts are the written blocks vrrp_script by the name of the script.
	hidden   map[string]string // hidden are the lines with passwords, and how these lines are shown.
}

func (w *writer) report(line int, severity config.Severity, what, fix string) {
	w.problems = append(w.problems, config.Problem{File: w.file, Line: line, Severity: severity, What: what, Fix: fix})
}

// text returns a statement. It quotes a word that keepalived would not read as one word.
func (w *writer) text(words []string) string {
	text := strings.Repeat("    ", w.depth) + words[0]
	for _, word := range words[1:] {
		text += " " + quote(word)
	}
	return text
}

func (w *writer) line(words ...string) { w.WriteString(w.text(words) + "\n") }

// block writes a block.
func (w *writer) block(body func(), words ...string) {
	if w.depth == 0 && w.Len() > 0 {
		w.WriteByte('\n')
	}
	w.WriteString(w.text(words) + " {\n")
	w.depth++
	body()
	w.depth--
	w.line("}")
}

// quote quotes a text with blanks, braces or characters that begin a comment.
func quote(text string) string {
	if text != "" && !strings.ContainsAny(text, "{}#!\"'") && !strings.ContainsFunc(text, unicode.IsSpace) {
		return text
	}
	return always(text)
}

// always quotes any text.
func always(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// seconds returns a time as keepalived reads it: seconds with a fraction.
func seconds(t time.Duration) string { return strconv.FormatFloat(t.Seconds(), 'f', -1, 64) }

// whole returns a time in whole seconds, rounded up.
func whole(t time.Duration) string { return seconds((t + time.Second - 1).Truncate(time.Second)) }

// global writes global_defs, unless it would be empty.
func (w *writer) global(cfg *config.Config) {
	var relay string
	for _, s := range cfg.Services {
		if w.mail == nil {
			w.mail, relay = s.Alert.To, s.Alert.Relay
		}
	}
	var timeouts []string
	for i, name := range lvs.TimeoutNames() {
		if t := cfg.Timeouts[i]; t != 0 {
			timeouts = append(timeouts, name, strconv.Itoa(int(t/time.Second)))
		}
	}
	sync, programs := w.cluster.Sync, runsPrograms(cfg)
	if len(w.mail) == 0 && cfg.AlertFrom == "" && len(timeouts) == 0 && sync == nil && !programs {
		return
	}
	w.block(func() {
		if len(w.mail) > 0 {
			w.block(func() {
				for _, to := range w.mail {
					w.line(to)
				}
			}, "notification_email")
		}
		if cfg.AlertFrom != "" {
			w.line("notification_email_from", cfg.AlertFrom)
		}
		if host, port, found := strings.Cut(relay, ":"); relay != "" && found {
			w.line("smtp_server", host, port)
		} else if relay != "" {
			w.line("smtp_server", relay)
		}
		if len(timeouts) > 0 {
			w.line(append([]string{"lvs_timeouts"}, timeouts...)...)
		}
		if sync != nil {
			w.sync(*sync)
		}
		if programs { // The health daemon runs programs as root, and without these lines keepalived warns.
			w.line("script_user", "root")
			w.line("enable_script_security")
		}
	}, "global_defs")
}

// runsPrograms reports whether a check or an alert runs a program.
func runsPrograms(cfg *config.Config) bool {
	if cfg.Cluster != nil && slices.ContainsFunc(cfg.Cluster.Groups, func(g config.Group) bool { return hasProgram(*cfg.Cluster, g) }) {
		return true
	}
	external := func(c config.Check) bool { return c.Type == config.External }
	return slices.ContainsFunc(cfg.Services, func(s config.Service) bool {
		n := s.Notify
		return n.Programs() || slices.ContainsFunc(s.Reals, func(r config.Real) bool { return slices.ContainsFunc(r.Checks, external) })
	})
}

// hasProgram reports whether the instance of a group has a track_script.
func hasProgram(c config.Cluster, g config.Group) bool {
	return len(g.Addresses) > 0 && slices.ContainsFunc(c.NodeChecks, func(check config.NodeCheck) bool {
		return check.Kind == config.CheckProgram && (check.Groups == nil || slices.Contains(check.Groups, g.Name))
	})
}

// sync writes lvs_sync_daemon. keepalived starts the daemons for the state of an instance.
func (w *writer) sync(s config.Sync) {
	words := []string{"lvs_sync_daemon", s.Interface}
	if len(w.cluster.Groups) > 0 {
		words = append(words, w.cluster.Groups[0].Name)
	}
	words = append(words, "id", strconv.Itoa(int(s.ID)))
	for _, option := range []struct {
		name  string
		value int
	}{{"maxlen", int(s.MaxLen)}, {"port", int(s.Port)}, {"ttl", int(s.TTL)}} {
		if option.value != 0 {
			words = append(words, option.name, strconv.Itoa(option.value))
		}
	}
	if s.Group.IsValid() {
		words = append(words, "group", s.Group.String())
	}
	w.line(words...)
}

// service writes a virtual_server.
func (w *writer) service(s config.Service) {
	target := []string{"virtual_server", s.ID.Addr.Addr().String(), strconv.Itoa(int(s.ID.Addr.Port()))}
	switch {
	case s.ID.IsMark():
		target = []string{"virtual_server", "fwmark", strconv.FormatUint(uint64(s.ID.Mark), 10)}
	case s.Host != "":
		w.report(s.Line, config.Error, s.Name()+" has a host name, and keepalived needs an address", "write the address")
		return
	}
	usual := usual()
	if len(s.Reals) > 0 && len(s.Reals[0].Checks) > 0 {
		usual.interval = s.Reals[0].Checks[0].Interval
	}
	method := method{forward: lvs.Masq}
	if len(s.Reals) > 0 {
		method.forward, method.encapsulation = s.Reals[0].Forward, s.Reals[0].Encapsulation
	}
	w.block(func() {
		if s.ID.IsMark() && s.IPv6 {
			w.line("ip_family", "inet6")
		}
		if usual.interval > 0 {
			w.line("delay_loop", seconds(usual.interval))
		}
		w.scheduling(s, method)
		if s.Policy.Quorum > 0 {
			w.line("quorum", strconv.Itoa(s.Policy.Quorum))
		}
		if s.Policy.Hysteresis > 0 {
			w.line("hysteresis", strconv.Itoa(s.Policy.Hysteresis))
		}
		w.notify("quorum_up", s.Notify.QuorumUp)
		w.notify("quorum_down", s.Notify.QuorumDown)
		if s.Quiescent {
			w.line("inhibit_on_failure")
		}
		if len(s.Fallbacks) > 0 {
			w.sorry(s.Fallbacks[0], method)
		}
		for _, r := range s.Reals {
			w.real(s, r, method, usual)
		}
	}, target...)
}

// scheduling writes the settings of the kernel's service.
func (w *writer) scheduling(s config.Service, m method) {
	w.line("lvs_sched", string(s.Scheduler))
	if s.Flags&lvs.OnePacket != 0 {
		w.line("ops")
	}
	for _, flag := range s.SchedulerFlags() {
		w.line(flag)
	}
	w.line(m.words()...)
	if s.Persistence != 0 {
		w.line("persistence_timeout", seconds(s.Persistence))
	}
	if s.Granularity != 0 {
		w.line("persistence_granularity", lvs.Netmask(s.ID, s.Granularity))
	}
	if s.Engine != "" {
		w.line("persistence_engine", string(s.Engine))
	}
	if !s.ID.IsMark() {
		w.line("protocol", strings.ToUpper(s.ID.Protocol.String()))
	}
}

// words returns the statement lvs_method.
func (m method) words() []string {
	switch m.forward {
	case lvs.Masq:
		return []string{"lvs_method", "NAT"}
	case lvs.Tunnel:
		words := []string{"lvs_method", "TUN"}
		if m.encapsulation != (lvs.Encapsulation{}) {
			words = append(words, "type", m.encapsulation.Type.String())
		}
		if m.encapsulation.Port != 0 {
			words = append(words, "port", strconv.Itoa(int(m.encapsulation.Port)))
		}
		if m.encapsulation.Checksum != lvs.NoChecksum {
			words = append(words, m.encapsulation.Checksum.String())
		}
		return words
	case lvs.Route, lvs.Local, lvs.Bypass:
	}
	return []string{"lvs_method", "DR"}
}

func (w *writer) sorry(f config.Fallback, usual method) {
	words := []string{"sorry_server", f.Host}
	if f.Port != 0 {
		words = append(words, strconv.Itoa(int(f.Port)))
	}
	w.line(words...)
	if m := (method{f.Forward, f.Encapsulation}); m != usual {
		w.line(append([]string{"sorry_server_lvs_method"}, m.words()[1:]...)...)
	}
}

// real writes a real_server with its checkers.
func (w *writer) real(s config.Service, r config.Real, usual method, times timing) {
	if r.Host != "" {
		w.report(r.Line, config.Error, r.Host+" of "+s.Name()+" is a host name, and keepalived needs an address", "write the address")
		return
	}
	words := []string{"real_server", r.Addr.Addr().String()}
	if !s.ID.IsMark() { // The port of the packets stays, and keepalived wants no port here.
		words = append(words, strconv.Itoa(int(r.Addr.Port())))
	}
	w.block(func() {
		w.line("weight", strconv.Itoa(r.Weight))
		if m := (method{r.Forward, r.Encapsulation}); m != usual {
			w.line(m.words()...)
		}
		if r.Upper != 0 {
			w.line("uthreshold", strconv.Itoa(int(r.Upper)))
		}
		if r.Lower != 0 {
			w.line("lthreshold", strconv.Itoa(int(r.Lower)))
		}
		w.silence(s)
		w.notify("notify_up", s.Notify.Up)
		w.notify("notify_down", s.Notify.Down)
		for checks := r.Checks; len(checks) > 0; {
			n := together(checks)
			w.checker(s, checks[:n], times, r.Addr.Port())
			checks = checks[n:]
		}
	}, words...)
}

// together returns how many of the first checks are in one block: the pages of one HTTP server.
func together(checks []config.Check) int {
	first := checks[0]
	if first.Application != "http" && first.Application != "https" || first.Type != config.Negotiate {
		return 1
	}
	return cmp.Or(slices.IndexFunc(checks[1:], func(c config.Check) bool {
		c.Request, c.Receive, c.VirtualHost, c.Status, c.Unusable = first.Request, first.Receive, first.VirtualHost, first.Status, first.Unusable
		return c != first
	})+1, len(checks))
}

// checker writes the block for checks of one kind. port is the port of the real server.
func (w *writer) checker(s config.Service, checks []config.Check, times timing, port uint16) {
	c := checks[0]
	name, retries := w.kind(s, c)
	if name == "" {
		return
	}
	w.block(func() {
		w.target(c, times, retries, port)
		switch name {
		case "MISC_CHECK":
			w.line("misc_path", c.Command)
			w.line("misc_timeout", whole(c.Timeout))
		case "DNS_CHECK":
			w.line("type", "A")
			w.line("name", cmp.Or(c.Request, "."))
		case "HTTP_GET", "SSL_GET":
			for _, c := range checks {
				w.url(c)
			}
		}
	}, name)
}

// kind returns the keyword of a checker, and its usual number of retries. Without a checker, the
// keyword is empty.
func (w *writer) kind(s config.Service, c config.Check) (name string, retries int) {
	switch c.Type {
	case config.On:
		return "", 0
	case config.Off:
		w.report(s.Line, config.Dropped, "keepalived.conf cannot have a real server that is always down", "remove the server from the file")
		return "", 0
	case config.Ping:
		return "PING_CHECK", 1
	case config.UDP:
		return "UDP_CHECK", 1
	case config.External:
		return "MISC_CHECK", 0
	case config.Negotiate:
		switch c.Application {
		case "http":
			return "HTTP_GET", 1
		case "https":
			return "SSL_GET", 1
		case "smtp":
			return "SMTP_CHECK", 1
		case "dns":
			return "DNS_CHECK", 3
		case config.NoApplication:
		}
		w.report(s.Line, config.Dropped, fmt.Sprintf("keepalived has no check for %s: the check of %s is only a connection", c.Application, s.Name()), "write a program for MISC_CHECK")
	case config.Connect:
	case config.Combined, config.ExternalPerl:
		w.report(s.Line, config.Dropped, fmt.Sprintf("keepalived has no check %s: the check of %s is only a connection", c.Type, s.Name()), "write a program for MISC_CHECK")
	}
	if s.ID.Protocol == lvs.UDP {
		return "PING_CHECK", 1
	}
	return "TCP_CHECK", 1
}

// target writes where and when a check runs. retries and port are the values without a statement.
func (w *writer) target(c config.Check, times timing, retries int, port uint16) {
	program := c.Type == config.External // The target and the timeout are for connections.
	if c.Host != "" && !program {
		w.line("connect_ip", c.Host)
	}
	if c.Port != 0 && c.Port != port && !program {
		w.line("connect_port", strconv.Itoa(int(c.Port)))
	}
	if c.Timeout != times.timeout && !program {
		w.line("connect_timeout", seconds(c.Timeout))
	}
	if c.Interval != times.interval {
		w.line("delay_loop", seconds(c.Interval))
	}
	if c.Fall != retries+1 && c.Fall > 0 {
		w.line("retry", strconv.Itoa(c.Fall-1))
	}
	if c.Fall > 1 {
		w.line("delay_before_retry", seconds(cmp.Or(c.FastInterval, c.Interval)))
	}
}

// url writes a page of a check.
func (w *writer) url(c config.Check) {
	w.block(func() {
		w.line("path", cmp.Or(c.Request, "/"))
		if c.VirtualHost != "" {
			w.line("virtualhost", c.VirtualHost)
		}
		// With an expression, the statuses must be in the file, because keepalived then accepts all.
		if c.Status != (config.Statuses{}) && c.Status != every() || c.Receive != "" && c.Status != every() {
			w.line(append([]string{"status_code"}, strings.Split(c.Status.Explicit().String(), ",")...)...)
		}
		if c.Receive != "" {
			w.line("regex", c.Receive)
		}
	}, "url")
}
