package health

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/check"
	"lvs-agents/internal/check/epoll"
	"lvs-agents/internal/config"
)

// checkFunc is a check whose result a test sets.
type checkFunc func(context.Context) error

func (f checkFunc) Check(ctx context.Context) error { return f(ctx) }

func probe(n int, interval, timeout time.Duration) Probe {
	addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
	return Probe{Check: config.Check{Type: config.Connect, Interval: interval, Timeout: timeout}, Addr: netip.AddrPortFrom(addr, 80)}
}

// turning runs a wheel with probes for the time span, and returns the start times of the checks of
// each probe.
func turning(t *testing.T, probes []Probe, span time.Duration, f checkFunc) map[Probe][]time.Duration {
	t.Helper()
	starts := map[Probe][]time.Duration{}
	synctest.Test(t, func(t *testing.T) {
		results := make(chan result)
		w := newWheel(results)
		ctx, cancel := context.WithTimeout(t.Context(), span)
		defer cancel()
		ended := background(func() { w.run(ctx) })
		var targets []target
		began := time.Now()
		var mu sync.Mutex
		for _, p := range probes {
			targets = append(targets, target{p, checkFunc(func(ctx context.Context) error {
				mu.Lock()
				starts[p] = append(starts[p], time.Since(began))
				mu.Unlock()
				return f(ctx)
			})})
		}
		w.changes <- targets
		for open := true; open; {
			select {
			case <-results:
			case <-ended:
				open = false
			}
		}
	})
	return starts
}

func good(context.Context) error { return nil }

func TestEachProbeStartsOnceInItsInterval(t *testing.T) {
	var probes []Probe
	for n := range 100 {
		probes = append(probes, probe(n, time.Second, time.Second))
	}
	// The check is due after more than one turn of the wheel.
	slow := probe(200, 30*time.Second, time.Second)
	starts := turning(t, append(probes, slow), 100*time.Second+slot/2, good)
	for p, at := range starts {
		every := p.Interval
		if n, want := len(at), int(100*time.Second/every); n < want || n > want+2 {
			t.Errorf("%s every %s: started %d times in 100 s", p.Addr, every, n)
		}
		if at[0] > 250*time.Millisecond {
			t.Errorf("%s: first start after %s", p.Addr, at[0])
		}
		for i := 2; i < len(at); i++ {
			if gap := at[i] - at[i-1]; gap != every {
				t.Errorf("%s: %s between two starts, want %s", p.Addr, gap, every)
			}
		}
	}
	if len(starts) != 101 {
		t.Errorf("%d of 101 probes were started", len(starts))
	}
}

func TestPhasesAreSpreadAndStable(t *testing.T) {
	slots := map[int64]int{}
	for n := range 250 {
		slots[phase(probe(n, time.Second, time.Second))%100]++
	}
	for slot, n := range slots {
		if n > 15 {
			t.Errorf("%d of 250 probes in slot %d", n, slot)
		}
	}
	if a, b := phase(probe(1, time.Second, time.Second)), phase(probe(1, time.Second, time.Second)); a != b {
		t.Errorf("phases of one probe: %d, %d", a, b)
	}
}

func TestSilentServerHasOneCheckAtATime(t *testing.T) {
	p := probe(1, time.Second, 3*time.Second)
	running := make(chan struct{}, 1)
	starts := turning(t, []Probe{p}, 30*time.Second, func(ctx context.Context) error {
		select {
		case running <- struct{}{}:
		default:
			t.Error("two checks at a time")
		}
		<-ctx.Done()
		<-running
		return ctx.Err()
	})
	if n := len(starts[p]); n < 7 || n > 11 {
		t.Errorf("started %d times in 30 s", n)
	}
}

// TestCheckThatNeverEnds checks that a check that never ends fails in each of its intervals. It
// also checks that the wheel can end meanwhile.
func TestCheckThatNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := probe(1, time.Second, 3*time.Second)
		release := make(chan struct{})
		defer close(release)
		results := make(chan result, 100)
		w := newWheel(results)
		ctx, cancel := context.WithCancel(t.Context())
		ended := background(func() { w.run(ctx) })
		w.changes <- []target{{p, checkFunc(func(context.Context) error { <-release; return nil })}}
		<-time.After(30 * time.Second)
		if n := len(results); n < 20 || n > 23 {
			t.Errorf("%d results in 30 s", n)
		}
		for range len(results) {
			if r := <-results; r.probe != p || !errors.Is(r.err, errStuck) {
				t.Errorf("%v", r)
			}
		}
		cancel()
		<-ended
	})
}

