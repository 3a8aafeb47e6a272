// Package commands reads the commands that set up a director by hand: ipvsadm, iptables, ip and
// ifconfig. They can be in a shell script, in a transcript of a terminal, or in the output of
// ipvsadm -Sn and iptables-save.
package commands

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// Parse reads commands. It ignores every other line, and reports how many there are. It repairs
// dashes that a web page has replaced. The Config is nil if a problem is an error.
func Parse(name string, text []byte) (*config.Config, []config.Problem) {
	return parse(name, text, false)
}

// Strict reads commands as Parse does, without repairs. Every line must be a command that it knows,
// a comment, or an assignment of a variable.
func Strict(name string, text []byte) (*config.Config, []config.Problem) {
	return parse(name, text, true)
}

// Guess reports whether a text has a command for a virtual service, or for the mark of packets. The
// command ip address add, and a line that ip -o addr prints, count too.
func Guess(text []byte) bool {
	var p parser
	for line := range strings.Lines(string(text)) {
		words, _ := p.words(line)
		if len(words) == 0 {
			words = strings.Fields(strings.TrimLeft(line, "# \t"))
		}
		if len(words) < 3 {
			continue
		}
		ipvsadm := words[0] == "ipvsadm" || words[0] == "-A" || words[0] == "-a"
		service := slices.ContainsFunc(words, func(w string) bool { return w == "-t" || w == "-u" || w == "-f" })
		if _, listed := listing(words); listed || words[0] == "ip" && relevant("ip", words[1:]) {
			return true
		}
		if ipvsadm && service || slices.Contains(words, "--set-mark") || slices.Contains(words, "--set-xmark") {
			return true
		}
	}
	return false
}

// parser reads the lines of a file. Its zero value is ready for use.
type parser struct {
	config    *config.Config
	strict    bool
	prompts   bool // prompts: lines that begin with # are commands of a transcript, not comments.
	variables map[string]string
	services  map[lvs.ServiceID]int                    // services are indexes of config.Services. Nil means not known yet.
	reals     map[lvs.ServiceID]map[netip.AddrPort]int // reals are indexes of Service.Reals.
	others    int                                      // others is the number of lines that are not commands for a director.
	first     int                                      // first is the line number of the first of others.
	table     string
	problems  config.Problems
}

func parse(name string, text []byte, strict bool) (*config.Config, []config.Problem) {
	p := &parser{config: &config.Config{File: name, Cluster: &config.Cluster{}}, strict: strict, variables: map[string]string{}}
	p.prompts = !strict && onlyPrompts(string(text))
	line := 0
	for raw := range strings.Lines(string(text)) {
		line++
		p.line(line, raw)
	}
	p.finish()
	problems := p.problems.All(name)
	if config.Err(problems) != nil {
		return nil, problems
	}
	return p.config, problems
}

func (p *parser) report(line int, severity config.Severity, f fault.Fault) {
	p.problems.Add(config.Problem{File: p.config.File, Line: line, Severity: severity, What: f.What, Fix: f.Fix})
}

// onlyPrompts reports whether every command of a text comes after the prompt of root (#). Then the
// text is a transcript, and its commands are not comments.
func onlyPrompts(text string) bool {
	prompts := false
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if known(words[0]) {
			return false
		}
		prompts = prompts || words[0] == "#" && len(words) > 1 && known(words[1])
	}
	return prompts
}

// known reports whether a word is the name of a program whose commands this package reads.
func known(word string) bool {
	switch program(word) {
	case "ipvsadm", "iptables", "ip6tables", "ip", "ifconfig":
		return true
	}
	return false
}

// program returns the name of a program without its directory and its variant.
func program(word string) string {
	word = word[strings.LastIndexByte(word, '/')+1:]
	return strings.TrimSuffix(strings.TrimSuffix(word, "-legacy"), "-nft")
}

// prompt is the prompt of a terminal, as in "[root@director1 ~]# ".
var prompt = regexp.MustCompile(`^\[\w+@[^\]]*\]\s?[#$]\s*`)

// assignment is a shell variable with its value.
var assignment = regexp.MustCompile(`^(?:export\s+)?([A-Za-z_]\w*)=("[^"]*"|'[^']*'|[^\s;#]*)\s*(?:[;#].*)?$`)

// variable is the use of a shell variable.
var variable = regexp.MustCompile(`\$\{?([A-Za-z_]\w*)\}?`)

// words returns the words of a command, with the values of variables. unknown is a variable without
// a value, or empty.
func (p *parser) words(line string) (words []string, unknown string) {
	line = prompt.ReplaceAllString(strings.TrimSpace(line), "")
	if p.prompts {
		line = strings.TrimSpace(strings.TrimPrefix(line, "#"))
	}
	line = variable.ReplaceAllStringFunc(line, func(use string) string {
		name := variable.FindStringSubmatch(use)[1]
		value, found := p.variables[name]
		if !found {
			unknown = name
			return use
		}
		return value
	})
	for word := range strings.FieldsSeq(line) {
		if strings.HasPrefix(word, "#") || strings.HasPrefix(word, "//") {
			break
		}
		if word = strings.Trim(word, `"'`); len(words) > 0 || word != "sudo" {
			words = append(words, strings.TrimSuffix(word, ";"))
		}
		if strings.HasSuffix(word, ";") {
			break
		}
	}
	return words, unknown
}

