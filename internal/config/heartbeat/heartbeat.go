// Package heartbeat reads the files of heartbeat: haresources, ha.cf and authkeys.
package heartbeat

import (
	"fmt"
	"regexp"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

type parser struct {
	config   *config.Config
	problems config.Problems
}

func newParser(name string) *parser {
	return &parser{config: &config.Config{File: name, Cluster: &config.Cluster{}}}
}

func (p *parser) report(line int, severity config.Severity, f fault.Fault) {
	p.problems.Add(config.Problem{File: p.config.File, Line: line, Severity: severity, What: f.What, Fix: f.Fix})
}

func (p *parser) repaired(line int, what, before, after string) {
	p.problems.Add(config.Problem{File: p.config.File, Line: line, Severity: config.Repaired, What: what, Before: before, After: after})
}

func (p *parser) result() (*config.Config, []config.Problem) {
	problems := p.problems.All(p.config.File)
	if config.Err(problems) != nil {
		return nil, problems
	}
	return p.config, problems
}

// lines returns the lines of a text without comments.
func lines(text []byte) []string {
	all := strings.Split(string(text), "\n")
	for i, line := range all {
		line, _, _ = strings.Cut(line, "#")
		all[i] = strings.TrimSpace(line)
	}
	return all
}

// continued returns the lines of a text. A line that ends in a backslash has the next line, too;
// the next line is then empty.
func continued(text []byte) []string {
	all := lines(text)
	for i := len(all) - 2; i >= 0; i-- {
		if start, found := strings.CutSuffix(all[i], `\`); found {
			all[i], all[i+1] = start+" "+all[i+1], ""
		}
	}
	return all
}

// The forms of lines in authkeys: a line that selects a key, a line with a key, and both joined.
var (
	selection = regexp.MustCompile(`^auth\s+([0-9]{1,2})$`)
	key       = regexp.MustCompile(`^([0-9]{1,2})\s+(crc|md5|sha1)(\s+\S+)?$`)
	joined    = regexp.MustCompile(`^auth\s+([0-9]{2,4})\s+(crc|md5|sha1)(\s+\S+)?$`)
)

// ParseKeys reads authkeys: whether messages are signed. Corosync has another key. The problems
// never contain a key.
func ParseKeys(name string, text []byte) (*config.Config, []config.Problem) {
	p := newParser(name)
	keys := 0
	for n, line := range lines(text) {
		switch {
		case line == "" || selection.MatchString(line):
		case key.MatchString(line):
			keys++
			p.signed(n+1, key.FindStringSubmatch(line)[2])
		case twice(line) != "":
			keys++
			number := twice(line)
			method := joined.FindStringSubmatch(line)[2]
			p.signed(n+1, method)
			p.repaired(n+1, "lines are joined", fmt.Sprintf("auth %s%s %s ***", number, number, method), fmt.Sprintf("auth %s  |  %s %s ***", number, number, method))
		default:
			p.report(n+1, config.Error, fault.New("the line is not in the form of authkeys", "write \"auth 1\" and \"1 sha1 SECRET\" in two lines"))
		}
	}
	if keys == 0 {
		p.report(0, config.Error, fault.New("no key in this file", "write \"auth 1\" and \"1 sha1 SECRET\" in two lines"))
	} else {
		p.report(0, config.Dropped, fault.New("Corosync has its own key", "make it with corosync-keygen, and copy /etc/corosync/authkey to all nodes"))
	}
	return p.result()
}

// signed reports a method that signs messages. crc is a check sum without a secret.
func (p *parser) signed(line int, method string) {
	if method != "crc" {
		p.messages(line).Signed = true
	}
}

// twice returns the number of the key of two joined lines, "auth 22 sha1 SECRET". Empty means that
// the line is not two joined lines.
func twice(line string) string {
	found := joined.FindStringSubmatch(line)
	if found == nil || len(found[1])%2 != 0 {
		return ""
	}
	half := found[1][:len(found[1])/2]
	if half+half != found[1] {
		return ""
	}
	return half
}
