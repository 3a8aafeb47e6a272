// Package ldirectord reads the configuration of ldirectord, ldirectord.cf. Each directive is
// declared once: parsing, the reference page and "did you mean" use this declaration.
package ldirectord

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/policy"
	"lvs-agents/internal/suggest"
)

// Parse reads the text of an ldirectord.cf. It reports all problems at once, ordered by line; the
// Config is nil if one of them is an error. It never touches the network, the file system or the
// kernel.
//
// Lines with a directive that only blocks have belong to the virtual block above them. Other
// directives (fallback, quiescent, …) are valid in blocks and outside. They belong to the block if
// they are indented. In column 1, they belong to the block only if the block is flat. A block is
// flat if its first directive that only blocks have is not indented either. ldirectord refuses
// flat blocks, so no file that ldirectord accepts changes its meaning.
func Parse(file string, text []byte) (*config.Config, []config.Problem) {
	return parse(file, text, false)
}

func parse(file string, text []byte, repairs bool) (*config.Config, []config.Problem) {
	p := newParser(file)
	p.repairs = repairs
	p.group(p.read(text))
	for _, st := range p.file {
		p.apply(scope{settings: &p.global, st: st})
	}
	for _, b := range p.blocks {
		p.block(b)
	}
	p.finish()
	sortProblems(p.problems)
	if config.Err(p.problems) != nil {
		return nil, p.problems
	}
	return p.config, p.problems
}

func newParser(file string) *parser {
	p := &parser{
		config: &config.Config{File: file}, known: directives(), names: map[string]bool{},
		global: settings{given: map[string]int{}},
	}
	for name := range p.known {
		p.names[name] = true
	}
	return p
}

type parser struct {
	config   *config.Config
	repairs  bool // repairs says that lost line breaks are restored.
	known    map[string]*directive
	names    map[string]bool // names are the names of the directives in known.
	global   settings
	file     []statement // file has the statements outside of virtual blocks.
	blocks   []*block
	total    int  // total is the number of real servers in the file.
	many     bool // many says that total is too large, and that problems has the error.
	works    bool // works says that at least one real server can be up.
	problems []config.Problem
}

// statement is a line that holds a directive.
type statement struct {
	line, column int // line and column are the position of the value.
	start        int // start is the column of the name of the directive.
	indent       int // indent is the indentation in columns. A tab counts as four columns.
	dir          *directive
	raw          string   // raw is the value as the file writes it.
	damage       []string // damage has the faults of the line outside of the value.
	blankLine    int      // blankLine is the number of the empty line above. 0 means none.
}

// settings are the values that a file can set for all services, and a block for its service.
type settings struct {
	checkTimeout, negotiateTimeout, interval, fast, down time.Duration
	fall, rise, attempts                                 int
	// quiescent and cleanStop are nil if the file or the block does not set them.
	quiescent, cleanStop *bool
	markedDown           config.MarkedDown
	fallback, fallback6  *writtenFallback
	fallbackCommand      []string
	alert                config.Alert
	notify               config.Notify
	policy               policy.Settings
	agent                config.Agent
	agentCheck           *bool // agentCheck is nil if the file or the block does not set it.
	observe              *bool // observe is nil if the file or the block does not set it.
	// given has the line number of each directive.
	given map[string]int
}

// block is a virtual service before the settings for all services are added.
type block struct {
	settings
	virtual    statement
	statements []statement
	flat       bool        // flat says that the directives of the block are not indented.
	thin       []statement // thin has the statements of the block with too little indentation.
	// after has later lines without indentation, which seem to be for all services.
	after     []statement
	detached  bool // detached says that an empty line ended a flat block.
	blankLine int  // blankLine is the line number of the first empty line in the block.

	target    Target
	broken    bool // broken says that the virtual line has an error.
	ipv6      bool
	service   lvs.Service
	onePacket bool
	protocol  string
	netmask   string
	reals     []writtenReal
	receiveAt statement
	check     config.Check
	rest      config.Service // rest has the fields that only a block sets.
}

