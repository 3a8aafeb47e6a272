package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"lvs-agents/internal/lvs"
)

// Kernel is the IPVS table of the network namespace.
type Kernel interface {
	Table(context.Context) (lvs.Table, error)
	Apply(context.Context, []lvs.Op) (int, error)
}

// OwnID is the id under which a health daemon keeps the record of services that
// no ipvs resource has. No resource can have it.
func OwnID(holder string) string { return "directord%" + holder }

// Release gives up the claims of a health daemon that does not run any more and
// removes the services of its own record; it returns what it changed in the
// kernel. Destinations of other resources' services, and the services to keep,
// stay as they are.
func (s Store) Release(ctx context.Context, k Kernel, holder string, keep ...lvs.ServiceID) ([]lvs.Op, error) {
	until, _ := ctx.Deadline()
	unlock, err := s.Lock(ctx, holder, until)
	if err != nil {
		return nil, err
	}
	defer unlock()
	own, err := s.Load(OwnID(holder))
	var ops []lvs.Op
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil && !errors.Is(err, ErrDamaged):
		return nil, err
	default:
		own.ID = OwnID(holder) // also of a damaged one
		if ops, err = s.remove(ctx, k, own, keep); err != nil {
			return ops, err
		}
	}
	others, damaged, err := s.Others(OwnID(holder))
	if err != nil {
		return ops, err
	}
	for _, r := range others {
		if r.Holder != holder || slices.Contains(damaged, s.Path(r.ID)) {
			continue // writing a damaged one would hide that it is
		}
		r.Holder = ""
		if err := s.Save(r); err != nil {
			return ops, fmt.Errorf("giving up the claim on %s: %w", r.ID, err)
		}
	}
	return ops, nil
}

func (s Store) remove(ctx context.Context, k Kernel, own Record, keep []lvs.ServiceID) ([]lvs.Op, error) {
	have, err := k.Table(ctx)
	if errors.Is(err, lvs.ErrNotInstalled) {
		return nil, s.Remove(own.ID)
	}
	if err != nil {
		return nil, err
	}
	scope := own.Scope()
	for _, id := range keep {
		delete(scope, id)
	}
	ops := lvs.Plan(nil, have, scope)
	if done, err := k.Apply(ctx, ops); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ops[:done], err
	}
	return ops, s.Remove(own.ID)
}
