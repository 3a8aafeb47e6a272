package health

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/record"
)

// period is the time between two comparisons of the whole IPVS table with fewer than 1000 real
// servers. The daemon then repairs changes by other programs within two seconds.
const period = time.Second

// pace returns the time between two comparisons for a number of real servers. A slow host could do
// nothing else if it compared ten thousand real servers every second.
func pace(reals int) time.Duration {
	return period + (time.Duration(reals) * time.Millisecond).Truncate(period)
}

// roundLimit returns how long one round of the reconciler can take for a number of real servers.
// After this time, an agent that needs the lock can kill the daemon, see record.Store.Lock.
func roundLimit(reals int) time.Duration {
	const least, each = 5 * time.Second, 2 * time.Millisecond
	return least + (time.Duration(reals) * each).Truncate(time.Second)
}

// want is the table that the reconciler must put into the kernel.
type want struct {
	table  lvs.Table
	events []Event // events are the events that led to this table and that the reconciler has not reported yet.
	// done has the channels of the callers that wait for the table. Each channel has a buffer.
	done     []chan<- error
	services map[lvs.ServiceID]*Service // services are the configured services.
	// reals is the number of real servers. roundLimit and pace depend on it.
	reals int
	// ordered says that every real server has a verdict. Before that, each new verdict can add a
	// server, and the order of the destinations is not repaired.
	ordered bool
}

// reconciler makes the kernel hold the wanted table. The goroutine of run calls its methods. The
// daemon itself calls adopt before run starts, secure after run has ended, and set and age at any
// time.
type reconciler struct {
	kernel record.Kernel
	store  record.Store
	id     string // id is the id of the daemon. Its claims have this id as their holder.
	// source is the id of the ipvs resource whose record is the configuration. Empty means none.
	source string
	log    logrus.FieldLogger
	// lives reports whether the process of another daemon exists.
	lives    func(holder string) (bool, error)
	occurred func(Event) // occurred reports an event.

	wants   chan want // wants is a channel with at most one element, the latest wanted table.
	tasks   chan func(context.Context)
	changed chan struct{} // changed signals that the resource source has written its record again.
	lost    chan loss     // lost signals that the daemon can adopt lost services again.
	began   time.Time
	// looped is when the last round succeeded, in nanoseconds since began.
	looped atomic.Int64
	// failure is the error of the last round. It is nil after a success.
	failure atomic.Pointer[error]

	// scopes has the services that the daemon balances, by the id of their record. The services of a
	// stopped resource stay in scopes, because the resource can start again.
	scopes map[string]lvs.Scope
	// last has the last weights of the destinations of services with Scheduler.KeepsSlots.
	last lastWeights
	// generation is the generation of the record of source when the daemon adopted that record.
	generation uint64
	// said is the text of the last error in the log. It is empty after a success.
	said string
	// told has the services of the last event ServiceLost.
	told notHeld
	// departures are the real servers whose clients see a reset.
	departures departures
	observer   observer
}

func newReconciler(o Options) *reconciler {
	return &reconciler{
		kernel: o.Kernel, store: o.Store, id: o.ID, source: o.Source, log: o.Log,
		wants: make(chan want, 1), tasks: make(chan func(context.Context)), changed: make(chan struct{}, 1),
		lost: make(chan loss, 1), began: time.Now(), scopes: map[string]lvs.Scope{}, last: lastWeights{}, occurred: o.occurred, lives: o.Lives,
		departures: departures{read: o.Waiting, log: o.Log, results: make(chan departed, 1)},
		observer:   observer{counters: o.Counters, readings: make(chan []lvs.Counters, 1)},
	}
}

// set replaces the wanted table for the next round. It never blocks.
func (r *reconciler) set(w want) {
	for {
		select {
		case r.wants <- w:
			return
		case old := <-r.wants: // The function run has not read the previous table yet, so set replaces it.
			w.done = append(old.done, w.done...)
			w.events = append(old.events, w.events...)
		}
	}
}