// TestNoCheckWaitsForAnother checks that slow, silent and refused checks do not delay the checks of
// other probes.
func TestNoCheckWaitsForAnother(t *testing.T) {
	const span = 60 * time.Second
	synctest.Test(t, func(t *testing.T) {
		results := make(chan result)
		w := newWheel(results)
		ctx, cancel := context.WithTimeout(t.Context(), span)
		defer cancel()
		ended := background(func() { w.run(ctx) })
		var mu sync.Mutex
		starts := map[Probe][]time.Duration{}
		running := map[Probe]int{}
		began := time.Now()
		var targets []target
		for n := range 240 {
			p := probe(n, time.Duration(n%4+1)*500*time.Millisecond, 3*time.Second)
			targets = append(targets, target{p, checkFunc(func(ctx context.Context) error {
				mu.Lock()
				starts[p] = append(starts[p], time.Since(began))
				if running[p]++; running[p] > 1 {
					t.Errorf("%s: two checks at a time", p.Addr)
				}
				mu.Unlock()
				defer func() {
					mu.Lock()
					running[p]--
					mu.Unlock()
				}()
				switch n % 3 {
				case 0: // the check succeeds after almost its whole interval
					<-time.After(p.Interval - slot)
				case 1: // the check gets no reply
					<-ctx.Done()
					return ctx.Err()
				}
				return errors.New("refused")
			})})
		}
		w.changes <- targets
		for open := true; open; {
			select {
			case <-results:
			case <-ended:
				open = false
			}
		}
		for n := range 240 {
			p := probe(n, time.Duration(n%4+1)*500*time.Millisecond, 3*time.Second)
			at := starts[p]
			for i := 2; i < len(at); i++ {
				gap := at[i] - at[i-1]
				if late := gap % p.Interval; late != 0 {
					t.Errorf("%d: %s after its time", n, late)
				}
				// A check of a silent server runs until its timeout, so it misses the turns in that time.
				if silent := n%3 == 1; !silent && gap != p.Interval || silent && gap > p.Timeout+p.Interval {
					t.Errorf("%d: %s between two starts", n, gap)
				}
			}
			if least := int(span/max(p.Interval, p.Timeout+p.Interval)) - 1; len(at) < least {
				t.Errorf("%d: started %d times", n, len(at))
			}
		}
	})
}

// TestChecksThatConnectTogether checks the results of connect checks that are due together. One
// server accepts the connection and the other server refuses it.
func TestChecksThatConnectTogether(t *testing.T) {
	dialer, err := epoll.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer dialer.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	results := make(chan result)
	w := newWheel(results)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := background(func() { w.run(ctx) })
	defer func() { cancel(); <-ended }()
	want := map[Probe]string{}
	var targets []target
	for n := range 30 {
		addr, reason := netip.MustParseAddrPort(listener.Addr().String()), ""
		if n%2 == 1 {
			addr = netip.MustParseAddrPort("127.0.0.8:1")
			reason = "connect to 127.0.0.8:1: connection refused"
		}
		p := Probe{Check: config.Check{Type: config.Connect, Interval: slot, Timeout: time.Minute, Fall: n}, Addr: addr}
		want[p] = reason
		targets = append(targets, target{p, check.Connect{Addr: addr, Source: check.NewSources(), Dialer: dialer}})
	}
	w.changes <- targets
	for seen := map[Probe]int{}; len(seen) < len(want) || seen[targets[0].probe] < 3; {
		r := <-results
		got := ""
		if r.err != nil {
			got = r.err.Error()
		}
		if got != want[r.probe] {
			t.Errorf("got %q, want %q", got, want[r.probe])
		}
		seen[r.probe]++
	}
}

func TestReplacedProbeStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := make(chan result, 1000)
		w := newWheel(results)
		ctx, cancel := context.WithCancel(t.Context())
		ended := background(func() { w.run(ctx) })
		first, second := probe(1, time.Second, time.Second), probe(2, time.Second, time.Second)
		w.changes <- []target{{first, checkFunc(good)}}
		<-time.After(5 * time.Second)
		w.changes <- []target{{second, checkFunc(good)}}
		synctest.Wait()
		for len(results) > 0 {
			<-results
		}
		<-time.After(5 * time.Second)
		cancel()
		<-ended
		close(results)
		for r := range results {
			if r.probe != second {
				t.Fatalf("result of %s", r.probe.Addr)
			}
		}
	})
}

