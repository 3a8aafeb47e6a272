package health

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lvs-agents/internal/check"
)

// slot is the time step of the wheel. The wheel starts all checks that are due within one slot
// together.
const slot = 10 * time.Millisecond

// slots is the number of slots in one turn of the wheel. A check that is due later than one turn
// from now stays in its slot for several turns.
const slots = 1024

// result is the outcome of one check: nil, or the error of the check.
type result struct {
	probe Probe
	err   error
	at    time.Time
	trace check.Trace // trace is what the check measured. It is zero if the check has not ended.
	hint  bool        // hint says that the check came from a hint.
}

// wheel starts each check once in its interval. The slot in the interval depends only on the probe,
// so that the checks stay spread over time. One goroutine runs the wheel. Other goroutines can move
// probes.
type wheel struct {
	results chan<- result
	changes chan []target
	moved   chan struct{} // moved signals that a probe can be due before the next turn.
	// ticked is the time when the wheel last turned, in nanoseconds since began.
	ticked atomic.Int64
	// due is the latest time of the next turn, in nanoseconds since began.
	due   atomic.Int64
	stood atomic.Pointer[pause] // stood is the longest pause of the last minute. Nil means none.

	began   time.Time
	running sync.WaitGroup

	mu     sync.Mutex // mu protects the fields below, and when each spoke is due.
	turned int64      // turned is the number of slots from began to the last turn.
	ring   [slots][]*spoke
	spokes map[Probe]*spoke
}

// target is a probe and the checker that runs it.
type target struct {
	probe   Probe
	checker check.Checker
}

// spoke is the place of one probe on the wheel, with the state of its last check.
type spoke struct {
	probe   Probe
	checker check.Checker
	at      int64 // at is the slot of the next check. Slot 0 is the start of the wheel.
	last    int64 // last is the slot of the last check that started.
	every   int64 // every is the present interval in slots.
	turn    int64 // turn is the slot in each interval.
	state   atomic.Int32
	began   time.Time // began is the time when the last check of this probe started.
	// excused says that the wheel ignored the timeout of the last check, because of a pause.
	excused bool
	// hurried is the slot of the last hint. 0 means none.
	hurried int64
	hinted  bool // hinted says that the next check comes from a hint.
	hint    bool // hint says that the last check came from a hint.
	gone    bool // gone says that replace has removed the probe from the wheel.
}

// States of a spoke.
const (
	idle = iota
	running
	reporting // reporting: the check has ended, and its result waits until the daemon reads it.
)

// pause is a period when the wheel should have turned but did not. The process or its host was
// suspended, or the process got no CPU time.
type pause struct{ from, to time.Duration }

func (p pause) long() time.Duration { return p.to - p.from }

func newWheel(results chan<- result) *wheel {
	return &wheel{
		results: results, changes: make(chan []target), moved: make(chan struct{}, 1), spokes: map[Probe]*spoke{}, began: time.Now(),
	}
}

// grace is how long a check can take to end after its timeout. A check that takes longer runs a
// program that cannot be killed, for example in a file system that hangs.
const grace = 5 * time.Second

var errStuck = errors.New("the previous check has not ended, and the daemon cannot end it")

// run turns the wheel until ctx ends. After that, run waits until every check has ended, but at
// most for grace.
func (w *wheel) run(ctx context.Context) {
	defer func() {
		select {
		case <-background(w.running.Wait):
		case <-time.After(grace):
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case probes := <-w.changes:
			w.replace(probes)
		case <-w.moved:
		case <-timer.C:
		}
		now := time.Since(w.began)
		w.note(pause{time.Duration(w.due.Load()), now})
		w.ticked.Store(int64(now))
		w.turn(ctx, int64(now/slot))
		next := w.next()
		w.due.Store(int64(time.Since(w.began) + next))
		timer.Reset(next)
	}
}

