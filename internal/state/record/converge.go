package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"lvs-agents/internal/lvs"
)

// attempts is how often Converge calls plan at most.
const attempts = 5

// Unsettled is the error of Converge if plan found operations to do in every attempt.
type Unsettled struct {
	// Race is the error of the last operation. It is nil if the kernel accepted all operations of
	// the last attempt.
	Race error
	// Left is the first operation that plan found in the last attempt.
	Left lvs.Op
}

// Error returns the reason why Converge could not finish.
func (u *Unsettled) Error() string {
	if u.Race != nil {
		return "another program keeps changing the IPVS table; stop that program: " + u.Race.Error()
	}
	if e := u.Left.Destination.Encapsulation; e.Type != lvs.IPIP {
		return fmt.Sprintf("the kernel does not keep the tunnel type %s: gue needs Linux 5.2, and gre Linux 5.3; use ipip, or a newer kernel", e.Type)
	}
	return "another program keeps changing the IPVS table; stop that program"
}

// Unwrap returns Race.
func (u *Unsettled) Unwrap() error { return u.Race }

// Converge calls plan, which reads the table, and applies the operations that plan returns. It
// repeats this until plan returns no operation, even if an operation failed because another program
// changed the table. Converge returns all operations that it applied. The error is an Unsettled if
// plan returned operations in every attempt.
func Converge(ctx context.Context, k Kernel, plan func(context.Context) ([]lvs.Op, error)) (applied []lvs.Op, err error) {
	var raced error
	var left lvs.Op
	for range attempts {
		ops, err := plan(ctx)
		if err != nil || len(ops) == 0 {
			return applied, err
		}
		left = ops[0]
		var done int
		done, raced = k.Apply(ctx, ops)
		applied = append(applied, ops[:done]...)
		if raced != nil && !errors.Is(raced, fs.ErrExist) && !errors.Is(raced, fs.ErrNotExist) {
			return applied, raced
		}
	}
	return applied, &Unsettled{raced, left}
}
