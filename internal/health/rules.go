package health

import (
	"cmp"
	"slices"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/policy"
)

// rules returns the service for package policy, or nil if its servers have no policy besides their
// verdicts. Without rules, the cost of a verdict does not depend on the number of real servers.
func (d *Daemon) rules(s Service) *policy.Service {
	governed := d.setup.OwnFault > 0 || s.Notify.Quorum() || s.Policy != policy.Settings{} || slices.ContainsFunc(s.Reals, func(r Real) bool {
		return r.Tier > 0 || r.speaks() || slices.ContainsFunc(d.orders[Member{s.ID, r.Addr}], func(o control.Order) bool { return o.Kind != add })
	})
	if !governed {
		return nil
	}
	return s.rules()
}

func (s Service) rules() *policy.Service {
	p := &policy.Service{Settings: s.Policy, Fallbacks: len(s.Fallbacks) > 0, Stay: s.stays()}
	for _, r := range s.Reals {
		off := slices.ContainsFunc(r.Probes, func(p Probe) bool { return p.Type == config.Off })
		p.Servers = append(p.Servers, policy.Server{Addr: r.Addr, Weight: r.Weight, Tier: r.Tier, Unchecked: off})
	}
	return p
}

// speaks reports whether a real server can say something about itself.
func (r Real) speaks() bool {
	return slices.ContainsFunc(r.all(), func(p Probe) bool { return p.isAgent() || p.DisableOn != (config.Statuses{}) })
}

// says returns what a real server says about itself, in replies to its agent and to its checks.
func (d *Daemon) says(real Real) (says policy.Says) {
	if real.Agent != (Probe{}) {
		says = d.trackers[real.Agent].says
	}
	for _, p := range real.Probes {
		if own := d.trackers[p].says; says.Mode == "" && own.Mode != "" {
			says.Mode, says.Comment = own.Mode, cmp.Or(says.Comment, own.Comment)
		}
	}
	return says
}

// seen returns the facts about one real server.
func (d *Daemon) seen(s Service, real Real, found int) policy.Seen {
	m := Member{s.ID, real.Addr}
	since, _ := d.spans(s.ID, real)
	seen := policy.Seen{Verdict: d.checkedVerdict(s.ID, real), Since: since, Found: found, Orders: d.orders.policy(m), Says: d.says(real)}
	// A server without connections can have drained itself, so its agent must reply or fail first.
	if seen.Verdict == Good && found <= 0 && real.Agent != (Probe{}) && d.trackers[real.Agent].verdict == Unknown {
		seen.Verdict = Unknown
	}
	if d.out[m] {
		seen.Orders = append(seen.Orders, policy.Order{Kind: policy.Drain, By: "maintenancedir"})
	}
	return seen
}

// decide applies the rules of a service, if it has some, to its standing.
func (d *Daemon) decide(i int) {
	s, st := &d.setup.Services[i], d.standing[i]
	if st.rules == nil {
		return
	}
	decision, memory := st.rules.Decide(d.input(i), d.memory[s.ID])
	d.memory[s.ID], st.places, st.serving = memory, decision.Servers, 0
	for j, p := range decision.Servers {
		st.reals[j].weight, st.reals[j].serving = p.Weight, p.Serving
		st.serving += one(p.Serving)
	}
	for _, alert := range decision.Alerts {
		d.events = append(d.events, d.event(Kind(alert), s))
	}
	st.short, st.next = decision.Short, decision.Next
	if !st.next.IsZero() {
		d.wake(st.next)
	}
}

// input returns the facts about a service.
func (d *Daemon) input(i int) policy.Input {
	s, st := d.setup.Services[i], d.standing[i]
	in := policy.Input{Now: time.Now(), Starting: d.unknown > 0 && !d.reloaded, Suspect: d.suspicion, Servers: make([]policy.Seen, len(s.Reals))}
	for j, real := range s.Reals {
		in.Servers[j] = d.seen(s, real, st.reals[j].found)
	}
	return in
}

// wake makes the daemon decide again at a time or before.
func (d *Daemon) wake(at time.Time) {
	if d.due.IsZero() || at.Before(d.due) {
		d.due = at
		d.alarm.Reset(time.Until(at))
	}
}

// decideDue decides about the services whose decision changes with the time, and about all services
// with rules if all is set.
func (d *Daemon) decideDue(all bool) {
	d.due = time.Time{}
	now := time.Now()
	for i, st := range d.standing {
		switch {
		case st.rules == nil:
		case all || !st.next.IsZero() && !now.Before(st.next):
			d.decideAgain(i)
		case !st.next.IsZero():
			d.wake(st.next)
		}
	}
}

// decideAgain decides about one service with rules after some time without a verdict. So another
// weight above 0 is a step of a slow start.
func (d *Daemon) decideAgain(i int) {
	service, st := d.setup.Services[i], d.standing[i]
	before := service.wanted(st)
	d.decide(i)
	for _, e := range d.steps(i, before, service.wanted(st)) {
		if e.Kind == ServerChanged {
			e.Kind = ServerRising
		}
		d.events = append(d.events, e)
	}
	d.stale[i] = true
	d.serve(i)
}