// replace sets the probes that the wheel runs. Probes that were already on the wheel keep their
// slot. The first checks of new probes start soon, because an operator waits for them. These checks
// start in the order of the configuration, so that the log has this order.
func (w *wheel) replace(targets []target) {
	stays := map[Probe]bool{}
	for _, t := range targets {
		stays[t.probe] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for probe, s := range w.spokes {
		if !stays[probe] {
			s.gone = true // The function turn removes the spoke when the wheel next passes its slot.
			delete(w.spokes, probe)
		}
	}
	now := int64(time.Since(w.began) / slot)
	for i, t := range targets {
		if w.spokes[t.probe] == nil {
			s := &spoke{probe: t.probe, checker: t.checker}
			s.pace(inSlots(t.probe.Interval))
			w.spokes[t.probe] = s
			w.place(s, now+1+int64(i)*soon/int64(len(targets)))
		}
	}
}

// turn starts all checks that are due in the slots up to now.
func (w *wheel) turn(ctx context.Context, now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// after a long pause, one turn of the ring contains every spoke
	from := max(w.turned+1, now-slots+1)
	w.turned = max(w.turned, now)
	groups := groups{}
	for at := from; at <= now; at++ {
		due := w.ring[at%slots]
		w.ring[at%slots] = nil
		for _, s := range due {
			switch {
			case s.gone:
			case s.at > now: // The check of this spoke is due in a later turn of the ring.
				w.ring[at%slots] = append(w.ring[at%slots], s)
			default:
				if w.start(ctx, s, groups) {
					s.last = s.at
				}
				w.place(s, s.after(now))
			}
		}
	}
	for of, g := range groups {
		w.running.Go(func() { w.together(ctx, of, g) })
	}
}

func (w *wheel) place(s *spoke, at int64) {
	s.at = at
	w.ring[at%slots] = append(w.ring[at%slots], s)
}

// move gives a probe another interval from now on. The next check starts in a slot of the new
// interval. It is not closer to the last check than the shorter of both intervals. move ignores
// a probe that is not on the wheel.
func (w *wheel) move(p Probe, interval time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, every := w.spokes[p], inSlots(interval)
	if s == nil || s.every == every {
		return
	}
	closest := s.last + min(s.every, every)
	s.pace(every)
	s.hinted = false
	w.shift(s, s.after(max(int64(time.Since(w.began)/slot), closest-1)))
}

// hurry starts the next check of a probe in the next slot because of a hint. The probe keeps its
// slots after that. hurry ignores a probe that is not on the wheel or is being checked. It also
// ignores a second hint within one interval.
func (w *wheel) hurry(p Probe) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, now := w.spokes[p], int64(time.Since(w.began)/slot)
	if s == nil || s.state.Load() != idle || s.at <= now+1 || s.hurried > 0 && now < s.hurried+s.every {
		return
	}
	s.hurried, s.hinted = now, true
	w.shift(s, now+1)
}

// shift moves the next check of a spoke into another slot.
func (w *wheel) shift(s *spoke, at int64) {
	due := &w.ring[s.at%slots]
	i := slices.Index(*due, s)
	*due = slices.Delete(*due, i, i+1)
	w.place(s, at)
	select {
	case w.moved <- struct{}{}:
	default:
	}
}

// start runs the check of one spoke, and reports whether it did. It adds a connect check to a group
// instead. It skips the check if the last check of the spoke has not ended, or if the daemon has
// not read its result. If the last check does not end at all, start reports errStuck.
func (w *wheel) start(ctx context.Context, s *spoke, groups groups) bool {
	if !s.state.CompareAndSwap(idle, running) {
		if s.state.Load() == running && time.Since(w.since(s)) > s.probe.Timeout+grace {
			select {
			case w.results <- result{probe: s.probe, err: errStuck, at: time.Now()}:
			default: // The channel is full. The next turn reports the error again.
			}
		}
		return false
	}
	s.began = time.Now()
	s.hint, s.hinted = s.hinted, false
	if c, ok := s.checker.(check.Connect); ok {
		groups.add(c, s)
		return true
	}
	limited, cancel := context.WithTimeout(ctx, s.probe.Timeout)
	w.running.Go(func() {
		trace, err := check.Traced(limited, s.began, s.checker)
		cancel()
		w.ended(ctx, s, trace, err)
	})
	return true
}

// together runs the connect checks of a group with one dialer.
func (w *wheel) together(ctx context.Context, of shared, g *group) {
	limited, cancel := context.WithTimeout(ctx, of.timeout)
	defer cancel()
	check.ConnectAll(limited, of.dialer, g.checks, func(i int, err error) {
		trace := check.Trace{Total: time.Since(g.spokes[i].began)}
		if err == nil {
			trace.Connect = trace.Total
		}
		w.ended(ctx, g.spokes[i], trace, err)
	})
}

// ended sends the result of a finished check to the daemon.
func (w *wheel) ended(ctx context.Context, s *spoke, trace check.Trace, err error) {
	at := time.Now()
	defer s.state.Store(idle)
	s.state.Store(reporting)
	if ctx.Err() != nil {
		return // The daemon ends, so it does not need the result any more.
	}
	s.excused = check.TimedOut(err) && !s.excused && w.paused(s)
	if s.excused {
		return
	}
	select {
	case w.results <- result{s.probe, err, at, trace, s.hint}:
	case <-ctx.Done():
	}
}

