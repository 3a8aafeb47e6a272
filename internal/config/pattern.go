package config

import (
	"errors"
	"regexp"
	"regexp/syntax"
)

// pattern is a regular expression of a file and where it stands.
type pattern struct {
	line, column int
	text         string
}

// Patterns warns about the regular expressions that Go cannot read: ldirectord
// takes Perl's. It stands apart from Parse for the agents, which never match an
// answer: package regexp is a fourteenth of their start-up.
func (c *Config) Patterns() []Problem {
	var problems []Problem
	for _, p := range c.patterns {
		_, err := regexp.Compile(p.text)
		if err == nil {
			continue
		}
		why := err.Error()
		if bad, ok := errors.AsType[*syntax.Error](err); ok {
			why = string(bad.Code)
		}
		problems = append(problems, Problem{
			File: c.File, Line: p.line, Column: p.column, Severity: Warning,
			What: "receive " + quote(p.text) + " is not a regular expression that this version can read (" + why + ")",
			Fix:  "write one without look-around and back references",
		})
	}
	return problems
}