// writtenReal is a real server before it gets the port of its service.
type writtenReal struct {
	RealText
	st statement
}

func (p *parser) add(line, column int, severity config.Severity, f fault.Fault) {
	p.problems = append(p.problems, config.Problem{
		File: p.config.File, Line: line, Column: column, Severity: severity,
		What: fault.Printable(hideSecrets(f.What)), Fix: fault.Printable(hideSecrets(f.Fix)),
	})
}

func (p *parser) report(st statement, severity config.Severity, f fault.Fault) {
	p.add(st.line, st.column+st.offset(f), severity, f)
}

// offset returns where the last quoted word of a fault that the value contains begins in the value.
// If the value contains no quoted word of the fault, it returns 0.
func (st statement) offset(f fault.Fault) int {
	parts := strings.Split(f.What, `"`)
	for i := len(parts) - 1 - len(parts)%2; i > 0; i -= 2 {
		if at := strings.LastIndex(st.raw, parts[i]); parts[i] != "" && at >= 0 && !st.dir.hidden() {
			return at
		}
	}
	return 0
}

// read returns the statements of a text. It reports lines that are neither a statement nor a
// comment nor empty.
func (p *parser) read(text []byte) []statement {
	text, marked := bytes.CutPrefix(text, []byte("\ufeff"))
	if marked {
		p.add(1, 1, config.Warning, fault.New("byte-order mark at the start of the file", "save it as UTF-8 without one"))
	}
	var all []statement
	number, blankLine, returns := 0, 0, 0
	for line := range strings.SplitSeq(string(text), "\n") {
		number++
		if cut, found := strings.CutSuffix(line, "\r"); found {
			line, returns = cut, returns+1
			if returns == 1 {
				p.add(number, len(line)+1, config.Warning, fault.New("lines end as in Windows files (CR LF)", `remove the CRs: sed -i 's/\r$//' FILE`))
			}
		}
		if blankLine == 0 && strings.Trim(line, " \t"+oddBlanks) == "" {
			blankLine = number
		}
		for _, part := range p.mend(number, line) {
			if st, ok := p.statement(number, part); ok {
				st.blankLine, blankLine = blankLine, 0
				all = append(all, st)
			}
		}
	}
	return all
}

// statement reads a line; ok is false for comments, empty lines and lines without a
// directive.
func (p *parser) statement(number int, line string) (st statement, ok bool) {
	st.line = number
	if strings.ContainsAny(line, oddBlanks) {
		if plain := plainBlanks(line); plain != line {
			st.damage, line = append(st.damage, "an odd blank (no-break, zero-width or ideographic)"), plain
		}
	}
	body := strings.TrimLeft(line, " \t")
	st.indent = len(line) - len(body) + 3*strings.Count(line[:len(line)-len(body)], "\t")
	switch {
	case body == "":
		return st, false
	case body[0] == '#':
		p.comment(number, body)
		return st, false
	}
	st.start = len(line) - len(body) + 1
	name, value, found := strings.Cut(body, "=")
	if !found && strings.TrimRight(body, " \t") == "supervised" {
		value, found, name = "yes", true, "supervised"
	}
	st.raw = strings.TrimLeft(value, " \t")
	st.column = len(line) - len(st.raw) + 1
	return p.named(st, strings.TrimRight(name, " \t"), found)
}