// run compares and repairs the table after every change of the wanted table and at every pace,
// until ctx ends.
func (r *reconciler) run(ctx context.Context) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	defer r.departures.running.Wait()
	var w want
	for {
		due := false
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
		case result := <-r.departures.results:
			r.departures.arrived(result)
		case <-ticker.C:
			due = true
		}
		if w.table == nil {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, roundLimit(w.reals))
		done, err := r.round(limited, w)
		cancel()
		w.events = r.pass(w, done, err)
		if err == nil {
			r.tell(done.lost, w.services)
			r.departures.proceed(ctx, done.target)
		}
		if err == nil && len(done.lost) > 0 {
			err = done.lost
			r.regain(done.lost)
		}
		r.report(ctx, err)
		for _, done := range w.done {
			done <- err
		}
		w.done = nil
		if due {
			r.read(ctx, w)
		}
	}
}

// tell reports the services that the daemon has lost or taken again since the last round.
func (r *reconciler) tell(lost notHeld, services map[lvs.ServiceID]*Service) {
	for id, why := range lost {
		if _, before := r.told[id]; !before {
			r.occurred(Event{Kind: ServiceLost, Time: time.Now(), Service: serviceOf(services, lvs.Op{Service: lvs.Service{ID: id}}), Reason: why})
		}
	}
	for id := range r.told {
		if _, still := lost[id]; !still && services[id] != nil {
			r.occurred(Event{Kind: ServiceTaken, Time: time.Now(), Service: services[id]})
		}
	}
	r.told = lost
}

// report logs an error only if it differs from the last error, not in every round.
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
		r.log.Errorf("the wanted IPVS table could not be set: %v", err)
	}
}

func (r *reconciler) age() time.Duration {
	return time.Since(r.began) - time.Duration(r.looped.Load())
}

// outcome is the result of one round.
type outcome struct {
	applied []lvs.Op
	held    lvs.Scope // held is the set of services that the daemon can change.
	lost    notHeld   // lost has the services that the daemon wants to change but must not.
	target  lvs.Table // target is the wanted table of the services that the daemon holds.
	have    lvs.Table // have is the table of the kernel before a change.
}

// round makes the kernel hold the table. It first reads the kernel's table without the lock. So
// agents do not wait for a daemon that has nothing to change.
func (r *reconciler) round(ctx context.Context, w want) (done outcome, err error) {
	ops, done, err := r.plan(ctx, w)
	if err != nil || len(ops)+len(r.last.missing(done.target)) == 0 {
		return done, err
	}
	until, _ := ctx.Deadline()
	unlock, err := r.store.Lock(ctx, r.id, until)
	if err != nil {
		return done, err
	}
	defer unlock()
	var before lvs.Table
	applied, err := record.Converge(ctx, r.kernel, func(ctx context.Context) (ops []lvs.Op, err error) {
		ops, done, err = r.plan(ctx, w)
		if before == nil {
			before = done.have
		}
		return ops, err
	})
	done.applied, done.have = applied, before
	r.last.note(applied)
	if err == nil {
		err = r.slot(ctx, r.last.missing(done.target))
	}
	return done, err
}

// pass reports the wanted events in their order. After that, pass reports every other change as a
// repair of a change by another program. If the round failed, pass reports only the events of
// changes that were made, and returns the other events. pass drops events of services that the
// daemon does not hold.
func (r *reconciler) pass(w want, of outcome, err error) (later []Event) {
	done := map[entry]bool{}
	for _, op := range of.applied {
		done[entryOf(op)] = true
	}
	asked := map[entry]bool{}
	for _, e := range w.events {
		if e.changes() {
			asked[e.entry()] = true
		}
		switch {
		case err != nil && !done[e.entry()]:
			later = append(later, e)
		case of.held[e.Service.ID]:
			r.occurred(e)
		}
	}
	undone := map[entry]lvs.Op{}
	for _, op := range of.applied {
		if !asked[entryOf(op)] && !r.departures.ready[entryOf(op)] {
			if len(undone) == 0 {
				undone = of.foreign()
			}
			r.repaired(op, undone[entryOf(op)], w.services)
		}
	}
	return later
}

