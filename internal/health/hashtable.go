package health

import "context"

// HashTables returns lvs.Table.HashTables of the wanted table. It returns an empty text while the
// kernel has another table: before every real server has a verdict, and after a failed round.
func (d *Daemon) HashTables(ctx context.Context) (text string, err error) {
	err = d.do(ctx, func(context.Context) error {
		if d.ordered && d.reconciler.failure.Load() == nil {
			d.refresh()
			text = d.wanted.HashTables()
		}
		return nil
	})
	return text, err
}
