package health

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/check"
	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/record"
)

// Options are what a daemon needs.
type Options struct {
	ID      string // of the daemon, the holder of its claims
	Source  string // ipvs resource whose record is the configuration; empty with a file
	Config  string // what operators call the configuration
	Version string
	PID     int
	Kernel  record.Kernel
	Store   record.Store
	Log     logrus.FieldLogger
	// Load returns the configuration as it is now.
	Load func(context.Context) (Setup, error)
	// Checker makes the check of a probe.
	Checker func(Probe) (check.Checker, error)
	// Beat is told every second how the daemon is; nil for nobody.
	Beat func(control.Beat)
	// Accepted is told of every configuration before it is used; nil for nobody.
	Accepted func(Setup)
}

// Daemon looks after the services of one configuration. New makes it.
type Daemon struct {
	Options
	reconciler *reconciler
	wheel      *wheel
	results    chan result
	requests   chan func(context.Context)
	started    time.Time
	reloads    sync.Mutex // one at a time, so that the last one stays

	// The rest belongs to the goroutine of Run.
	setup    Setup
	adopted  lvs.Table
	trackers map[Probe]*tracker
	wanted   lvs.Table
	refused  string // why the last configuration was not accepted

	rereading <-chan struct{} // closed when a reload that the table asked for has ended; nil for none
}

var _ control.Daemon = (*Daemon)(nil)

// New makes a daemon and touches nothing.
func New(o Options) *Daemon {
	results := make(chan result, 64)
	return &Daemon{
		Options: o, reconciler: newReconciler(o), wheel: newWheel(results), results: results,
		requests: make(chan func(context.Context)), started: time.Now(), trackers: map[Probe]*tracker{},
	}
}

// Run takes over the table and keeps it until ctx ends; it then leaves it as it
// is. ready is called when the table was taken over. The error is for a
// configuration or a table that cannot be used at all.
func (d *Daemon) Run(ctx context.Context, ready func()) error {
	setup, err := d.Load(ctx)
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
	}()
	d.accept(ctx, setup, checkers)
	first := make(chan error, 1)
	d.apply([]chan<- error{first})
	d.beat()
	beats := time.NewTicker(period)
	defer beats.Stop()
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
		case <-beats.C:
			d.beat()
		case r := <-d.results:
			d.judge(r)
		case request := <-d.requests:
			request(ctx)
		case <-d.reconciler.changed:
			if d.rereading == nil {
				d.rereading = background(func() { _ = d.Reload(ctx) }) // it was logged and is in the status
			}
		case <-d.rereading:
			d.rereading = nil
		}
	}
}

func (d *Daemon) beat() {
	if d.Beat == nil {
		return
	}
	beat := control.Beat{Age: max(d.reconciler.age(), d.wheel.age()), Limit: d.limit()}
	for _, service := range d.setup.Services {
		for _, real := range service.Reals {
			if d.trackers[real.Probe].verdict == Bad {
				beat.Bad = append(beat.Bad, record.Server(service.ID, real.Addr))
			}
		}
	}
	d.Beat(beat)
}

