package health

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/lvs"
	"lvs-agents/internal/record"
)

// period is how often the whole table is compared: changes by others are
// healed within two seconds.
const period = time.Second

// pace is the period for so many real servers: to compare ten thousand each second
// would be all that a slow host does.
func pace(reals int) time.Duration {
	return period + (time.Duration(reals) * time.Millisecond).Truncate(period)
}

// patience bounds one round of the reconciler for so many real servers. Whoever
// needs the lock after that may kill the daemon, see record.Store.Lock.
func patience(reals int) time.Duration {
	const least, each = 5 * time.Second, 2 * time.Millisecond
	return least + (time.Duration(reals) * each).Truncate(time.Second)
}

// want is what the reconciler shall make of the table.
type want struct {
	table  lvs.Table
	events []Event        // that led to it, not told yet
	done   []chan<- error // who waits for it; buffered
	// fallbacks are the entries that a log calls so.
	fallbacks map[lvs.ServiceID]netip.AddrPort
	reals     int // real servers, by which a round has its time
}

// reconciler makes the kernel hold what is wanted. Apart from adopt, which is
// called before it runs or by way of it, everything is called by run.
type reconciler struct {
	kernel record.Kernel
	store  record.Store
	id     string // of the daemon: the holder of claims
	source string // ipvs resource whose record is the configuration, empty for none
	log    logrus.FieldLogger
	// occurred is told of every event; nil for nobody.
	occurred func(Event)

	wants   chan want // holds the latest
	tasks   chan func(context.Context)
	changed chan struct{} // the record of source was written by its resource
	began   time.Time
	looped  atomic.Int64          // when the last round succeeded, since began
	failure atomic.Pointer[error] // of the last round

	scopes     map[string]lvs.Scope // services looked after, by record
	generation uint64               // of the record of source
	said       string               // the last warning
}

func newReconciler(o Options) *reconciler {
	return &reconciler{
		kernel: o.Kernel, store: o.Store, id: o.ID, source: o.Source, log: o.Log,
		wants: make(chan want, 1), tasks: make(chan func(context.Context)), changed: make(chan struct{}, 1),
		began: time.Now(), scopes: map[string]lvs.Scope{}, occurred: o.Changed,
	}
}

// set replaces what is wanted. It never blocks.
func (r *reconciler) set(w want) {
	for {
		select {
		case r.wants <- w:
			return
		case old := <-r.wants: // it was not looked at yet
			w.done = append(old.done, w.done...)
			w.events = append(old.events, w.events...)
		}
	}
}

// run reconciles on every change and every period until ctx ends.
func (r *reconciler) run(ctx context.Context) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	var w want
	for {
		select {
		case <-ctx.Done():
			return
		case task := <-r.tasks:
			task(ctx)
			continue
		case next := <-r.wants:
			next.events = append(w.events, next.events...)
			if pace(next.reals) != pace(w.reals) {
				ticker.Reset(pace(next.reals))
			}
			w = next
		case <-ticker.C:
		}
		if w.table == nil {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, patience(w.reals))
		applied, held, err := r.round(limited, w.table)
		cancel()
		w.events = r.tell(w, applied, held, err)
		r.report(ctx, err)
		for _, done := range w.done {
			done <- err
		}
		w.done = nil
	}
}

// report logs an error once, not every second.
func (r *reconciler) report(ctx context.Context, err error) {
	if err == nil {
		r.looped.Store(int64(time.Since(r.began)))
		r.failure.Store(nil)
		r.said = ""
		return
	}
	if ctx.Err() != nil {
		return
	}
	r.failure.Store(&err)
	if text := err.Error(); text != r.said {
		r.said = text
		r.log.Errorf("the IPVS table is not as it should be: %v", err)
	}
}

func (r *reconciler) age() time.Duration {
	return time.Since(r.began) - time.Duration(r.looped.Load())
}

// attempts bounds how often a plan is made again because the table changed
// between the look and the op.
const attempts = 5

// round looks without the lock first, so that agents do not wait for a daemon
// that has nothing to do. It returns what it changed and the services that it
// may change.
func (r *reconciler) round(ctx context.Context, table lvs.Table) (applied []lvs.Op, held lvs.Scope, err error) {
	ops, held, err := r.look(ctx, table)
	if err != nil || len(ops) == 0 {
		return nil, held, err
	}
	until, _ := ctx.Deadline()
	unlock, err := r.store.Lock(ctx, r.id, until)
	if err != nil {
		return nil, held, err
	}
	defer unlock()
	for range attempts {
		if ops, held, err = r.look(ctx, table); err != nil || len(ops) == 0 {
			return applied, held, err
		}
		done, err := r.kernel.Apply(ctx, ops)
		applied = append(applied, ops[:done]...)
		if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return applied, held, err
		}
	}
	return applied, held, errors.New("somebody else changes the table all the time")
}

// tell logs the events in their order, then what was changed without one: what
// somebody else had done to the table. After an error only those that were
// changed are told; it returns the others. Events of services that are another's
// are forgotten.
func (r *reconciler) tell(w want, applied []lvs.Op, held lvs.Scope, err error) (later []Event) {
	done := map[entry]bool{}
	for _, op := range applied {
		done[entryOf(op)] = true
	}
	asked := map[entry]bool{}
	for _, e := range w.events {
		if !e.note {
			asked[entryOf(e.Op)] = true
		}
		switch {
		case err != nil && !done[entryOf(e.Op)]:
			later = append(later, e)
		case held[e.Op.Service.ID]:
			e.log(r.log)
			if r.occurred != nil && !e.note {
				r.occurred(e)
			}
		}
	}
	for _, op := range applied {
		if !asked[entryOf(op)] {
			r.repaired(op, w.fallbacks[op.Service.ID])
		}
	}
	return later
}

