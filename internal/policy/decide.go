package policy

import (
	"cmp"
	"hash/fnv"
	"math"
	"net/netip"
	"slices"
	"time"
)

// Decide returns the decision for a service, and the memory for the next decision. It changes none
// of its arguments. in must have one element for each server of the service.
func (s *Service) Decide(in Input, before Memory) (Decision, Memory) {
	r := &round{Service: s, in: in, before: before, after: Memory{Servers: make(map[netip.AddrPort]Past, len(s.Servers))}}
	r.out.Servers = make([]Place, len(s.Servers))
	r.past = make([]Past, len(s.Servers))
	for i := range s.Servers {
		r.past[i] = r.remembered(i)
		r.judge(i)
	}
	r.suspect()
	r.eject()
	for i := range s.Servers {
		r.rise(i)
	}
	r.choose()
	r.remember()
	return r.out, r.after
}

// round is the state of one call of Decide.
type round struct {
	*Service
	in     Input
	before Memory
	after  Memory
	past   []Past
	out    Decision
	// failing has the indexes of the servers that served before and whose checks fail now.
	failing []int
}

// remembered returns what the memory has about a server. A server without memory has served if the
// daemon found it with a weight. While the daemon starts, every server counts as one that served.
func (r *round) remembered(i int) Past {
	past, known := r.before.Servers[r.Servers[i].Addr]
	past.Served = past.Served || r.in.Starting || !known && r.in.Servers[i].Found > 0
	return past
}

// until makes the next decision come at t or before.
func (r *round) until(t time.Time) {
	if t.After(r.in.Now) && (r.out.Next.IsZero() || t.Before(r.out.Next)) {
		r.out.Next = t
	}
}

// orders returns the strongest order for a server that counts now, and the weight that the server
// has because of orders or the configuration.
func (r *round) orders(i int) (strongest Order, weight int) {
	weight = r.Servers[i].Weight
	strength := func(o Order) int { return slices.Index([]Kind{"", Weigh, Drain, Maint, Remove}, o.Kind) }
	for _, o := range r.in.Servers[i].Orders {
		r.until(o.Since)
		r.until(o.Until)
		if !o.Active(r.in.Now) {
			continue
		}
		if o.Kind == Weigh || o.Kind == Add {
			weight = o.Weight
		}
		if strength(o) > strength(strongest) {
			strongest = o
		}
	}
	return strongest, weight
}

// judge decides about one server without its neighbours.
func (r *round) judge(i int) {
	seen := r.in.Servers[i]
	order, base := r.orders(i)
	reason := Reason{Cause: Passed, Base: base, Percent: 100, Order: order, Says: seen.Says}
	if seen.Says.HasWeight {
		reason.Percent = min(max(seen.Says.Weight, 0), 100)
		if reason.Percent == 0 && reason.Says.Mode == "" {
			reason.Says.Mode = Drain
		}
	}
	weight := 0
	switch {
	case order.Kind == Drain || order.Kind == Maint:
		reason.Cause = Ordered
	case order.Kind == Remove:
		reason.Cause, weight = Ordered, Out
	case seen.Verdict == Bad || seen.Says.Down:
		reason.Cause, weight = Failed, r.failed(i)
		r.failing = append(r.failing, i)
	case reason.Says.Mode != "":
		reason.Cause = Said
	case seen.Verdict == Unknown:
		reason.Cause, reason.Initial = Unchecked, r.Initial
		if r.Initial == Down || r.Initial == AsFound && seen.Found <= 0 {
			reason.Percent, weight = 0, min(seen.Found, 0)
		}
	}
	r.put(i, reason, weight)
}

// put sets the place of a server. If the reason gives the weight 0, the weight is other: 0 or Out.
func (r *round) put(i int, reason Reason, other int) {
	p := Place{Reason: reason, Weight: reason.Weight(), Serving: reason.serves(), MaxConn: r.in.Servers[i].Says.MaxConn}
	if !p.Serving {
		p.Weight = other
	}
	r.out.Servers[i] = p
}

// failed returns the weight of a server whose checks fail.
func (r *round) failed(i int) int {
	if !r.Stay || r.Servers[i].Unchecked && r.in.Servers[i].Found == Out {
		return Out
	}
	return 0
}

