package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/record"
)

// adopt claims the services of a setup and returns the table that the kernel had before. A service
// of an ipvs resource stays in the record of that resource. The other services go into the record
// that home returns. Of the services that the new setup lacks, adopt deletes the services of the
// daemon's own record and services that this process has balanced. It hands the others back to
// their resources.
func (r *reconciler) adopt(ctx context.Context, services lvs.Table) (lvs.Table, error) {
	reals := 0
	for _, v := range services {
		reals += len(v.Destinations)
	}
	ctx, cancel := context.WithTimeout(ctx, roundLimit(reals))
	defer cancel()
	until, _ := ctx.Deadline()
	unlock, err := r.store.Lock(ctx, r.id, until)
	if err != nil {
		return nil, err
	}
	defer unlock()
	have, err := r.kernel.Table(ctx)
	if err != nil {
		return nil, err
	}
	// The daemon puts destinations in order only after every real server has a verdict.
	have = have.Unordered(lvs.ScopeOf(have))
	changes, err := r.share(services)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if err := r.store.Save(c.next); err != nil {
			return nil, fmt.Errorf("writing the record: %w", err)
		}
	}
	r.keep(services, changes)
	r.taken(changes)
	for _, c := range changes {
		if err := r.purge(ctx, c.next, have); err != nil {
			return nil, err
		}
		if err := r.handBack(ctx, c, have); err != nil {
			return nil, err
		}
	}
	return have, nil
}

// taken reports the services that the daemon takes over from another daemon or from a resource.
func (r *reconciler) taken(changes []change) {
	for _, c := range changes {
		_, own := record.HolderOf(c.next.ID)
		if c.next.Holder != r.id || c.old.Holder == r.id || own && c.old.Holder == "" {
			continue
		}
		from := record.Owner(c.next.ID)
		if c.old.Holder != "" {
			from = record.Owner(record.OwnID(c.old.Holder))
		}
		for _, id := range c.next.Claimed {
			r.occurred(Event{Kind: ServiceTaken, Time: time.Now(), Service: &Service{Service: lvs.Service{ID: id}}, Reason: "from " + from})
		}
	}
}

// keep stores in scopes which record has each service. If no record has a service any more, its
// resource was stopped. The service then stays with the id of the stopped resource.
func (r *reconciler) keep(services lvs.Table, changes []change) {
	scopes, left := map[string]lvs.Scope{}, lvs.ScopeOf(services)
	for _, c := range changes {
		if c.next.Holder != r.id || len(c.next.Services) == 0 {
			continue
		}
		scopes[c.next.ID] = c.next.Claims()
		for id := range scopes[c.next.ID] {
			delete(left, id)
		}
		if c.next.ID == r.source {
			r.generation = c.next.Generation
		}
	}
	for id, scope := range r.scopes {
		for service := range scope {
			if !left[service] {
				continue
			}
			if scopes[id] == nil {
				scopes[id] = lvs.Scope{}
			}
			scopes[id][service] = true
		}
	}
	r.scopes = scopes
}

// purge deletes from the kernel the services that a record lists in Removing, and then empties that
// list. It removes the own record of a daemon that has no services any more.
func (r *reconciler) purge(ctx context.Context, next record.Record, have lvs.Table) error {
	if len(next.Removing) == 0 && len(next.Services) > 0 {
		return nil
	}
	scope := lvs.Scope{}
	for _, id := range next.Removing {
		scope[id] = true
	}
	if err := r.apply(ctx, lvs.Plan(nil, have, scope)); err != nil {
		return err
	}
	if _, own := record.HolderOf(next.ID); own && len(next.Services) == 0 {
		return r.store.Remove(next.ID)
	}
	next.Removing = nil
	return r.store.Save(next)
}

// handBack sets the destinations of the services whose claim has ended to the destinations in the
// record of their resource.
func (r *reconciler) handBack(ctx context.Context, c change, have lvs.Table) error {
	if c.old.Holder != r.id && c.next.Holder != r.id {
		return nil
	}
	back, claims := lvs.Scope{}, c.next.Claims()
	for _, id := range c.old.Claimed {
		back[id] = !claims[id]
	}
	target := c.next.Target().Only(back)
	return r.apply(ctx, lvs.Plan(target, have, lvs.ScopeOf(target)))
}

// change is a record before and after the adoption of its services.
type change struct{ old, next record.Record }

// share assigns the services to records, see parts, and returns the records to write. It returns an
// error if another running daemon has claimed one of these records, or if one of them is being
// stopped.
func (r *reconciler) share(services lvs.Table) ([]change, error) {
	old, err := r.records()
	if err != nil {
		return nil, err
	}
	if held, running := old[r.source]; r.source != "" && (!running || held.State != record.Running) {
		return nil, fmt.Errorf("resource %s has no virtual services on this node; start it first", r.source)
	}
	parts := r.parts(services, old)
	var changes []change
	for _, id := range slices.Sorted(maps.Keys(parts)) {
		held, exists := old[id]
		if !exists && id != record.OwnID(r.id) {
			continue // The resource of this record was stopped, so there are no services to adopt.
		}
		if err := r.free(held); err != nil {
			return nil, err
		}
		if exists && held.State != record.Running {
			return nil, fmt.Errorf("%s is being stopped; start it first", record.Owner(id))
		}
		next := held
		next.ID = id
		if holder, own := record.HolderOf(id); own && holder != r.id {
			next.Services = without(held.Services, parts[id])
		} else {
			next = r.claim(next, parts[id])
		}
		changes = append(changes, change{held, next})
	}
	return changes, nil
}

