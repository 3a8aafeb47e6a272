package keepalived

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// numbered is a line with its number. The lines of included files have numbers after the lines of
// the first file.
type numbered struct {
	n    int
	text string
}

// Limits of a text after the expansion, so that the memory of a parser is bounded.
const (
	mostLines   = 1 << 17 // mostLines is the number of lines that parameters make.
	mostLength  = 1 << 16 // mostLength is the length of a line with replaced parameters.
	mostNesting = 32
)

// expander replaces parameters, repeats lines with ~SEQ and ~LST, and removes the lines of other
// directors, as keepalived does before it reads a line.
type expander struct {
	*parser
	defined map[string]string // defined are the values of the parameters by their names.
	lines   []numbered
	steps   int
	full    bool // full says that a limit is reached.
	next    int  // next is the number of the first line of the next included file.
	// included is the length of all included files.
	included int
}

var (
	definition = regexp.MustCompile(`^\$([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)
	use        = regexp.MustCompile(`\$\{([A-Za-z_][^{}]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)(?:\s|$)`)
	generator  = regexp.MustCompile(`^~(SEQx?|LST)\(([^()]*)\)\s*(.*)$`)
)

// expand returns the lines of a text.
func (p *parser) expand(text string) []numbered {
	e := expander{parser: p, defined: map[string]string{"_HASH": `\#`, "_BANG": `\!`}, next: 1}
	e.text(1, p.config.File, text, nil)
	if e.full {
		return nil
	}
	return e.lines
}

// text adds the lines of a file. Its first line has the number first, and open are the files that
// include it.
func (e *expander) text(first int, file, text string, open []string) {
	open = append(slices.Clip(open), file)
	if filepath.IsAbs(file) {
		e.defined["_PWD"] = filepath.Dir(file)
	}
	lines := strings.Split(text, "\n")
	e.next += len(lines)
	for n := 0; n < len(lines) && !e.full; n++ {
		line, at := clean(lines[n]), first+n
		if e.include(at, line, open) {
			continue
		}
		for definition.MatchString(withoutCondition(line)) && strings.HasSuffix(line, `\`) && n+1 < len(lines) {
			n++
			line = strings.TrimSpace(strings.TrimSuffix(line, `\`)) + "\n" + clean(lines[n])
		}
		e.line(numbered{at, line}, 0)
	}
}

func clean(line string) string {
	return strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(line, "\ufeff"), "\r"))
}

// withoutCondition returns the first line of a text without "@NAME".
func withoutCondition(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if strings.HasPrefix(text, "@") {
		_, text, _ = strings.Cut(text, " ")
	}
	return strings.TrimSpace(text)
}

// stop reports a limit that the text has reached.
func (e *expander) stop(n int, what string) {
	if !e.full {
		e.report(n, config.Error, fault.New(what, "write the text without parameters"))
	}
	e.full = true
}

// line adds a line, or the lines that parameters and generators make from it.
func (e *expander) line(l numbered, depth int) {
	if depth > 0 {
		e.steps++
	}
	if e.steps > mostLines {
		e.stop(l.n, fmt.Sprintf("the parameters make more than %d lines", mostLines))
	}
	if depth > mostNesting {
		e.stop(l.n, "the parameter has itself in its value")
	}
	if e.full {
		return
	}
	if strings.HasPrefix(l.text, "@") {
		if l.text = e.condition(l); l.text == "" {
			return
		}
	}
	first, rest, several := strings.Cut(l.text, "\n")
	if part := definition.FindStringSubmatch(first); part != nil {
		e.defined[part[1]] = part[2]
		if several {
			e.defined[part[1]] = strings.TrimSpace(part[2] + "\n" + rest)
		}
		return
	}
	if part := generator.FindStringSubmatch(l.text); part != nil {
		e.repeat(l, part, depth)
		return
	}
	e.replace(l, depth)
}

// condition returns the line of the director after "@NAME" or "@^NAME", or an empty text.
func (e *expander) condition(l numbered) string {
	name, rest, _ := strings.Cut(l.text[1:], " ")
	name, other := strings.CutPrefix(name, "^")
	if e.node == "" {
		e.report(l.n, config.Error, fault.New(
			fmt.Sprintf("%s: the line depends on the director", fault.Short(secretless(l.text))),
			fmt.Sprintf("give --host %s=NAME with the name of the director", fault.Printable(e.config.File))))
		return ""
	}
	if (name == e.node) == other {
		return ""
	}
	return strings.TrimSpace(rest)
}

// replace adds a line after it has replaced its parameters, one after the other. The value of a
// parameter can have several lines.
func (e *expander) replace(l numbered, depth int) {
	if strings.HasPrefix(l.text, "#") || strings.HasPrefix(l.text, "!") {
		e.lines = append(e.lines, l) // A comment can have lost its line break.
		return
	}
	for from, count := 0, 0; ; count++ {
		at := use.FindStringSubmatchIndex(l.text[from:])
		if at == nil {
			break
		}
		start, end, name := from+at[0], from+at[1], ""
		if at[2] >= 0 {
			name = l.text[from+at[2] : from+at[3]]
		} else {
			name, end = l.text[from+at[4]:from+at[5]], from+at[5]
		}
		value, found := e.defined[name]
		if !found {
			if name[0] == '_' {
				e.report(l.n, config.Error, fault.New(fmt.Sprintf("the parameter %s is not converted", fault.Quote(name)), "write its value"))
			}
			from = end
			continue
		}
		text := l.text[:start] + value + l.text[end:]
		if count > mostLength || len(text) > mostLength {
			e.stop(l.n, "the parameter "+fault.Quote(name)+" makes the line too long")
			return
		}
		if strings.Contains(value, "\n") || start == 0 {
			for line := range strings.SplitSeq(text, "\n") {
				e.line(numbered{l.n, strings.TrimSpace(line)}, depth+1)
			}
			return
		}
		l.text = text
	}
	e.lines = append(e.lines, l)
}

// repeat adds the rest of a line for each value of a generator.
func (e *expander) repeat(l numbered, part []string, depth int) {
	kind, args, rest := part[1], part[2], part[3]
	var names []string
	var values [][]string
	var err error
	if kind == "LST" {
		names, values, err = list(args)
	} else {
		names, values, err = sequence(args, kind == "SEQx")
	}
	if err != nil {
		e.report(l.n, config.Error, fault.New(fault.Short(l.text)+": "+err.Error(), "write ~SEQ(NAME, START, STEP, END) or ~LST(NAME, VALUE, VALUE)"))
		return
	}
	for _, row := range values {
		for i, name := range names {
			e.defined[name] = row[i]
		}
		e.line(numbered{l.n, rest}, depth+1)
	}
}

// sequence returns the values of "NAME[, START[, STEP]], END".
func sequence(args string, hex bool) ([]string, [][]string, error) {
	words := separated(args)
	numbers := make([]int, 0, len(words))
	for _, w := range words[1:] {
		n, err := strconv.ParseInt(w, 0, 32)
		if err != nil {
			return nil, nil, fmt.Errorf("%s is not a number", fault.Quote(w))
		}
		numbers = append(numbers, int(n))
	}
	start, step, end := 1, 1, 0
	switch len(numbers) {
	case 1:
		if end = numbers[0]; end < 0 {
			start = -1
		}
	case 2:
		start, end = numbers[0], numbers[1]
	case 3:
		start, step, end = numbers[0], numbers[1], numbers[2]
	default:
		return nil, nil, fmt.Errorf("%d arguments", len(words))
	}
	if len(numbers) < 3 && end < start {
		step = -1
	}
	if step == 0 || (end-start)/step > mostLines {
		return nil, nil, fmt.Errorf("more than %d values", mostLines)
	}
	format := map[bool]string{false: "%d", true: "%x"}[hex]
	var values [][]string
	for n := start; step > 0 && n <= end || step < 0 && n >= end; n += step {
		values = append(values, []string{fmt.Sprintf(format, n)})
	}
	return words[:1], values, nil
}

// list returns the values of "NAME, VALUE..." or "{NAME, NAME}, {VALUE, VALUE}...".
func list(args string) (names []string, values [][]string, err error) {
	rows := [][]string{}
	if !strings.HasPrefix(args, "{") {
		for _, word := range separated(args) {
			rows = append(rows, []string{word})
		}
	} else {
		for _, block := range strings.SplitAfter(args, "}") {
			if block = strings.Trim(block, "{}, \t"); block != "" {
				rows = append(rows, separated(block))
			}
		}
	}
	if len(rows) < 2 || slices.ContainsFunc(rows, func(row []string) bool { return len(row) != len(rows[0]) }) {
		return nil, nil, fmt.Errorf("each list of values must have a value for each name")
	}
	return rows[0], rows[1:], nil
}

// separated returns the words between commas.
func separated(text string) []string {
	words := strings.Split(text, ",")
	for i, w := range words {
		words[i] = strings.TrimSpace(w)
	}
	return words
}