// serves reports whether a server with this reason serves.
func (r Reason) serves() bool {
	switch r.Cause {
	case Failed, Ordered, Said, Spare, GaveWay:
		return false
	case Passed, Unchecked, Rising, Capped, Opened, Held, Suspected:
	}
	return r.Percent > 0
}

// healthy reports whether a server counts for the quorum and the minimum.
func (p Place) healthy() bool { return p.Serving && p.Reason.Cause != Capped }

// suspect lets servers serve that failed while the director suspects itself.
func (r *round) suspect() {
	r.failing = slices.DeleteFunc(r.failing, func(i int) bool {
		held := r.suspected(i)
		if held {
			r.keep(i, Suspected, r.in.Suspect.Until)
		}
		return held
	})
}

// eject lets failing servers serve while checks have taken out as many servers as they can. The
// server whose failure is the oldest goes first.
func (r *round) eject() {
	counted, expiry := r.counted()
	slices.SortStableFunc(r.failing, func(a, b int) int {
		return r.in.Servers[a].Since.Compare(r.in.Servers[b].Since)
	})
	for _, i := range r.failing {
		switch past := &r.past[i]; {
		case !past.Served || r.in.Starting:
		case counted >= r.limit():
			r.keep(i, Capped, expiry)
			r.after.Capped = true
		default:
			past.Ejected, past.Served = r.in.Now, false
			if r.EjectPercent > 0 {
				counted, expiry = r.counted()
			}
		}
	}
}

// counted returns the number of servers whose last ejection still counts, and when the first of
// them does not count any more. Without a window, an ejection counts until the server serves.
func (r *round) counted() (n int, expiry time.Time) {
	for i, p := range r.out.Servers {
		if r.EjectWindow == 0 && p.Serving {
			r.past[i].Ejected = time.Time{}
		}
		if until, counts := r.counts(i); counts {
			n++
			if expiry.IsZero() || until.Before(expiry) {
				expiry = until
			}
		}
	}
	return n, expiry
}

// keep lets a failing server serve.
func (r *round) keep(i int, cause Cause, until time.Time) {
	reason := r.out.Servers[i].Reason
	reason.Cause, reason.Until = cause, until
	reason.Percent = 100
	r.until(until)
	r.put(i, reason, r.failed(i))
}

// suspected reports whether a server that failed continues to serve because the director suspects
// itself.
func (r *round) suspected(i int) bool {
	s, past := r.in.Suspect, r.past[i]
	return r.in.Now.Before(s.Until) && !r.in.Servers[i].Since.Before(s.From) &&
		(past.Served || !past.Ejected.Before(s.From))
}

// limit returns how many servers checks can take out.
func (r *round) limit() int {
	if r.EjectPercent == 0 {
		return math.MaxInt
	}
	return max(1, len(r.Servers)*r.EjectPercent/100)
}

// counts reports whether the last ejection of a server still counts, and until when. until is zero
// without a window.
func (r *round) counts(i int) (until time.Time, counts bool) {
	at := r.past[i].Ejected
	if at.IsZero() || r.EjectWindow == 0 {
		return time.Time{}, !at.IsZero()
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.Servers[i].Addr.String()))
	jitter := r.EjectWindow * time.Duration(r.EjectJitter) / 100 * time.Duration(h.Sum32()%1000) / 1000
	until = at.Add(r.EjectWindow + jitter)
	return until, r.in.Now.Before(until)
}

// rise begins, continues or ends the slow start of one server.
func (r *round) rise(i int) {
	p, past := &r.out.Servers[i], &r.past[i]
	switch {
	case !p.Serving:
		past.Served, past.Rising = false, time.Time{}
		return
	case r.SlowStart > 0 && !past.Served && p.Reason.Cause == Passed:
		past.Rising = r.in.Now
	}
	past.Served = true
	if past.Rising.IsZero() || p.Reason.Cause != Passed {
		return
	}
	const steps = 20
	step := max(1, r.SlowStart/steps)
	n := int(r.in.Now.Sub(past.Rising) / step)
	if n >= steps {
		past.Rising = time.Time{}
		return
	}
	r.until(past.Rising.Add(time.Duration(n+1) * step))
	curve := 100 * math.Pow(float64(max(0, n))/steps, 100/float64(cmp.Or(r.Aggression, 100)))
	p.Reason.Cause = Rising
	p.Reason.Percent = max(1, max(int(curve), r.Floor)*p.Reason.Percent/100)
	p.Weight = p.Reason.Weight()
}

