package policy

import (
	"flag"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestMain reads the number of runs of the property test. make soak and the test of the mutants
// set it.
func TestMain(m *testing.M) {
	if runs := os.Getenv("POLICY_RUNS"); runs != "" {
		_ = flag.Set("rapid.checks", runs)
	}
	_ = flag.Set("rapid.nofailfile", "true")
	_ = flag.Set("rapid.shrinktime", "1s")
	os.Exit(m.Run())
}

var begin = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// world is a service with the state that a daemon would have, and the history that properties need.
type world struct {
	t       *rapid.T
	service *Service
	in      Input
	memory  Memory
	last    Decision
	// ejected has the times when a server went out because of its checks.
	ejected map[int]time.Time
	// calm is the number of steps since the input changed.
	calm int
}

func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(20 + i)}), 80)
}

// newWorld draws a service. The settings are valid, as the parser of the configuration gives them.
func newWorld(t *rapid.T) *world {
	pick := rapid.IntRange(0, 5)
	n := rapid.IntRange(1, 5).Draw(t, "servers")
	s := &Service{Stay: rapid.Bool().Draw(t, "stay"), Fallbacks: rapid.Bool().Draw(t, "fallbacks")}
	total := 0
	for i := range n {
		server := Server{Addr: addr(i), Weight: rapid.SampledFrom([]int{0, 1, 3, 100}).Draw(t, "weight"), Tier: i * rapid.IntRange(0, 1).Draw(t, "tier") / 2}
		server.Unchecked = pick.Draw(t, "unchecked") == 5
		total += server.Weight
		s.Servers = append(s.Servers, server)
	}
	s.Settings = Settings{
		Initial:   rapid.SampledFrom([]Initial{AsFound, Up, Down}).Draw(t, "initial"),
		SlowStart: rapid.SampledFrom([]time.Duration{0, 10 * time.Second}).Draw(t, "slowstart"), Aggression: rapid.SampledFrom([]int{0, 50, 200}).Draw(t, "aggression"),
		Floor: rapid.SampledFrom([]int{0, 10}).Draw(t, "floor"), Quorum: rapid.IntRange(0, total).Draw(t, "quorum"),
		MinCount: rapid.IntRange(0, n).Draw(t, "count"), MinPercent: rapid.SampledFrom([]int{0, 50}).Draw(t, "percent"),
		Shortage:     rapid.SampledFrom([]Shortage{Fallback, FailOpen, Hold}).Draw(t, "shortage"),
		EjectPercent: rapid.SampledFrom([]int{0, 20, 50}).Draw(t, "eject"), EjectWindow: rapid.SampledFrom([]time.Duration{0, 30 * time.Second}).Draw(t, "window"),
		EjectJitter: rapid.SampledFrom([]int{0, 50}).Draw(t, "jitter"), TierMin: rapid.IntRange(0, 2).Draw(t, "tiermin"),
	}
	if s.Quorum > 1 {
		s.Hysteresis = rapid.IntRange(0, min(s.Quorum-1, total-s.Quorum)).Draw(t, "hysteresis")
	}
	w := &world{t: t, service: s, in: Input{Now: begin, Starting: true}, ejected: map[int]time.Time{}}
	for range n {
		w.in.Servers = append(w.in.Servers, Seen{Since: begin, Found: rapid.IntRange(Out, 1).Draw(t, "found")})
	}
	return w
}

// step changes the input in one way, or only the time. The bits of what decide how.
func (w *world) step(what uint16) {
	w.in.Servers = slices.Clone(w.in.Servers)
	i := int(what>>4) % len(w.in.Servers)
	seen, more := &w.in.Servers[i], int(what>>8)
	w.calm++
	w.in.Now = w.in.Now.Add(time.Duration(more%4) * 1300 * time.Millisecond)
	switch what % 16 {
	case 0, 1, 2:
		w.see(seen, Good)
	case 3, 4, 5:
		w.see(seen, Bad)
	case 6: // Most servers fail at the same moment.
		for j := range w.in.Servers {
			if j != i {
				w.see(&w.in.Servers[j], Bad)
			}
		}
	case 7:
		order := Order{Kind: []Kind{Drain, Maint, Weigh, Remove}[more%4], Weight: more % 8, By: "root", Since: w.in.Now}
		if more%3 == 0 {
			order.Until = w.in.Now.Add(10 * time.Second)
		}
		w.change(&seen.Orders, append(slices.Clone(seen.Orders[:min(1, len(seen.Orders))]), order))
	case 8:
		w.change(&seen.Orders, nil)
	case 9:
		says := []Says{{}, {Weight: more % 130, HasWeight: true}, {Mode: Drain}, {Mode: Maint}, {Down: true}}[more%5]
		if says != seen.Says {
			seen.Says, w.calm = says, 0
		}
	case 10:
		if w.in.Starting && more%4 == 0 {
			w.in.Starting, w.calm = false, 0
		}
	case 11:
		if more%8 == 0 {
			w.in.Suspect, w.calm = Suspicion{w.in.Now.Add(-5 * time.Second), w.in.Now.Add(20 * time.Second)}, 0
		}
	case 12: // The director restarts: the memory is lost, the table stays.
		if more%8 == 0 {
			w.restart()
		}
	}
}

