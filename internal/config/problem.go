package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lvs-agents/internal/config/fault"
)

// Severity says whether a file with a problem can be used.
type Severity uint8

// The severities. The zero value is none of them.
const (
	Error   Severity = iota + 1 // the file is not used
	Warning                     // the file is used; What says what was made of it
	Refused                     // the file is used, but for the real servers that What names: they never count as up
)

// String returns "error" or "warning": for an operator, what is refused is an error.
func (s Severity) String() string {
	switch s {
	case Error, Refused:
		return "error"
	case Warning:
		return "warning"
	}
	return fmt.Sprintf("severity %d", uint8(s))
}

// Problem is something that is wrong with a file. It never holds the value of
// a login, passwd or secret directive.
type Problem struct {
	File     string
	Line     int // from 1; 0 for the file as a whole
	Column   int // in bytes from 1; 0 for the line as a whole
	Severity Severity
	What     string
	Fix      string // what to do about it; may be empty
}

// String returns the problem as "web.cf:7:12: what; fix".
func (p Problem) String() string { return p.Position() + ": " + fault.New(p.What, p.Fix).Error() }

// Position returns "web.cf:7:12", without what is not known.
func (p Problem) Position() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Err returns the errors among problems as one error of one line that names
// the first, or nil if there are only warnings.
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

// secretNames are the directives whose values are never shown.
var secretNames = []string{"passwd", "login", "secret"}

// urlLogin is a login in a URL, whose password may have been written with anything in it.
var urlLogin = regexp.MustCompile(`://[^\s"]*:[^\s"]*@`)

// hideSecrets ends a message at the first assignment of a secret: lines that
// ran together carry other directives' values into messages. It takes logins out
// of URLs.
func hideSecrets(text string) string {
	text = urlLogin.ReplaceAllString(text, "://"+redacted+"@")
	end, shown := len(text), text
	for _, name := range secretNames {
		if i := assignment(text[:end], name); i >= 0 {
			end, shown = i, text[:i]+name+`="`+redacted+`"`
		}
	}
	return shown
}

// assignment returns where in text a name is followed by an equals sign, or -1.
func assignment(text, name string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], name)
		if i < 0 {
			return -1
		}
		from += i + len(name)
		rest := strings.TrimLeft(text[from:], " \t\\"+quoteRunes)
		if strings.HasPrefix(rest, "=") {
			return from - len(name)
		}
	}
}

func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int { return a.Line - b.Line })
}
