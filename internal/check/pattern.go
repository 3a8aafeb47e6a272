package check

import (
	"context"
	"time"

	"lvs-agents/internal/pattern"
)

// Pattern is what an answer must match.
type Pattern interface {
	// Match fails if it does not end in a second, or before ctx does.
	Match(ctx context.Context, answer []byte) (bool, error)
	String() string
}

// maxMatch bounds one match.
const maxMatch = time.Second

// Compile reads a regular expression of Perl. Its matches share room for those that
// need much memory; nil sets no bound.
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
