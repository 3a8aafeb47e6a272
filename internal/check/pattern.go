package check

import (
	"context"
	"time"

	"lvs-agents/internal/pattern"
)

// Pattern is a regular expression that a reply must match.
type Pattern interface {
	// Match reports whether an answer matches. It returns an error if the match takes more than a
	// second, does not end before ctx ends, or needs too much memory.
	Match(ctx context.Context, answer []byte) (bool, error)
	String() string
}

// maxMatch is how long one match can take.
const maxMatch = time.Second

// Compile compiles a regular expression in Perl's syntax. room limits the memory of all matches
// that use the same room. If room is nil, the memory of a match has no limit.
func Compile(text string, room pattern.Room) (Pattern, error) {
	p, err := pattern.Compile(text)
	if err != nil {
		return nil, err
	}
	return bounded{p, room}, nil
}

type bounded struct {
	*pattern.Pattern
	room pattern.Room
}

func (b bounded) Match(ctx context.Context, answer []byte) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, maxMatch)
	defer cancel()
	return b.Pattern.Match(ctx, answer, b.room)
}
