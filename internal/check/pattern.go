package check

import (
	"bytes"
	"regexp"
	"time"

	"github.com/dlclark/regexp2"
)

// Pattern is what an answer must match.
type Pattern interface {
	Match(answer []byte) bool
	String() string
}

// Compile reads a regular expression of Perl: with Go's library, which takes
// linear time, where that can read it, else with one that has look-around and
// back references, within a time limit.
func Compile(text string) (Pattern, error) {
	fast, err := regexp.Compile(text)
	if err == nil {
		return linear{fast}, nil
	}
	backtracking, other := regexp2.Compile(text, regexp2.None)
	if other != nil {
		return nil, err
	}
	backtracking.MatchTimeout = time.Second
	return perl{backtracking}, nil
}

// Compiles returns why a regular expression cannot be read.
func Compiles(text string) error {
	_, err := Compile(text)
	return err
}

type linear struct{ *regexp.Regexp }

// Match lets $ match before a newline at the end, as in Perl: pages end in one.
func (p linear) Match(answer []byte) bool {
	return p.Regexp.Match(answer) || p.Regexp.Match(bytes.TrimSuffix(answer, []byte("\n")))
}

type perl struct{ *regexp2.Regexp }

func (p perl) Match(answer []byte) bool {
	found, err := p.MatchString(string(answer))
	return found && err == nil
}