// TestMovedProbes moves probes between intervals at random times. Each probe must stay on the wheel
// once. Two checks must never be closer than the shortest interval between them.
func TestMovedProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		intervals := []time.Duration{10 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond, 5 * time.Second, 30 * time.Second}
		random := rand.New(rand.NewPCG(1, 2))
		results := make(chan result, 1<<17)
		w := newWheel(results)
		ctx, cancel := context.WithCancel(t.Context())
		ended := background(func() { w.run(ctx) })
		var mu sync.Mutex
		last, closest := map[Probe]time.Time{}, map[Probe]time.Duration{}
		var probes []Probe
		var targets []target
		for n := range 50 {
			p := probe(n, time.Second, time.Second)
			probes = append(probes, p)
			targets = append(targets, target{p, checkFunc(func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				if before, has := last[p]; has && time.Since(before) < closest[p] {
					t.Errorf("%s: %s after the last check, want at least %s", p.Addr, time.Since(before), closest[p])
				}
				// The second check of a probe can come at any time after the first one.
				if _, has := last[p]; has {
					closest[p] = w.present(p)
				}
				last[p] = time.Now()
				return nil
			})})
		}
		w.changes <- targets
		<-time.After(slot / 2) // No move is at the same time as a turn.
		for range 5000 {
			<-time.After(time.Duration(random.IntN(3)) * slot)
			p, next := probes[random.IntN(len(probes))], intervals[random.IntN(len(intervals))]
			mu.Lock()
			w.move(p, next)
			closest[p] = min(closest[p], next)
			mu.Unlock()
		}
		w.move(probe(99, time.Second, time.Second), time.Minute) // The wheel does not have it.
		places := map[*spoke]int{}
		w.mu.Lock()
		for _, due := range w.ring {
			for _, s := range due {
				places[s]++
			}
		}
		w.mu.Unlock()
		for _, p := range probes {
			if n := places[w.spokes[p]]; n != 1 {
				t.Errorf("%s is on the wheel %d times", p.Addr, n)
			}
		}
		if len(places) != len(probes) {
			t.Errorf("%d probes on the wheel, want %d", len(places), len(probes))
		}
		cancel()
		<-ended
	})
}

// present returns the present interval of a probe.
func (w *wheel) present(p Probe) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.spokes[p].every) * slot
}

// TestMoveDuringALongCheck checks the time of the check after a timeout. It must be in the next
// slot of the fast interval, and not of the steady interval.
func TestMoveDuringALongCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := probe(1, time.Minute, 3*time.Second)
		results := make(chan result)
		w := newWheel(results)
		ctx, cancel := context.WithCancel(t.Context())
		ended := background(func() { w.run(ctx) })
		w.changes <- []target{{p, checkFunc(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })}}
		for n := range 5 {
			<-results
			end := time.Now()
			w.move(p, time.Second)
			synctest.Wait()
			if wait := w.upcoming(p).Sub(end); wait <= 0 || wait > time.Second {
				t.Errorf("check %d: the next one starts %s after the timeout", n, wait)
			}
		}
		cancel()
		<-ended
	})
}

// BenchmarkTurn measures the turns of the wheel that start ten thousand checks once a second.
// BenchmarkMove measures the move of one of them.
func BenchmarkTurn(b *testing.B) {
	w, _ := full(10000)
	now := int64(slots)
	b.ReportAllocs()
	for b.Loop() {
		for range 100 {
			now++
			w.turn(b.Context(), now)
		}
	}
}

func BenchmarkMove(b *testing.B) {
	w, probes := full(10000)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		w.move(probes[n%len(probes)], time.Duration(1+n/len(probes)%2)*time.Second)
		n++
	}
}

// full returns a wheel whose checks never end, so that a turn only places them.
func full(n int) (w *wheel, probes []Probe) {
	w = newWheel(nil)
	var targets []target
	for i := range n {
		p := probe(0, time.Second, time.Hour)
		p.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)
		probes, targets = append(probes, p), append(targets, target{p, checkFunc(good)})
	}
	w.replace(targets)
	for _, s := range w.spokes {
		s.began = time.Now()
		s.state.Store(running)
	}
	return w, probes
}

func TestWheelThatTurnsIsYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWheel(nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := background(func() { w.run(ctx) })
		<-time.After(time.Minute + 300*time.Millisecond)
		if age := w.age(); age > time.Second {
			t.Errorf("age %s", age)
		}
		cancel()
		<-ended
		<-time.After(time.Minute)
		if age := w.age(); age < time.Minute {
			t.Errorf("age %s of a wheel that stands", age)
		}
	})
}

