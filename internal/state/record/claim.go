package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
)

// Kernel reads and changes the IPVS table of the network namespace.
type Kernel interface {
	Table(context.Context) (lvs.Table, error)
	Apply(context.Context, []lvs.Op) (int, error)
}

// OwnID returns the id of a health daemon's own record. This record has the services of the daemon
// that no ipvs resource has. No resource can have this id.
func OwnID(holder string) string { return ownPrefix + holder }

const ownPrefix = "directord%"

// HolderOf returns the health daemon whose own record has this id. own is false if the record
// belongs to a resource.
func HolderOf(id string) (holder string, own bool) { return strings.CutPrefix(id, ownPrefix) }

// Owner returns the words that name the owner of a record in messages.
func Owner(id string) string {
	if holder, own := strings.CutPrefix(id, ownPrefix); own {
		return "health daemon " + holder
	}
	return "resource " + id
}

// ErrClaimStays is the error of Release if a step failed after the daemon's own services were gone.
// For example, Release could not write a record that names the daemon as the holder.
var ErrClaimStays = errors.New("a claim stays")

// Release removes the services of a health daemon's own record from the kernel after the daemon has
// ended, and then removes the record. It returns the operations that it applied. Services in keep
// stay as they are in the kernel.
//
// In a claimed service of an ipvs resource, the destinations stay as they are if at least one gets
// connections. The claim stays until another daemon takes the service over, or until the verdicts
// do not count any more (control.Memory). If no destination gets connections, Release gives the
// service back to its resource, with the weights of the resource. The reason is that no daemon
// checks the service any more.
//
// Release waits for the lock for at most half of its time. Without the lock, it still removes the
// daemon's own services, because no other process changes them.
func (s Store) Release(ctx context.Context, k Kernel, holder string, keep ...lvs.ServiceID) ([]lvs.Op, error) {
	unlock, errLock := s.LockInHalf(ctx, holder)
	defer unlock()
	own, err := s.Load(OwnID(holder))
	var ops []lvs.Op
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil && !errors.Is(err, state.ErrDamaged):
		return nil, err
	default:
		own.ID = OwnID(holder) // A damaged record can have no id.
		damage := err
		if ops, err = s.remove(ctx, k, own, keep); err != nil {
			return ops, err
		}
		if err := s.unknown(ctx, k, own.ID, damage, keep); err != nil {
			return ops, err
		}
		if err := s.forget(own.ID); err != nil {
			return ops, err
		}
	}
	back, err := s.handBack(ctx, k, holder, errLock)
	return append(ops, back...), err
}

// handBack gives claimed services back to their resources if no destination of the service gets
// connections. It returns errLock, the error of the lock, if it must change a record.
func (s Store) handBack(ctx context.Context, k Kernel, holder string, errLock error) (ops []lvs.Op, err error) {
	others, damaged, err := s.Others(OwnID(holder))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClaimStays, err)
	}
	for _, r := range others {
		if r.Holder != holder || r.State != Running || slices.Contains(damaged, s.Path(r.ID)) {
			continue // A write of the damaged record would hide the damage.
		}
		have, err := k.Table(ctx)
		if errors.Is(err, host.ErrNotInstalled) {
			return ops, nil
		}
		idle := r.idle(have)
		if err == nil && len(idle) > 0 {
			err = errLock
		}
		if err == nil && len(idle) > 0 {
			err = s.Save(r.Unclaimed(idle))
		}
		if err != nil {
			return ops, fmt.Errorf("%w, on %s: %w", ErrClaimStays, r.ID, err)
		}
		planned := lvs.Plan(r.Services.Only(idle), have.Unordered(idle), idle)
		done, err := k.Apply(ctx, planned)
		ops = append(ops, planned[:done]...)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return ops, fmt.Errorf("%w, on %s: %w", ErrClaimStays, r.ID, err)
		}
	}
	return ops, nil
}

// idle returns the claimed services that have destinations with a weight in the record, but none
// that gets connections in the kernel.
func (r Record) idle(have lvs.Table) lvs.Scope {
	scope, claims, held := lvs.Scope{}, r.Claims(), have.Index()
	for _, v := range r.Services {
		if at, exists := held[v.ID]; exists && claims[v.ID] && v.Serves() && !have[at].Serves() {
			scope[v.ID] = true
		}
	}
	return scope
}

// Unclaimed returns the record without the claims on the services in back. Their real servers are
// not withheld any more.
func (r Record) Unclaimed(back lvs.Scope) Record {
	r.Claimed = slices.DeleteFunc(slices.Clone(r.Claimed), func(id lvs.ServiceID) bool { return back[id] })
	if len(r.Claimed) == 0 {
		r.Holder = ""
	}
	withheld := map[string]bool{}
	for _, v := range r.Services.Only(back) {
		for _, d := range v.Destinations {
			withheld[Server(v.ID, d.Addr)] = true
		}
	}
	r.Withheld = slices.DeleteFunc(slices.Clone(r.Withheld), func(server string) bool { return withheld[server] })
	return r
}

func (s Store) remove(ctx context.Context, k Kernel, own Record, keep []lvs.ServiceID) ([]lvs.Op, error) {
	scope := own.Scope()
	for _, id := range keep {
		delete(scope, id)
	}
	ops, err := Converge(ctx, k, func(ctx context.Context) ([]lvs.Op, error) {
		have, err := k.Table(ctx)
		if errors.Is(err, host.ErrNotInstalled) {
			return nil, nil
		}
		return lvs.Plan(nil, have, scope), err
	})
	if _, unsettled := errors.AsType[*Unsettled](err); unsettled {
		err = errors.New("another program keeps adding the services again; stop that program")
	}
	return ops, err
}

// unknown returns an error if the kernel has a service that no record claims. The daemon's own
// damaged record can have claimed this service. Without damage, unknown returns nil.
func (s Store) unknown(ctx context.Context, k Kernel, id string, damage error, keep []lvs.ServiceID) error {
	if damage == nil {
		return nil
	}
	have, err := k.Table(ctx)
	if errors.Is(err, host.ErrNotInstalled) {
		return nil
	}
	if err != nil {
		return err
	}
	others, _, _ := s.Others(id) // A record that cannot be read has no usable claim, so an error is ignored.
	claimed := lvs.Scope{}
	for _, other := range others {
		maps.Copy(claimed, other.Scope())
	}
	for _, service := range have.IDs() {
		if !claimed[service] && !slices.Contains(keep, service) {
			return fmt.Errorf("%w; the record may contain %s; ipvsadm -D the services that this daemon added, then remove the file", damage, service)
		}
	}
	return nil
}

// forget removes the file of the daemon's own record.
func (s Store) forget(id string) error {
	if err := s.Remove(id); err != nil {
		return fmt.Errorf("%w, of services that are gone: %w", ErrClaimStays, err)
	}
	return nil
}
