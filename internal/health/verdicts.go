package health

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

// place is a real server in the setup.
type place struct{ service, real int }

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

// judge takes the result of a check.
func (d *Daemon) judge(r result) {
	t := d.trackers[r.probe]
	if t == nil {
		return // of a configuration that is gone
	}
	if ofThisHost(r.err) {
		if d.fault.note(time.Now(), fmt.Errorf("checks cannot be sent, verdicts stay: %w", r.err)) {
			d.options.Log.Error(d.fault.err)
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
	d.options.Log.WithFields(fields).Debug("verdict")
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
	if d.options.Checked != nil {
		d.options.Checked(service, real, d.checked(real, err))
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
	if d.options.Serving != nil {
		d.options.Serving(service, serving)
	}
}
