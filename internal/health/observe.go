package health

import (
	"context"

	"lvs-agents/internal/lvs"
	"lvs-agents/internal/policy"
)

// observation is the last reading of a real server.
type observation struct {
	policy.Reading
	silence policy.Silence
}

// observer reads the connections of destinations. The goroutine of reconciler.run calls read.
type observer struct {
	counters func(context.Context) ([]lvs.Counters, error) // counters is nil if nothing can be read.
	// readings has at most one element, the latest.
	readings chan []lvs.Counters
	said     string // said is the last error in the log. It is empty after a success.
}

// read reads all connections for the daemon if a service has Observe.
func (r *reconciler) read(ctx context.Context, w want) {
	needed := false
	for _, s := range w.services {
		needed = needed || s.Observe
	}
	if !needed || r.observer.counters == nil {
		return
	}
	limited, cancel := context.WithTimeout(ctx, roundLimit(w.reals))
	defer cancel()
	all, err := r.observer.counters(limited)
	if err != nil {
		if text := err.Error(); ctx.Err() == nil && text != r.observer.said {
			r.observer.said = text
			r.log.Warnf("observe=connections: %v", err)
		}
		return
	}
	r.observer.said = ""
	select {
	case <-r.observer.readings: // The daemon has not read the previous readings yet.
	default:
	}
	r.observer.readings <- all
}

// observe checks each real server at once whose connections are a hint.
func (d *Daemon) observe(all []lvs.Counters) {
	readings := make(map[Member]policy.Reading, len(all))
	for _, c := range all {
		readings[Member{c.Service, c.Server}] = policy.Reading{Active: c.Active, Inactive: c.Inactive}
	}
	before := d.observed
	d.observed = map[Member]observation{}
	for i, service := range d.setup.Services {
		if !service.Observe {
			continue
		}
		for j, real := range service.Reals {
			of := Member{service.ID, real.Addr}
			now, present := readings[of]
			if st := d.standing[i].reals[j]; !present || !st.serving || st.verdict != Good {
				continue
			}
			last, seen := before[of]
			var hint bool
			if seen {
				last.silence, hint = last.silence.Add(last.Reading, now)
			}
			d.observed[of] = observation{now, last.silence}
			if hint {
				d.hurry(real)
			}
		}
	}
}

// hurry checks a good real server at once. It ignores a probe with failures, which already has its
// fast interval.
func (d *Daemon) hurry(real Real) {
	for _, p := range real.Probes {
		if t := d.trackers[p]; t.verdict == Good && t.failures == 0 {
			d.wheel.hurry(p)
		}
	}
}
