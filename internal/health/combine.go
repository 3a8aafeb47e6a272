package health

import (
	"slices"
	"time"

	"lvs-agents/internal/lvs"
)

// combined is the verdict on a real server that has several probes or no probe. With exactly one
// probe, the tracker of the probe has the verdict.
type combined struct {
	verdict Verdict
	since   time.Time
	lasted  time.Duration // lasted is how long the previous verdict lasted.
}

// set stores a verdict. The times change only if the verdict changes.
func (c *combined) set(now time.Time, v Verdict) {
	if c.verdict != v {
		*c = combined{verdict: v, since: now, lasted: now.Sub(c.since)}
	}
}

// combine returns the verdict on a real server from the verdicts of its probes. It is bad if at
// least one probe is bad, good if all probes are good, and otherwise unknown.
func (d *Daemon) combine(real Real) Verdict {
	v := Good
	for _, p := range real.Probes {
		switch d.trackers[p].verdict {
		case Bad:
			return Bad
		case Unknown:
			v = Unknown
		case Good:
		}
	}
	return v
}

// combineAll computes the verdicts on the real servers of a new setup. If a real server keeps the
// verdict that it had in the previous setup, it also keeps the times of the verdict.
func (d *Daemon) combineAll(now time.Time) {
	before := d.combined
	d.combined = map[Member]*combined{}
	for _, s := range d.setup.Services {
		for _, real := range s.Reals {
			if len(real.Probes) == 1 {
				continue
			}
			m := Member{s.ID, real.Addr}
			c := before[m]
			if c == nil {
				c = &combined{since: now}
			}
			c.set(now, d.combine(real))
			d.combined[m] = c
		}
	}
}

// recombine updates the verdict on a real server after a new result of one of its probes.
func (d *Daemon) recombine(at place, now time.Time) {
	service := d.setup.Services[at.service]
	if real := service.Reals[at.real]; len(real.Probes) != 1 {
		d.combined[Member{service.ID, real.Addr}].set(now, d.combine(real))
	}
}

// deciding returns the probe that explains the verdict on a real server. The real server must have
// a probe. It is the first bad probe, else the first unknown one, else the first whose last check
// failed, else the first probe.
func (d *Daemon) deciding(real Real) Probe {
	if len(real.Probes) == 1 {
		return real.Probes[0]
	}
	for _, explains := range []func(*tracker) bool{
		func(t *tracker) bool { return t.verdict == Bad },
		func(t *tracker) bool { return t.verdict == Unknown },
		func(t *tracker) bool { return t.reason != "" },
	} {
		if i := slices.IndexFunc(real.Probes, func(p Probe) bool { return explains(d.trackers[p]) }); i >= 0 {
			return real.Probes[i]
		}
	}
	return real.Probes[0]
}

// reason returns why a real server has its verdict. If the server has several probes, the text
// begins with the name of the deciding probe.
func (d *Daemon) reason(real Real) string {
	if len(real.Probes) == 0 {
		return ""
	}
	p := d.deciding(real)
	text := d.trackers[p].reason
	if text != "" && len(real.Probes) > 1 {
		return p.name() + ": " + text
	}
	return text
}

// spans returns the time when the verdict on a real server began, and how long the previous verdict
// lasted.
func (d *Daemon) spans(id lvs.ServiceID, real Real) (since time.Time, lasted time.Duration) {
	if len(real.Probes) == 1 {
		t := d.trackers[real.Probes[0]]
		return t.since, t.lasted
	}
	c := d.combined[Member{id, real.Addr}]
	return c.since, c.lasted
}
