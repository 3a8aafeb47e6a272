// Package pattern matches regular expressions of Perl against bytes, as ldirectord
// does: a byte is a character, and without Unicode in the expression only those of
// ASCII are letters.
//
// Go's library matches in linear time what it has; for look-around, back
// references, atomic groups and recursion there is a machine of our own, whose
// steps and memory are bounded.
package pattern

import (
	"context"
	"errors"
	"regexp"
)

// ErrLimit is of a match that takes too many steps or too much memory.
var ErrLimit = errors.New("receive takes too long to match; write a simpler expression")

// maxText bounds expressions: ldirectord.cf has them in a line.
const maxText = 1 << 16

// Pattern is a regular expression. It may be used by several goroutines.
type Pattern struct {
	text    string
	fast    *regexp.Regexp // nil where only the machine can match
	program *program
}

// Compile reads a regular expression of Perl. Its error is an *Error.
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

// Check returns why Compile cannot read an expression, for less work.
func Check(text string) error {
	if len(text) > maxText {
		return &Error{maxText, "an expression that is too long", ""}
	}
	_, _, err := parse(text)
	return err
}

// String returns the expression as it was written.
func (p *Pattern) String() string { return p.text }

// Match reports whether the expression matches somewhere in a text. It fails with
// ErrLimit if that takes too much, or longer than ctx. What needs much memory waits
// for room.
func (p *Pattern) Match(ctx context.Context, text []byte, room Room) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if p.fast != nil {
		return p.fast.Match(characters(text)), nil
	}
	return p.program.match(ctx, text, room)
}
