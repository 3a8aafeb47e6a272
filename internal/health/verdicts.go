package health

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

// place identifies a real server by the indexes of its service and of the server in the setup.
type place struct{ service, real int }

// find computes the standing of all services from the table that the daemon found. The found table
// is also the wanted table until begin or decideAll decides.
func (d *Daemon) find() {
	services := d.adopted.Index()
	d.found = make(lvs.Table, len(d.setup.Services))
	d.standing = make([]*standing, len(d.setup.Services))
	for i, service := range d.setup.Services {
		if at, exists := services[service.ID]; exists {
			d.found[i] = d.adopted[at]
		}
		d.standing[i] = service.stand(d.verdictsOf(service.ID), d.found[i].Destinations)
	}
	d.wanted, d.stale = d.found, map[int]bool{}
}

// takeResult gives the result of a check to the tracker of its probe, and applies a changed
// verdict.
func (d *Daemon) takeResult(r result) {
	t := d.trackers[r.probe]
	if t == nil {
		return // The probe belongs to a previous configuration, so the daemon ignores its result.
	}
	if ofThisHost(r.err) {
		if d.fault.note(time.Now(), fmt.Errorf("this host cannot send checks, the verdicts stay: %w", r.err)) {
			d.options.Log.Error(d.fault.err)
		}
		return
	}
	// A server's reply can contain unprintable characters, which Reason replaces.
	r.err = check.Reason(r.err)
	before := *t
	changed := t.record(r.at, r.err)
	t.history.add(r)
	if next := t.interval(); next != before.interval() {
		d.wheel.move(r.probe, next)
	}
	if r.trace.Says != "" {
		t.says = t.says.Read(r.trace.Says)
	}
	if r.probe.isAgent() {
		d.takeWords(r, before)
		return
	}
	for _, at := range d.users[r.probe] {
		d.recombine(at, r.at)
		d.noteCheck(at, r.probe, r.err, before)
	}
	if !changed {
		if t.says != before.says {
			d.followAll(r.probe, false)
		}
		return
	}
	d.failed = d.failed || t.verdict == Bad
	fields := logrus.Fields{"real_server": r.probe.Addr.String(), "verdict": t.verdict.String()}
	if t.reason != "" {
		fields["reason"] = t.reason
	}
	d.options.Log.WithFields(fields).Debug("verdict")
	d.followAll(r.probe, true)
	d.noteKnown(before)
}

// takeWords applies what a real server says about itself. An agent that does not reply changes
// nothing.
func (d *Daemon) takeWords(r result, before tracker) {
	t := d.trackers[r.probe]
	if t.verdict == Bad && before.verdict != Bad {
		d.options.Log.Warnf("%s; the state that the server has reported before stays", t.reason)
	}
	if t.says != before.says || before.verdict == Unknown {
		d.followAll(r.probe, false)
	}
	d.noteKnown(before)
}

// noteKnown counts the probes without a result. When every probe has a verdict, the daemon has
// finished its start or reload. before is the tracker of a probe before a result.
func (d *Daemon) noteKnown(before tracker) {
	if before.verdict == Unknown {
		if d.unknown--; d.unknown == 0 {
			d.decideDue(true)
		}
	}
}

// followAll applies a new result of a probe to all real servers that use the probe.
func (d *Daemon) followAll(p Probe, verdict bool) {
	for users := d.users[p]; len(users) > 0; {
		n := slices.IndexFunc(users, func(at place) bool { return at.service != users[0].service })
		if n < 0 {
			n = len(users)
		}
		d.follow(users[:n], verdict)
		users = users[n:]
	}
}

// takeResults takes all results that wait in the channel, so that the reconciler gets their changes
// together. It reports whether it has given the reconciler a new table.
func (d *Daemon) takeResults() bool {
	for range cap(d.results) {
		select {
		case r := <-d.results:
			d.takeResult(r)
			continue
		default:
		}
		break
	}
	d.suspect()
	if len(d.events) == 0 && d.ordered == (d.unknown == 0) {
		return false
	}
	d.apply(nil)
	return true
}

// noteCheck calls Checked with the result of a probe of one real server. It adds an event if the
// result is a failure that changes no verdict, or a success after a failure or at the start. before
// is the tracker before the result. The standing of the service does not contain the result yet.
func (d *Daemon) noteCheck(at place, p Probe, err error, before tracker) {
	service := &d.setup.Services[at.service]
	real := service.Reals[at.real]
	t, serving := d.trackers[p], d.standing[at.service].reals[at.real].serving
	switch {
	case err == nil && (before.failures > 0 || before.checked.IsZero() && !serving):
		e := d.probed(d.event(CheckPassed, service), real, p)
		e.Failures, e.Fall = before.failures, t.fall
		d.events = append(d.events, e)
	case err != nil && serving && t.verdict != Bad:
		e := d.probed(d.event(CheckFailed, service), real, p)
		e.Failures, e.Fall = t.failures, t.fall
		d.events = append(d.events, e)
	}
	if d.options.Checked != nil {
		d.options.Checked(*service, real, p, d.checked(service.ID, real, err))
	}
}

func (d *Daemon) checked(id lvs.ServiceID, real Real, err error) error {
	if d.out[Member{id, real.Addr}] {
		return maintenance{}
	}
	return err
}

// maintenance is the reason of the verdict on a real server that an operator has drained. The text
// is the text of ldirectord.
type maintenance struct{}

func (maintenance) Error() string { return "Server in maintenance" }

