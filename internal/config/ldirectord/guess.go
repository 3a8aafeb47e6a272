package ldirectord

import (
	"bytes"
	"strings"
)

// Guess reports whether a text is probably a ldirectord.cf: a line begins with virtual= or
// virtual6=.
func Guess(text []byte) bool {
	for line := range bytes.Lines(text) {
		name, _, found := strings.Cut(strings.TrimLeft(string(line), " \t"+oddBlanks), "=")
		if name = strings.TrimRight(name, " \t"); found && (name == "virtual" || name == "virtual6") {
			return true
		}
	}
	return false
}