// named returns the statement with the directive of this name in its field dir. If the directive or
// the equals sign is missing, named reports an error.
func (p *parser) named(st statement, name string, equals bool) (statement, bool) {
	if bare := strings.Map(dropQuotes, name); bare != name && p.known[bare] != nil {
		st.damage, name = append(st.damage, "a quote in the name"), bare
	}
	if st.dir = p.known[name]; st.dir != nil && equals {
		return st, true
	}
	word := name[:len(name)-len(strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"))]
	switch {
	case word == "":
		p.add(st.line, st.start, config.Error, fault.New("this line is not a directive", "write NAME=VALUE, or # in front of a comment"))
	case !equals && p.known[word] != nil:
		p.add(st.line, st.start, config.Error, fault.New(`"=" missing after `+word, "write "+word+"=VALUE"))
	default:
		p.add(st.line, st.start, config.Error, p.unknown(word))
	}
	return st, false
}

func dropQuotes(r rune) rune {
	if strings.ContainsRune(quoteRunes, r) {
		return -1
	}
	return r
}

// unknown returns the fault of an unknown directive. The fault does not show the value, which
// can be a secret.
func (p *parser) unknown(name string) fault.Fault {
	for _, secret := range secretNames {
		if strings.HasPrefix(name, secret) {
			return fault.New("unknown directive that starts with "+secret, `write `+secret+`="VALUE"`)
		}
	}
	hint := ""
	if len(name) <= longestName {
		names := make([]string, 0, len(p.known))
		for known := range p.known {
			names = append(names, known)
		}
		slices.Sort(names)
		hint = strings.TrimPrefix(suggest.Hint(strings.ToLower(name), names), "; ")
	}
	return fault.New("unknown directive "+fault.Quote(name), hint)
}

// comment warns about a comment that contains several directives. Text copied from a web page often
// loses its line breaks.
func (p *parser) comment(line int, text string) {
	if count := len(p.starts(text)); count >= fewest {
		p.add(line, 1, config.Warning, fault.New(fmt.Sprintf("this comment holds %d directives, as if line breaks were lost", count), "write each directive on a separate line"))
	}
}

// group sorts statements into statements of the file and of the virtual blocks.
func (p *parser) group(all []statement) {
	var open *block
	follows, several := ownFollows(all)
	for i, st := range all {
		own := st.dir.where == inBlock
		switch {
		case st.dir.opens():
			open = &block{virtual: st.indented(), flat: flat(all[i+1:])}
			p.blocks = append(p.blocks, open)
		case own && open == nil:
			p.report(st, config.Error, fault.New(st.dir.name+" belongs to a virtual service, and there is no virtual= above", ""))
		case open == nil, st.dir.where == inFile:
			p.file = append(p.file, st.indented())
		case own || st.indent > 0:
			p.interrupted(open, several)
			open.take(st)
		case !open.flat:
			open.after = append(open.after, st)
			p.file = append(p.file, st)
		default:
			p.shared(open, st, follows[i] || !several)
		}
	}
}

// opens reports whether a directive begins a virtual block.
func (d *directive) opens() bool { return d.name == "virtual" || d.name == "virtual6" }

// indented records the indentation of a statement that should be in column 1.
func (st statement) indented() statement {
	if st.indent > 0 {
		st.damage = append(st.damage, "an indentation")
	}
	return st
}

// flat reports whether the block of the statements is written without indentation.
func flat(statements []statement) bool {
	for _, st := range statements {
		switch {
		case st.dir.where == inBlock:
			return st.indent == 0
		case st.dir.opens():
			return false
		}
	}
	return false
}

// ownFollows reports for each statement whether a directive that only blocks have follows in
// the same block. It also reports whether there are several blocks.
func ownFollows(all []statement) (follows []bool, several bool) {
	follows = make([]bool, len(all))
	blocks, follow := 0, false
	for i, st := range slices.Backward(all) {
		follows[i] = follow
		if st.dir.opens() {
			blocks++
		}
		follow = !st.dir.opens() && (follow || st.dir.where == inBlock)
	}
	return follows, blocks > 1
}

// interrupted reports the lines in column 1 after which the block b continues. These lines seemed
// to be for all services.
func (p *parser) interrupted(b *block, several bool) {
	// With a single service, a line for all services has the same effect.
	severity := config.Warning
	if several {
		severity = config.Error
	}
	for _, st := range b.after {
		p.report(st, severity, fault.New(st.dir.name+" is in column 1 inside a virtual block", "indent it with a tab, or move it above the first virtual="))
	}
	b.after = nil
}

// shared adds a statement in column 1 to the flat block b above the statement. After an empty line,
// the statement can also be for all services. In that case shared reports an error, unless clear is
// true. clear says that the file has only one block, or that a directive that only blocks have
// follows in the block.
func (p *parser) shared(b *block, st statement, clear bool) {
	b.detached = b.detached || st.blankLine != 0
	if clear || !b.detached {
		b.take(st)
		return
	}
	p.report(st, config.Error, fault.New(st.dir.name+" can be meant for the virtual block above or for all services", "indent it with a tab, or move it above the first virtual="))
}

func (b *block) take(st statement) {
	if st.indent < 4 {
		b.thin = append(b.thin, st)
	}
	if b.blankLine == 0 {
		b.blankLine = st.blankLine
	}
	b.statements = append(b.statements, st)
}

// block reads the statements of a virtual block.
func (p *parser) block(b *block) {
	b.given = map[string]int{}
	p.layout(b)
	p.target(b)
	for _, st := range b.statements {
		p.apply(scope{settings: &b.settings, block: b, st: st})
	}
}

// layout reports lines that ldirectord would not accept inside a block.
func (p *parser) layout(b *block) {
	if n := len(b.thin); n > 0 {
		p.add(b.thin[0].line, 0, config.Warning, fault.New(
			fmt.Sprintf("%s not indented by a tab or four blanks", count(n, "line of this virtual block is", "lines of this virtual block are")),
			`begin with a tab: "\t`+b.thin[0].dir.name+`=…"`))
	}
	if b.blankLine != 0 {
		p.add(b.blankLine, 0, config.Warning, fault.New("empty line inside a virtual block, where ldirectord ends it", "delete the line"))
	}
}

// target reads the virtual= line itself.
func (p *parser) target(b *block) {
	text, err := p.clean(b.virtual, false)
	six := b.virtual.dir.name == "virtual6"
	b.ipv6 = six || strings.HasPrefix(text, "[")
	if err == nil {
		if address, rest, found := strings.Cut(text, " "); found {
			p.report(b.virtual, config.Warning, fault.New(fault.Quote(strings.TrimSpace(rest))+" after the address", "write "+b.virtual.dir.line(address)))
			text = address
		}
		if b.target, err = ParseTarget(text); err == nil && six && b.target.host.addr.Is4() {
			err = fault.Errorf("write virtual=", "an IPv4 address in virtual6=")
		}
		if err != nil {
			named := scope{st: b.virtual}
			err = named.in(text, err)
		}
	}
	if b.broken = err != nil; b.broken {
		p.fail(b.virtual, err)
	}
}

// apply cleans the value of a statement and stores the value.
func (p *parser) apply(s scope) {
	s.config = p.config
	s.report = func(f fault.Fault) { p.report(s.st, config.Warning, f) }
	d := s.st.dir
	if first, again := s.given[d.name]; again && !d.many {
		s.warn(fmt.Sprintf("%s is given twice, first in line %d; the last one counts", d.name, first), "delete one of them")
	}
	s.given[d.name] = s.st.line
	value, err := p.clean(s.st, s.block != nil)
	if err == nil {
		err = d.set(&s, value)
	}
	if err != nil {
		p.fail(s.st, err)
	}
}

// clean returns the value of a statement and warns about its damage.
func (p *parser) clean(st statement, block bool) (string, error) {
	c := valueReader{block: block, names: p.names, damage: st.damage}
	if err := c.clean(st.dir.class, st.raw); err != nil {
		if !errors.As(err, new(lostBreak)) {
			f := fault.Of(err)
			err = fault.New(st.dir.name+": "+f.What, f.Fix)
		}
		return "", err
	}
	if len(c.damage) > 0 {
		p.report(st, config.Warning, fault.New(strings.Join(c.damage, " and "), "write "+st.dir.line(c.text)))
	}
	return c.text, nil
}

// fail reports the error of a statement.
func (p *parser) fail(st statement, err error) {
	f := fault.Of(err)
	var lost lostBreak
	if errors.As(err, &lost) {
		f.Fix = "write two lines: " + st.dir.line(lost.first) + " and " + fault.Short(lost.second)
	}
	p.report(st, config.Error, f)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func sortProblems(problems []config.Problem) {
	slices.SortStableFunc(problems, func(a, b config.Problem) int { return a.Line - b.Line })
}