func background(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

func (d *Daemon) checkers(setup Setup) (map[Probe]check.Checker, error) {
	checkers := map[Probe]check.Checker{}
	for _, probe := range setup.Probes() {
		if !probe.fixed() {
			checker, err := d.Checker(probe)
			if err != nil {
				return nil, err
			}
			checkers[probe] = checker
		}
	}
	return checkers, nil
}

// accept makes a setup the current one. Probes that it shares with the one
// before keep their verdicts.
func (d *Daemon) accept(ctx context.Context, setup Setup, checkers map[Probe]check.Checker) {
	if d.Accepted != nil {
		d.Accepted(setup)
	}
	for _, warning := range setup.Warnings {
		d.Log.Warn(warning)
	}
	trackers := map[Probe]*tracker{}
	for _, probe := range setup.Probes() {
		trackers[probe] = d.trackers[probe]
		if trackers[probe] == nil {
			trackers[probe] = newTracker(probe)
		}
	}
	d.setup, d.trackers, d.refused = setup, trackers, ""
	select {
	case d.wheel.changes <- checkers:
	case <-ctx.Done():
	}
}

func newTracker(p Probe) *tracker {
	t := &tracker{fall: max(1, p.Fall), since: time.Now()}
	if p.fixed() {
		t.verdict = Good
		if p.Type == "off" {
			t.verdict, t.reason = Bad, "checktype=off"
		}
	}
	return t
}

// judge takes the result of a check.
func (d *Daemon) judge(r result) {
	t := d.trackers[r.probe]
	if t == nil {
		return // of a configuration that is gone
	}
	first := t.checked.IsZero()
	changed := t.record(time.Now(), r.err)
	if !changed && !first {
		return
	}
	fields := logrus.Fields{"real_server": r.probe.Addr.String(), "verdict": t.verdict.String()}
	if t.reason != "" {
		fields["reason"] = t.reason
	}
	d.Log.WithFields(fields).Debug("verdict")
	d.apply(nil)
}

// apply hands the reconciler what is wanted now.
func (d *Daemon) apply(done []chan<- error) {
	d.wanted = Wanted(d.setup, func(p Probe) Verdict { return d.trackers[p].verdict }, d.adopted)
	reasons := map[lvs.ServiceID]map[netip.AddrPort]string{}
	fallbacks := map[lvs.ServiceID]netip.AddrPort{}
	for _, service := range d.setup.Services {
		reasons[service.ID] = map[netip.AddrPort]string{}
		for _, real := range service.Reals {
			reasons[service.ID][real.Addr] = d.trackers[real.Probe].reason
		}
		if service.Fallback != nil {
			fallbacks[service.ID] = service.Fallback.Addr
		}
	}
	d.reconciler.set(want{
		table: d.wanted, done: done, fallbacks: fallbacks,
		reasons: func(id lvs.ServiceID, addr netip.AddrPort) string { return reasons[id][addr] },
	})
}

// Reload reads the configuration again. One that cannot be used changes nothing
// but the log and the status. The daemon goes on meanwhile: looking up names may
// take long.
func (d *Daemon) Reload(ctx context.Context) error {
	d.reloads.Lock()
	defer d.reloads.Unlock()
	setup, err := d.Load(ctx)
	var checkers map[Probe]check.Checker
	if err == nil {
		checkers, err = d.checkers(setup)
	}
	return d.do(ctx, func(own context.Context) error {
		if err == nil {
			err = d.replace(own, setup, checkers)
		}
		if err != nil {
			d.refused = err.Error()
			d.Log.Errorf("configuration not accepted, the one before stays: %v", err)
		}
		return err
	})
}

// replace takes over the table of another setup.
func (d *Daemon) replace(ctx context.Context, setup Setup, checkers map[Probe]check.Checker) error {
	var have lvs.Table
	adopted := make(chan error, 1)
	task := func(own context.Context) {
		var err error
		have, err = d.reconciler.adopt(own, setup.Table())
		adopted <- err
	}
	select {
	case d.reconciler.tasks <- task:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := <-adopted; err != nil {
		return err
	}
	d.adopted = have
	d.accept(ctx, setup, checkers)
	d.apply(nil)
	return nil
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

// Snapshot is the state of the daemon.
func (d *Daemon) Snapshot(ctx context.Context) (s control.Snapshot, err error) {
	err = d.do(ctx, func(context.Context) error {
		s = d.snapshot()
		return nil
	})
	return s, err
}

func (d *Daemon) snapshot() control.Snapshot {
	s := control.Snapshot{
		ID: d.ID, PID: d.PID, Version: d.Version, Config: d.Config, Started: d.started, Now: time.Now(),
		LoopAge: d.reconciler.age().Seconds(), WheelAge: d.wheel.age().Seconds(), Limit: d.limit().Seconds(),
		Trouble: d.refused,
	}
	if failure := d.reconciler.failure.Load(); failure != nil {
		s.Trouble = errors.Join(*failure, nonempty(d.refused)).Error()
	}
	for _, service := range d.setup.Services {
		s.Services = append(s.Services, d.service(service))
	}
	return s
}

func nonempty(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}

// limit is the age from which a loop counts as stuck.
func (d *Daemon) limit() time.Duration {
	const least = 10 * time.Second
	longest := time.Duration(0)
	for probe := range d.trackers {
		longest = max(longest, probe.Interval)
	}
	return max(least, 3*longest)
}

func (d *Daemon) service(service Service) control.Service {
	wanted, _ := d.wanted.Lookup(service.ID)
	weight := func(addr netip.AddrPort) int {
		i := slices.IndexFunc(wanted.Destinations, func(w lvs.Destination) bool { return w.Addr == addr })
		if i < 0 {
			return -1
		}
		return wanted.Destinations[i].Weight
	}
	s := control.Service{ID: service.ID.String(), Scheduler: string(service.Scheduler), Persistence: service.Persistence.Seconds()}
	for _, real := range service.Reals {
		t := d.trackers[real.Probe]
		s.Reals = append(s.Reals, control.Real{
			Addr: real.Addr.String(), Forward: forwardName(real.Forward), Weight: weight(real.Addr), Configured: real.Weight,
			Verdict: t.verdict.String(), Since: t.since, Reason: t.reason,
		})
	}
	if f := service.Fallback; f != nil {
		s.Fallback = &control.Real{Addr: f.Addr.String(), Forward: forwardName(f.Forward), Weight: weight(f.Addr), Configured: f.Weight}
	}
	return s
}

// forwardName is the word of ipvsadm -ln.
func forwardName(f lvs.Forward) string {
	switch f {
	case lvs.Masq:
		return "Masq"
	case lvs.Tunnel:
		return "Tunnel"
	case lvs.Local:
		return "Local"
	case lvs.Route, lvs.Bypass:
		return "Route"
	}
	return fmt.Sprintf("method %d", f)
}
