package health

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/record"
)

// Options are the settings and functions of a daemon. The functions must not block.
type Options struct {
	ID      string // of the daemon, the holder of its claims
	Source  string // ipvs resource whose record is the configuration; empty with a file
	Config  string // name of the configuration for operators
	Version string
	PID     int
	Kernel  record.Kernel
	Store   record.Store
	Log     logrus.FieldLogger
	// Load returns the configuration as it is now.
	Load func(context.Context) (Setup, error)
	// Checker makes the check of a probe.
	Checker func(Probe) (check.Checker, error)
	// Lives reports whether the process of another daemon is there. Nil counts every
	// other daemon as there.
	Lives func(id string) (bool, error)
	// SaveVerdicts gets the verdicts every second. It can be nil.
	SaveVerdicts func(state.Verdicts)
	// Accepted gets every configuration before it is used. It can be nil.
	Accepted func(Setup)
	// Occurred gets the events. Events of services come in their order, after the table
	// was changed. Several goroutines call it.
	Occurred func(Event)
	// Checked gets every result of a check.
	Checked func(Service, Real, Probe, error)
	// Serving is called as soon as the last real server of a service is down, or its first
	// is good. It does not wait until the table was changed.
	Serving func(s Service, serving bool)
}

func (o Options) occurred(e Event) {
	if o.Occurred != nil {
		o.Occurred(e)
	}
}

// Member is a real server of a service.
type Member struct {
	Service lvs.ServiceID
	Server  netip.AddrPort
}

// Daemon checks the services of one configuration and sets their destinations. New makes it.
type Daemon struct {
	options    Options
	reconciler *reconciler
	wheel      *wheel
	results    chan result
	requests   chan func(context.Context)
	started    time.Time
	reloads    sync.Mutex // one at a time, so that the last one stays

	// Only the goroutine of Run uses the rest.
	setup    Setup
	adopted  lvs.Table                  // the table that the daemon found when it accepted the setup
	found    lvs.Table                  // the services of the setup in adopted, in the order of the setup
	services map[lvs.ServiceID]*Service // of the setup
	trackers map[Probe]*tracker
	combined map[Member]*combined // verdicts on real servers with several probes or none
	standing []*standing          // of the services, in their order
	wanted   lvs.Table            // table that follows from standing
	stale    map[int]bool         // services whose wanted is older than their standing
	fault    localFault

	rereading <-chan struct{}        // closed when a reload that the record needs has ended; nil for none
	refused   string                 // why the last configuration was not accepted
	forgone   string                 // why the daemon could not adopt services again
	out       map[Member]bool        // real servers in maintenance
	serving   map[lvs.ServiceID]bool // whether a service serves; absent if unknown
	users     map[Probe][]place      // real servers that a probe decides about
	events    []Event                // that the reconciler does not have yet
	unknown   int                    // probes without a verdict since the last configuration
	reloaded  bool                   // the setup is not the first
}

var _ control.Daemon = (*Daemon)(nil)

// New makes a daemon. It changes nothing.
func New(o Options) *Daemon {
	if o.Lives == nil {
		o.Lives = func(string) (bool, error) { return true, nil }
	}
	results := make(chan result, 64)
	return &Daemon{
		options: o, reconciler: newReconciler(o), wheel: newWheel(results), results: results,
		requests: make(chan func(context.Context)), started: time.Now(), trackers: map[Probe]*tracker{},
		out: map[Member]bool{}, serving: map[lvs.ServiceID]bool{},
	}
}