func (w *world) see(seen *Seen, v Verdict) {
	if seen.Verdict != v {
		seen.Verdict, seen.Since, w.calm = v, w.in.Now, 0
	}
}

func (w *world) change(field *[]Order, orders []Order) {
	if !reflect.DeepEqual(*field, orders) {
		*field, w.calm = orders, 0
	}
}

func (w *world) restart() {
	w.memory, w.in.Starting, w.calm, w.ejected = Memory{}, true, 0, map[int]time.Time{}
	w.in.Suspect = Suspicion{}
	for i := range w.in.Servers {
		if len(w.last.Servers) > 0 {
			w.in.Servers[i].Found = w.last.Servers[i].Weight
		}
		w.in.Servers[i].Verdict, w.in.Servers[i].Since = Unknown, w.in.Now
	}
}

// decide makes a decision and tests each property of it.
func (w *world) decide() {
	before := w.memory
	d, after := w.service.Decide(w.in, w.memory)
	again, fixed := w.service.Decide(w.in, after)
	again.Alerts, d.Alerts = nil, nil
	if !reflect.DeepEqual(d, again) || !reflect.DeepEqual(after, fixed) {
		w.t.Fatalf("a second pass changes nothing:\n%+v\n%+v\nmemory %+v\n%+v", d, again, after, fixed)
	}
	for i, p := range d.Servers {
		w.explained(i, p)
		w.verified(i, p)
		w.obeyed(i, p)
		w.monotone(i, p, before.Servers[addr(i)], after.Servers[addr(i)])
	}
	w.fallback(d)
	w.quorum(d, before)
	w.capped(d, before, after)
	w.steady(d)
	w.last, w.memory = d, after
}

// explained: the weight is the weight that the reason gives, and the reason fits the input.
func (w *world) explained(i int, p Place) {
	if max(p.Weight, 0) != p.Reason.Weight() && p.Serving || !p.Serving && p.Weight > 0 {
		w.t.Fatalf("the sum of decisions equals the reasons: server %d has weight %d because %s", i, p.Weight, p.Reason)
	}
	if p.Reason.String() == "" {
		w.t.Fatalf("every output has a reason: server %d", i)
	}
}

// verified: no server without a good check has a weight above 0, unless the reason names a policy.
func (w *world) verified(i int, p Place) {
	seen, cause := w.in.Servers[i], p.Reason.Cause
	excused := cause == Opened && w.service.Shortage == FailOpen || cause == Held && w.service.Shortage == Hold ||
		cause == Capped && w.service.EjectPercent > 0 || cause == Suspected && w.in.Now.Before(w.in.Suspect.Until) ||
		cause == Unchecked && seen.Verdict == Unknown && (seen.Found > 0 || w.service.Initial == Up)
	if p.Weight > 0 && (seen.Verdict != Good || seen.Says.Down) && !excused {
		w.t.Fatalf("no server without a good check serves: server %d, %s, because %s", i, seen.Verdict, p.Reason)
	}
}

// obeyed: a server that an operator has drained has no weight, and a server that drains itself has
// none.
func (w *world) obeyed(i int, p Place) {
	for _, o := range w.in.Servers[i].Orders {
		ended := !o.Until.IsZero() && !w.in.Now.Before(o.Until)
		if o.Kind != Weigh && !ended && p.Weight > 0 {
			w.t.Fatalf("drained stays 0: server %d has weight %d", i, p.Weight)
		}
		if o.Kind == Weigh && !ended && len(w.in.Servers[i].Orders) == 1 && p.Weight > o.Weight {
			w.t.Fatalf("the weight is the ordered weight: server %d has weight %d", i, p.Weight)
		}
	}
	if says := w.in.Servers[i].Says; says.Mode != "" && p.Weight > 0 && w.in.Servers[i].Verdict == Good {
		w.t.Fatalf("a server drains itself: server %d has weight %d", i, p.Weight)
	}
}

// monotone: the weight of a server in its slow start does not fall while the input stays. No slow
// start begins while the daemon starts.
func (w *world) monotone(i int, p Place, before, after Past) {
	rising := p.Reason.Cause == Rising
	if rising && w.calm > 0 && len(w.last.Servers) > 0 {
		last := w.last.Servers[i]
		if last.Reason.Cause == Rising && p.Weight < last.Weight && before.Rising.Equal(after.Rising) && last.Reason.Base == p.Reason.Base {
			w.t.Fatalf("slow start is monotone: server %d from %d to %d", i, last.Weight, p.Weight)
		}
	}
	if rising && (w.service.SlowStart == 0 || w.in.Starting || w.in.Now.Sub(after.Rising) >= w.service.SlowStart) {
		w.t.Fatalf("slow start has its window: server %d since %s", i, after.Rising)
	}
	if rising && p.Weight == 0 && p.Reason.Base > 0 {
		w.t.Fatalf("slow start has its floor: server %d", i)
	}
	back := p.Reason.Cause == Passed && p.Weight > 1 && !w.in.Starting && w.service.SlowStart > 0 && len(w.last.Servers) > 0
	if _, known := w.memory.Servers[addr(i)]; known && back && w.last.Servers[i].Reason.Cause == Failed && !before.Served {
		w.t.Fatalf("a server that comes back rises: server %d has weight %d at once", i, p.Weight)
	}
}

