package health_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

// hashing returns a configuration without quiescent, with four real servers and a fallback. With mh
// the real servers have the weights 1 to 4, otherwise 1.
func hashing(scheduler string) string {
	text := "checkinterval=1\nvirtual=192.0.2.10:80\n\tservice=http\n\tfallback=127.0.0.1:80 gate\n\tscheduler=" + scheduler + "\n"
	for _, server := range []int{24, 21, 23, 22} {
		text += fmt.Sprintf("\treal=192.0.2.%d:80 gate %d\n", server, weightOf(scheduler, server))
	}
	return text
}

func weightOf(scheduler string, server int) int {
	if strings.HasPrefix(scheduler, "mh") {
		return server - 20
	}
	return 1
}

// hashed returns the slots of the real servers of hashing for wantHash.
func hashed(scheduler string) string {
	text := ""
	for server := 21; server <= 24; server++ {
		text += fmt.Sprintf(" 192.0.2.%d:80=%d", server, weightOf(scheduler, server))
	}
	return text
}

const allHashed = " 192.0.2.21:80=1 192.0.2.22:80=2 192.0.2.23:80=3 192.0.2.24:80=4"

// wantHash compares the destinations of the service in the order of their addition, with their last
// weights.
func (w *world) wantHash(t *testing.T, scheduler, destinations string) {
	t.Helper()
	if got, want := w.kernel.Hash(), "-t 192.0.2.10:80 -s "+scheduler+destinations+"\n"; got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

// TestBadServersKeepTheirSlots checks that a bad real server stays in the table if the scheduler
// falls back. The hash table does not change.
func TestBadServersKeepTheirSlots(t *testing.T) {
	for _, scheduler := range []string{"mh", "sh"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, hashing(scheduler))
			w.down["192.0.2.23"] = true
			w.run(t, "web", func(*health.Daemon) {
				w.wantHash(t, scheduler, hashed(scheduler))
				w.logged()
				w.set(func() { w.down = map[string]bool{"192.0.2.21": true, "192.0.2.22": true} })
				w.settle()
				w.wantHash(t, scheduler, hashed(scheduler))
				w.wantLog(t, fmt.Sprintf(`
Quiescent real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 0)
Quiescent real server: 192.0.2.22:80 (192.0.2.10:80) (Weight set to 0)
Resetting soft failure count: 192.0.2.23:80 (tcp:192.0.2.10:80)
Restored real server: 192.0.2.23:80 (192.0.2.10:80) (Weight set to %d)
`, weightOf(scheduler, 23)))
			})
		})
	}
}

// TestTornDumpKeepsTheRealServers reads the table twice without one of its real servers, as while
// another program changes the table. No real server may leave the table.
func TestTornDumpKeepsTheRealServers(t *testing.T) {
	for _, scheduler := range []string{"mh", "sh"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, hashing(scheduler))
			w.run(t, "web", func(*health.Daemon) {
				w.kernel.deletions.Store(0)
				w.kernel.torn.Store(2) // once without the lock, and once with it
				<-time.After(10 * time.Second)
				synctest.Wait()
				if w.kernel.torn.Load() >= 0 {
					t.Fatal("the daemon did not read the table")
				}
				if n := w.kernel.deletions.Load(); n > 0 {
					t.Errorf("%s: %d deletions", scheduler, n)
				}
				w.wantHash(t, scheduler, hashed(scheduler))
			})
		})
	}
}

