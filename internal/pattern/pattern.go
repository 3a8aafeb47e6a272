// Package pattern matches regular expressions of Perl against bytes, as ldirectord does. A byte is
// a character. Without Unicode in the expression and without the flag u, only ASCII characters are
// letters.
//
// The package uses Go's library where it can, because that matches in linear time. For other
// expressions, for example with look-around, back references, atomic groups or recursion, it uses
// its own matcher (type machine). The steps and the memory of that matcher are limited.
package pattern

import (
	"context"
	"errors"
	"regexp"
)

// ErrLimit is the error of a match that takes too many steps, too much memory or too much time.
var ErrLimit = errors.New("receive takes too much time or memory to match; write a simpler expression")

// maxText is the largest length of an expression in bytes. In ldirectord.cf, an expression is on
// one line.
const maxText = 1 << 16

// Pattern is a regular expression. Several goroutines can use it.
type Pattern struct {
	text    string
	fast    *regexp.Regexp // fast is nil if Go's library cannot express the expression.
	program *program
}

// Compile parses a regular expression of Perl. The error is an *Error.
func Compile(text string) (*Pattern, error) {
	if len(text) > maxText {
		return nil, &Error{maxText, "an expression that is too long", ""}
	}
	n, groups, err := parse(text)
	if err != nil {
		return nil, err
	}
	if fast, ok := linear(n); ok {
		return &Pattern{text: text, fast: fast}, nil
	}
	return &Pattern{text: text, program: compile(n, groups)}, nil
}

// Check returns the same error as Compile. Use Check if you do not need the Pattern.
func Check(text string) error {
	if len(text) > maxText {
		return &Error{maxText, "an expression that is too long", ""}
	}
	_, _, err := parse(text)
	return err
}

// String returns the expression as it was written.
func (p *Pattern) String() string { return p.text }

// Match reports whether the expression matches anywhere in a text. The error is ctx.Err() if ctx
// ended before the match. It is ErrLimit if the package's own matcher takes too many steps, too
// much memory or longer than ctx. A match that needs much memory waits for room.
func (p *Pattern) Match(ctx context.Context, text []byte, room Room) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if p.fast != nil {
		return p.fast.Match(characters(text)), nil
	}
	return p.program.match(ctx, text, room)
}
