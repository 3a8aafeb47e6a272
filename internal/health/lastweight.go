package health

import (
	"context"

	"lvs-agents/internal/lvs"
)

// lastWeights is the last weight above 0 of each destination. With Scheduler.KeepsSlots, the kernel
// gives slots to a destination by this weight, and does not report it. For a destination that has
// had only weight 0, the value is 0 or missing.
type lastWeights map[entry]int

// see stores the weights of the destinations in a table that the kernel reported.
func (l lastWeights) see(have lvs.Table) {
	for _, v := range have {
		if !v.Scheduler.KeepsSlots() {
			continue
		}
		for _, d := range v.Destinations {
			if d.Weight > 0 {
				l[entry{v.ID, d.Addr}] = d.Weight
			}
		}
	}
}

// note stores the weights that applied operations gave to destinations.
func (l lastWeights) note(applied []lvs.Op) {
	for _, op := range applied {
		weight := op.Destination.Weight
		switch {
		case op.Verb == lvs.DeleteDestination:
			delete(l, entryOf(op))
		case op.Verb == lvs.AddDestination || op.Verb == lvs.EditDestination && weight > 0:
			l[entryOf(op)] = weight
		}
	}
}

// missing returns the operations that give slots to destinations with weight 0: they set the
// configured weight, and then 0 again. Earlier versions and other programs add destinations with
// weight 0, and the weight in the configuration can change. If the configured weight is now 0, the
// operations delete the destination and add it without slots.
func (l lastWeights) missing(target lvs.Table) (ops []lvs.Op) {
	for _, v := range target {
		if !v.Scheduler.KeepsSlots() {
			continue
		}
		for _, d := range v.Destinations {
			if d.Weight > 0 || l[entry{v.ID, d.Addr}] == d.HashWeight {
				continue
			}
			second := lvs.Op{Verb: lvs.EditDestination, Service: lvs.Service{ID: v.ID}, Destination: d}
			first := second
			first.Destination.Weight = d.HashWeight
			if d.HashWeight == 0 {
				first.Verb, second.Verb = lvs.DeleteDestination, lvs.AddDestination
			}
			ops = append(ops, first, second)
		}
	}
	return ops
}

// slot applies the operations of missing. They change no weight, so they are not events.
func (r *reconciler) slot(ctx context.Context, ops []lvs.Op) error {
	done, err := r.kernel.Apply(ctx, ops)
	r.last.note(ops[:done])
	return err
}
