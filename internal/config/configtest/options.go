package configtest

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lvs-agents/internal/config"
)

// Options tests that a parser loses no option without a report. file is a table of sections:
//
//	== NAME
//	a text with OPTION where the option goes
//	--
//	option
//	option in
//	  several lines
//	same: option
//
// Each option must change the configuration. Otherwise a new problem must have the line or the name
// of the option. An option with "same:" has the meaning that the configuration has without it: it
// must change nothing.
func Options(t *testing.T, file string, parse Parse) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split("\n"+string(text), "\n== ")[1:]
	if len(sections) == 0 {
		t.Fatalf("%s has no section", file)
	}
	for _, section := range sections {
		name, rest, _ := strings.Cut(section, "\n")
		base, list, found := strings.Cut(rest, "--\n")
		if !found || strings.Count(base, marker) != 1 {
			t.Fatalf("%s: the section %s has no text with one OPTION", file, name)
		}
		for _, option := range options(list) {
			t.Run(name+" "+word(option), func(t *testing.T) { kept(t, base, option, parse) })
		}
	}
}

// marker is where an option goes.
const marker = "OPTION"

// options returns the options of a list. A line that begins with a blank belongs to the one before.
func options(list string) []string {
	var all []string
	for line := range strings.Lines(list) {
		switch {
		case strings.TrimSpace(line) == "":
		case line[0] == ' ' && len(all) > 0:
			all[len(all)-1] += line
		default:
			all = append(all, line)
		}
	}
	return all
}

// word returns the name of an option.
func word(option string) string {
	option = strings.TrimSpace(strings.TrimPrefix(option, "same:"))
	if end := strings.IndexAny(option, " \t\n={"); end > 0 {
		return option[:end]
	}
	return option
}

// kept tests one option.
func kept(t *testing.T, base, option string, parse Parse) {
	t.Helper()
	value, same := strings.CutPrefix(strings.TrimSuffix(option, "\n"), "same:")
	if same {
		value = strings.TrimPrefix(value, " ")
	}
	without, before := parse("FILE", []byte(strings.Replace(base, marker, "", 1)))
	with, after := parse("FILE", []byte(strings.Replace(base, marker, value, 1)))
	if without == nil || with == nil {
		t.Fatalf("refused: %v\n%v", config.Err(before), config.Err(after))
	}
	noLine := func(int) int { return 0 }
	changed := !reflect.DeepEqual(config.WithLines(without, noLine), config.WithLines(with, noLine))
	text, _, _ := strings.Cut(base, marker)
	first := 1 + strings.Count(text, "\n")
	last := first + strings.Count(value, "\n")
	reported := slices.ContainsFunc(after, func(p config.Problem) bool {
		known := slices.ContainsFunc(before, func(o config.Problem) bool { return o.What == p.What })
		return !known && (p.Line >= first && p.Line <= last || strings.Contains(p.What, word(option)))
	})
	switch {
	case same && (changed || reported):
		t.Errorf("%q is not \"same:\" any more: %s", value, problems(after))
	case !same && !changed && !reported:
		t.Errorf("%q is neither in the configuration nor in a problem: %s", value, problems(after))
	}
}

func problems(all []config.Problem) string {
	var b strings.Builder
	for _, p := range all {
		fmt.Fprintf(&b, "\n%s: %s", p.Severity, p)
	}
	return b.String()
}
