// Package reference renders the description of ldirectord.cf from the list of directives that the
// parser uses.
package reference

import (
	"fmt"
	"strings"

	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/manual"
)

const intro = `A file has settings for all virtual services, each on a separate line that begins in column 1. It
also has one block for each virtual service. A block is a line virtual= and the lines that belong
to it, which are indented by a tab or four blanks. Some settings are allowed in both places.
Outside of blocks, these settings count for all services, except for services whose block has
another value.

A line that begins with # is a comment. In a block, # also begins a comment after a value, but not
between double quotes and not after virtual=, yes or no. If a directive is given twice, the last
line counts. For some directives, all lines count.

The parser accepts some faults: notes after values ("# note", "> note"), blank lines and missing
indentation in a block, trailing blanks, carriage returns, a byte-order mark and odd quotes. It
warns about a fault if ldirectord would read the file in another way. lvsctl check FILE prints all
warnings and errors with their lines and what to write instead.`

// Markdown returns the reference page.
func Markdown() string {
	var b strings.Builder
	b.WriteString("<!-- Generated from internal/config/ldirectord/directives.go by `make docs`; do not edit. -->\n# ldirectord.cf\n\n" + intro + "\n\n")
	b.WriteString("| directive | for all | in a block | when left out |\n|---|---|---|---|\n")
	for _, d := range ldirectord.Directives() {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s | %s |\n", d.Name, d.Name, mark(d.InFile), mark(d.InBlock), strings.ReplaceAll(d.Unset, "|", `\|`))
	}
	for _, d := range ldirectord.Directives() {
		fmt.Fprintf(&b, "\n## %s\n\n", d.Name)
		if d.Values != "" {
			fmt.Fprintf(&b, "`%s=` %s\n\n", d.Name, escaped(d.Values))
		}
		b.WriteString(d.About + facts(d) + "\n")
		fmt.Fprintf(&b, "\n```\n%s```\n", d.Example)
		for _, said := range said(d) {
			fmt.Fprintf(&b, "\nChecking this example reports: `%s`\n", said)
		}
	}
	return b.String()
}

// said returns the problems that the parser reports about the example of a directive.
func said(d ldirectord.Directive) []string {
	var texts []string
	_, problems := ldirectord.Parse("FILE", []byte(d.Example))
	for _, p := range problems {
		texts = append(texts, fmt.Sprintf("%s: %s", p.Severity, p))
	}
	return texts
}

func mark(yes bool) string {
	if yes {
		return "yes"
	}
	return ""
}

// escaped escapes brackets and bars for Markdown.
func escaped(text string) string {
	return strings.NewReplacer("[", `\[`, "]", `\]`, "|", `\|`, "<", "&lt;").Replace(text)
}

// facts returns sentences about the value that counts when the directive is left out, and about
// repetition.
func facts(d ldirectord.Directive) string {
	text := ""
	if d.Unset != "" {
		text += " When left out: " + d.Unset + "."
	}
	if d.Repeats {
		text += " If there are several lines, all of them count."
	}
	return text
}

// Man returns the manual page, section 5.
func Man() string {
	var b strings.Builder
	b.WriteString(".\\\" Generated from internal/config/ldirectord/directives.go by make docs; do not edit.\n.TH LDIRECTORD.CF 5 \"\" lvs-agents \"File formats\"\n.SH NAME\n" +
		"ldirectord.cf \\- virtual services, their real servers and their checks\n.SH SYNOPSIS\n.I /etc/ha.d/ldirectord.cf\n.SH DESCRIPTION\n")
	b.WriteString(manual.Paragraphs(intro, ".PP") + "\n.SH DIRECTIVES\n")
	for _, d := range ldirectord.Directives() {
		fmt.Fprintf(&b, ".TP\n.BI %s= \" %s\"\n%s (%s)\n", d.Name, strings.ReplaceAll(manual.Escape(d.Values), `"`, `""`), manual.Escape(d.About+facts(d)), place(d))
		fmt.Fprintf(&b, ".IP\n.nf\n%s\n.fi\n", strings.TrimSuffix(manual.Escape(d.Example), "\n"))
		for _, said := range said(d) {
			fmt.Fprintf(&b, ".IP\nChecking this example reports: %s\n", manual.Escape(said))
		}
	}
	b.WriteString(".SH FILES\n.TP\n.I /etc/ha.d, /etc/ha.d/conf\nwhere a relative file name is looked up\n" +
		".SH SEE ALSO\n.BR directord (8),\n.BR lvsctl (8),\n.BR ipvsadm (8)\n")
	return b.String()
}

func place(d ldirectord.Directive) string {
	switch {
	case d.InFile && d.InBlock:
		return "for all services, or in a block"
	case d.InFile:
		return "for all services"
	}
	return "in a block"
}
