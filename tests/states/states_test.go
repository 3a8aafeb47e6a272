package states

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/record"
	"lvs-agents/metadata/metadatatest"
)

// length is the number of steps in the longest orders that the test runs.
const length = 5

var servers = []string{"192.0.2.21", "192.0.2.22", "192.0.2.23"}

const fallback = "\tfallback=127.0.0.1:80 gate\n"

func worlds() []world {
	down := func(names ...string) map[string]bool {
		m := map[string]bool{}
		for _, name := range names {
			m[name] = true
		}
		return m
	}
	return []world{
		{name: "one server is down", quiescent: "yes", down: down(servers[1])},
		{name: "one server is down, quiescent=no, fallback", quiescent: "no", fallback: fallback, down: down(servers[1])},
		{name: "all are down", quiescent: "yes", down: down(servers...)},
		{name: "all are down, quiescent=no", quiescent: "no", down: down(servers...)},
		{name: "all are down, fallback", quiescent: "yes", fallback: fallback, down: down(servers...)},
	}
}

// situation is the state of a director after an order of steps.
type situation struct {
	order  []step
	key    string // if two situations have equal keys, every next step has the same result in both
	row    row
	failed []string // violations of the invariant
}

// TestEveryOrder checks the invariant after every order of steps. If two orders lead to situations
// with equal keys, every next step has the same result. So the test continues only one of these
// orders.
func TestEveryOrder(t *testing.T) {
	for _, w := range worlds() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			seen := map[string]situation{}
			first := arrive(t, w, nil)
			seen[first.key] = first
			reached := []situation{first}
			tried := 0
			for n := 1; n <= length; n++ {
				var next []situation
				for _, from := range reached {
					for _, s := range steps {
						tried++
						to := arrive(t, w, append(slices.Clone(from.order), s))
						for _, what := range to.failed {
							t.Errorf("%v: %s", to.order, what)
						}
						if _, known := seen[to.key]; !known {
							seen[to.key] = to
							next = append(next, to)
						}
					}
				}
				reached = next
			}
			t.Logf("%d situations, %d orders followed", len(seen), tried)
		})
	}
}

// arrive creates a director, runs the steps of an order, and returns the situation.
func arrive(t *testing.T, w world, order []step) (s situation) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := newDirector(t, w)
		defer func() {
			d.end(healthID)
			d.end(directord)
		}()
		for i, step := range order {
			_ = d.do(step) // an agent or a daemon can refuse a step; the test then continues
			d.settle(i == len(order)-1)
		}
		s = situation{order: order, key: d.key()}
		now := d.look()
		s.failed = d.invariant(now)
		d.later()
		d.run("ipvs", "monitor") // this monitor finds that the verdict files are too old
		late := d.look()
		late.late = true
		for _, what := range d.invariant(late) {
			s.failed = append(s.failed, "a minute later: "+what)
		}
		s.row = row{now, late}
	})
	return s
}