// note stores a pause if it is the longest pause of the last minute.
func (w *wheel) note(p pause) {
	old := w.stood.Load()
	if p.long() > slot && (old == nil || p.long() > old.long() || p.to-old.to > time.Minute) {
		w.stood.Store(&p)
	}
}

// paused reports whether a pause took more than half of the check's timeout. ended does not excuse
// a check twice in a row, because a slow host could otherwise hide every failure.
func (w *wheel) paused(s *spoke) bool {
	enough := s.probe.shortest() / 2
	if time.Since(w.began)-time.Duration(w.due.Load()) > enough {
		return true // The wheel is late now, so the pause has not ended yet.
	}
	stood := w.stood.Load()
	return stood != nil && stood.to > s.began.Sub(w.began) && stood.long() > enough
}

// since returns the start of the check of a spoke. If a pause ended after this start, since returns
// the end of the pause.
func (w *wheel) since(s *spoke) time.Time {
	if stood := w.stood.Load(); stood != nil && w.began.Add(stood.to).After(s.began) {
		return w.began.Add(stood.to)
	}
	return s.began
}

// group has the connect checks of one turn that run together, because a common run costs less CPU
// (docs/adr/0062-epoll-dialer.md).
type group struct {
	checks []check.Connect
	spokes []*spoke
}

// shared is the timeout and the dialer that all checks of one group use.
type shared struct {
	timeout time.Duration
	dialer  check.Dialer
}

// groups are the groups of one turn, by the timeout and the dialer that their checks share.
type groups map[shared]*group

func (g groups) add(c check.Connect, s *spoke) {
	of := shared{s.probe.Timeout, c.Dialer}
	if g[of] == nil {
		g[of] = &group{}
	}
	g[of].checks, g[of].spokes = append(g[of].checks, c), append(g[of].spokes, s)
}

// next returns the time until the next slot that has a check. It returns at most one second,
// because the age of the last turn proves that the daemon works.
func (w *wheel) next() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	const most = int64(time.Second / slot)
	for n := int64(1); n < most; n++ {
		if len(w.ring[(w.turned+n)%slots]) > 0 {
			return time.Until(w.began.Add(time.Duration(w.turned+n) * slot))
		}
	}
	return time.Second
}

// age returns the time since the last turn of the wheel.
func (w *wheel) age() time.Duration { return time.Since(w.began) - time.Duration(w.ticked.Load()) }

// upcoming returns when the wheel next starts the check of a probe, or the zero time if the wheel
// does not have the probe.
func (w *wheel) upcoming(p Probe) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.spokes[p]
	if s == nil {
		return time.Time{}
	}
	return w.began.Add(time.Duration(s.at) * slot)
}

// inSlots returns an interval in slots.
func inSlots(interval time.Duration) int64 { return max(1, int64(interval/slot)) }

// soon is a number of slots. The wheel starts the first checks of all new probes within this time.
const soon = int64(200 * time.Millisecond / slot)

// phase returns a hash of a probe. Every daemon computes the same hash for the same probe.
func phase(p Probe) int64 {
	h := fnv.New32a()
	addr, _ := p.Addr.MarshalBinary() // An error is not possible: MarshalBinary of an address never fails.
	_, _ = h.Write(addr)
	_, _ = h.Write([]byte(string(p.Type) + " " + p.Request + " " + p.VirtualHost))
	return int64(h.Sum32())
}

// turnOf returns the slot of a probe in each interval. The parameter every is the length of the
// interval in slots. Neighbouring slots that turnOf uses are a twentieth of the interval apart, at
// most 50 ms. Checks that share a wake-up cost a third of other checks
// (docs/adr/0062-epoll-dialer.md).
func turnOf(p Probe, every int64) int64 {
	const coarsest = int64(50 * time.Millisecond / slot)
	at := phase(p) % every
	return at - at%max(1, min(coarsest, every/20))
}

// pace sets the interval of a spoke in slots. The caller must then place the spoke.
func (s *spoke) pace(every int64) { s.every, s.turn = every, turnOf(s.probe, every) }

// after returns the first slot after now that turnOf gives to the probe. The first check of a probe
// does not run in that slot. So the second check can start less than one interval after the first.
func (s *spoke) after(now int64) int64 {
	return now + 1 + ((s.turn-now-1)%s.every+s.every)%s.every
}
