package ipvs

import (
	"context"
	"errors"
	"fmt"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/record"
	"lvs-agents/ocf"
)

// stopDamaged stops what can still be read of a damaged record and what the
// parameters name: the record was there, so this resource did start something.
// If the parameters say nothing either, it succeeds only where the kernel has no
// service that could be ours.
func (a *Agent) stopDamaged(ctx context.Context, c ocf.Call, store record.Store, r record.Record) error {
	others, _, err := store.Others(c.Instance)
	if err != nil {
		return fmt.Errorf("reading the records of other resources: %w", err)
	}
	theirs := lvs.Scope{}
	for _, other := range others {
		for id := range other.Scope() {
			theirs[id] = true
		}
	}
	want, errWant := a.want(ctx, c)
	claimed := append(r.Services.IDs(), r.Removing...)
	r.Services, r.Removing = nil, nil
	for _, id := range append(claimed, want.IDs()...) {
		if !theirs[id] {
			r.Removing = append(r.Removing, id)
		}
	}
	if errWant != nil {
		if err := a.nothingUnclaimed(ctx, store.Path(c.Instance), theirs, r.Scope()); err != nil {
			return err
		}
	}
	return a.stopRecord(ctx, c, store, r)
}

// nothingUnclaimed fails if the kernel has services that no record claims.
func (a *Agent) nothingUnclaimed(ctx context.Context, path string, theirs, ours lvs.Scope) error {
	have, err := a.kernel.Table(ctx)
	if errors.Is(err, host.ErrNotInstalled) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, id := range have.IDs() {
		if !theirs[id] && !ours[id] {
			return fmt.Errorf("record %s is damaged and %s may be of it; ipvsadm -D what is, then remove the file", path, id)
		}
	}
	return nil
}
