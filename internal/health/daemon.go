package health

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/policy"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/record"
)

// Options are the settings and functions of a daemon. The functions other than Load must not block.
type Options struct {
	ID string // ID is the id of the daemon. Its claims have this id as their holder.
	// Source is the ipvs resource whose record is the configuration. It is empty if a file is the
	// configuration.
	Source  string
	Config  string // Config is the name of the configuration in the status.
	Version string
	PID     int
	Kernel  record.Kernel
	Store   record.Store
	Log     logrus.FieldLogger
	// Load reads the configuration and returns its services with resolved names.
	Load func(context.Context) (Setup, error)
	// Checker returns a new checker, which makes the checks of a probe.
	Checker func(Probe) (check.Checker, error)
	// PathFault returns why this host cannot send packets to an address, or an empty text. It can be
	// nil.
	PathFault func(context.Context, netip.Addr) (string, error)
	// Waiting reads the clients of destinations that will leave the table, for config.Reset. If it is
	// nil, clients see no reset. It can take seconds.
	Waiting func(ctx context.Context, destinations []lvs.Op) (Waiting, error)
	// Counters reads the connections of all destinations, for config.Service.Observe. If it is nil,
	// connections give no hints.
	Counters func(context.Context) ([]lvs.Counters, error)
	// Lives reports whether the process of another daemon exists. If Lives is nil, every other
	// daemon counts as alive.
	Lives func(id string) (bool, error)
	// SaveVerdicts gets the present verdicts at the start, every second, 0.1 s after an event of a
	// check, and at the end. It can be nil.
	SaveVerdicts func(state.Verdicts)
	// Orders are the orders of operators at the start.
	Orders []control.Command
	// SaveOrders stores all orders before a new one counts. If it fails, the new order is refused.
	// It can be nil.
	SaveOrders func([]control.Command) error
	// Accepted gets every configuration whose services the daemon has adopted, before its checks
	// start. It can be nil.
	Accepted func(Setup)
	// Occurred gets every event, except events of services that the daemon does not hold. The
	// events of a service come in their order, after the kernel's table was changed. Several
	// goroutines call Occurred. It can be nil.
	Occurred func(Event)
	// Checked gets the result of every check that counts for a verdict. For a drained real server,
	// it gets an error instead. It can be nil.
	Checked func(Service, Real, Probe, error)
	// Serving gets false when no real server of a service is good any more, and true when the first
	// is good. The daemon does not wait for the change of the kernel's table. Serving can be nil.
	Serving func(s Service, serving bool)
}

func (o Options) occurred(e Event) {
	if o.Occurred != nil {
		o.Occurred(e)
	}
}

// Member identifies a real server by its service and its address.
type Member struct {
	Service lvs.ServiceID
	Server  netip.AddrPort
}

// Daemon checks the real servers of one configuration and sets the destinations of its services.
// New makes a Daemon.
type Daemon struct {
	options    Options
	reconciler *reconciler
	wheel      *wheel
	results    chan result
	requests   chan func(context.Context)
	started    time.Time
	// reloads is locked during a reload, so that two reloads cannot run at the same time.
	reloads sync.Mutex

	// Only the goroutine that executes Run uses the fields below.

	// setup is the configuration with the real servers that operators have added.
	setup      Setup
	configured Setup           // configured is the configuration.
	checks     []target        // checks are the probes of the configuration.
	added      map[Member]Real // added has the real servers that operators have added.
	// adopted is the table that the daemon found when it accepted the setup.
	adopted lvs.Table
	// found is the part of adopted that belongs to services of the setup, in the order of the
	// setup.
	found    lvs.Table
	services map[lvs.ServiceID]*Service // services has the services of the setup by their identity.
	trackers map[Probe]*tracker
	// combined are the verdicts on real servers with several probes or none.
	combined map[Member]*combined
	standing []*standing // standing has one element for each service, in the order of the setup.
	// wanted is the table that the kernel must hold. The daemon computes it from standing.
	wanted lvs.Table
	// stale has the indexes of services whose standing has changed since wanted was computed.
	stale map[int]bool
	fault localFault

	// rereading is closed when a reload or an adoption ends that the daemon began on its own. It is
	// nil if none runs.
	rereading <-chan struct{}
	// refused is why the daemon refused the last configuration. It is empty if the daemon accepted
	// it.
	refused string
	forgone string          // forgone is why the daemon could not adopt lost services again.
	out     map[Member]bool // out has the real servers that an operator has drained.
	// serving reports whether a good real server serves the service. A service without an entry is
	// unknown.
	serving map[lvs.ServiceID]bool
	users   map[Probe][]place // users has, for each probe, the real servers that use the probe.
	events  []Event           // events are the events that the reconciler has not received yet.
	unknown int               // unknown is the number of probes that have no verdict yet.
	ordered bool              // ordered says that the reconciler can repair the order of destinations.
	// orders are the orders of operators.
	orders orders
	// memory has the memory of each service with rules.
	memory map[lvs.ServiceID]policy.Memory
	// observed has the last readings of the real servers of services with Observe.
	observed map[Member]observation
	// suspicion is the last time when the daemon suspected itself.
	suspicion policy.Suspicion
	cause     string // cause is why the daemon suspects itself. It is empty while it does not.
	// cut is why this host has no path to most real servers. It is empty if it has one, and without
	// OwnFault.
	cut      string
	failed   bool        // failed says that a server has failed since the daemon last judged itself.
	alarm    *time.Timer // alarm rings when a decision can change without a verdict.
	due      time.Time   // due is when the alarm rings. Zero means never.
	reloaded bool        // reloaded says that the current setup is not the first setup.
}

