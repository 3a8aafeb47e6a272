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
	"lvs-agents/internal/config"
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
	// Lives reports whether the process of another daemon is there. Nil counts every
	// other daemon as there.
	Lives func(id string) (bool, error)
	// Beat is told every second how the daemon is; nil for nobody.
	Beat func(control.Beat)
	// Accepted is told of every configuration before it is used; nil for nobody.
	Accepted func(Setup)
	// Changed is told of every change of the table that a verdict asked for,
	// Checked of every result of a check, Serving of a service whose last real
	// server went down or whose first came up. They must not block; nil for
	// nobody.
	Changed func(Event)
	Checked func(Service, Real, error)
	Serving func(s Service, serving bool)
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
	adopted  lvs.Table // the table that was found when the setup was accepted
	found    lvs.Table // of it, the services of the setup, in their order
	trackers map[Probe]*tracker
	standing []*standing  // of the services, in their order
	wanted   lvs.Table    // by it
	stale    map[int]bool // services that wanted has not got yet
	hindered hindrance

	rereading <-chan struct{}         // closed when a reload that the table asked for has ended; nil for none
	refused   string                  // why the last configuration was not accepted
	forgone   string                  // why services were not taken over again
	out       map[netip.AddrPort]bool // real servers in maintenance
	serving   map[lvs.ServiceID]bool  // services of which it is known, and what
	users     map[Probe][]place       // real servers that a probe decides about
	events    []Event                 // that the reconciler has not got yet
	unknown   int                     // probes without a verdict since the last configuration
	reloaded  bool                    // the setup is not the first
}

// place is a real server in the setup.
type place struct{ service, real int }

var _ control.Daemon = (*Daemon)(nil)