// sums are the healthy servers of a service, or of some of its tiers.
type sums struct{ weight, count, able int }

// sum returns the sums of the tiers up to last.
func (r *round) sum(last int) (s sums) {
	for i, p := range r.out.Servers {
		if p.healthy() && r.Servers[i].Tier <= last {
			s.weight += p.Reason.Base
			s.count++
			s.able += one(p.Weight > 0)
		}
	}
	return s
}

// short reports whether a service has too few healthy servers. was says that it already had too
// few. pool is the number of servers that no operator has taken out.
func (s Settings) short(have sums, pool int, was bool) bool {
	quorum := s.Quorum - s.Hysteresis
	if was {
		quorum = s.Quorum + s.Hysteresis
	}
	return have.count == 0 || s.Quorum > 0 && have.weight < max(1, quorum) ||
		have.count < s.MinCount || have.count*100 < s.MinPercent*pool
}

// choose decides about the servers of a service together: the tiers, and the shortage.
func (r *round) choose() {
	last, pool := 0, 0
	for i, p := range r.out.Servers {
		last = max(last, r.Servers[i].Tier)
		pool += one(p.Reason.Cause != Ordered)
	}
	r.out.Short = r.short(r.sum(last), pool, r.before.Short)
	for tier := range last {
		have := r.sum(tier)
		if have.able >= max(1, r.TierMin) && !r.short(have, pool, r.out.Short) {
			r.rest(Spare, func(i int) bool { return r.Servers[i].Tier > tier })
			break
		}
	}
	if r.out.Short {
		r.shortage()
	}
	serving := func(p Place) bool { return p.Serving }
	r.out.Fallback = !slices.ContainsFunc(r.out.Servers, serving)
}

// rest gives the weight 0 to serving servers. Their open connections continue.
func (r *round) rest(cause Cause, those func(i int) bool) {
	for i, p := range r.out.Servers {
		if p.Serving && those(i) {
			reason := p.Reason
			reason.Cause = cause
			r.put(i, reason, 0)
		}
	}
}

// shortage decides what serves while too few servers are healthy.
func (r *round) shortage() {
	switch {
	case r.Shortage == Fallback && r.Fallbacks:
		r.rest(GaveWay, func(int) bool { return true })
	case r.Shortage == FailOpen:
		r.open(Opened, func(i int) bool { return !r.Servers[i].Unchecked })
	case r.Shortage == Hold:
		r.open(Held, func(i int) bool { return r.past[i].Kept })
	}
}

// open lets servers serve that do not serve because of their checks.
func (r *round) open(cause Cause, those func(i int) bool) {
	for i, p := range r.out.Servers {
		if !p.Serving && (p.Reason.Cause == Failed || p.Reason.Cause == Unchecked) && those(i) {
			reason := p.Reason
			reason.Cause, reason.Percent = cause, 100
			r.put(i, reason, p.Weight)
		}
	}
}

// remember makes the memory, and the alerts from the difference of the memories. While the daemon
// starts, nothing is a shortage yet.
func (r *round) remember() {
	r.after.Short = r.out.Short && !r.in.Starting
	for i, s := range r.Servers {
		if !r.out.Short && !r.in.Starting {
			r.past[i].Kept = r.out.Servers[i].Weight > 0
		}
		r.after.Servers[s.Addr] = r.past[i]
	}
	r.alert(r.before.Short, r.after.Short, QuorumDown, QuorumUp)
	r.alert(r.before.Capped, r.after.Capped, CapReached, CapLeft)
}

func (r *round) alert(before, after bool, began, ended Alert) {
	switch {
	case after && !before:
		r.out.Alerts = append(r.out.Alerts, began)
	case before && !after:
		r.out.Alerts = append(r.out.Alerts, ended)
	}
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}
