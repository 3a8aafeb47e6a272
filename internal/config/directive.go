package config

import (
	"slices"

	"lvs-agents/internal/config/fault"
)

// place is where a directive may stand.
type place uint8

const (
	inFile  place = 1 << iota // outside of virtual blocks, for all services
	inBlock                   // in a virtual block, for its service
	inBoth  = inFile | inBlock
)

// directive declares a directive of ldirectord.cf. Parsing, the reference page,
// the man page and "did you mean" come from it.
type directive struct {
	name  string
	where place
	class class
	set   setter // stores a clean value; nil for what opens a block
	many  bool   // may be given more than once
	six   bool   // the example belongs to an IPv6 service

	values  string // what can be written
	unset   string // what counts when it is left out; empty for nothing
	about   string // what it does, in sentences
	example string // its value in an example
	short   string // a noun phrase; empty for what is no parameter of a resource
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
func (s *scope) named(value string) string { return s.st.dir.name + " " + fault.Quote(value) }

// in names the directive and its value in front of an error.
func (s *scope) in(value string, err error) error {
	f := fault.Of(err)
	return fault.New(s.named(value)+": "+f.What, f.Fix)
}

func (s *scope) warn(what, fix string) { s.parser.report(s.st, Warning, fault.New(what, fix)) }

// hidden tells whether the values of the directive must not be shown.
func (d *directive) hidden() bool { return slices.Contains(secretNames, d.name) }

// line is the directive as it should be written.
func (d *directive) line(value string) string {
	switch {
	case d.hidden():
		return d.name + `="` + redacted + `"`
	case d.class == quotedText:
		return d.name + `="` + fault.Short(value) + `"`
	}
	return d.name + "=" + fault.Short(value)
}

// Directive is what there is to know about a directive of ldirectord.cf.
type Directive struct {
	Name            string
	InFile, InBlock bool // where it may stand
	Repeats         bool // several of them add up; of the others the last one counts
	Values          string
	Unset           string // what counts when it is left out; empty for nothing
	About           string
	Example         string // a whole file with it
	Short           string // a noun phrase, of those that Checks may have
}

// Directives lists all directives in the order of their declaration.
func Directives() []Directive {
	var all []Directive
	for _, rows := range tables() {
		for _, d := range rows {
			all = append(all, d.public())
		}
	}
	return all
}

func (d *directive) public() Directive {
	return Directive{
		Name: d.name, InFile: d.where&inFile != 0, InBlock: d.where&inBlock != 0, Repeats: d.many,
		Values: d.values, Unset: d.unset, About: d.about, Example: d.file(), Short: d.short,
	}
}

// file is the smallest file with the directive.
func (d *directive) file() string {
	line := d.name + "=" + d.example + "\n"
	if d.class == quotedText {
		line = d.name + `="` + d.example + "\"\n"
	}
	service, real := "virtual=192.0.2.10:80\n", "\treal=192.0.2.21:80 masq\n"
	if d.six {
		service, real = "virtual6=[2001:db8::10]:80\n", "\treal6=[2001:db8::21]:80 masq\n"
	}
	switch {
	case d.opens():
		return line + real
	case d.name == "real" || d.name == "real6":
		return service + "\t" + line
	case d.where == inFile:
		return line + service + real
	}
	return service + real + "\t" + line
}
