package record

import (
	"context"
	"errors"
	"io/fs"

	"lvs-agents/internal/lvs"
)

// attempts is how often Converge plans. It plans again if another program changed the table
// between the reading and the operation.
const attempts = 5

// Unsettled is the error of Converge if operations were left to do each time.
type Unsettled struct {
	// Race is the error of the last operation, nil if the kernel took all of them.
	Race error
}

// Error implements error.
func (u *Unsettled) Error() string {
	if u.Race != nil {
		return "the table changes all the time: " + u.Race.Error()
	}
	return "the kernel does not keep the changes; another program changes the table"
}

// Unwrap returns the race.
func (u *Unsettled) Unwrap() error { return u.Race }

// Converge applies operations until plan, which reads the table, finds none to do. It
// returns the operations that it applied. If an operation fails because another program changed
// the table, it plans again. The error is an Unsettled if operations are left after all attempts.
func Converge(ctx context.Context, k Kernel, plan func(context.Context) ([]lvs.Op, error)) (applied []lvs.Op, err error) {
	var raced error
	for range attempts {
		ops, err := plan(ctx)
		if err != nil || len(ops) == 0 {
			return applied, err
		}
		var done int
		done, raced = k.Apply(ctx, ops)
		applied = append(applied, ops[:done]...)
		if raced != nil && !errors.Is(raced, fs.ErrExist) && !errors.Is(raced, fs.ErrNotExist) {
			return applied, raced
		}
	}
	return applied, &Unsettled{raced}
}
