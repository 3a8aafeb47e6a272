package crm

import (
	"fmt"
	"slices"
	"strings"
)

// PCS returns the resources as a shell script of pcs commands. file is the name of the script, for
// the comment.
func (r Resources) PCS(file string) string {
	var b strings.Builder
	b.WriteString(r.head("sh "+file) + "\nset -e\n")
	for _, p := range r.Primitives {
		b.WriteString(r.pcsPrimitive(p))
	}
	for _, g := range r.Groups {
		fmt.Fprintf(&b, "pcs resource group add %s %s\n", g.ID, strings.Join(g.Members, " "))
		if len(g.Meta) > 0 {
			fmt.Fprintf(&b, "pcs resource meta %s %s\n", g.ID, pcsPairs(g.Meta))
		}
	}
	for _, c := range r.Constraints {
		if text := comment(c); text != "" {
			b.WriteString("\n" + commented(text))
		}
		b.WriteString(c.pcs() + "\n")
	}
	for _, g := range r.Groups {
		fmt.Fprintf(&b, "pcs resource enable %s\n", strings.Join(g.Members, " "))
	}
	for _, a := range r.Alerts {
		b.WriteString(a.pcs())
	}
	return b.String()
}

// pcsPrimitive returns the commands for a primitive and its clone. A member of a group stays
// disabled until the group is complete, because pcs changes a running cluster with each command.
func (r Resources) pcsPrimitive(p Primitive) string {
	line := strings.TrimSpace(fmt.Sprintf("pcs resource create --no-default-ops %s %s %s", p.ID, p.Agent, pcsPairs(p.Params)))
	words := make([]string, 0, len(p.Operations))
	for _, op := range p.Operations {
		words = append(words, op.pcs())
	}
	line += continued + strings.Join(words, " ")
	if len(p.Meta) > 0 {
		line += continued + "meta " + pcsPairs(p.Meta)
	}
	if slices.ContainsFunc(r.Groups, func(g Group) bool { return slices.Contains(g.Members, p.ID) }) {
		line += " --disabled"
	}
	for _, c := range r.Clones {
		if c.Member == p.ID {
			line += continued + "clone " + c.ID
			if len(c.Meta) > 0 {
				line += "\npcs resource meta " + c.ID + " " + pcsPairs(c.Meta)
			}
		}
	}
	return line + "\n"
}

func (op Operation) pcs() string {
	text := "op " + op.Name + " timeout=" + seconds(op.Timeout)
	if op.Interval != 0 {
		text += " interval=" + seconds(op.Interval)
	}
	if op.Depth != 0 {
		text += fmt.Sprintf(" OCF_CHECK_LEVEL=%d", op.Depth)
	}
	return text
}

func pcsPairs(pairs []Pair) string { return join(pairs, shellQuoted) }

// shellQuoted quotes a word for a shell.
func shellQuoted(value string) string {
	switch {
	case value != "" && strings.Trim(value, plain) == "":
		return value
	case !strings.ContainsAny(value, "\"\\$`!"):
		return `"` + value + `"`
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

func (o Order) pcs() string {
	return fmt.Sprintf("pcs constraint order %s then %s kind=%s id=%s", o.First, o.Then, o.kind(), o.ID)
}

func (c Colocation) pcs() string {
	return fmt.Sprintf("pcs constraint colocation add %s with %s score=%s id=%s", c.Resource, c.With, c.Score, c.ID)
}

func (l Location) pcs() string {
	if l.Rule == nil {
		// With "location add", pcs 0.11 and 0.12 need different spellings of the score.
		return fmt.Sprintf("pcs constraint location %s prefers %s=%s", l.Resource, l.Node, l.Score)
	}
	score := "score"
	if l.Rule.ScoreAttribute != "" {
		score = "score-attribute"
	}
	words := make([]string, 0, len(l.Rule.Expressions))
	for _, e := range l.Rule.Expressions {
		words = append(words, e.pcs())
	}
	return fmt.Sprintf("pcs constraint location %s rule constraint-id=%s %s=%s%s%s", l.Resource, l.ID, score, l.Rule.score("INFINITY"),
		continued, strings.Join(words, " "+l.Rule.operator()+" "))
}

func (e Expression) pcs() string {
	switch {
	case e.Value == "":
		return e.Operator + " " + e.Attribute
	case e.Number:
		return e.Attribute + " " + e.Operator + " number " + e.Value
	}
	return e.Attribute + " " + e.Operator + " " + e.Value
}

func (a Alert) pcs() string {
	line := "pcs alert create path=" + shellQuoted(a.Path) + " id=" + a.ID
	if len(a.Options) > 0 {
		line += " options " + pcsPairs(a.Options)
	}
	for _, recipient := range a.Recipients {
		line += "\npcs alert recipient add " + a.ID + " value=" + shellQuoted(recipient)
	}
	return line + "\n"
}
