package ldirectord

import (
	"errors"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// Repair reads a text as Parse does, but first restores line breaks that the text has lost, where
// only one reading is possible. It reports each repair, so that an operator can read the result
// before a daemon uses it. Daemons and agents use Parse.
func Repair(file string, text []byte) (*config.Config, []config.Problem) {
	return parse(file, text, true)
}

// mostParts is how many directives a damaged line has at most. A longer line is not repaired.
const mostParts = 100

// parts returns the lines that a damaged line was, or nil if the line has not lost a line break.
func (p *parser) parts(line string) []string {
	body := strings.TrimLeft(line, " \t")
	if strings.HasPrefix(body, "#") {
		return p.uncommented(line)
	}
	var parts []string
	indent := line[:len(line)-len(body)]
	for len(parts) < mostParts {
		name, value, _ := strings.Cut(body, "=")
		dir := p.known[strings.TrimRight(name, " \t")]
		if dir == nil {
			break
		}
		var lost lostBreak
		if c := (valueReader{names: p.names}); !errors.As(c.clean(dir.class, strings.TrimLeft(value, " \t")), &lost) {
			break
		}
		parts = append(parts, indent+dir.line(lost.first))
		body = lost.second
	}
	if len(parts) == 0 || len(parts) == mostParts {
		return nil
	}
	return append(parts, indent+body)
}

// fewest is how many directives a comment has at least if it has lost its line breaks.
const fewest = 4

// uncommented returns the directives of a comment that holds a whole file in one line. A directive
// immediately after # was a comment of the file. A note reaches from # to the next directive.
func (p *parser) uncommented(line string) []string {
	visible := outsideQuotes(line)
	starts := p.starts(visible)
	if len(starts) < fewest || len(starts) > mostParts {
		return nil
	}
	var parts []string
	for i, start := range starts {
		if line[start-1] == '#' {
			continue
		}
		end := len(line)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		if note := strings.IndexByte(visible[start:end], '#'); note >= 0 {
			end = start + note
		}
		parts = append(parts, strings.TrimRight(line[start:end], " \t"))
	}
	return parts
}

// starts returns where directives begin in a text. A text that begins with a directive has no
// comment sign before it, so the first byte does not count.
func (p *parser) starts(text string) []int {
	var starts []int
	c := valueReader{names: p.names}
	for i := range len(text) {
		if text[i] != '=' {
			continue
		}
		if start := c.nameBefore(text, i); start > 0 {
			starts = append(starts, start)
		}
	}
	return starts
}

// mend returns the lines that a line was before it lost its line breaks, and reports the repair.
func (p *parser) mend(number int, line string) []string {
	if !p.repairs {
		return []string{line}
	}
	parts := p.parts(line)
	if parts == nil {
		return []string{line}
	}
	shown := make([]string, len(parts))
	for i, part := range parts {
		shown[i] = hideSecrets(strings.TrimSpace(part))
	}
	p.problems = append(p.problems, config.Problem{
		File: p.config.File, Line: number, Severity: config.Repaired, What: "several directives on one line",
		Before: fault.Printable(hideSecrets(strings.TrimSpace(line))), After: strings.Join(shown, "  |  "),
	})
	return parts
}
