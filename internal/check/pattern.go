package check

import (
	"context"
	"time"

	"lvs-agents/internal/pattern"
)

// Pattern is a regular expression that a reply must match.
type Pattern interface {
	// Match fails if it does not end in a second, or before ctx does.
	Match(ctx context.Context, answer []byte) (bool, error)
	String() string
}

// maxMatch limits the time of one match.
const maxMatch = time.Second

// Compile compiles a regular expression in Perl's syntax. Matches that need much memory share room.
// With nil their memory has no limit.
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
