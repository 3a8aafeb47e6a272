package ipvs

import (
	"context"
	"fmt"
	"strings"

	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
)

// lease shows who sets the destinations of claimed services: the health daemon or this resource.
// The record has the claim. The meaning of the claim depends on whether the health daemon runs.
type lease struct {
	// presence is the condition of the health daemon. Present: the daemon sets the destinations.
	// Ended: the destinations stay as the daemon left them. Gone: this resource sets the
	// destinations again.
	presence control.Presence
	claims   lvs.Scope
	bad      map[string]bool // bad has the real servers that were bad at the last verdict of the daemon.
}

// leaseOf returns the lease of a record: which services a health daemon has claimed, and whether
// the daemon still runs.
func leaseOf(c ocf.Call, r record.Record) (lease, error) {
	l := lease{claims: r.Claims(), bad: map[string]bool{}}
	if r.Holder == "" {
		return l, nil
	}
	var err error
	if l.presence, err = control.PresenceOf(c.StateDir, r.Holder); err != nil || l.presence == control.Gone {
		return l, err
	}
	if l.bad, err = state.Bad(c.StateDir, r.Holder); err != nil {
		c.Log.Warnf("reading the last verdicts of health daemon %s: %v", r.Holder, err)
	}
	return l, nil
}

// lapsed reports whether the record has claims, but the health daemon of the claims is gone
// (control.Gone).
func (l lease) lapsed() bool { return len(l.claims) > 0 && l.presence == control.Gone }

// unserved returns the claimed services that should have real servers with connections, but have
// none in the kernel. In the list idle, a real server of each service was not bad at the last
// check. In the list down, all real servers of each service were bad.
func (l lease) unserved(r record.Record, have lvs.Table) (idle, down []lvs.ServiceID) {
	held := have.Index()
	for _, v := range r.Services {
		at, exists := held[v.ID]
		if !exists || !l.claims[v.ID] || have[at].Serves() || !v.Serves() {
			continue
		}
		if l.hopeless(v) {
			down = append(down, v.ID)
			continue
		}
		idle = append(idle, v.ID)
	}
	return idle, down
}

// hopeless reports whether the daemon found all real servers of a service bad that have a weight.
func (l lease) hopeless(v lvs.VirtualService) bool {
	for _, d := range v.Destinations {
		if d.Weight > 0 && !l.bad[record.Server(v.ID, d.Addr)] {
			return false
		}
	}
	return true
}

// inherit copies claims from the old record to the next record. While the daemon runs, inherit
// copies the claims on all services that the next record still has. After the daemon has ended, it
// copies only claims on services without a good real server, because the daemon can have added
// their fallback. For other services the claim ends: this resource sets their destinations again,
// with weight 0 for real servers that were bad.
func (l lease) inherit(next *record.Record, old record.Record) {
	var kept []lvs.ServiceID
	for _, v := range next.Services {
		switch {
		case !l.claims[v.ID] || l.presence == control.Gone:
		case l.presence == control.Present || l.hopeless(v):
			kept = append(kept, v.ID)
		}
	}
	if next.Claimed = kept; len(kept) > 0 || l.presence == control.Present {
		next.Holder = old.Holder
	}
}

// follow makes the health daemon of a record reload. It then logs the services that the daemon does
// not check.
func (a action) follow(ctx context.Context, next record.Record) error {
	if next.Holder == "" {
		return nil
	}
	l, err := leaseOf(a.Call, next)
	if err != nil {
		return err
	}
	if l.presence != control.Present {
		a.Log.Warnf("health daemon %s has ended; real servers of %s stay as it left them until the next one checks them, but at most %v",
			next.Holder, words(next.Claimed), control.Memory)
		return nil
	}
	if err := a.daemons.Reload(ctx, a.StateDir, next.Holder); err != nil {
		return fmt.Errorf("the virtual services are set, but health daemon %s keeps its previous configuration: %w; correct the new one, or restart its resource", next.Holder, err)
	}
	r, err := a.store.Load(a.Instance)
	if err != nil {
		return err
	}
	logUnchecked(a.Call, r)
	return nil
}

// logUnchecked logs the services that the running health daemon does not check.
func logUnchecked(c ocf.Call, r record.Record) {
	claims := r.Claims()
	for _, id := range r.Services.IDs() {
		if !claims[id] {
			c.Log.Warnf("health daemon %s does not check %s, which its configuration does not have; its real servers stay as they are configured", r.Holder, id)
		}
	}
}

// logRunning logs warnings about the real servers of a running resource.
func (l lease) logRunning(c ocf.Call, r record.Record, have lvs.Table) {
	_, down := l.unserved(r, have)
	logDown(c, down)
	logOpen(c, r, l, have)
	if l.presence == control.Present {
		logUnchecked(c, r)
	}
}

// logOpen logs real servers that get connections although a health daemon found them bad. No health
// daemon has claimed their service now.
func logOpen(c ocf.Call, r record.Record, l lease, have lvs.Table) {
	bad, held := lastBad(c), have.Index()
	if len(bad) == 0 {
		return
	}
	for _, v := range r.Services {
		at, exists := held[v.ID]
		if !exists || l.claims[v.ID] {
			continue
		}
		for _, d := range have[at].Destinations {
			if name := record.Server(v.ID, d.Addr); d.Weight > 0 && bad[name] {
				c.Log.Warnf("%s gets connections although it was bad when a health daemon last checked it; no health daemon checks it now", name)
			}
		}
	}
}

// words returns the names of services, separated by commas.
func words(ids []lvs.ServiceID) string {
	var all []string
	for _, id := range ids {
		all = append(all, id.String())
	}
	return strings.Join(all, ", ")
}
