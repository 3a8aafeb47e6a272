package metadata

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/manual"
)

// documents are the meta-data documents of all agents. make docs writes them, and a test of each
// agent checks that they are current (metadatatest.Run).
//
//go:embed documents/*.xml
var documents embed.FS

// Document returns the OCF 1.1 meta-data document of an agent. Package ocfxml has rendered it from
// the agent's declaration.
func Document(name string) ([]byte, error) {
	text, err := documents.ReadFile("documents/" + name + ".xml")
	if err != nil {
		return nil, fmt.Errorf("no meta-data document for %s; make docs: %w", name, err)
	}
	return text, nil
}

// Seconds returns a duration in the format of the cluster's tools, "20s".
func Seconds(d time.Duration) string { return strconv.Itoa(int(d/time.Second)) + "s" }

// provider is the OCF provider that all agents of this project belong to.
const provider = "lvs"

// Markdown returns the reference page of the agent.
func (a Agent) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- Generated from agents/%s by `make docs`; do not edit. -->\n", a.Name)
	fmt.Fprintf(&b, "# ocf:%s:%s\n\n%s.\n\n## Description\n\n%s\n\n## Parameters\n", provider, a.Name, a.Short, a.Long)
	for _, p := range a.Params {
		fmt.Fprintf(&b, "\n### `%s`\n\n%s (%s). %s\n", p.Name, p.Short, strings.Join(p.facts("`"), ", "), p.Long)
	}
	b.WriteString("\n## Actions\n\n| action | timeout | interval of recurring runs |\n|---|---|---|\n")
	for _, action := range a.Actions {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", action.title(), Seconds(action.Timeout), action.interval("–"))
	}
	b.WriteString("\n## Examples\n")
	for _, e := range a.Examples {
		fmt.Fprintf(&b, "\n%s:\n\n```\n%s\n```\n\n```\n%s\n```\n", e.Title, a.crm(e), a.pcs(e))
	}
	b.WriteString("\n## Exit codes\n\n| code | meaning |\n|---|---|\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&b, "| %s | %s |\n", c[0], c[1])
	}
	return b.String()
}

// exitCodes are the exit codes of all agents. Package ocf sets them.
var exitCodes = [][2]string{
	{"0", "success; for monitor: running"},
	{"1", "the action failed; for monitor: only a part of the resource is there, or it does not work"},
	{"2", "a file that a parameter names has errors on this node"},
	{"3", "the action does not exist"},
	{"4", "not root, or the kernel refused permission"},
	{"5", "this node lacks something: IPVS in the kernel, a scheduler, a file, a network interface"},
	{"6", "a parameter is missing or wrong, on every node"},
	{"7", "not running"},
}

// facts returns the type of a parameter and its other properties.
func (p Param) facts(quote string) []string {
	facts := []string{p.Value.Type()}
	if list, ok := p.Value.(Enumerated); ok {
		facts = []string{"one of " + quote + strings.Join(list.Options(), quote+" "+quote) + quote}
	}
	if p.Required {
		facts = append(facts, "required")
	}
	if p.UniqueGroup != "" {
		facts = append(facts, "unique in the cluster")
	}
	if p.Reloadable {
		facts = append(facts, "reloadable")
	}
	if text := p.Value.String(); text != "" {
		facts = append(facts, "default "+quote+text+quote)
	}
	return facts
}

func (a Action) title() string {
	if a.Name == "monitor" && a.Depth != 0 {
		return fmt.Sprintf("%s (depth %d)", a.Name, a.Depth)
	}
	return a.Name
}

func (a Action) interval(none string) string {
	if a.Interval == 0 {
		return none
	}
	return Seconds(a.Interval)
}

// crm returns the example as a crm shell command.
func (a Agent) crm(e Example) string {
	lines := []string{fmt.Sprintf("crm configure primitive %s ocf:%s:%s", e.ID, provider, a.Name)}
	if len(e.Params) > 0 {
		lines = append(lines, "    params "+assignments(e.Params))
	}
	for _, action := range a.Actions {
		if action.Name == "start" || action.Name == "stop" || action.Name == "monitor" {
			line := fmt.Sprintf("    op %s timeout=%s interval=%s", action.Name, Seconds(action.Timeout), action.interval("0"))
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " \\\n")
}

// pcs returns the example as a pcs command.
func (a Agent) pcs(e Example) string {
	lines := []string{fmt.Sprintf("pcs resource create %s ocf:%s:%s", e.ID, provider, a.Name)}
	if len(e.Params) > 0 {
		lines = append(lines, "    "+assignments(e.Params))
	}
	for _, action := range a.Actions {
		if action.Name == "monitor" {
			line := fmt.Sprintf("    op monitor timeout=%s interval=%s", Seconds(action.Timeout), action.interval("0"))
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " \\\n")
}

func assignments(params [][2]string) string {
	words := make([]string, 0, len(params))
	for _, p := range params {
		value := p[1]
		if strings.ContainsAny(value, " ;,\"'$") {
			value = `"` + value + `"`
		}
		words = append(words, p[0]+"="+value)
	}
	return strings.Join(words, " ")
}

// Man returns the manual page in section 7, as man(7) macros.
func (a Agent) Man() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`.\" Generated from agents/%s by make docs; do not edit.`, a.Name)
	line(`.TH OCF_%s_%s 7 "" lvs-agents "OCF resource agents"`, strings.ToUpper(provider), strings.ToUpper(a.Name))
	line(".SH NAME\nocf_%s_%s \\- %s", provider, a.Name, manual.Escape(a.Short))
	line(".SH SYNOPSIS\n.B %s\n[start | stop | monitor | validate-all | meta-data | ...]", a.Name)
	line(".SH DESCRIPTION\n%s", manual.Paragraphs(a.Long, ".PP"))
	line(".SH PARAMETERS")
	for _, p := range a.Params {
		line(".TP\n.B %s\n%s (%s).\n%s", manual.Escape(p.Name), manual.Escape(p.Short), manual.Escape(strings.Join(p.facts(""), ", ")), manual.Paragraphs(p.Long, ".IP"))
	}
	line(".SH ACTIONS\nThe timeouts and intervals are advice; set your own with the operations of the resource.")
	for _, action := range a.Actions {
		line(".TP\n.B %s\ntimeout %s, interval %s", manual.Escape(action.title()), Seconds(action.Timeout), action.interval("none"))
	}
	line(".SH EXIT STATUS")
	for _, c := range exitCodes {
		line(".TP\n.B %s\n%s", c[0], manual.Escape(c[1]))
	}
	line(".SH EXAMPLES")
	for _, e := range a.Examples {
		line("%s:\n.PP\n.nf\n%s\n.fi\n.PP\n.nf\n%s\n.fi", manual.Escape(e.Title), manual.Escape(a.crm(e)), manual.Escape(a.pcs(e)))
	}
	line(".SH SEE ALSO\n.BR ipvsadm (8),\n.BR crm (8),\n.BR pcs (8),\n.BR lvsctl (8)")
	return b.String()
}
