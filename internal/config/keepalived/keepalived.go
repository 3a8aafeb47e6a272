// Package keepalived reads keepalived.conf, the configuration of keepalived.
package keepalived

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// Parse reads keepalived.conf. It repairs a damaged text where only one reading is possible, and
// reports each repair. The Config is nil if a problem is an error. keepalived.conf does not have
// the names of the directors: the name of a director is an address, or empty for the host of the
// file.
//
// A text with lines for single directors ("@NAME") is an error, because the director is unknown.
// ParseFor reads this text.
func Parse(name string, text []byte) (*config.Config, []config.Problem) {
	return ParseFor("", name, text)
}

// ParseFor is Parse for the file of a director. The name of the director ends before the first dot,
// as in keepalived.
func ParseFor(director, name string, text []byte) (*config.Config, []config.Problem) {
	return Options{Director: director}.Parse(name, text)
}

// Options say how a file is read.
type Options struct {
	Director string // Director is the name of the director of the file, or empty.
	// Files reads included files. With nil, a statement include is an error.
	Files *Files
	// Strict makes a keyword that keepalived does not have an error, as keepalived --config-test does.
	Strict bool
}

// Parse is ParseFor with options. A line of the Config that is in an included file is the line of
// the statement include. A problem names the included file and the line there.
func (o Options) Parse(name string, text []byte) (*config.Config, []config.Problem) {
	director, _, _ := strings.Cut(o.Director, ".")
	p := &parser{config: &config.Config{File: name, Cluster: &config.Cluster{}}, node: director, files: o.Files, strict: o.Strict}
	p.build(p.read(string(text)))
	problems := p.place(p.problems.All(name))
	if config.Err(problems) != nil {
		return nil, problems
	}
	return config.WithLines(p.config, p.own), problems
}

type parser struct {
	config   *config.Config
	problems config.Problems
	groups   map[string]*statement // groups are the blocks virtual_server_group by name.
	used     map[*statement]bool   // used are the blocks of groups that a virtual_server has.
	alert    config.Alert          // alert is the mail of the file.
	mails    map[string]bool       // mails are the statements smtp_alert and smtp_alert_checker of global_defs.
	// recipients is the statement notification_email, or nil.
	recipients *statement
	scripts    map[string]config.NodeCheck // scripts are the blocks vrrp_script by name.
	tracked    map[string]bool             // tracked are the names of scripts that an instance or a group has.
	node       string                      // node is the name of the director before the first dot, or empty.
	self       string                      // self is the address of the director of the file, or empty.
	reals      int                         // reals is the number of real servers of all services.
	notified   bool                        // notified says that the note about programs is already there.
	strict     bool                        // strict is Options.Strict.
	files      *Files                      // files are the files to include, or nil.
	parts      []part                      // parts are the included files, in the order of their lines.
}

func (p *parser) report(line int, severity config.Severity, f fault.Fault) {
	p.problems.Add(config.Problem{File: p.config.File, Line: line, Severity: severity, What: f.What, Fix: f.Fix})
}

func (p *parser) repaired(line int, what, before, after string) {
	p.problems.Add(config.Problem{File: p.config.File, Line: line, Severity: config.Repaired, What: what, Before: before, After: after})
}

// drop reports a statement that the model has no place for.
func (p *parser) drop(s *statement, reason, fix string) {
	p.report(s.line, config.Dropped, fault.New(s.title()+": "+reason, fix))
}

// wrong reports a statement whose arguments cannot be used.
func (p *parser) wrong(s *statement, what, fix string) {
	p.report(s.line, config.Error, fault.New(s.title()+": "+what, fix))
}

// title returns the statement for a message, without secrets.
func (s *statement) title() string { return fault.Short(secretless(strings.Join(s.words, " "))) }

// unused reports a statement that no case of a switch has converted.
func (p *parser) unused(s *statement) {
	if reason, found := equivalents[s.key()]; found {
		p.drop(s, reason.What, reason.Fix)
		return
	}
	p.drop(s, "it is not converted", "see whether the cluster needs it")
}

