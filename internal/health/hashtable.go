package health

import (
	"context"
	"slices"

	"lvs-agents/internal/lvs"
)

// HashTables returns lvs.Table.HashTables of the wanted table. It returns an empty text while the
// kernel has another table: before every real server has a verdict, and after a failed round.
func (d *Daemon) HashTables(ctx context.Context) (text string, err error) {
	var wanted lvs.Table
	err = d.do(ctx, func(context.Context) error {
		if d.ordered && d.reconciler.failure.Load() == nil {
			d.refresh()
			wanted = slices.Clone(d.wanted)
		}
		return nil
	})
	return wanted.HashTables(), err // This goroutine computes the tables, so that no check waits for them.
}
