// Package manual renders the usage, the manual page and the shell completions of a command line
// from one declaration.
package manual

import (
	"fmt"
	"strings"
)

// Program declares a command line.
type Program struct {
	Name, Short string // Short is a phrase without a full stop
	// Synopsis has the arguments after the name, one text for each form of the command line.
	Synopsis []string
	Long     string // Long is the description. An empty line separates its paragraphs.
	Options  []Option
	Commands []Command
	Operands Operands // Operands are the operands in front of a command.
	// Sections are additional sections of the manual page. The usage text does not have them.
	Sections []Section
	Exit     [][2]string // Exit has the exit codes and their meanings.
	Files    [][2]string
	Also     []string // Also has other manual pages, such as "ipvsadm(8)".
	Source   string   // Source is the file that declares the program.
}

// Option is -s, --long or --long=VALUE.
type Option struct{ Short, Long, Value, Text string }

// Command is a word on the command line that selects an action.
type Command struct {
	Name, Synopsis, Text string
	Options              []Option
	Operands             Operands // Operands are the operands after the command.
}

// Operands are the operands that a shell completes. The zero value means none.
type Operands struct {
	Files bool // Files reports whether names of files are operands.
	// Dir is a directory whose files with the ending Ending are operands. It can be empty.
	Dir, Ending string
	Bare        bool // Bare reports whether the operands have no ending.
}

// Section is an additional section, for example the list of an input's fields.
type Section struct {
	Title, Text string
	Items       [][2]string
}

// spelt returns the option as an operator writes it.
func (o Option) spelt() string {
	text := "--" + o.Long
	if o.Value != "" {
		text += "=" + o.Value
	}
	if o.Short != "" {
		text = "-" + o.Short + ", " + text
	}
	return text
}

// Usage returns the usage text, without a line end at its end.
func (p Program) Usage() string {
	var b strings.Builder
	for i, form := range p.Synopsis {
		fmt.Fprintf(&b, "%s%s %s\n", []string{"usage: ", "       "}[min(i, 1)], p.Name, form)
	}
	fmt.Fprintf(&b, "%s.\n", p.Short)
	if p.Long != "" {
		fmt.Fprintf(&b, "%s\n", p.Long)
	}
	width := 0
	for _, o := range p.Options {
		width = max(width, len(o.spelt()))
	}
	for _, o := range p.Options {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, o.spelt(), o.Text)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Man returns the manual page, section 8, as man(7) macros.
func (p Program) Man() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`.\" Generated from %s by make docs; do not edit.`, p.Source)
	line(`.TH %s 8 "" lvs-agents "System administration"`, strings.ToUpper(p.Name))
	line(".SH NAME\n%s \\- %s", p.Name, Escape(strings.ToLower(p.Short[:1])+p.Short[1:]))
	line(".SH SYNOPSIS")
	for i, form := range p.Synopsis {
		if i > 0 {
			line(".br")
		}
		line(".B %s\n%s", Escape(p.Name), Escape(form))
	}
	line(".SH DESCRIPTION\n%s.", Escape(p.Short))
	if p.Long != "" {
		line(".PP\n%s", Paragraphs(p.Long, ".PP"))
	}
	if len(p.Options) > 0 {
		line(".SH OPTIONS")
		options(line, p.Options)
	}
	if len(p.Commands) > 0 {
		line(".SH COMMANDS")
	}
	for _, c := range p.Commands {
		item(line, strings.TrimSpace(c.Name+" "+c.Synopsis), c.Text)
		if len(c.Options) > 0 {
			line(".RS")
			options(line, c.Options)
			line(".RE")
		}
	}
	for _, s := range append(p.Sections, Section{"exit status", "", p.Exit}, Section{"files", "", p.Files}) {
		s.man(line)
	}
	line(".SH SEE ALSO")
	for i, page := range p.Also {
		name, section, _ := strings.Cut(page, "(")
		comma := ","
		if i == len(p.Also)-1 {
			comma = ""
		}
		line(".BR %s (%s%s", Escape(name), section, comma)
	}
	return b.String()
}

func (s Section) man(line func(string, ...any)) {
	if len(s.Items) == 0 && s.Text == "" {
		return
	}
	line(".SH %s", strings.ToUpper(s.Title))
	if s.Text != "" {
		line("%s", Paragraphs(s.Text, ".PP"))
	}
	for _, i := range s.Items {
		item(line, i[0], i[1])
	}
}

func options(line func(string, ...any), all []Option) {
	for _, o := range all {
		item(line, o.spelt(), o.Text)
	}
}

func item(line func(string, ...any), term, text string) {
	line(".TP\n.B %s\n%s", Escape(term), Paragraphs(text, ".IP"))
}

// Escape escapes the text that man(7) would interpret: backslashes, hyphens, and control characters
// at the start of a line.
func Escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// Paragraphs escapes a text and puts a macro between its paragraphs.
func Paragraphs(text, macro string) string {
	return strings.ReplaceAll(Escape(text), "\n\n", "\n"+macro+"\n")
}