// New makes a daemon and touches nothing.
func New(o Options) *Daemon {
	if o.Lives == nil {
		o.Lives = func(string) (bool, error) { return true, nil }
	}
	results := make(chan result, 64)
	return &Daemon{
		Options: o, reconciler: newReconciler(o), wheel: newWheel(results), results: results,
		requests: make(chan func(context.Context)), started: time.Now(), trackers: map[Probe]*tracker{},
		out: map[netip.AddrPort]bool{}, serving: map[lvs.ServiceID]bool{},
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
		d.beat() // the verdicts as they are now count for those who come next
	}()
	d.accept(ctx, setup, checkers)
	first := make(chan error, 1)
	d.begin()
	d.apply([]chan<- error{first})
	d.beat()
	beats := time.NewTicker(period)
	defer beats.Stop()
	soon := false // verdicts have changed since the last beat
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
			if soon {
				soon = false
				beats.Reset(period)
			}
		case r := <-d.results:
			d.judge(r)
			if d.judgeMore() && !soon {
				soon = true
				beats.Reset(period / 10) // the next start of ipvs may need what the beat holds
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

func (d *Daemon) beat() {
	if d.Beat == nil {
		return
	}
	beat := control.Beat{Age: max(d.reconciler.age(), d.wheel.age()), Limit: d.limit()}
	for _, service := range d.setup.Services {
		for _, real := range service.Reals {
			if d.verdict(real) == Bad {
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

func (d *Daemon) checkers(setup Setup) ([]target, error) {
	var targets []target
	for _, probe := range setup.Probes() {
		if !probe.fixed() {
			checker, err := d.Checker(probe)
			if err != nil {
				return nil, err
			}
			targets = append(targets, target{probe, checker})
		}
	}
	return targets, nil
}

// accept makes a setup the current one. Probes that it shares with the one
// before keep their verdicts.
func (d *Daemon) accept(ctx context.Context, setup Setup, checkers []target) {
	if d.Accepted != nil {
		d.Accepted(setup)
	}
	for _, problem := range setup.Problems {
		switch {
		case slices.Contains(d.setup.Problems, problem): // it was logged
		case problem.Severity == config.Warning:
			d.Log.Warn(problem)
		default:
			d.Log.Error(problem)
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
	d.users, d.unknown = setup.users(), 0
	for _, t := range trackers {
		if t.verdict == Unknown {
			d.unknown++
		}
	}
	d.find()
	select {
	case d.wheel.changes <- checkers:
	case <-ctx.Done():
	}
}

// find makes the standing of the services by what the daemon found, and what is
// wanted until it is decided anew.
func (d *Daemon) find() {
	services := d.adopted.Index()
	d.found = make(lvs.Table, len(d.setup.Services))
	d.standing = make([]*standing, len(d.setup.Services))
	for i, service := range d.setup.Services {
		if at, exists := services[service.ID]; exists {
			d.found[i] = d.adopted[at]
		}
		d.standing[i] = service.stand(d.verdict, d.found[i].Destinations)
		for j, real := range service.Reals {
			if t := d.trackers[real.Probe]; t.checked.IsZero() && d.standing[i].reals[j].found <= 0 {
				t.soft = 1 // ldirectord counts a server that was not in as failed once
			}
		}
	}
	d.wanted, d.stale = d.found, map[int]bool{}
}

func newTracker(p Probe) *tracker {
	t := &tracker{fall: max(1, p.Fall), rise: p.Rise, since: time.Now()}
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
	if hinders(r.err) {
		if d.hindered.note(time.Now(), fmt.Errorf("checks cannot be sent, verdicts stay: %w", r.err)) {
			d.Log.Error(d.hindered.err)
		}
		return
	}
	r.err = check.Reason(r.err) // what checks and their libraries pass on of servers' answers
	before, soft := t.verdict, t.soft
	changed := t.record(r.at, r.err)
	for _, at := range d.users[r.probe] {
		d.told(at, r.err, soft)
	}
	if !changed {
		return
	}
	fields := logrus.Fields{"real_server": r.probe.Addr.String(), "verdict": t.verdict.String()}
	if t.reason != "" {
		fields["reason"] = t.reason
	}
	d.Log.WithFields(fields).Debug("verdict")
	for users := d.users[r.probe]; len(users) > 0; {
		n := slices.IndexFunc(users, func(at place) bool { return at.service != users[0].service })
		if n < 0 {
			n = len(users)
		}
		d.follow(users[:n])
		users = users[n:]
	}
	if before == Unknown { // after the last of them the daemon has started
		d.unknown--
	}
}

// judgeMore takes the results that wait already, so that the reconciler gets
// what many of them mean together. It tells whether they mean anything.
func (d *Daemon) judgeMore() bool {
	for range cap(d.results) {
		select {
		case r := <-d.results:
			d.judge(r)
			continue
		default:
		}
		break
	}
	if len(d.events) == 0 {
		return false
	}
	d.apply(nil)
	return true
}

// told notes what the log says about a result besides what it changes; soft is
// how many failures there were before.
func (d *Daemon) told(at place, err error, soft int) {
	service := d.setup.Services[at.service]
	real := service.Reals[at.real]
	t := d.trackers[real.Probe]
	who := fmt.Sprintf("%s (%s)", real.Addr, identity(service.ID))
	e := Event{note: true, Op: lvs.Op{Service: service.Service, Destination: real.Destination}, Reason: t.reason}
	switch {
	case err == nil && soft > 0:
		e.Message = "Resetting soft failure count: " + who
		d.events = append(d.events, e)
	case t.soft > soft && t.verdict == Good:
		e.Message = fmt.Sprintf("Soft failure real server: %s failure %d/%d", who, t.soft, t.fall)
		d.events = append(d.events, e)
	}
	if d.Checked != nil {
		d.Checked(service, real, d.checked(real, err))
	}
}

func (d *Daemon) checked(real Real, err error) error {
	if d.out[real.Addr] {
		return maintenance{}
	}
	return err
}

// maintenance is the reason of a real server that an operator took out, in
// ldirectord's words.
type maintenance struct{}

func (maintenance) Error() string { return "Server in maintenance" }

// verdict is what counts for a real server.
func (d *Daemon) verdict(real Real) Verdict {
	if d.out[real.Addr] {
		return Bad
	}
	return d.trackers[real.Probe].verdict
}

// why is the reason of a verdict.
func (d *Daemon) why(real Real) string {
	if d.out[real.Addr] {
		return maintenance{}.Error()
	}
	return d.trackers[real.Probe].reason
}

// Maintain takes real servers out whatever their checks say, and no others.
func (d *Daemon) Maintain(ctx context.Context, out map[netip.AddrPort]bool) error {
	return d.do(ctx, func(context.Context) error {
		d.out = out
		d.decideAll()
		d.apply(nil)
		return nil
	})
}

// phase is what the daemon is doing: it starts or reloads until it knows all
// real servers.
func (d *Daemon) phase() config.Phase {
	switch {
	case d.unknown == 0:
		return config.Running
	case d.reloaded:
		return config.Reloading
	}
	return config.Starting
}

// begin decides about all services after they were accepted: first what services
// there shall be, then what is in them, as ldirectord's log has it.
func (d *Daemon) begin() {
	after := make(lvs.Table, len(d.wanted))
	for i, service := range d.setup.Services {
		after[i] = lvs.VirtualService{Service: service.Service, Destinations: d.wanted[i].Destinations}
		d.events = append(d.events, d.steps(i, d.wanted[i], after[i])...)
	}
	d.wanted = after
	d.decideAll()
}

// decideAll finds out what all services shall be now.
func (d *Daemon) decideAll() {
	d.refresh()
	for i, service := range d.setup.Services {
		before := d.wanted[i]
		d.standing[i] = service.stand(d.verdict, d.found[i].Destinations)
		d.wanted[i] = service.wanted(d.standing[i])
		d.events = append(d.events, d.steps(i, before, d.wanted[i])...)
		d.serve(i)
	}
}

// follow takes the verdict on real servers of one service that have one probe.
func (d *Daemon) follow(users []place) {
	i := users[0].service
	service, st := d.setup.Services[i], d.standing[i]
	some := make([]int, len(users))
	for n, at := range users {
		some[n] = at.real
	}
	before := service.wanted(st, some...)
	for _, j := range some {
		st.set(service, j, d.verdict(service.Reals[j]))
	}
	d.events = append(d.events, d.steps(i, before, service.wanted(st, some...))...)
	d.stale[i] = true
	d.serve(i)
}

// refresh makes the table that the standing of the services asks for.
func (d *Daemon) refresh() {
	for i := range d.stale {
		d.wanted[i] = d.setup.Services[i].wanted(d.standing[i])
	}
	clear(d.stale)
}

// apply hands the reconciler what is wanted now.
func (d *Daemon) apply(done []chan<- error) {
	d.refresh()
	d.reconciler.set(want{
		table: slices.Clone(d.wanted), events: d.events, done: done, fallbacks: d.setup.fallbacks(), reals: d.setup.reals(),
	})
	d.events = nil
}

// serve tells whether a service has a real server, once that is known.
func (d *Daemon) serve(i int) {
	service, st := d.setup.Services[i], d.standing[i]
	serving, known := st.good > 0, st.unknown == 0
	before, told := d.serving[service.ID]
	if !serving && !known || told && before == serving {
		return
	}
	d.serving[service.ID] = serving
	if d.Serving != nil {
		d.Serving(service, serving)
	}
}

// Reload reads the configuration again. One that cannot be used changes nothing
// but the log and the status. The daemon goes on meanwhile: looking up names may
// take long.
func (d *Daemon) Reload(ctx context.Context) error { return d.Use(ctx, d.Load) }

// ErrUnchanged is for a load that found nothing else than before.
var ErrUnchanged = errors.New("nothing has changed")

// Use is Reload with another load, for instance of the same configuration with other
// addresses. ErrUnchanged is no error of it.
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
			d.Log.Errorf("configuration not accepted, the one before stays: %v", err)
		}
		return err
	})
}

// regain adopts services again that are not held any more. A resource that was
// restarted may have another configuration, so it is read again.
func (d *Daemon) regain(ctx context.Context, how loss) {
	if how == resourceRestarted && (d.Reload(ctx) == nil || d.Source != "") {
		return
	}
	d.reloads.Lock()
	defer d.reloads.Unlock()
	_ = d.do(ctx, func(own context.Context) error { // the next round says what is not held still
		have, err := d.adopt(own, d.setup)
		if err != nil {
			if err.Error() != d.forgone {
				d.forgone = err.Error()
				d.Log.Errorf("taking services over again: %v", err)
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

// replace takes over the table of another setup.
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

// Secure makes sure that a stop finds the services of the daemon's own, also where their
// record was removed. Call it when Run has returned.
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
	}
	var failed error
	if failure := d.reconciler.failure.Load(); failure != nil {
		failed = *failure
	}
	if trouble := errors.Join(failed, nonempty(d.refused), d.hindered.trouble(s.Now, d.limit())); trouble != nil {
		s.Trouble = trouble.Error()
	}
	lost := notHeldOf(failed)
	for i := range d.setup.Services {
		service := d.service(i)
		switch {
		case lost != nil:
			service.Trouble = lost[d.setup.Services[i].ID]
		case failed != nil:
			service.Trouble = failed.Error()
		}
		s.Services = append(s.Services, service)
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
	longest := time.Duration(0)
	for probe := range d.trackers {
		longest = max(longest, probe.Interval)
	}
	return max(2*patience(d.setup.reals()), 3*longest)
}

func (d *Daemon) service(i int) control.Service {
	service, st := d.setup.Services[i], d.standing[i]
	s := control.Service{ID: service.ID.String(), Scheduler: string(service.Scheduler), Persistence: service.Persistence.Seconds()}
	for j, real := range service.Reals {
		t := d.trackers[real.Probe]
		s.Reals = append(s.Reals, control.Real{
			Addr: real.Addr.String(), Forward: forwardName(real.Forward), Weight: st.reals[j].weight, Configured: real.Weight,
			Verdict: d.verdict(real).String(), Since: t.since, Reason: d.why(real),
		})
	}
	if f := service.Fallback; f != nil {
		s.Fallback = &control.Real{Addr: f.Addr.String(), Forward: forwardName(f.Forward), Weight: out, Configured: f.Weight}
		if st.serving == 0 {
			s.Fallback.Weight = f.Weight
		}
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