func (p *parser) line(n int, raw string) {
	text := strings.TrimSpace(raw)
	if found := assignment.FindStringSubmatch(text); found != nil {
		p.variables[found[1]] = strings.Trim(found[2], `"'`)
		return
	}
	words, unknown := p.words(p.dashes(n, text))
	if len(words) == 0 {
		return
	}
	if section, found := strings.CutPrefix(words[0], "*"); found { // a table of iptables-save
		p.table = section
		return
	}
	if args, listed := listing(words); listed {
		p.listed(n, args)
		return
	}
	command, args := program(words[0]), words[1:]
	if words[0] == "-A" || words[0] == "-a" {
		command, args = "ipvsadm", words
		if p.table != "" {
			command = "iptables"
		}
	}
	if known(command) && unknown != "" && relevant(command, args) {
		p.report(n, config.Error, fault.New(fmt.Sprintf("variable %s has no value in the file", unknown), "write the value instead"))
		return
	}
	p.command(n, command, args)
}

// relevant reports whether a command can set up a director.
func relevant(command string, args []string) bool {
	switch command {
	case "ip":
		return len(args) > 1 && strings.HasPrefix("address", args[0]) && args[1] == "add"
	case "iptables", "ip6tables":
		return slices.Contains(args, "MARK")
	}
	return true
}

func (p *parser) command(n int, command string, args []string) {
	switch {
	case command == "ipvsadm":
		p.ipvsadm(n, args)
	case (command == "iptables" || command == "ip6tables") && relevant(command, args):
		p.mark(n, command == "ip6tables", args)
	case command == "ip" && relevant(command, args):
		p.address(n, args[2:])
	case command == "ifconfig" && len(args) > 1:
		p.ifconfig(n, args)
	case p.table != "" && (command == "COMMIT" || strings.HasPrefix(command, ":") || command == "iptables"):
		// The other rules of iptables-save have nothing to do with services.
	default:
		if p.others == 0 {
			p.first = n
		}
		p.others++
		if p.strict {
			p.report(n, config.Error, fault.New(fmt.Sprintf("%s is not a command that sets up a director", fault.Quote(command)), "delete the line"))
		}
	}
}

// dashes repairs the dashes of options that a web page has replaced by longer ones.
func (p *parser) dashes(n int, line string) string {
	fixed := strings.NewReplacer(" –", " -", " —", " --", " −", " -").Replace(line)
	if fixed == line {
		return line
	}
	words, _ := p.words(fixed)
	if len(words) == 0 || !known(words[0]) {
		return line
	}
	if p.strict {
		p.report(n, config.Error, fault.New("a dash of this line is not the character -", "write -"))
		return line
	}
	p.problems.Add(config.Problem{
		File: p.config.File, Line: n, Severity: config.Repaired, What: "a dash is not the character -", Before: line, After: fixed,
	})
	return fixed
}

// finish puts the parts together after the last line.
func (p *parser) finish() {
	if p.others > 0 && !p.strict {
		p.report(p.first, config.Dropped, fault.New(fmt.Sprintf("lines that are not commands for a director: %d, this is the first", p.others), "look whether something else must be set up, for example sysctls"))
	}
	cfg := p.config
	if len(cfg.Services) == 0 && len(cfg.Cluster.Marks) == 0 && len(cfg.Cluster.Addresses) == 0 {
		p.report(0, config.Error, fault.New("no virtual service, packet mark or address", ""))
		return
	}
	reals := 0
	for _, s := range cfg.Services {
		if reals += len(s.Reals); reals > config.MaxReals {
			p.report(s.Line, config.Error, fault.Of(config.TooManyReals()))
			return
		}
	}
	p.checks()
	p.problems.Add(cfg.Validate()...)
}

// checks gives each server of a TCP service a check. The commands have none.
func (p *parser) checks() {
	added := false
	for i, s := range p.config.Services {
		port := p.checked(s)
		if port == 0 {
			continue
		}
		check := config.Check{
			Type: config.Connect, Application: config.NoApplication, Interval: 10 * time.Second, Timeout: 5 * time.Second, Attempts: 1, Fall: 1, Rise: 1,
		}
		if s.ID.IsMark() {
			check.Port = port
		}
		for j := range s.Reals {
			p.config.Services[i].Reals[j].Checks = []config.Check{check}
			added = true
		}
	}
	if added {
		p.report(0, config.Warning, fault.New("the commands check no real server; each one with TCP gets a connect check", "choose better checks in ldirectord.cf"))
	}
}

// checked returns the TCP port that a check of a service can use, or 0.
func (p *parser) checked(s config.Service) uint16 {
	if !s.ID.IsMark() {
		if s.ID.Protocol == lvs.TCP {
			return s.ID.Addr.Port()
		}
		return 0
	}
	for _, m := range p.config.Cluster.Marks {
		if m.Mark == s.ID.Mark && slices.Contains(m.Protocols, "tcp") && len(m.Ports) > 0 {
			return m.Ports[0].First
		}
	}
	return 0
}
