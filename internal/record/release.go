package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"lvs-agents/internal/lvs"
)

// Kernel is the IPVS table of the network namespace.
type Kernel interface {
	Table(context.Context) (lvs.Table, error)
	Apply(context.Context, []lvs.Op) (int, error)
}

// OwnID is the id under which a health daemon keeps the record of services that
// no ipvs resource has. No resource can have it.
func OwnID(holder string) string { return ownPrefix + holder }

const ownPrefix = "directord%"

// HolderOf returns the daemon whose own record has an id, and whether it is such an
// id.
func HolderOf(id string) (holder string, own bool) { return strings.CutPrefix(id, ownPrefix) }

// Owner is what an operator knows the owner of a record by.
func Owner(id string) string {
	if holder, own := strings.CutPrefix(id, ownPrefix); own {
		return "health daemon " + holder
	}
	return "resource " + id
}

// ErrClaimStays says that the services of the daemon's own are gone, but a file
// that names the daemon as the holder of others could not be written.
var ErrClaimStays = errors.New("a claim stays")

// Release gives up the claims of a health daemon that does not run any more and
// removes the services of its own record; it returns what it changed in the
// kernel. Destinations of other resources' services, and the services to keep,
// stay as they are. It waits for the lock for half of its time at most: its own
// services nobody else touches.
func (s Store) Release(ctx context.Context, k Kernel, holder string, keep ...lvs.ServiceID) ([]lvs.Op, error) {
	unlock, errLock := s.LockInHalf(ctx, holder)
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
	return ops, s.giveUp(holder, errLock)
}

// giveUp writes the records of other resources without their holder, which needs
// the lock.
func (s Store) giveUp(holder string, errLock error) error {
	others, damaged, err := s.Others(OwnID(holder))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClaimStays, err)
	}
	for _, r := range others {
		if r.Holder != holder || slices.Contains(damaged, s.Path(r.ID)) {
			continue // writing a damaged one would hide that it is
		}
		r.Holder = ""
		err := errLock
		if err == nil {
			err = s.Save(r)
		}
		if err != nil {
			return fmt.Errorf("%w, on %s: %w", ErrClaimStays, r.ID, err)
		}
	}
	return nil
}

func (s Store) remove(ctx context.Context, k Kernel, own Record, keep []lvs.ServiceID) ([]lvs.Op, error) {
	have, err := k.Table(ctx)
	if errors.Is(err, lvs.ErrNotInstalled) {
		return nil, s.forget(own.ID)
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
	return ops, s.forget(own.ID)
}

// forget removes the daemon's own record.
func (s Store) forget(id string) error {
	if err := s.Remove(id); err != nil {
		return fmt.Errorf("%w, of services that are gone: %w", ErrClaimStays, err)
	}
	return nil
}