// TestFallbackDoesNotMoveTheRealServers checks that the fallback comes after the real servers. With
// mh, it gets as many slots as the largest real server.
func TestFallbackDoesNotMoveTheRealServers(t *testing.T) {
	for scheduler, weight := range map[string]int{"mh": 4, "sh": 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, hashing(scheduler))
			w.run(t, "web", func(*health.Daemon) {
				w.logged()
				w.set(func() {
					w.down = map[string]bool{"192.0.2.21": true, "192.0.2.22": true, "192.0.2.23": true, "192.0.2.24": true}
				})
				w.settle()
				w.wantHash(t, scheduler, fmt.Sprintf("%s 127.0.0.1:80=%d", hashed(scheduler), weight))
				if log := w.logged(); strings.Contains(log, "Deleted real server") {
					t.Error(log)
				}
				w.set(func() { clear(w.down) })
				w.settle()
				w.wantHash(t, scheduler, hashed(scheduler))
			})
		})
	}
}

// TestServersWithoutAFallbackFlagAreRemoved checks that quiescent=no counts where the scheduler
// would refuse the clients of a server with weight 0.
func TestServersWithoutAFallbackFlagAreRemoved(t *testing.T) {
	for _, scheduler := range []string{"dh", "mh\n\tschedflags=mh-port"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, hashing(scheduler))
			w.run(t, "web", func(*health.Daemon) {
				w.set(func() { w.down["192.0.2.21"] = true })
				w.settle()
				w.wantHash(t, scheduler[:2], strings.Replace(hashed(scheduler), " 192.0.2.21:80=1", "", 1))
				w.set(func() { clear(w.down) })
				w.settle()
				w.wantHash(t, scheduler[:2], hashed(scheduler))
			})
		})
	}
}

// TestDaemonRepairsTheOrder checks that the daemon puts destinations in order that another program,
// or another version, has added in another order. After that, it changes nothing until another
// program changes the order again.
func TestDaemonRepairsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hashing("mh"))
		w.change(t, "-A -t 192.0.2.10:80 -s mh")
		for _, server := range []int{23, 22, 24, 21} {
			w.change(t, fmt.Sprintf("-a -t 192.0.2.10:80 -r 192.0.2.%d:80 -g -w %d", server, server-20))
		}
		w.run(t, "web", func(*health.Daemon) {
			w.wantHash(t, "mh", allHashed)
			w.logged()
			w.settle()
			w.wantLog(t, "")
			w.replace(t, "192.0.2.23:80", 3)
			w.settle()
			w.wantHash(t, "mh", allHashed)
			w.wantLog(t, `
Deleted real server: 192.0.2.24:80 (192.0.2.10:80)
Added real server: 192.0.2.24:80 (192.0.2.10:80) (Weight set to 4)
`)
		})
	})
}

// TestHashTablesAreEqual checks a director after random failures, changes by hand, reloads and
// restarts. Its hash table must equal the hash table of a director that has just started.
func TestHashTablesAreEqual(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 17))
		synctest.Test(t, func(t *testing.T) {
			w, other := newWorld(t, hashing("mh")), newWorld(t, hashing("mh"))
			for range 3 {
				w.run(t, "web", func(d *health.Daemon) {
					for range 5 {
						w.disturb(t, r, d)
					}
					w.set(func() { w.down = map[string]bool{"192.0.2.22": true} })
					w.settle()
					w.settle()
				})
			}
			other.down["192.0.2.22"] = true
			other.run(t, "web", func(*health.Daemon) {
				if got, want := w.kernel.Hash(), other.kernel.Hash(); got != want {
					t.Errorf("seed %d:\ngot  %swant %s", seed, got, want)
				}
			})
		})
	}
}