// free returns an error if a claim of another running daemon is in the record.
func (r *reconciler) free(held record.Record) error {
	if held.Holder == "" || held.Holder == r.id {
		return nil
	}
	lives, err := r.lives(held.Holder)
	if err != nil {
		return fmt.Errorf("checking whether health daemon %s runs: %w", held.Holder, err)
	}
	if lives {
		return fmt.Errorf("the virtual services of %s are already claimed by health daemon %s; stop that daemon first", held.ID, held.Holder)
	}
	return nil
}

// records returns all records by their ids. A damaged record is an error.
func (r *reconciler) records() (map[string]record.Record, error) {
	all, damaged, err := r.store.Others("")
	if err != nil {
		return nil, err
	}
	byID := map[string]record.Record{}
	for _, held := range all {
		if path := r.store.Path(held.ID); slices.Contains(damaged, path) {
			return nil, fmt.Errorf("%s: %w; stop its resource or health daemon, which removes it", path, state.ErrDamaged)
		}
		byID[held.ID] = held
	}
	return byID, nil
}

// parts returns the services of a setup by the id of the record that must have them. If another
// daemon's own record has a service, this daemon takes the service over. The service is then in the
// parts of both records.
func (r *reconciler) parts(services lvs.Table, old map[string]record.Record) map[string]lvs.Table {
	ownID := record.OwnID(r.id)
	parts, owners, before := map[string]lvs.Table{}, map[lvs.ServiceID]string{}, map[lvs.ServiceID]string{}
	for id, held := range old {
		for _, service := range held.Services.IDs() {
			owners[service] = id
		}
		if held.Holder == r.id {
			parts[id] = nil // An entry without services: the new setup can lack every service of this record.
		}
	}
	for id, scope := range r.scopes {
		parts[id] = nil
		for service := range scope {
			before[service] = id
		}
	}
	home := r.home(old)
	for _, v := range services {
		id, owned := owners[v.ID]
		_, daemons := record.HolderOf(id)
		switch {
		case owned && daemons && id != ownID:
			to := cmp.Or(home, ownID)
			parts[id] = append(parts[id], v)
			parts[to] = append(parts[to], v)
		case owned:
			parts[id] = append(parts[id], v)
		case before[v.ID] == "" || before[v.ID] == ownID:
			parts[home] = append(parts[home], v)
		}
	}
	delete(parts, "")
	return parts
}

// home returns the id of the record for services that no record has. This is the daemon's own
// record if the daemon has services there, or if it has adopted no service yet. Otherwise, this is
// the first running record with adopted services. home returns an empty text if the resources of
// all these records were stopped.
func (r *reconciler) home(old map[string]record.Record) string {
	ownID := record.OwnID(r.id)
	if r.scopes[ownID] != nil || len(r.scopes) == 0 {
		return ownID
	}
	for _, id := range slices.Sorted(maps.Keys(r.scopes)) {
		if held, exists := old[id]; exists && held.State == record.Running {
			return id
		}
	}
	return ""
}

// claim returns the record with this daemon's claim on the services.
func (r *reconciler) claim(held record.Record, services lvs.Table) record.Record {
	own := held.ID == record.OwnID(r.id)
	ours := lvs.Scope{}
	switch {
	case own:
		ours, held.State = lvs.ScopeOf(held.Services), record.Running
	case held.Holder == r.id:
		ours = r.scopes[held.ID]
	}
	held.Holder, held.Claimed = r.id, services.IDs()
	if len(services) == 0 && !own {
		held.Holder = ""
	}
	if held.ID == r.source {
		return held // This record is the configuration, so only its resource changes the list of services.
	}
	var kept lvs.Table
	for _, v := range held.Services {
		_, stays := services.Lookup(v.ID)
		switch {
		case stays:
		case ours[v.ID]:
			held.Removing = append(held.Removing, v.ID)
		default:
			kept = append(kept, v)
		}
	}
	if before := held.Services; before.String() != append(kept, services...).String() {
		held.Services = append(kept, services...)
		held.Generation++
	}
	return held
}

// secure writes the daemon's own record again if another program removed it. So the next stop finds
// the services.
func (r *reconciler) secure(ctx context.Context, services lvs.Table) error {
	ownID := record.OwnID(r.id)
	if len(r.scopes[ownID]) == 0 {
		return nil
	}
	until, _ := ctx.Deadline()
	unlock, err := r.store.Lock(ctx, r.id, until)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := r.store.Load(ownID); !errors.Is(err, fs.ErrNotExist) {
		return nil // If err is nil, the record exists. Otherwise the stop reports later why it cannot read the record.
	}
	others, _, err := r.store.Others(ownID)
	if err != nil {
		return err
	}
	own := services.Only(r.scopes[ownID])
	for _, other := range others {
		own = without(own, other.Services)
	}
	err = r.store.Save(record.Record{ID: ownID, State: record.Running, Services: own, Holder: r.id, Claimed: own.IDs()})
	if err != nil {
		return fmt.Errorf("writing the removed record again: %w", err)
	}
	return nil
}

// without returns the table t without the services of the table others.
func without(t, others lvs.Table) lvs.Table {
	left := lvs.ScopeOf(t)
	for _, v := range others {
		delete(left, v.ID)
	}
	return t.Only(left)
}
