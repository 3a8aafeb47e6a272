// Package fault describes mistakes in values of a configuration, and their fixes. A Fault has no
// line number, because the code that validates a value does not know the source of the value.
package fault

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fault is one mistake. It is an error with the text "what; fix".
type Fault struct {
	What string
	Fix  string // Fix is what the operator can do about the fault. It can be empty.
}

// New returns the fault with these texts.
func New(what, fix string) Fault { return Fault{What: what, Fix: fix} }

// Errorf returns a fault. The parameter fix comes before what, because args are the arguments of
// what.
func Errorf(fix, what string, args ...any) error {
	return Fault{What: fmt.Sprintf(what, args...), Fix: fix}
}

// Of returns the first Fault in the tree of err. Without a Fault there, it splits the text of err
// into What and Fix at the first semicolon.
func Of(err error) Fault {
	if f, ok := errors.AsType[Fault](err); ok {
		return f
	}
	what, fix, _ := strings.Cut(err.Error(), "; ")
	return Fault{What: what, Fix: fix}
}

// Error returns "what; fix".
func (f Fault) Error() string {
	if f.Fix == "" {
		return f.What
	}
	return f.What + "; " + f.Fix
}

// Quote quotes user input for a message and keeps it short.
func Quote(text string) string { return fmt.Sprintf("%q", Short(text)) }

// Short cuts a text of more than 80 bytes, and adds an ellipsis.
func Short(text string) string {
	const limit = 80
	if len(text) <= limit {
		return text
	}
	end := limit
	for end > limit-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// Printable replaces control characters and invalid UTF-8 by question marks, so that text of a
// file cannot control the terminal.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
}
