package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"lvs-agents/internal/lvs"
	"lvs-agents/internal/record"
)

// notHeld is the services that the daemon wants and does not hold, with the reasons.
// Nothing keeps their real servers as the verdicts are.
type notHeld map[lvs.ServiceID]string

// Error names the first of them.
func (n notHeld) Error() string {
	first := slices.SortedFunc(maps.Keys(n), lvs.ServiceID.Compare)[0]
	text := fmt.Sprintf("%s is checked but not balanced: %s", first, n[first])
	if len(n) > 1 {
		text += fmt.Sprintf(" (and %d services more)", len(n)-1)
	}
	return text
}

// loss is how services that are not held can be adopted again.
type loss uint8

const (
	// recordLost is a record of the daemon's own that was removed.
	recordLost loss = iota
	// resourceRestarted is a resource that runs, and whose services the daemon has not claimed.
	resourceRestarted
)

// regain asks for another adoption where that can succeed. The services of a
// resource that was stopped are left alone: that would undo the stop.
func (r *reconciler) regain(lost notHeld) {
	records, damaged, err := r.store.Others("")
	if err != nil || len(damaged) > 0 {
		return // share would refuse
	}
	owners := map[lvs.ServiceID]record.Record{}
	for _, held := range records {
		for _, id := range held.Services.IDs() {
			owners[id] = held
		}
	}
	own, restarted := false, false
	for id := range lost {
		held, owned := owners[id]
		own = own || !owned && r.scopes[record.OwnID(r.id)][id]
		restarted = restarted || owned && held.State == record.Running && r.free(held) == nil
	}
	how := recordLost
	switch {
	case restarted:
		how = resourceRestarted
	case !own:
		return
	}
	select {
	case r.lost <- how:
	default:
	}
}

// free is an error for a record that another daemon has claimed, which lives.
func (r *reconciler) free(held record.Record) error {
	if held.Holder == "" || held.Holder == r.id {
		return nil
	}
	lives, err := r.lives(held.Holder)
	if err != nil {
		return fmt.Errorf("whether health daemon %s lives: %w", held.Holder, err)
	}
	if lives {
		return fmt.Errorf("the virtual services of %s are looked after by health daemon %s already; stop that first", held.ID, held.Holder)
	}
	return nil
}

// change is what adoption makes of a record.
type change struct{ old, next record.Record }

// share gives every service to a record: the one that has it, else the daemon's
// own, else the first that is looked after. It returns the records to write.
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
			continue // its resource was stopped
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

// records returns all records by their ids.
func (r *reconciler) records() (map[string]record.Record, error) {
	all, damaged, err := r.store.Others("")
	if err != nil {
		return nil, err
	}
	byID := map[string]record.Record{}
	for _, held := range all {
		if path := r.store.Path(held.ID); slices.Contains(damaged, path) {
			return nil, fmt.Errorf("%s: %w; stop its resource, which removes it", path, record.ErrDamaged)
		}
		byID[held.ID] = held
	}
	return byID, nil
}

// parts says which services of a setup go into which record. A daemon of its own
// that has died loses its services to this one: they are in both parts.
func (r *reconciler) parts(services lvs.Table, old map[string]record.Record) map[string]lvs.Table {
	ownID := record.OwnID(r.id)
	parts, owners, before := map[string]lvs.Table{}, map[lvs.ServiceID]string{}, map[lvs.ServiceID]string{}
	for id, held := range old {
		for _, service := range held.Services.IDs() {
			owners[service] = id
		}
		if held.Holder == r.id {
			parts[id] = nil // everything of it may be gone
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

// home is the record for services that no record has: the daemon's own, else the
// first that is looked after. It is empty when all of those were stopped.
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

// claim returns a record with the destinations of services in our hands.
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
		return held // its resource alone says what its services are
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

// secure writes the daemon's own record again where it was removed, so that the stop
// that follows finds what to remove.
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
		return nil // it is there, or the stop says what is wrong with it
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
		return fmt.Errorf("writing the record that was removed: %w", err)
	}
	return nil
}

// without returns a table without the services of another.
func without(t, others lvs.Table) lvs.Table {
	left := lvs.ScopeOf(t)
	for _, v := range others {
		delete(left, v.ID)
	}
	return t.Only(left)
}

// notHeldOf returns what of an error is about services that are not held; nil for
// another error.
func notHeldOf(err error) notHeld {
	lost, _ := errors.AsType[notHeld](err)
	return lost
}