var _ control.Daemon = (*Daemon)(nil)

// never is a time that the alarm does not reach.
const never = 1 << 62

// New makes a daemon. New does not change the kernel or any file.
func New(o Options) *Daemon {
	if o.Lives == nil {
		o.Lives = func(string) (bool, error) { return true, nil }
	}
	given, err := ordersOf(o.Orders)
	if err != nil {
		o.Log.Error(err)
	}
	results := make(chan result, 64)
	return &Daemon{
		options: o, reconciler: newReconciler(o), wheel: newWheel(results), results: results,
		requests: make(chan func(context.Context)), started: time.Now(), trackers: map[Probe]*tracker{},
		orders: given, out: map[Member]bool{}, memory: map[lvs.ServiceID]policy.Memory{}, alarm: time.NewTimer(never), serving: map[lvs.ServiceID]bool{},
	}
}

// Run adopts the services, calls ready when the kernel holds the wanted table, and keeps that table
// until ctx ends. After that, Run leaves the table as it is. The error is for a configuration or a
// table that the daemon cannot use at all.
func (d *Daemon) Run(ctx context.Context, ready func()) error {
	setup, err := d.options.Load(ctx)
	if err != nil {
		return err
	}
	checkers, err := d.checkers(setup)
	if err != nil {
		return err
	}
	if d.adopted, err = d.reconciler.adopt(ctx, setup.Table()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	wheel := background(func() { d.wheel.run(ctx) })
	reconciler := background(func() { d.reconciler.run(ctx) })
	defer func() {
		cancel()
		<-wheel
		<-reconciler
		if d.rereading != nil {
			<-d.rereading
		}
		d.saveVerdicts() // the next start of an ipvs resource or of a daemon reads the verdicts
	}()
	d.accept(ctx, setup, checkers)
	first := make(chan error, 1)
	d.begin()
	d.apply([]chan<- error{first})
	d.saveVerdicts()
	save := time.NewTicker(period)
	defer save.Stop()
	soon := false // the daemon saves the changed verdicts after a tenth of the period
	for {
		select {
		case <-ctx.Done():
			d.options.occurred(d.event(DaemonEnded, nil))
			return nil
		case err := <-first:
			if err != nil {
				return err
			}
			first = nil
			ready()
		case <-save.C:
			expired := d.expire(ctx)
			if d.patrol() || expired {
				d.apply(nil)
			}
			d.saveVerdicts()
			if soon {
				soon = false
				save.Reset(period)
			}
		case r := <-d.results:
			d.takeResult(r)
			if d.takeResults() && !soon {
				soon = true
				// the next start of an ipvs resource can need the new verdicts
				save.Reset(period / 10)
			}
		case all := <-d.reconciler.observer.readings:
			d.observe(all)
		case <-d.alarm.C:
			d.expire(ctx)
			d.decideDue(false)
			d.apply(nil)
		case request := <-d.requests:
			request(ctx)
		case <-d.reconciler.changed:
			if d.rereading == nil {
				// Use has logged the error, and the status contains it
				d.rereading = background(func() { _ = d.Reload(ctx) })
			}
		case how := <-d.reconciler.lost:
			if d.rereading == nil {
				d.rereading = background(func() { d.regain(ctx, how) })
			}
		case <-d.rereading:
			d.rereading = nil
		}
	}
}

func background(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

func (d *Daemon) checkers(setup Setup) ([]target, error) {
	var targets []target
	for _, probe := range setup.Probes() {
		if !probe.fixed() {
			checker, err := d.options.Checker(probe)
			if err != nil {
				return nil, err
			}
			targets = append(targets, target{probe, checker})
		}
	}
	return targets, nil
}

// accept makes a setup the current setup. Probes that the previous setup also had keep their
// verdicts.
func (d *Daemon) accept(ctx context.Context, setup Setup, checkers []target) {
	if d.options.Accepted != nil {
		d.options.Accepted(setup)
	}
	for _, problem := range setup.Problems {
		switch {
		// the daemon has logged this problem for the previous setup
		case slices.Contains(d.setup.Problems, problem):
		case problem.Severity == config.Warning:
			d.options.Log.Warn(problem)
		default:
			d.options.Log.Error(problem)
		}
	}
	d.configured, d.checks, d.refused = setup, checkers, ""
	d.supersede()
	setup, added := d.enrolled()
	d.install(ctx, setup, added)
	d.find()
	d.idle()
	d.options.occurred(d.event(ConfigLoaded, nil))
}

// install makes a configuration with added real servers the current setup.
func (d *Daemon) install(ctx context.Context, setup Setup, added map[Member]Real) {
	trackers := map[Probe]*tracker{}
	for _, probe := range setup.Probes() {
		trackers[probe] = d.trackers[probe]
		if trackers[probe] == nil {
			trackers[probe] = newTracker(probe)
		}
	}
	d.setup, d.trackers, d.added = setup, trackers, added
	d.users, d.services, d.unknown = setup.users(), setup.byID(), 0
	d.cut = d.pathFault()
	for _, t := range trackers {
		if t.verdict == Unknown {
			d.unknown++
		}
	}
	d.combineAll(time.Now())
	maps.DeleteFunc(d.memory, func(id lvs.ServiceID, _ policy.Memory) bool { return d.services[id] == nil })
	select {
	case d.wheel.changes <- d.targetsOf(added):
	case <-ctx.Done():
	}
}

// Reload reads the configuration again. If the daemon refuses the configuration, the previous
// configuration stays. The daemon continues to work during the reload, because resolving names can
// take long.
func (d *Daemon) Reload(ctx context.Context) error { return d.Use(ctx, d.options.Load) }

// ErrUnchanged is the error of a load function that found the configuration unchanged.
var ErrUnchanged = errors.New("nothing has changed")

// Use does the same as Reload with another load function. For example, load can return the same
// configuration with new addresses. Use returns nil if load returns ErrUnchanged.
func (d *Daemon) Use(ctx context.Context, load func(context.Context) (Setup, error)) error {
	d.reloads.Lock()
	defer d.reloads.Unlock()
	setup, err := load(ctx)
	if errors.Is(err, ErrUnchanged) {
		return nil
	}
	var checkers []target
	if err == nil {
		checkers, err = d.checkers(setup)
	}
	return d.do(ctx, func(own context.Context) error {
		if err == nil {
			err = d.replace(own, setup, checkers)
		}
		if err != nil && err.Error() != d.refused {
			d.refused = err.Error()
			d.options.Log.Errorf("the new configuration is refused, the previous configuration stays: %v", err)
			e := d.event(ConfigRefused, nil)
			e.Reason = d.refused
			d.options.occurred(e)
		}
		return err
	})
}

// regain adopts services again that the daemon has lost. A restarted resource can have another
// configuration, so regain reads the configuration again.
func (d *Daemon) regain(ctx context.Context, how loss) {
	if how == resourceRestarted && (d.Reload(ctx) == nil || d.options.Source != "") {
		return
	}
	d.reloads.Lock()
	defer d.reloads.Unlock()
	// after an error, the next round reports the lost services
	_ = d.do(ctx, func(own context.Context) error {
		have, err := d.adopt(own, d.configured)
		if err != nil {
			if err.Error() != d.forgone {
				d.forgone = err.Error()
				d.options.Log.Errorf("taking over the virtual services again: %v", err)
			}
			return err
		}
		d.adopted, d.forgone = have, ""
		d.find()
		d.begin()
		d.apply(nil)
		return nil
	})
}

// replace adopts the services of another setup and makes it the current setup.
func (d *Daemon) replace(ctx context.Context, setup Setup, checkers []target) error {
	have, err := d.adopt(ctx, setup)
	if err != nil {
		return err
	}
	d.adopted, d.reloaded = have, true
	d.accept(ctx, setup, checkers)
	d.begin()
	d.apply(nil)
	return nil
}

// adopt makes the reconciler adopt the services of a setup, and waits for the table that it found.
func (d *Daemon) adopt(ctx context.Context, setup Setup) (have lvs.Table, err error) {
	adopted := make(chan error, 1)
	task := func(own context.Context) {
		var err error
		have, err = d.reconciler.adopt(own, setup.Table())
		adopted <- err
	}
	select {
	case d.reconciler.tasks <- task:
		err = <-adopted
	case <-ctx.Done():
		err = ctx.Err()
	}
	return have, err
}

// do runs f in the goroutine of Run and waits for its result.
func (d *Daemon) do(ctx context.Context, f func(context.Context) error) error {
	done := make(chan error, 1)
	select {
	case d.requests <- func(own context.Context) { done <- f(own) }:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Secure writes the daemon's own record again if another program removed it. So a stop finds the
// services. Call Secure after Run has returned.
func (d *Daemon) Secure(ctx context.Context) error {
	return d.reconciler.secure(ctx, d.configured.Table())
}

// Resync compares the whole table with the kernel now and repairs it.
func (d *Daemon) Resync(ctx context.Context) error {
	return d.change(ctx, func(context.Context) error { return nil })
}

// change runs f in the goroutine of Run, and waits until the kernel has the wanted table.
func (d *Daemon) change(ctx context.Context, f func(context.Context) error) error {
	done := make(chan error, 1)
	err := d.do(ctx, func(own context.Context) error {
		if err := f(own); err != nil {
			return err
		}
		d.apply([]chan<- error{done})
		return nil
	})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kept returns the services that stay in the kernel after the daemon has ended. Call Kept after Run
// has returned.
func (d *Daemon) Kept() []lvs.ServiceID {
	var kept []lvs.ServiceID
	for _, s := range d.setup.Services {
		if s.KeepAtEnd {
			kept = append(kept, s.ID)
		}
	}
	return kept
}

// Ends returns the events of a service that is removed when the daemon ends. The real servers that
// were up come first, then the service. Call Ends after Run has returned.
func (d *Daemon) Ends(op lvs.Op) []Event {
	var events []Event
	e := Event{Kind: ServiceRemoved, Time: time.Now(), Phase: config.Stopping, Service: serviceOf(d.services, op), Op: op}
	for _, real := range e.Service.Reals {
		if d.verdict(e.Service.ID, real) == Good {
			purged := d.about(e, real)
			purged.Kind, purged.From, purged.To = ServerRemoved, real.Weight, out
			events = append(events, purged)
		}
	}
	return append(events, e)
}

// Down returns an event for each real server that is down, in services whose configuration repeats
// the alert mail.
func (d *Daemon) Down(ctx context.Context) (down []Event, err error) {
	err = d.do(ctx, func(context.Context) error {
		for i := range d.setup.Services {
			s := &d.setup.Services[i]
			for _, real := range s.Reals {
				if s.Alert.Repeat > 0 && d.verdict(s.ID, real) == Bad {
					down = append(down, d.about(d.event(ServerDown, s), real))
				}
			}
		}
		return nil
	})
	return down, err
}

// Members returns the real servers of all services.
func (d *Daemon) Members(ctx context.Context) (all []Member, err error) {
	err = d.do(ctx, func(context.Context) error {
		for _, s := range d.setup.Services {
			for _, real := range s.Reals {
				all = append(all, Member{s.ID, real.Addr})
			}
		}
		return nil
	})
	return all, err
}
