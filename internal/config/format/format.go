// Package format lists the formats of configurations that lvsctl convert reads. Agents and daemons
// do not import it, because they read only their own format (package load).
package format

import (
	"cmp"
	"fmt"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/cib"
	"lvs-agents/internal/config/commands"
	"lvs-agents/internal/config/heartbeat"
	"lvs-agents/internal/config/keepalived"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/config/piranha"
	"lvs-agents/internal/suggest"
)

// Format is a format of configurations.
type Format struct {
	Name string
	// Guess reports whether a text is probably in this format.
	Guess func(text []byte) bool
	// Parse returns the configuration, and all problems. The configuration is nil if a problem is
	// an error. A damaged text is repaired where only one reading is possible.
	Parse parser
	// Strict parses as the original program does, without repairs. Nil means the same as Parse.
	Strict parser
}

type parser = func(name string, text []byte) (*config.Config, []config.Problem)

// All returns all formats. To add a format, add a row.
func All() []Format {
	return []Format{
		{Name: "ldirectord", Guess: ldirectord.Guess, Parse: ldirectord.Repair, Strict: ldirectord.Parse},
		{Name: "piranha", Guess: piranhaText, Parse: piranha.Parse, Strict: Strictly(piranha.Parse)},
		{Name: "keepalived", Guess: keepalivedText, Parse: keepalived.Parse, Strict: Strictly(keepalived.Options{Strict: true}.Parse)},
		{Name: "haresources", Guess: haresourcesText, Parse: heartbeat.ParseResources},
		{Name: "ha.cf", Guess: membersText, Parse: heartbeat.ParseMembers, Strict: Strictly(heartbeat.ParseMembers)},
		{Name: "commands", Guess: commands.Guess, Parse: commands.Parse, Strict: commands.Strict},
		{Name: "authkeys", Guess: keysText, Parse: heartbeat.ParseKeys, Strict: Strictly(heartbeat.ParseKeys)},
		{Name: "cib", Guess: cib.Guess, Parse: cib.Parse},
	}
}

// Strictly returns a parser that refuses each text that the other parser repairs. The programs
// pulse and heartbeat do not start with these texts, and keepalived --config-test refuses them.
func Strictly(parse parser) parser {
	return func(name string, text []byte) (*config.Config, []config.Problem) {
		c, problems := parse(name, text)
		for i, p := range problems {
			if p.Severity == config.Repaired {
				c = nil
				problems[i] = config.Problem{File: p.File, Line: p.Line, Severity: config.Error, What: p.What, Fix: "correct it, or leave out --strict"}
			}
		}
		return c, problems
	}
}

// Names returns the names of all formats.
func Names() []string {
	var names []string
	for _, f := range All() {
		names = append(names, f.Name)
	}
	return names
}

// Named returns the format with this name.
func Named(name string) (Format, error) {
	for _, f := range All() {
		if f.Name == name {
			return f, nil
		}
	}
	hint := cmp.Or(suggest.Hint(name, Names()), "; use "+strings.Join(Names(), ", "))
	return Format{}, fmt.Errorf("unknown format %q%s", name, hint)
}

// Of returns the format of a text. It returns an error if no format or several formats are
// probable.
func Of(text []byte) (Format, error) {
	var found []Format
	for _, f := range All() {
		if f.Guess(text) {
			found = append(found, f)
		}
	}
	switch len(found) {
	case 0:
		return Format{}, fmt.Errorf("the format is unknown; give --from: %s", strings.Join(Names(), ", "))
	case 1:
		return found[0], nil
	}
	return Format{}, fmt.Errorf("the format is %s or %s; give --from", found[0].Name, found[1].Name)
}