// verdict returns the verdict on a real server of a service. While an operator drains the server,
// the verdict is Bad even if all checks are good.
func (d *Daemon) verdict(id lvs.ServiceID, real Real) Verdict {
	if d.out[Member{id, real.Addr}] {
		return Bad
	}
	return d.checkedVerdict(id, real)
}

// checkedVerdict returns the verdict of the checks on a real server, whether an operator drains the
// server or not.
func (d *Daemon) checkedVerdict(id lvs.ServiceID, real Real) Verdict {
	if len(real.Probes) == 1 {
		return d.trackers[real.Probes[0]].verdict
	}
	return d.combined[Member{id, real.Addr}].verdict
}

// verdictsOf returns a function that returns the verdict on a real server of one service.
func (d *Daemon) verdictsOf(id lvs.ServiceID) func(Real) Verdict {
	return func(real Real) Verdict { return d.verdict(id, real) }
}

// why returns the reason of the verdict on a real server of a service.
func (d *Daemon) why(id lvs.ServiceID, real Real) string {
	if d.out[Member{id, real.Addr}] {
		return maintenance{}.Error()
	}
	return d.reason(real)
}

// Maintain drains the real servers in out, whether their checks pass or fail. Maintain ends the
// drain of all other real servers.
func (d *Daemon) Maintain(ctx context.Context, out map[Member]bool) error {
	return d.do(ctx, func(context.Context) error {
		d.out = out
		d.decideAll()
		d.apply(nil)
		return nil
	})
}

// phase returns the phase of the daemon. The phase is starting or reloading until all real servers
// have a verdict.
func (d *Daemon) phase() config.Phase {
	switch {
	case d.unknown == 0:
		return config.Running
	case d.reloaded:
		return config.Reloading
	}
	return config.Starting
}

// begin computes the wanted table of an accepted configuration. The events of services come before
// the events of their real servers, as in ldirectord's log.
func (d *Daemon) begin() {
	after := make(lvs.Table, len(d.wanted))
	for i, service := range d.setup.Services {
		after[i] = lvs.VirtualService{Service: service.Service, Destinations: d.wanted[i].Destinations}
		d.events = append(d.events, d.steps(i, d.wanted[i], after[i])...)
	}
	d.wanted = after
	d.decideAll()
}

// decideAll computes the wanted table of all services from the present verdicts.
func (d *Daemon) decideAll() {
	d.refresh()
	for i, service := range d.setup.Services {
		before := d.wanted[i]
		d.standing[i] = service.stand(d.verdictsOf(service.ID), d.found[i].Destinations)
		d.standing[i].rules = d.rules(service)
		d.decide(i)
		d.wanted[i] = service.wanted(d.standing[i])
		d.events = append(d.events, d.steps(i, before, d.wanted[i])...)
		d.serve(i)
	}
}

// follow applies the new result of a probe to the real servers of one service that use the probe.
// verdict says that the result is a new verdict, and not only what a server says about itself.
func (d *Daemon) follow(users []place, verdict bool) {
	i := users[0].service
	service, st := d.setup.Services[i], d.standing[i]
	some := make([]int, len(users))
	for n, at := range users {
		some[n] = at.real
	}
	if st.rules != nil {
		some = nil // A verdict can change the weights of other servers.
	}
	before := service.wanted(st, some...)
	for _, at := range users {
		j := at.real
		st.set(service, j, d.verdict(service.ID, service.Reals[j]))
	}
	d.decide(i)
	for _, e := range d.steps(i, before, service.wanted(st, some...)) {
		at, configured := st.index[e.Server]
		spoke := slices.ContainsFunc(users, func(p place) bool { return p.real == at })
		switch {
		case configured && verdict:
			_, e.Lasted = d.spans(service.ID, service.Reals[at])
		case configured && spoke && (e.Kind == ServerChanged || e.From == e.To):
			e.Kind = ServerAdjusted
		case configured && e.Kind == ServerChanged:
			e.Kind = ServerRising // Only time changes the weight of another server from above 0 to above 0.
		}
		d.events = append(d.events, e)
	}
	d.stale[i] = true
	d.serve(i)
}

// refresh updates the wanted table of the services whose standing has changed.
func (d *Daemon) refresh() {
	for i := range d.stale {
		d.wanted[i] = d.setup.Services[i].wanted(d.standing[i])
	}
	clear(d.stale)
}

// apply gives the reconciler the wanted table and the new events. The reconciler writes its result
// to the channels in done.
func (d *Daemon) apply(done []chan<- error) {
	d.refresh()
	d.ordered = d.unknown == 0
	d.reconciler.set(want{
		ordered: d.ordered,
		table:   slices.Clone(d.wanted), events: d.events, done: done, services: d.services, reals: d.setup.reals(),
	})
	d.events = nil
}

// serve adds an event when the first real server of a service becomes good, or when all real
// servers are bad.
func (d *Daemon) serve(i int) {
	service, st := &d.setup.Services[i], d.standing[i]
	serving, known := st.good > 0, st.unknown == 0
	if st.rules != nil {
		serving = st.serving > 0
	}
	before, told := d.serving[service.ID]
	if !serving && !known || told && before == serving {
		return
	}
	d.serving[service.ID] = serving
	kind := ServiceEmpty
	if serving {
		kind = ServiceServing
	}
	d.events = append(d.events, d.event(kind, service))
	if d.options.Serving != nil {
		d.options.Serving(*service, serving)
	}
}
