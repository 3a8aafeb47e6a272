package health_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
)

const threeIntervals = `checkinterval=10
fastinter=1
downinter=30
fall=3
rise=2
virtual=192.0.2.10:80
	real=192.0.2.21:80 gate
	real=192.0.2.22:80 gate
	checktype=connect
`

// gaps returns the times between the checks of a real server that start from now on, until span is
// over.
func (w *world) gaps(addr string, span time.Duration) (gaps []time.Duration) {
	w.set(func() { w.starts[addr] = nil })
	<-time.After(span)
	synctest.Wait()
	w.set(func() {
		for i, at := range w.starts[addr][1:] {
			gaps = append(gaps, at.Sub(w.starts[addr][i]))
		}
	})
	return gaps
}

// TestIntervalsFollowTheVerdict checks when a real server is checked that fails, stays down and
// comes back. The real server that is always good keeps its interval.
func TestIntervalsFollowTheVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, threeIntervals)
		w.run(t, "web", func(*health.Daemon) {
			const addr = "192.0.2.21:80"
			<-time.After(30 * time.Second)
			expect := func(name string, got []time.Duration, seconds ...time.Duration) {
				t.Helper()
				for i := range seconds {
					seconds[i] *= time.Second
				}
				if !slices.Equal(got, seconds) {
					t.Errorf("%s: %v between checks, want %v", name, got, seconds)
				}
			}
			expect("good", w.gaps(addr, 45*time.Second)[:3], 10, 10, 10)
			w.set(func() { w.down["192.0.2.21"] = true })
			down := w.gaps(addr, 110*time.Second)
			// A down server is checked in its own slot of the interval, so the first wait differs.
			if len(down) < 5 || down[2] < time.Second || down[2] > 31*time.Second {
				t.Fatalf("down: %v", down)
			}
			expect("fails", down[:2], 1, 1)
			expect("stays down", down[3:5], 30, 30)
			w.set(func() { w.down["192.0.2.21"] = false })
			back := w.gaps(addr, 60*time.Second)
			if len(back) < 4 || back[1] < time.Second || back[1] > 10*time.Second {
				t.Fatalf("back: %v", back)
			}
			expect("second success", back[:1], 1)
			expect("good again", back[2:4], 10, 10)

			w.set(func() { w.down["192.0.2.21"] = true })
			<-time.After(10 * time.Second)
			w.set(func() { w.down["192.0.2.21"] = false })
			once := w.gaps(addr, 40*time.Second)
			if slices.Max(once) > 10*time.Second {
				t.Errorf("after failures without a verdict: %v", once)
			}
			w.set(func() {
				other := w.starts["192.0.2.22:80"]
				for i := 2; i < len(other); i++ {
					if gap := other[i].Sub(other[i-1]); gap != 10*time.Second {
						t.Errorf("the other real server: %s between checks", gap)
					}
				}
			})
		})
	})
}

// TestReloadChangesIntervals checks that a real server has the new intervals after a reload. The
// explanation must show them with the time of the next check.
func TestReloadChangesIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, threeIntervals)
		w.run(t, "web", func(d *health.Daemon) {
			const addr = "192.0.2.21:80"
			w.set(func() {
				w.down["192.0.2.21"] = true
				w.text = strings.NewReplacer("downinter=30", "downinter=5", "fastinter=1", "fastinter=2").Replace(threeIntervals)
			})
			<-time.After(time.Minute)
			if err := d.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-time.After(20 * time.Second)
			gaps := w.gaps(addr, 30*time.Second)
			if slices.Min(gaps) != 5*time.Second || slices.Max(gaps) != 5*time.Second {
				t.Errorf("%v between checks, want 5s", gaps)
			}
			e, err := d.Explain(t.Context(), control.Filter{Server: addr})
			if err != nil {
				t.Fatal(err)
			}
			c := e.Services[0].Reals[0].Checks[0]
			if c.Interval != 10 || c.FastInterval != 2 || c.DownInterval != 5 {
				t.Errorf("%+v", c)
			}
			w.set(func() { w.starts[addr] = nil })
			<-time.After(6 * time.Second)
			w.set(func() {
				if first := w.starts[addr][0]; !first.Equal(c.Next) {
					t.Errorf("the next check started at %s, want %s", first, c.Next)
				}
			})
		})
	})
}

// TestManyServersThatFailAtOnce checks that the checks of 200 servers spread over their interval
// after all of them have failed at the start. Two checks of a server are never closer than the
// shortest interval.
func TestManyServersThatFailAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const servers = 200
		text := strings.SplitAfter(threeIntervals, "virtual=192.0.2.10:80\n")[0] + "\tchecktype=connect\n"
		down := map[string]bool{}
		for n := range servers {
			text += fmt.Sprintf("\treal=10.0.0.%d:80 gate\n", n+1)
			down[fmt.Sprintf("10.0.0.%d", n+1)] = true
		}
		w := newWorld(t, text)
		w.down = down
		w.run(t, "web", func(*health.Daemon) {
			for _, phase := range []struct {
				name   string
				down   bool
				period time.Duration
			}{{"down", true, 30 * time.Second}, {"good", false, 10 * time.Second}} {
				if !phase.down {
					w.set(func() { w.down = map[string]bool{} })
				}
				<-time.After(2 * time.Minute)
				instants := map[time.Duration]int{}
				w.set(func() {
					for addr, starts := range w.starts {
						instants[time.Duration(starts[len(starts)-1].UnixNano())%phase.period]++
						for i := 1; i < len(starts); i++ {
							if gap := starts[i].Sub(starts[i-1]); gap < time.Second {
								t.Errorf("%s: %s between checks %d and %d", addr, gap, i, i+1)
							}
						}
					}
				})
				most := 0
				for _, n := range instants {
					most = max(most, n)
				}
				if len(instants) < servers/2 || most > 6 {
					t.Errorf("%s: %d servers are checked at %d different times, up to %d together", phase.name, servers, len(instants), most)
				}
			}
		})
	})
}
