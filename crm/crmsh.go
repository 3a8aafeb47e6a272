package crm

import (
	"fmt"
	"strings"
)

// Crmsh returns the resources as text for "crm configure load update". file is the name of the
// file with the text, for the comment.
func (r Resources) Crmsh(file string) string {
	var b strings.Builder
	b.WriteString(r.head("crm configure load update "+file) + "\n")
	for _, p := range r.Primitives {
		b.WriteString(p.crmsh())
	}
	for _, g := range r.Groups {
		fmt.Fprintf(&b, "group %s %s%s\n", g.ID, strings.Join(g.Members, " "), crmshMeta(g.Meta))
	}
	for _, c := range r.Clones {
		fmt.Fprintf(&b, "clone %s %s%s\n", c.ID, c.Member, crmshMeta(c.Meta))
	}
	for _, c := range r.Constraints {
		if text := comment(c); text != "" {
			b.WriteString("\n" + commented(text))
		}
		b.WriteString(c.crmsh() + "\n")
	}
	for _, a := range r.Alerts {
		b.WriteString(a.crmsh())
	}
	return b.String()
}

func (p Primitive) crmsh() string {
	lines := []string{"primitive " + p.ID + " " + p.Agent}
	if len(p.Params) > 0 {
		lines = append(lines, "params "+crmshPairs(p.Params))
	}
	for _, op := range p.Operations {
		line := fmt.Sprintf("op %s timeout=%s interval=%s", op.Name, seconds(op.Timeout), op.interval("0"))
		if op.Depth != 0 {
			line += fmt.Sprintf(" OCF_CHECK_LEVEL=%d", op.Depth)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, continued) + crmshMeta(p.Meta) + "\n"
}

// continued ends a line that the next line continues.
const continued = " \\\n    "

func (op Operation) interval(none string) string {
	if op.Interval == 0 {
		return none
	}
	return seconds(op.Interval)
}

func crmshMeta(meta []Pair) string {
	if len(meta) == 0 {
		return ""
	}
	return continued + "meta " + crmshPairs(meta)
}

func crmshPairs(pairs []Pair) string { return join(pairs, crmshQuoted) }

// join returns pairs as "NAME=VALUE NAME=VALUE", with quoted values.
func join(pairs []Pair, quoted func(string) string) string {
	words := make([]string, 0, len(pairs))
	for _, p := range pairs {
		words = append(words, p.Name+"="+quoted(p.Value))
	}
	return strings.Join(words, " ")
}

// crmshQuoted quotes a value as crm parses it: like a shell, but without expansions.
func crmshQuoted(value string) string {
	switch {
	case value != "" && strings.Trim(value, plain) == "":
		return value
	case !strings.ContainsAny(value, `"\`):
		return `"` + value + `"`
	case !strings.Contains(value, "'"):
		return "'" + value + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// plain are the characters that neither crm nor a shell needs in quotes.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,@%+="

func (o Order) crmsh() string {
	return fmt.Sprintf("order %s %s: %s %s", o.ID, o.kind(), o.First, o.Then)
}

func (c Colocation) crmsh() string {
	return fmt.Sprintf("colocation %s %s: %s %s", c.ID, c.Score.text("inf"), c.Resource, c.With)
}

func (l Location) crmsh() string {
	if l.Rule == nil {
		return fmt.Sprintf("location %s %s %s: %s", l.ID, l.Resource, l.Score.text("inf"), l.Node)
	}
	words := make([]string, 0, len(l.Rule.Expressions))
	for _, e := range l.Rule.Expressions {
		words = append(words, e.crmsh())
	}
	return fmt.Sprintf("location %s %s%srule %s: %s", l.ID, l.Resource, continued, l.Rule.score("inf"),
		strings.Join(words, " "+l.Rule.operator()+" "))
}

func (e Expression) crmsh() string {
	switch {
	case e.Value == "":
		return e.Operator + " " + e.Attribute
	case e.Number:
		return e.Attribute + " number:" + e.Operator + " " + e.Value
	}
	return e.Attribute + " " + e.Operator + " " + e.Value
}

func (a Alert) crmsh() string {
	line := "alert " + a.ID + " " + a.Path
	if len(a.Options) > 0 {
		line += continued + "attributes " + crmshPairs(a.Options)
	}
	for _, recipient := range a.Recipients {
		line += continued + "to " + crmshQuoted(recipient)
	}
	return line + "\n"
}
