package ldirectord

import (
	"bytes"
	"slices"
	"strings"
)

// Guess reports whether a text is probably a ldirectord.cf: a line begins with virtual= or
// virtual6=, or it would if the text had not lost its line breaks.
func Guess(text []byte) bool {
	p := newParser("")
	for line := range bytes.Lines(text) {
		if virtual(string(line)) || slices.ContainsFunc(p.parts(string(line)), virtual) {
			return true
		}
	}
	return false
}

func virtual(line string) bool {
	name, _, found := strings.Cut(strings.TrimLeft(line, " \t"+oddBlanks), "=")
	name = strings.TrimRight(name, " \t")
	return found && (name == "virtual" || name == "virtual6")
}