// fallback: the fallback serves exactly while no real server does, and an empty service is short.
func (w *world) fallback(d Decision) {
	serving := slices.ContainsFunc(d.Servers, func(p Place) bool { return p.Serving })
	if d.Fallback == serving {
		w.t.Fatalf("the fallback serves while no server does: %+v", d)
	}
	if !serving && !d.Short {
		w.t.Fatalf("a service without servers is short: %+v", d)
	}
	if d.Short && w.service.Shortage == Fallback && w.service.Fallbacks && serving {
		w.t.Fatalf("the fallback serves instead of too few servers: %+v", d)
	}
}

// quorum: the service is short exactly as keepalived and the minimum say.
func (w *world) quorum(d Decision, before Memory) {
	weight, count, pool := 0, 0, 0
	for i, p := range d.Servers {
		c := p.Reason.Cause
		if c == Ordered {
			continue
		}
		pool++
		good := w.in.Servers[i].Verdict == Good && !w.in.Servers[i].Says.Down && c != Said
		if good || c == Suspected || c == Unchecked && p.Serving || (c == Spare || c == GaveWay) && w.in.Servers[i].Verdict == Unknown {
			weight, count = weight+p.Reason.Base, count+1
		} else if c == GaveWay || c == Spare {
			return // The cause hides whether the server counted.
		}
	}
	threshold := w.service.Quorum - w.service.Hysteresis
	if before.Short {
		threshold = w.service.Quorum + w.service.Hysteresis
	}
	want := count == 0 || w.service.Quorum > 0 && (weight < threshold || weight == 0) || count < w.service.MinCount || 100*count < w.service.MinPercent*pool
	if d.Short != want {
		w.t.Fatalf("quorum and minimum decide: weight %d, %d of %d servers, threshold %d, short %t", weight, count, pool, threshold, d.Short)
	}
	for i, p := range d.Servers {
		if p.Reason.Cause == Spare && (w.service.Servers[i].Tier == 0 || d.Short) {
			w.t.Fatalf("a spare tier joins when it is needed: server %d", i)
		}
	}
}

// capped: checks take out at most the cap within the window.
func (w *world) capped(d Decision, before, after Memory) {
	for i := range d.Servers {
		if at := after.Servers[addr(i)].Ejected; !at.Equal(before.Servers[addr(i)].Ejected) && !at.IsZero() {
			w.ejected[i] = at
		}
		if back := d.Servers[i].Serving || d.Servers[i].Reason.Cause == GaveWay || d.Servers[i].Reason.Cause == Spare; back && w.service.EjectWindow == 0 {
			delete(w.ejected, i)
		}
	}
	if w.service.EjectPercent == 0 {
		return
	}
	within := 0
	for _, at := range w.ejected {
		within += one(w.service.EjectWindow == 0 || w.in.Now.Sub(at) < w.service.EjectWindow)
	}
	if limit := max(1, len(d.Servers)*w.service.EjectPercent/100); within > limit {
		w.t.Fatalf("at most the cap is ejected: %d of %d", within, limit)
	}
	for i, p := range d.Servers {
		failed := p.Reason.Cause == Failed && len(w.last.Servers) > 0 && w.last.Servers[i].Reason.Cause == Passed && before.Servers[addr(i)].Served
		if failed && !w.in.Starting && !after.Servers[addr(i)].Ejected.Equal(w.in.Now) {
			w.t.Fatalf("every ejection counts: server %d", i)
		}
	}
}

// steady: while only the time changes, a weight does not go up and down again.
func (w *world) steady(d Decision) {
	if w.calm == 0 || len(w.last.Servers) == 0 {
		return
	}
	for i, p := range d.Servers {
		last := w.last.Servers[i]
		settled := last.Reason == p.Reason && p.Reason.Cause != Rising
		if settled && last.Weight != p.Weight {
			w.t.Fatalf("no oscillation: server %d from %d to %d because %s", i, last.Weight, p.Weight, p.Reason)
		}
	}
	if w.last.Short && !d.Short && w.last.Next.IsZero() || !w.last.Short && d.Short && w.last.Next.IsZero() && !w.in.Starting {
		w.t.Fatalf("no oscillation: short %t without a time", d.Short)
	}
	if w.last.Next.IsZero() || w.in.Now.Before(w.last.Next) {
		for i, p := range d.Servers {
			if p.Weight != w.last.Servers[i].Weight {
				w.t.Fatalf("nothing changes before the announced time: server %d from %d to %d", i, w.last.Servers[i].Weight, p.Weight)
			}
		}
	}
}

func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for _, what := range rapid.SliceOfN(rapid.Uint16(), 200, 200).Draw(t, "steps") {
			w.step(what)
			w.decide()
		}
	})
}