// build makes the configuration from the statements.
func (p *parser) build(file *statement) {
	p.groups, p.used, p.mails = map[string]*statement{}, map[*statement]bool{}, map[string]bool{}
	var servers []*statement
	for _, s := range file.body {
		switch {
		case s.key() == "virtual_server" && s.opened:
			servers = append(servers, s)
		case s.key() == "virtual_server_group" && s.opened:
			p.groups[s.arg()] = s
		case clustered(s):
			// The method cluster reads it.
		case includes(s):
			// The method included reports it.
		default:
			p.unused(s)
		}
	}
	p.included(file)
	p.cluster(file)
	for _, s := range servers {
		if p.reals > config.MaxReals {
			break
		}
		p.virtual(s)
	}
	p.unmailed()
	for _, group := range file.body {
		if group.key() == "virtual_server_group" && group.opened && !p.used[group] {
			p.report(group.line, config.Ignored, fault.New(group.title()+": no virtual_server has this group", ""))
		}
	}
	if len(p.config.Services) == 0 {
		p.report(0, config.Warning, fault.New("no virtual service in this file", ""))
	}
	p.problems.Add(p.config.Validate()...)
}

// clustered reports whether the method cluster reads the block.
func clustered(s *statement) bool {
	return s.opened && slices.Contains([]string{"global_defs", "vrrp_script", "vrrp_instance", "vrrp_sync_group"}, s.key())
}

// cluster reads what the file says about directors and virtual addresses. Each kind of block needs
// the blocks of the kinds before it.
func (p *parser) cluster(file *statement) {
	p.scripts, p.tracked = map[string]config.NodeCheck{}, map[string]bool{}
	for _, kind := range []struct {
		name string
		read func(*statement)
	}{{"global_defs", p.global}, {"vrrp_script", p.script}, {"vrrp_instance", p.instance}, {"vrrp_sync_group", p.sync}} {
		found := 0
		for _, s := range file.body {
			if s.key() == kind.name && s.opened {
				if found++; found > mostVRRP {
					p.wrong(s, fmt.Sprintf("more than %d blocks %s", mostVRRP, kind.name), "divide the file")
					break
				}
				kind.read(s)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.scripts)) {
		if !p.tracked[name] {
			p.report(p.scripts[name].Line, config.Ignored, fault.New("vrrp_script "+fault.Short(name)+": no track_script has this name", ""))
		}
	}
}

// included reports each statement that reads another file.
func (p *parser) included(s *statement) {
	for _, inner := range s.body {
		if includes(inner) {
			p.wrong(inner, "the statements of other files are not read here", "give these files to the same command, or write their text into this file")
		}
		p.included(inner)
	}
}

// mostSeconds limits times, so that a time.Duration can hold them.
const mostSeconds = 1 << 31

// timer returns the seconds of a statement.
func (p *parser) timer(s *statement) time.Duration {
	n, err := strconv.ParseFloat(s.arg(), 64)
	if err != nil || !(n >= 0 && n <= mostSeconds) {
		p.wrong(s, "not a number of seconds", "")
		return 0
	}
	return time.Duration(n * float64(time.Second))
}

// number returns the number of a statement, from least to most.
func (p *parser) number(s *statement, least, most int) int {
	n, err := strconv.Atoi(s.arg())
	if err != nil || n < least || n > most {
		p.wrong(s, fmt.Sprintf("not a number from %d to %d", least, most), "")
		return least
	}
	return n
}

// yes returns the switch of a statement. Without an argument it is on.
func (p *parser) yes(s *statement) bool {
	switch strings.ToLower(s.arg()) {
	case "", "on", "true", "yes":
		return true
	case "off", "false", "no":
		return false
	}
	p.wrong(s, "not a switch", "write on or off")
	return false
}