// key returns everything in the director's state that can influence the result of a later step.
func (d *director) key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "file %v\n%s", d.second, d.kernel)
	for _, r := range d.records() {
		r.Generation, r.File = 0, record.File{} // No action reads the name of the file in the record.
		fmt.Fprintf(&b, "%+v\n", r)
	}
	for _, id := range []string{healthID, directord} {
		presence, err := control.PresenceOf(d.state, id)
		bad, errBad := state.Bad(d.state, id)
		fmt.Fprintf(&b, "%s %v %v %v %v\n", id, presence, slices.Sorted(keys(bad)), err, errBad)
		if r := d.daemons[id]; r != nil {
			s, err := r.Snapshot(d.t.Context())
			if err != nil {
				d.t.Fatal(err)
			}
			for _, service := range s.Services {
				fmt.Fprintf(&b, "%s %q:", service.ID, service.Trouble)
				for _, real := range service.Reals {
					fmt.Fprintf(&b, " %s %d %d %s", real.Addr, real.Weight, real.Configured, real.Verdict)
				}
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprint(&b, d.last)
	return b.String()
}

// view contains the reports of all agents and tools in one situation.
type view struct {
	services, destinations string // who owns the virtual services, and who owns the destinations
	ipvs, health           int    // exit codes of the two monitors
	ipvsSaid               string // log of the monitor of ipvs
	byHand                 string // report of "directord FILE status"
	late                   bool   // true: the verdict files of ended daemons are too old
}

type row struct{ now, late view }

func (d *director) look() view {
	v := view{services: "none", destinations: "none"}
	var services, destinations []string
	for _, r := range d.records() {
		services = append(services, owner(r.ID))
		presence, err := control.PresenceOf(d.state, r.Holder)
		switch {
		case err != nil:
			d.t.Fatal(err)
		case len(r.Claimed) == 0:
			destinations = append(destinations, owner(r.ID))
		case presence == control.Present:
			destinations = append(destinations, owner(r.Holder))
		default:
			destinations = append(destinations, "as "+owner(r.Holder)+" left them")
		}
	}
	if len(services) > 0 {
		v.services, v.destinations = strings.Join(services, ", "), strings.Join(destinations, ", ")
	}
	v.ipvs = int(d.run("ipvs", "monitor"))
	v.ipvsSaid = d.said
	v.health = int(d.run("health", "monitor"))
	v.byHand = "stopped"
	if r := d.daemons[directord]; r != nil {
		v.byHand = "running"
		s, err := r.Snapshot(d.t.Context())
		if err != nil {
			d.t.Fatal(err)
		}
		if s.Alive() != nil {
			v.byHand = "does not balance"
		}
	}
	return v
}

// owner returns how docs/states.md names the owner with this id.
func owner(id string) string {
	if holder, own := record.HolderOf(id); own {
		id = holder
	}
	return map[string]string{resource: "ipvs", healthID: "health", directord: "directord"}[id]
}

// invariant returns the faults of a situation; none means that the invariant holds. If a monitor
// reports running, one of two servers must get new connections: a real server whose last check was
// good, or the fallback. If neither does, a monitor or a tool must report the reason.
func (d *director) invariant(v view) (failed []string) {
	table := d.table()
	wrong := func(who string, id lvs.ServiceID, said string) {
		if what := d.served(table, id); what != "" && (v.late && len(d.daemons) == 0 || !strings.Contains(said, id.String())) {
			failed = append(failed, fmt.Sprintf("%s says running, and %s: %s\n%s%s", who, id, what, d.kernel, said))
		}
	}
	for _, r := range d.records() {
		if r.ID == resource && v.ipvs == 0 {
			for _, id := range r.Services.IDs() {
				wrong("ipvs", id, v.ipvsSaid)
				if _, lives := d.daemons[r.Holder]; lives && !r.Claims()[id] && !strings.Contains(v.ipvsSaid, "does not check "+id.String()) {
					failed = append(failed, fmt.Sprintf("%s is not checked", id))
				}
			}
		}
	}
	known := lvs.Scope{}
	for _, r := range d.records() {
		maps.Copy(known, r.Scope())
	}
	for _, id := range table.IDs() {
		if !known[id] {
			failed = append(failed, fmt.Sprintf("%s is in the kernel and in no record", id))
		}
	}
	if v.ipvs == 1 {
		failed = append(failed, "ipvs fails although no program has touched its services: "+v.ipvsSaid)
	}
	for id, r := range d.daemons {
		says := v.health == 0
		if id == directord {
			says = v.byHand == "running"
		}
		s, err := r.Snapshot(d.t.Context())
		if err != nil {
			d.t.Fatal(err)
		}
		if !says && s.Trouble == "" {
			failed = append(failed, id+" fails although nothing is wrong")
		}
		if !says {
			continue
		}
		for _, service := range s.Services {
			op, err := lvs.ParseOp("-D " + service.ID)
			if err != nil {
				d.t.Fatal(err)
			}
			said := ""
			if !slices.ContainsFunc(service.Reals, func(real control.Real) bool { return real.Verdict != "bad" }) {
				said = service.ID
			}
			wrong(id, op.Service.ID, said)
			if service.Trouble != "" {
				failed = append(failed, fmt.Sprintf("%s says running, and: %s", id, service.Trouble))
			}
		}
	}
	return failed
}

// served returns a fault in the destinations of a virtual service, or an empty text. A real server
// that was never checked counts as good.
func (d *director) served(table lvs.Table, id lvs.ServiceID) string {
	v, exists := table.Lookup(id)
	if !exists {
		return "it is not there"
	}
	if !v.Serves() {
		return "no real server gets connections"
	}
	for _, dest := range v.Destinations {
		if dest.Weight > 0 && d.bad(id, dest.Addr) {
			return dest.Addr.String() + " gets connections and is down"
		}
	}
	return ""
}

// TestGenerated checks that docs/states.md is current. With the flag -update, which "make docs"
// uses, it writes the page.
func TestGenerated(t *testing.T) {
	metadatatest.Golden(t, "docs/states.md", document(t))
}