// foreign returns the operations that made the kernel's table of the wanted table. Other programs
// have made these changes.
func (o outcome) foreign() map[entry]lvs.Op {
	ops := map[entry]lvs.Op{}
	for _, op := range lvs.Plan(o.have, o.target, o.held) {
		ops[entryOf(op)] = op
	}
	return ops
}

// repaired reports a change of the table that does not follow from a verdict. undone is the change
// by another program before it.
func (r *reconciler) repaired(op, undone lvs.Op, services map[lvs.ServiceID]*Service) {
	e := Event{
		Kind: TableRepaired, Time: time.Now(), Service: serviceOf(services, op), Server: op.Destination.Addr, Op: op, Undone: undone, From: out, To: out,
	}
	if op.Verb == lvs.AddDestination || op.Verb == lvs.EditDestination {
		e.To = op.Destination.Weight
	}
	r.occurred(e)
}

// serviceOf returns the configured service of an operation, or only its identity.
func serviceOf(services map[lvs.ServiceID]*Service, op lvs.Op) *Service {
	if s := services[op.Service.ID]; s != nil {
		return s
	}
	return &Service{Service: op.Service}
}

// plan returns the operations for the services whose records exist and have this daemon's claim.
// The settings of a service come from its record. The destinations come from the wanted table.
func (r *reconciler) plan(ctx context.Context, w want) ([]lvs.Op, outcome, error) {
	found := outcome{lost: notHeld{}}
	var target lvs.Table
	order := w.table.Index()
	for _, v := range w.table {
		found.lost[v.ID] = "no record has it"
	}
	for id, scope := range r.scopes {
		held, err := r.store.Load(id)
		if err == nil && id == r.source && held.Generation != r.generation {
			select {
			case r.changed <- struct{}{}:
			default:
			}
		}
		services, claims := held.Services.Index(), held.Claims()
		for service := range scope {
			if _, wanted := found.lost[service]; !wanted {
				continue
			}
			at, has := services[service]
			switch why := r.unheld(id, held, err); {
			case why != "":
				found.lost[service] = why
			case !has || !claims[service]:
				found.lost[service] = record.Owner(id) + " was reloaded"
			default:
				delete(found.lost, service)
				v := held.Services[at]
				v.Destinations = w.table[order[service]].Destinations
				target = append(target, v)
			}
		}
	}
	have, err := r.kernel.Table(ctx)
	if err != nil {
		return nil, found, err
	}
	slices.SortFunc(target, func(a, b lvs.VirtualService) int { return order[a.ID] - order[b.ID] })
	found.held = lvs.ScopeOf(target)
	if !w.ordered {
		have = have.Unordered(found.held)
	}
	r.departures.hold(target, have, w.services)
	have = have.TrustOrder(target)
	r.last.see(have)
	found.target, found.have = target, have
	return lvs.Plan(target, have, found.held), found, nil
}

// unheld returns why the daemon must not change the services of a record. It returns an empty text
// if the daemon can change them. err is the error of loading the record.
func (r *reconciler) unheld(id string, held record.Record, err error) string {
	own := id == record.OwnID(r.id)
	switch {
	case errors.Is(err, fs.ErrNotExist) && own:
		return fmt.Sprintf("its record %s was removed", r.store.Path(id))
	case errors.Is(err, fs.ErrNotExist):
		return record.Owner(id) + " was stopped; start it"
	case err != nil:
		return err.Error()
	case held.State != record.Running:
		return record.Owner(id) + " is being stopped"
	case held.Holder == "":
		return record.Owner(id) + " was started again"
	case held.Holder != r.id:
		return fmt.Sprintf("health daemon %s has taken it over", held.Holder)
	}
	return ""
}

// apply makes changes of the table that do not follow from a verdict, and reports them as repairs.
func (r *reconciler) apply(ctx context.Context, ops []lvs.Op) error {
	done, err := r.kernel.Apply(ctx, ops)
	for _, op := range ops[:done] {
		r.repaired(op, lvs.Op{}, nil)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
