package config

// pattern is a regular expression of a file and where it stands.
type pattern struct {
	line, column int
	text         string
}

// Patterns reports the regular expressions that compile cannot read. It stands
// apart from Parse for the agents, which never match an answer: a library of
// regular expressions is a fourteenth of their start-up.
func (c *Config) Patterns(compile func(string) error) []Problem {
	var problems []Problem
	for _, p := range c.patterns {
		if err := compile(p.text); err != nil {
			problems = append(problems, Problem{
				File: c.File, Line: p.line, Column: p.column, Severity: Error,
				What: "receive " + quote(p.text) + " is not a regular expression (" + printable(short(err.Error())) + ")",
			})
		}
	}
	return problems
}
