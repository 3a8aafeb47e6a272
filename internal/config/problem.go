package config

import (
	"errors"
	"fmt"

	"lvs-agents/internal/config/fault"
)

// Severity reports whether a file with a problem can be used.
type Severity uint8

// The severities. The zero value is invalid.
const (
	Error Severity = iota + 1 // Error: the daemon does not use the file.
	// Warning: the daemon uses the file. The field What describes how the daemon understands the
	// file.
	Warning
	// Refused: the daemon uses the file, but the real servers that the field What names never count
	// as up.
	Refused
)

// String returns "error" or "warning": for an operator, Refused is an error.
func (s Severity) String() string {
	switch s {
	case Error, Refused:
		return "error"
	case Warning:
		return "warning"
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
}

// String returns the problem as "web.cf:7:12: what; fix".
func (p Problem) String() string {
	text := fault.New(p.What, p.Fix).Error()
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

// Err returns one error for all errors among problems. Its text is one line, which names the first
// error. If there are only warnings, Err returns nil.
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