// Run adopts the table, calls ready, and keeps the table until ctx ends. It then leaves the table
// as it is. The error is for a configuration or a table that cannot be used at all.
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
		d.saveVerdicts() // the next start of ipvs or of a daemon reads them
	}()
	d.accept(ctx, setup, checkers)
	first := make(chan error, 1)
	d.begin()
	d.apply([]chan<- error{first})
	d.saveVerdicts()
	save := time.NewTicker(period)
	defer save.Stop()
	soon := false // verdicts have changed since they were last saved
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-first:
			if err != nil {
				return err
			}
			first = nil
			ready()
		case <-save.C:
			d.saveVerdicts()
			if soon {
				soon = false
				save.Reset(period)
			}
		case r := <-d.results:
			d.takeResult(r)
			if d.takeResults() && !soon {
				soon = true
				save.Reset(period / 10) // the next start of ipvs may need them
			}
		case request := <-d.requests:
			request(ctx)
		case <-d.reconciler.changed:
			if d.rereading == nil {
				d.rereading = background(func() { _ = d.Reload(ctx) }) // it was logged and is in the status
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

// accept makes a setup the current one. Probes of the previous setup keep their verdicts.
func (d *Daemon) accept(ctx context.Context, setup Setup, checkers []target) {
	if d.options.Accepted != nil {
		d.options.Accepted(setup)
	}
	for _, problem := range setup.Problems {
		switch {
		case slices.Contains(d.setup.Problems, problem): // it was logged
		case problem.Severity == config.Warning:
			d.options.Log.Warn(problem)
		default:
			d.options.Log.Error(problem)
		}
	}
	trackers := map[Probe]*tracker{}
	for _, probe := range setup.Probes() {
		trackers[probe] = d.trackers[probe]
		if trackers[probe] == nil {
			trackers[probe] = newTracker(probe)
		}
	}
	d.setup, d.trackers, d.refused = setup, trackers, ""
	d.users, d.services, d.unknown = setup.users(), setup.byID(), 0
	for _, t := range trackers {
		if t.verdict == Unknown {
			d.unknown++
		}
	}
	d.combineAll(time.Now())
	d.find()
	select {
	case d.wheel.changes <- checkers:
	case <-ctx.Done():
	}
	d.options.occurred(d.event(ConfigLoaded, nil))
}

// Reload reads the configuration again. A configuration that cannot be used changes only
// the log and the status. The daemon continues meanwhile, because resolving names can take long.
func (d *Daemon) Reload(ctx context.Context) error { return d.Use(ctx, d.options.Load) }

// ErrUnchanged is the error of a load that found the configuration unchanged.
var ErrUnchanged = errors.New("nothing has changed")

// Use is Reload with another load, for instance of the same configuration with other
// addresses. Use does not return ErrUnchanged.
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
			d.options.Log.Errorf("configuration not accepted, the one before stays: %v", err)
			e := d.event(ConfigRefused, nil)
			e.Reason = d.refused
			d.options.occurred(e)
		}
		return err
	})
}

// regain adopts services that are not held any more. A restarted resource can have another
// configuration, so regain reads it again.
func (d *Daemon) regain(ctx context.Context, how loss) {
	if how == resourceRestarted && (d.Reload(ctx) == nil || d.options.Source != "") {
		return
	}
	d.reloads.Lock()
	defer d.reloads.Unlock()
	_ = d.do(ctx, func(own context.Context) error { // the next round reports the services that are not held then
		have, err := d.adopt(own, d.setup)
		if err != nil {
			if err.Error() != d.forgone {
				d.forgone = err.Error()
				d.options.Log.Errorf("taking services over again: %v", err)
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

// replace adopts the table of another setup.
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

// adopt lets the reconciler adopt the services of a setup.
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

// do runs f in the goroutine of Run.
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

// Secure writes the daemon's own record again if it was removed, so that a stop finds its
// services. Call it when Run has returned.
func (d *Daemon) Secure(ctx context.Context) error {
	return d.reconciler.secure(ctx, d.setup.Table())
}

// Resync compares the whole table now and heals it.
func (d *Daemon) Resync(ctx context.Context) error {
	done := make(chan error, 1)
	err := d.do(ctx, func(context.Context) error {
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

// Kept returns the services that outlive the daemon. Call it when Run has returned.
func (d *Daemon) Kept() []lvs.ServiceID {
	var kept []lvs.ServiceID
	for _, s := range d.setup.Services {
		if s.KeepAtEnd {
			kept = append(kept, s.ID)
		}
	}
	return kept
}

// Ends returns the events of a service that is removed at the end: first its real servers that
// were up, then the service. Call it when Run has returned.
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

// Down returns an event for each real server that is down in a service with repeated mail.
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