// repaired logs a change that no verdict asked for.
func (r *reconciler) repaired(op lvs.Op, fallback netip.AddrPort) {
	kind := "real"
	if op.Destination.Addr.IsValid() && op.Destination.Addr == fallback {
		kind = "fallback"
	}
	Event{Op: op, Message: message(op, kind)}.log(r.log)
}

// look plans for the services whose records are there and whose claims are
// ours. The record says what a service is, the policy what its destinations are.
func (r *reconciler) look(ctx context.Context, table lvs.Table) ([]lvs.Op, lvs.Scope, error) {
	var target lvs.Table
	order := table.Index()
	for id, scope := range r.scopes {
		held, err := r.store.Load(id)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // its resource was stopped
		case err != nil:
			return nil, nil, err
		case held.State != record.Running || held.Holder != r.id:
			continue
		}
		if id == r.source && held.Generation != r.generation {
			select {
			case r.changed <- struct{}{}:
			default:
			}
		}
		for _, v := range held.Services {
			if at, ok := order[v.ID]; ok && scope[v.ID] {
				v.Destinations = table[at].Destinations
				target = append(target, v)
			}
		}
	}
	have, err := r.kernel.Table(ctx)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(target, func(a, b lvs.VirtualService) int { return order[a.ID] - order[b.ID] })
	scope := lvs.ScopeOf(target)
	return lvs.Plan(target, have, scope), scope, nil
}

// adopt claims the services of a setup and returns the table that it found. A
// service that an ipvs resource has is looked after in its record; the others get
// a record of the daemon's own. Services of an earlier setup that are gone are
// deleted.
func (r *reconciler) adopt(ctx context.Context, services lvs.Table) (lvs.Table, error) {
	reals := 0
	for _, v := range services {
		reals += len(v.Destinations)
	}
	ctx, cancel := context.WithTimeout(ctx, patience(reals))
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
	records, err := r.share(services)
	if err != nil {
		return nil, err
	}
	for _, next := range records {
		if err := r.store.Save(next); err != nil {
			return nil, fmt.Errorf("writing the record: %w", err)
		}
	}
	r.scopes = map[string]lvs.Scope{}
	for _, next := range records {
		if err := r.purge(ctx, next, have); err != nil {
			return nil, err
		}
		if len(next.Services) > 0 {
			r.scopes[next.ID] = next.Claims()
		}
		if next.ID == r.source {
			r.generation = next.Generation
		}
	}
	return have, nil
}

// share gives every service to a record: the one that has it, else the daemon's
// own, else the first that is looked after. It returns the records to write.
func (r *reconciler) share(services lvs.Table) ([]record.Record, error) {
	ownID := record.OwnID(r.id)
	records, damaged, err := r.store.Others("")
	if err != nil {
		return nil, err
	}
	byService := map[lvs.ServiceID]string{}
	old := map[string]record.Record{}
	home := ""
	for _, held := range records {
		if path := r.store.Path(held.ID); slices.Contains(damaged, path) {
			return nil, fmt.Errorf("%s: %w; stop its resource, which removes it", path, record.ErrDamaged)
		}
		old[held.ID] = held
		for _, id := range held.Services.IDs() {
			byService[id] = held.ID
		}
		if _, before := r.scopes[held.ID]; before && (home == "" || held.ID == ownID) {
			home = held.ID
		}
	}
	if home == "" {
		home = ownID
	}
	if _, running := old[r.source]; r.source != "" && !running {
		return nil, fmt.Errorf("resource %s has no virtual services on this node; start it first", r.source)
	}
	parts := map[string]lvs.Table{}
	for _, v := range services {
		id := byService[v.ID]
		if id == "" {
			id = home
		}
		parts[id] = append(parts[id], v)
	}
	for id := range r.scopes { // everything of it may be gone
		parts[id] = append(parts[id], nil...)
	}
	if _, exists := old[ownID]; exists {
		parts[ownID] = append(parts[ownID], nil...)
	}
	var next []record.Record
	for _, id := range slices.Sorted(maps.Keys(parts)) {
		held, exists := old[id]
		if exists && held.Holder != "" && held.Holder != r.id {
			return nil, fmt.Errorf("the virtual services of %s are looked after by %s already", id, held.Holder)
		}
		if !exists && id != ownID {
			continue // its resource was stopped
		}
		held.ID = id
		next = append(next, r.claim(held, parts[id]))
	}
	return next, nil
}

// claim returns a record with the destinations of services in our hands.
func (r *reconciler) claim(held record.Record, services lvs.Table) record.Record {
	ours := r.scopes[held.ID]
	if held.ID == record.OwnID(r.id) {
		ours, held.State = lvs.ScopeOf(held.Services), record.Running
	}
	held.Holder, held.Claimed = r.id, services.IDs()
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

// purge deletes services that a record has no more.
func (r *reconciler) purge(ctx context.Context, next record.Record, have lvs.Table) error {
	if len(next.Removing) == 0 && len(next.Services) > 0 {
		return nil
	}
	scope := lvs.Scope{}
	for _, id := range next.Removing {
		scope[id] = true
	}
	ops := lvs.Plan(nil, have, scope)
	done, err := r.kernel.Apply(ctx, ops)
	for _, op := range ops[:done] {
		r.repaired(op, netip.AddrPort{})
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(next.Services) == 0 && next.ID == record.OwnID(r.id) {
		return r.store.Remove(next.ID)
	}
	next.Removing = nil
	return r.store.Save(next)
}
