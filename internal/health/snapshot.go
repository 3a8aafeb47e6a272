package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/record"
)

// Snapshot returns the state of the daemon.
func (d *Daemon) Snapshot(ctx context.Context) (s control.Snapshot, err error) {
	err = d.do(ctx, func(context.Context) error {
		s = d.snapshot()
		return nil
	})
	return s, err
}

func (d *Daemon) snapshot() control.Snapshot {
	s := control.Snapshot{
		ID: d.options.ID, PID: d.options.PID, Version: d.options.Version, Config: d.options.Config, Started: d.started, Now: time.Now(),
		LoopAge: d.reconciler.age().Seconds(), WheelAge: d.wheel.age().Seconds(), Limit: d.limit().Seconds(), Refused: d.refused,
	}
	var failed error
	if failure := d.reconciler.failure.Load(); failure != nil {
		failed = *failure
	}
	if trouble := errors.Join(failed, d.refusal(), d.fault.trouble(s.Now, d.limit()), d.suspected(s.Now)); trouble != nil {
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

func (d *Daemon) service(i int) control.Service {
	service, st := d.setup.Services[i], d.standing[i]
	s := control.Service{ID: service.ID.String(), Scheduler: string(service.Scheduler), Persistence: service.Persistence.Seconds(), MarkedDown: string(service.MarkedDown)}
	for j, real := range service.Reals {
		verdict, since, reason := d.judged(service.ID, real)
		s.Reals = append(s.Reals, control.Real{
			Addr: real.Addr.String(), Forward: forwardName(real.Forward), Weight: st.reals[j].weight, Configured: real.Weight,
			Verdict: verdict.String(), Since: since, Reason: reason,
			Orders: d.orders.of(Member{service.ID, real.Addr}, time.Now()),
		})
	}
	for j, p := range st.places {
		s.Reals[j].Policy, s.Reals[j].Cause = p.Reason.String(), string(p.Reason.Cause)
	}
	if st.short {
		s.Shortage = cmp.Or(string(service.Policy.Shortage), "fallback")
	}
	for _, f := range service.Fallbacks {
		fallback := control.Real{Addr: f.Addr.String(), Forward: forwardName(f.Forward), Weight: out, Configured: f.Weight}
		if st.serving == 0 {
			fallback.Weight = f.Weight
		}
		if s.Fallback == nil {
			s.Fallback = &fallback
			continue
		}
		s.OtherFallbacks = append(s.OtherFallbacks, fallback)
	}
	return s
}

// judged returns the verdict on a real server, when it began, and why. With one probe, judged
// searches the trackers only once. The search takes most of the time of a snapshot.
func (d *Daemon) judged(id lvs.ServiceID, real Real) (v Verdict, since time.Time, reason string) {
	if len(real.Probes) != 1 || d.out[Member{id, real.Addr}] {
		since, _ = d.spans(id, real)
		return d.verdict(id, real), since, d.why(id, real)
	}
	t := d.trackers[real.Probes[0]]
	return t.verdict, t.since, t.reason
}

// limit returns the age above which a loop of the daemon counts as stuck.
func (d *Daemon) limit() time.Duration {
	longest := time.Duration(0)
	for probe := range d.trackers {
		longest = max(longest, probe.Interval)
	}
	return max(2*roundLimit(d.setup.reals()), 3*longest)
}

// saveVerdicts gives the present verdicts to the function SaveVerdicts of the options.
func (d *Daemon) saveVerdicts() {
	if d.options.SaveVerdicts == nil {
		return
	}
	now := state.Verdicts{Age: max(d.reconciler.age(), d.wheel.age()), Limit: d.limit()}
	for _, service := range d.setup.Services {
		for _, real := range service.Reals {
			says := d.says(real)
			// A drained real server must not get connections from the next start of an ipvs resource.
			if d.verdict(service.ID, real) == Bad || says.Down || says.Mode != "" || says.HasWeight && says.Weight == 0 || d.orders.drained(Member{service.ID, real.Addr}, time.Now()) {
				now.Bad = append(now.Bad, record.Server(service.ID, real.Addr))
			}
		}
	}
	d.options.SaveVerdicts(now)
}

// Control returns the event in the form that the control socket sends.
func (e Event) Control() control.Event {
	c := control.Event{
		Time: e.Time, Kind: string(e.Kind), Phase: string(e.Phase), Check: e.Check,
		Failures: e.Failures, Fall: e.Fall, By: e.By, Reason: e.Reason, Lasted: e.Lasted.Seconds(),
	}
	if e.Service != nil {
		c.Service = e.Service.ID.String()
	}
	if e.Op.Verb != 0 {
		c.Op = e.Op.String()
	}
	if e.Undone.Verb != 0 {
		c.Undone = e.Undone.String()
	}
	if e.Check != "" {
		c.Verdict = e.Verdict.String()
	}
	if e.Server.IsValid() {
		c.Server = e.Server.String()
	}
	if e.Server.IsValid() && e.changes() {
		c.To = &e.To
		if e.Kind != TableRepaired {
			c.From = &e.From
		}
	}
	return c
}

// refusal returns why the daemon does not use the newest configuration, or nil.
func (d *Daemon) refusal() error {
	if d.refused == "" {
		return nil
	}
	return errors.New(d.refused + "; the previous configuration stays in use")
}

// forwardName returns the name that ipvsadm -ln prints for a forwarding method.
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