// TestBadServersGetTheirSlots checks that the daemon gives slots to a bad server that has none,
// because another program added it with weight 0. If the configured weight of a bad server changes,
// the server gets the slots of the new weight.
func TestBadServersGetTheirSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hashing("mh"))
		w.change(t, "-A -t 192.0.2.10:80 -s mh")
		for _, server := range []int{21, 22, 23, 24} {
			w.change(t, fmt.Sprintf("-a -t 192.0.2.10:80 -r 192.0.2.%d:80 -g -w %d", server, (server-20)*min(1, server-21)))
		}
		w.down["192.0.2.21"] = true
		w.run(t, "web", func(d *health.Daemon) {
			w.wantHash(t, "mh", allHashed)
			if log := w.logged(); strings.Contains(log, "192.0.2.21") {
				t.Error(log)
			}
			w.set(func() { w.text = strings.Replace(w.text, "192.0.2.21:80 gate 1", "192.0.2.21:80 gate 7", 1) })
			if err := d.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.settle()
			w.wantHash(t, "mh", strings.Replace(allHashed, "192.0.2.21:80=1", "192.0.2.21:80=7", 1))
			if table := w.kernel.String(); !strings.Contains(table, "192.0.2.21:80 -g -w 0") {
				t.Error(table)
			}
		})
	})
}

// TestServerWithConfiguredWeightZeroLosesItsSlots checks that a reload that changes the weight of a
// real server to 0 takes its slots away. After that, the daemon changes nothing.
func TestServerWithConfiguredWeightZeroLosesItsSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hashing("mh"))
		w.run(t, "web", func(d *health.Daemon) {
			w.set(func() { w.text = strings.Replace(w.text, "192.0.2.23:80 gate 3", "192.0.2.23:80 gate 0", 1) })
			if err := d.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.settle()
			w.wantHash(t, "mh", strings.Replace(allHashed, "192.0.2.23:80=3", "192.0.2.23:80=0", 1))
			before := w.kernel.ops.Load()
			for range 5 {
				w.settle()
			}
			if n := w.kernel.ops.Load() - before; n != 0 {
				t.Errorf("%d operations after the change", n)
			}
		})
	})
}

// TestBadServersLeaveSlotsOfSh checks that bad servers stay in the table of sh only while all
// destinations have a slot. Otherwise, the kernel could refuse all clients.
func TestBadServersLeaveSlotsOfSh(t *testing.T) {
	for reals, inTable := range map[int]int{255: 256, 256: 1} {
		synctest.Test(t, func(t *testing.T) {
			text := "checkinterval=1\nvirtual=192.0.2.10:80\n\tservice=http\n\tfallback=127.0.0.1:80 gate\n\tscheduler=sh\n"
			w := newWorld(t, text)
			for i := range reals {
				addr := fmt.Sprintf("198.51.%d.%d", 100+i/250, 1+i%250)
				w.text += fmt.Sprintf("\treal=%s:80 gate\n", addr)
				w.down[addr] = true
			}
			w.run(t, "web", func(*health.Daemon) {
				w.settle()
				if n := strings.Count(w.kernel.String(), "-a "); n != inTable {
					t.Errorf("%d real servers are down: %d destinations, want %d", reals, n, inTable)
				}
			})
		})
	}
}

// replace deletes a destination and adds it again with a weight, in one change of the table.
func (w *world) replace(t *testing.T, addr string, weight int) {
	t.Helper()
	var ops []lvs.Op
	for _, command := range []string{"-d -t 192.0.2.10:80 -r " + addr, fmt.Sprintf("-a -t 192.0.2.10:80 -r %s -g -w %d", addr, weight)} {
		op, err := lvs.ParseOp(command)
		if err != nil {
			t.Fatal(err)
		}
		ops = append(ops, op)
	}
	// The daemon can have deleted the destination, and can add it again soon.
	if _, err := w.kernel.Apply(t.Context(), ops); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// disturb makes one random change: the results of checks, the weight of a destination in the
// kernel, or a reload.
func (w *world) disturb(t *testing.T, r *rand.Rand, d *health.Daemon) {
	t.Helper()
	server := 21 + r.IntN(4)
	addr := fmt.Sprintf("192.0.2.%d", server)
	switch r.IntN(4) {
	case 0, 1:
		w.set(func() { w.down[addr] = !w.down[addr] })
	case 2:
		w.replace(t, addr+":80", 1+r.IntN(9))
	case 3:
		if err := d.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if r.IntN(3) > 0 {
		w.settle()
	}
}
