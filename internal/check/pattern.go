package check

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"sync"
	"time"

	"github.com/dlclark/regexp2"
)

// Pattern is what an answer must match.
type Pattern interface {
	// Match fails if it does not end in a second, or before ctx does.
	Match(ctx context.Context, answer []byte) (bool, error)
	String() string
}

// maxMatch bounds one match: nothing can end it earlier.
const maxMatch = time.Second

var errSlow = errors.New("receive takes too long to match; write a simpler expression")

// Compile reads a regular expression of Perl: with Go's library, which takes
// linear time, where that can read it, else with one that has look-around and
// back references, within a time limit.
func Compile(text string) (Pattern, error) {
	fast, err := regexp.Compile(text)
	if err == nil {
		return linear{fast}, nil
	}
	if _, other := regexp2.Compile(text, regexp2.None); other != nil {
		return nil, err
	}
	return &perl{text: text}, nil
}

// Compiles returns why a regular expression cannot be read.
func Compiles(text string) error {
	_, err := Compile(text)
	return err
}

type linear struct{ *regexp.Regexp }

// Match lets $ match before a newline at the end, as in Perl: pages end in one.
func (p linear) Match(ctx context.Context, answer []byte) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return p.Regexp.Match(answer) || p.Regexp.Match(bytes.TrimSuffix(answer, []byte("\n"))), nil
}

// perl is compiled once for each match at a time: its time limit is a field of
// the library's expression.
type perl struct {
	text string
	free sync.Pool // of *regexp2.Regexp
}

func (p *perl) String() string { return p.text }

func (p *perl) Match(ctx context.Context, answer []byte) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	expression, ok := p.free.Get().(*regexp2.Regexp)
	if !ok {
		var err error
		if expression, err = regexp2.Compile(p.text, regexp2.None); err != nil {
			return false, err
		}
	}
	defer p.free.Put(expression)
	expression.MatchTimeout = maxMatch
	if deadline, ok := ctx.Deadline(); ok {
		expression.MatchTimeout = min(maxMatch, time.Until(deadline))
	}
	found, err := expression.MatchString(string(answer))
	if err != nil || !found && ctx.Err() != nil { // the library's error has the whole answer in it
		return false, errSlow
	}
	return found, nil
}