func TestTracker(t *testing.T) {
	bad := errors.New("refused")
	tests := []struct {
		name    string
		fall    int
		results []error
		want    Verdict
		changes int
	}{
		{"nothing yet", 1, nil, Unknown, 0},
		{"good at once", 3, []error{nil}, Good, 1},
		{"bad at once", 1, []error{bad}, Bad, 1},
		{"not bad yet", 3, []error{nil, bad, bad}, Good, 1},
		{"bad", 3, []error{nil, bad, bad, bad}, Bad, 2},
		{"failures in a row count", 2, []error{nil, bad, nil, bad}, Good, 1},
		{"one success brings it back", 2, []error{bad, bad, bad, nil}, Good, 2},
	}
	rising := []struct {
		name    string
		rise    int
		results []error
		want    Verdict
	}{
		{"the first success decides alone", 3, []error{nil}, Good},
		{"not back yet", 3, []error{bad, nil, nil}, Bad},
		{"back", 3, []error{bad, nil, nil, nil}, Good},
		{"successes in a row count", 2, []error{bad, nil, bad, nil}, Bad},
		{"a failure that changed nothing does not count", 2, []error{nil, nil}, Good},
	}
	for _, tt := range rising {
		tr := tracker{fall: 1, rise: tt.rise}
		for _, err := range tt.results {
			tr.record(time.Now(), err)
		}
		if tr.verdict != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, tr.verdict, tt.want)
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := tracker{fall: tt.fall}
			changes := 0
			for _, err := range tt.results {
				if tr.record(time.Now(), err) {
					changes++
				}
			}
			if tr.verdict != tt.want || changes != tt.changes {
				t.Errorf("got %s after %d changes, want %s after %d", tr.verdict, changes, tt.want, tt.changes)
			}
		})
	}
}

// TestPauseAsLongAsAConnectTurn checks that a pause as long as the connect timeout excuses a
// combined check, even if its negotiate timeout is longer.
func TestPauseAsLongAsAConnectTurn(t *testing.T) {
	for connect, want := range map[time.Duration]bool{5 * time.Second: true, 30 * time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			p := probe(1, time.Second, 30*time.Second)
			p.Type, p.NegotiateTimeout, p.ConnectTimeout = config.Combined, 30*time.Second, connect
			w := newWheel(nil)
			began := w.began
			<-time.After(5 * time.Second)
			w.due.Store(int64(5 * time.Second))
			w.note(pause{0, 5 * time.Second})
			if got := w.paused(&spoke{probe: p, began: began}); got != want {
				t.Errorf("%v: excused %t, want %t", connect, got, want)
			}
		})
	}
}

// TestFailureOfAPause checks that the wheel ignores the timeout of a check once if the process was
// suspended during the check.
func TestFailureOfAPause(t *testing.T) {
	silent, refused := context.DeadlineExceeded, errors.New("refused")
	const limit = 2 * time.Second
	now := 100 * time.Second // now is the time since the start of the wheel.
	tests := []struct {
		name  string
		stood []pause
		asked time.Duration
		// began is the start of the check, measured from the start of the wheel.
		began time.Duration
		err   error
		want  int // want is the number of results that the daemon gets from two checks.
	}{
		{"it ran", nil, now, now - limit, silent, 2},
		{"stopped, and has turned since", []pause{{now - 5*limit, now}}, now, now - 6*limit, silent, 1},
		{"stopped, and has not turned", nil, now - limit, now - 2*limit, silent, 1},
		{"stopped for a part of its time", []pause{{now - limit/3, now}}, now, now - limit, silent, 2},
		{"stopped before", []pause{{now - 9*limit, now - 5*limit}}, now, now - limit, silent, 2},
		{"a short pause behind a long one", []pause{{now - 5*limit, now - limit/4}, {now - limit/5, now}}, now, now - 6*limit, silent, 1},
		{"the last one was long ago", []pause{{now - 98*time.Second, now - 80*time.Second}, {now - 2*limit, now}}, now, now - 3*limit, silent, 1},
		{"stopped, but it was answered", []pause{{now - 5*limit, now}}, now, now - 6*limit, refused, 2},
		{"stopped, and good", []pause{{now - 5*limit, now}}, now, now - 6*limit, nil, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				results := make(chan result, 9)
				w := newWheel(results)
				w.began = time.Now().Add(-now)
				for _, p := range tt.stood {
					w.note(p)
				}
				w.due.Store(int64(tt.asked))
				s := &spoke{probe: probe(1, time.Second, limit)}
				for range 2 {
					s.began = w.began.Add(tt.began)
					w.ended(t.Context(), s, check.Trace{}, tt.err)
				}
				if len(results) != tt.want {
					t.Errorf("%d results, want %d", len(results), tt.want)
				}
			})
		})
	}
}
