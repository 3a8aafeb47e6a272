package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"lvs-agents/internal/config/fault"
)

// Severity reports whether a file with a problem can be used, and whether the parser has changed or
// left out a part of the text.
type Severity uint8

// The severities. The zero value is invalid.
const (
	Error Severity = iota + 1 // Error: the daemon does not use the file.
	// Warning: the daemon uses the file.
	Warning
	// Refused: the daemon uses the file, but the real servers that the field What names never count
	// as up.
	Refused
	// Repaired: the text is damaged, and only one reading is possible. Before and After are the
	// damaged line and its reading.
	Repaired
	// Dropped: a setting has no equivalent, and is not in the configuration. The field What has the
	// reason, and Fix the nearest thing.
	Dropped
	// Ignored: the text is without effect in the program that it was written for, too.
	Ignored
)

// String returns the word for an operator: Refused is an error.
func (s Severity) String() string {
	switch s {
	case Error, Refused:
		return "error"
	case Warning:
		return "warning"
	case Repaired:
		return "repaired"
	case Dropped:
		return "dropped"
	case Ignored:
		return "ignored"
	}
	return fmt.Sprintf("severity %d", uint8(s))
}

// Problem is an error or a warning about a file. It never contains the value of a login, passwd
// or secret directive.
type Problem struct {
	File string
	Line int // Line is the line number. The first line is 1, and 0 means the whole file.
	// Column is the position in the line in bytes. The first byte is 1, and 0 means the whole line.
	Column   int
	Severity Severity
	What     string
	Fix      string // Fix is what the operator can do about the problem. It can be empty.
	// Before and After are a damaged line and its reading, for Repaired. They never contain a secret.
	Before, After string
}

// String returns the problem as "web.cf:7:12: what; fix". A repair has two more lines, with
// Before and After.
func (p Problem) String() string {
	text := fault.New(p.What, p.Fix).Error()
	if p.Severity == Repaired {
		text += "\n  - " + fault.Printable(p.Before) + "\n  + " + fault.Printable(p.After)
	}
	if place := p.Position(); place != "" {
		return place + ": " + text
	}
	return text
}

// Position returns "web.cf:7:12", without the numbers that are 0.
func (p Problem) Position() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Err returns one error for all problems with the severity Error, or nil without such problems. Its
// text is one line, which names the first of these problems.
func Err(problems []Problem) error {
	var first *Problem
	more := 0
	for i := range problems {
		switch {
		case problems[i].Severity != Error:
		case first == nil:
			first = &problems[i]
		default:
			more++
		}
	}
	switch {
	case first == nil:
		return nil
	case more == 0:
		return errors.New(first.String())
	}
	return fmt.Errorf("%s (and %d more, see lvsctl check %s)", first, more, first.File)
}

// mostProblems limits the problems that a reader keeps. A file of another kind can have one in each
// of its lines.
const mostProblems = 900

// Problems are the problems that a reader has found. It keeps the first ones, and the first error,
// each of them once. The zero value is empty.
type Problems struct {
	kept   []Problem
	seen   map[Problem]bool
	failed bool // failed says that an error is among the kept problems.
	more   int
}

// Add adds problems.
func (p *Problems) Add(problems ...Problem) {
	for _, problem := range problems {
		if p.seen[problem] {
			continue
		}
		if len(p.kept) >= mostProblems && (problem.Severity != Error || p.failed) {
			p.more++
			continue
		}
		p.failed = p.failed || problem.Severity == Error
		p.kept = append(p.kept, problem)
		if p.seen == nil {
			p.seen = map[Problem]bool{}
		}
		p.seen[problem] = true
	}
}

// All returns the kept problems, sorted by line. The last one has the number of the others.
func (p *Problems) All(file string) []Problem {
	slices.SortStableFunc(p.kept, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	if p.more == 0 {
		return p.kept
	}
	return append(p.kept, Problem{File: file, Severity: Warning, What: fmt.Sprintf("%d more problems", p.more), Fix: "mend these first"})
}
