package ipvs

import (
	"context"
	"fmt"
	"slices"

	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
)

// withheld returns the real servers that start with weight 0, until a health daemon has checked
// them. They failed their last check less than control.Memory ago, or an operator has drained them
// through the cluster. If that is so for all real servers of a service, withheld returns none of
// them.
func withheld(c ocf.Call, want lvs.Table, drained map[string]bool) []string {
	bad := lastBad(c)
	all := someOf(want, func(server string) bool { return bad[server] || drained[server] })
	for _, server := range all {
		if drained[server] {
			c.Log.Infof("%s is drained by an order of the cluster and gets weight 0", server)
			continue
		}
		c.Log.Warnf("%s failed its last health check less than %v ago and gets weight 0 until a health daemon checks it, but at most for %v", server, control.Memory, control.Memory)
	}
	return all
}

// someOf returns the real servers that fulfil a condition. It leaves out the services whose real
// servers all fulfil it.
func someOf(table lvs.Table, condition func(server string) bool) (all []string) {
	for _, v := range table {
		var servers []string
		for _, d := range v.Destinations {
			if name := record.Server(v.ID, d.Addr); condition(name) {
				servers = append(servers, name)
			}
		}
		if len(servers) < len(v.Destinations) {
			all = append(all, servers...)
		}
	}
	return all
}

func lastBad(c ocf.Call) map[string]bool {
	bad, err := state.LastBad(c.StateDir, control.Memory)
	if err != nil {
		c.Log.Warnf("reading the last verdicts of the health daemon: %v", err)
	}
	return bad
}

// overdue reports whether monitor must restore weights, because the last verdicts are too old. This
// is the case if the health daemon of a claim is gone. If no health daemon has claimed a service,
// it is also the case for its withheld real servers. The exceptions are servers that a recent
// verdict calls bad, or that an order of the cluster drains.
func overdue(c ocf.Call, r record.Record, l lease, drained func() map[string]bool) bool {
	if l.lapsed() {
		return true
	}
	if len(r.Withheld) == 0 {
		return false
	}
	bad := lastBad(c)
	var free []string
	for _, v := range r.Services {
		for _, d := range v.Destinations {
			if name := record.Server(v.ID, d.Addr); !l.claims[v.ID] && !bad[name] && slices.Contains(r.Withheld, name) {
				free = append(free, name)
			}
		}
	}
	if len(free) == 0 {
		return false // This is so while a health daemon runs, so its monitors do not query the cluster.
	}
	return slices.ContainsFunc(free, func(server string) bool { return !drained()[server] })
}

// restore gives real servers the weights of the record if no health daemon has checked them for
// control.Memory: the withheld real servers, and the real servers of services whose daemon is gone.
// Real servers that an operator has drained through the cluster keep weight 0.
// restore writes the record before it changes the kernel, so that the next monitor finds weights
// that are still missing.
func (a action) restore(ctx context.Context, drained func() map[string]bool) error {
	drained() // This queries the cluster, if overdue has not done it, before restore takes the lock.
	unlock, err := a.store.LockInHalf(ctx, a.Instance)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := a.store.Load(a.Instance)
	if err != nil || r.State != record.Running {
		return err
	}
	l, err := leaseOf(a.Call, r)
	if err != nil || !overdue(a.Call, r, l, drained) {
		return err // Meanwhile a health daemon has claimed the services, so restore changes nothing.
	}
	if l.lapsed() {
		a.Log.Warnf("no health daemon has checked the real servers of %s for %v; they get the weights of their configuration", words(r.Claimed), control.Memory)
		r.Holder, r.Claimed = "", nil
	} else {
		a.Log.Warn("no health daemon has checked real servers that were bad before start; they get their weights back")
	}
	r.Withheld = someOf(r.Services, func(server string) bool { return drained()[server] })
	if err := a.store.Save(r); err != nil {
		return fmt.Errorf("writing the record: %w", err)
	}
	return a.apply(ctx, r)
}
