package health_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
	"lvs-agents/internal/state"
)

const governed = `checkinterval=1
virtual=192.0.2.10:80
	real=192.0.2.21:80 gate 100
	real=192.0.2.22:80 gate 100
	real=192.0.2.23:80 gate 100
	fallback=127.0.0.1:80 gate
	scheduler=wlc
	quiescent=yes
`

// weights returns the weights in the kernel's table, where a new server comes first.
func (w *world) weights() string {
	var all []string
	for line := range strings.Lines(w.kernel.String()) {
		if words := strings.Fields(line); words[0] == "-a" {
			all = append(all, words[7])
		}
	}
	return strings.Join(all, " ")
}

func (w *world) wantWeights(t *testing.T, when, want string) {
	t.Helper()
	synctest.Wait()
	if got := w.weights(); got != want {
		t.Errorf("%s: weights %s, want %s", when, got, want)
	}
}

func TestServerRisesAfterItComesBackButNotAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, governed+"\tslowstart=20\n\tslowstart_minimum=10\n")
		w.run(t, "web", func(d *health.Daemon) {
			w.wantWeights(t, "start", "100 100 100")
			w.set(func() { w.down["192.0.2.21"] = true })
			w.settle()
			w.wantWeights(t, "down", "0 100 100")
			w.set(func() { w.down["192.0.2.21"] = false })
			w.settle()
			w.wantWeights(t, "back", "10 100 100")
			<-time.After(10 * time.Second)
			s, err := d.Snapshot(t.Context())
			if real := s.Services[0].Reals[0]; err != nil || real.Weight < 40 || real.Weight > 60 || !strings.HasPrefix(real.Policy, "slow start") {
				t.Errorf("half of the time: %+v, %v", real, err)
			}
			<-time.After(10 * time.Second)
			w.wantWeights(t, "end", "100 100 100")
		})
		w.run(t, "web", func(*health.Daemon) { w.wantWeights(t, "restart of the daemon", "100 100 100") })
	})
}

func TestShortageOfServersInTheDaemon(t *testing.T) {
	for choice, want := range map[string]string{"fallback": "1 0 0 0", "fail-open": "100 100 100", "hold": "0 100 100"} {
		t.Run(choice, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, governed+"\tminimum_healthy=50%\n\tshortage="+choice+"\n")
				w.run(t, "web", func(*health.Daemon) {
					w.set(func() { w.down["192.0.2.21"] = true })
					w.settle()
					w.wantWeights(t, "one down", "0 100 100")
					w.set(func() { w.down["192.0.2.22"] = true })
					w.settle()
					w.wantWeights(t, "two down", want)
					w.set(func() { clear(w.down) })
					w.settle()
					w.wantWeights(t, "all back", "100 100 100")
				})
			})
		})
	}
}

// saveOrders stores the orders for the next daemon, or fails if the world is full.
func (w *world) saveOrders(orders []control.Command) error {
	if w.full {
		return errors.New("no space left on device")
	}
	w.orders = orders
	return nil
}

// verdicts returns the verdict file of the daemon.
func (w *world) verdicts() (v state.Verdicts) {
	w.set(func() { v = w.saved })
	return v
}

func (w *world) give(t *testing.T, d *health.Daemon, kind string, servers ...string) {
	t.Helper()
	w.refuse(t, d, "", control.Order{Kind: kind, By: "eva"}, servers...)
}

// refuse gives an order that the daemon must refuse with an error. The daemon must accept it if the
// error is empty.
func (w *world) refuse(t *testing.T, d *health.Daemon, want string, o control.Order, servers ...string) {
	t.Helper()
	got := ""
	if err := d.Order(t.Context(), control.Command{Service: "-t 192.0.2.10:80", Servers: servers, Order: o}); err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%s: got %q, want %q", o, got, want)
	}
}

const one, two, three = "192.0.2.21:80", "192.0.2.22:80", "192.0.2.23:80"

func TestOrdersStayUntilTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, governed)
		w.run(t, "web", func(d *health.Daemon) {
			w.happened()
			w.give(t, d, "drain", one)
			w.wantEvents(t, "order_given -t 192.0.2.10:80 -r 192.0.2.21:80 0:0 (drain by eva since "+time.Now().Local().Format(time.DateTime)+")\nserver_drained -t 192.0.2.10:80 -r 192.0.2.21:80 100:0 http good 0/0\n")
			w.refuse(t, d, "", control.Order{Kind: "weight", Weight: 7, Until: time.Now().Add(time.Minute)}, two)
			w.wantWeights(t, "ordered", "0 7 100")
			if err := d.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.wantWeights(t, "after a reload", "0 7 100")
			w.settle()
			if bad := w.verdicts().Bad; len(bad) != 1 || bad[0] != "-t 192.0.2.10:80 -r 192.0.2.21:80" {
				t.Errorf("verdict file: %q", bad)
			}
		})
		w.run(t, "web", func(d *health.Daemon) {
			w.wantWeights(t, "after a restart", "0 7 100")
			s, err := d.Snapshot(t.Context())
			if orders := s.Services[0].Reals[0].Orders; err != nil || len(orders) != 1 || orders[0].Kind != "drain" || orders[0].By != "eva" {
				t.Errorf("status: %+v, %v", orders, err)
			}
			<-time.After(time.Minute)
			w.wantWeights(t, "the weight has ended", "0 100 100")
			if events := w.happened(); !strings.Contains(events, "order_ended -t 192.0.2.10:80 -r 192.0.2.22:80") || !strings.Contains(events, "weight 7") {
				t.Errorf("events:\n%s", events)
			}
			w.give(t, d, "maint", one)
			w.give(t, d, "undrain", one)
			w.wantWeights(t, "undrained", "100 100 100")
			command := control.Command{Service: "-t 192.0.2.10:80", Order: control.Order{Kind: "drain"}, Force: true}
			if err := d.Order(t.Context(), command); err != nil {
				t.Error(err)
			}
			w.wantWeights(t, "all drained, so the fallback serves", "1 0 0 0")
			w.give(t, d, "ready")
			w.wantWeights(t, "all ready", "100 100 100")
		})
		if len(w.orders) != 0 {
			t.Errorf("stored: %+v", w.orders)
		}
	})
}

func TestOrdersThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, governed)
		w.run(t, "web", func(d *health.Daemon) {
			w.give(t, d, "drain", one)
			w.full = true
			w.refuse(t, d, "the order cannot be stored, so it has no effect: no space left on device", control.Order{Kind: "ready"}, one)
			w.full = false
			drain := control.Order{Kind: "drain", By: "eva"}
			w.refuse(t, d, "after drain, no real server of -t 192.0.2.10:80 serves; use --force to do it anyway", drain, two, three)
			w.refuse(t, d, "after drain, no real server of -t 192.0.2.10:80 serves; use --force to do it anyway", drain)
			w.give(t, d, "drain", two)
			w.refuse(t, d, "after weight, no real server of -t 192.0.2.10:80 serves; use --force to do it anyway", control.Order{Kind: "weight"}, three)
			w.give(t, d, "ready", two)
			w.refuse(t, d, "service -t 192.0.2.10:80 has no real server 192.0.2.99:80", drain, "192.0.2.99:80")
			w.refuse(t, d, `unknown order "dance"; this directord knows add, drain, maint, remove, weight, undrain and ready`, control.Order{Kind: "dance"}, one)
			w.refuse(t, d, "weight 65536 is not between 0 and 65535", control.Order{Kind: "weight", Weight: 65536}, one)
			past := time.Now().UTC()
			w.refuse(t, d, "the order would end at "+past.Format(time.RFC3339)+", which is in the past", control.Order{Kind: "maint", Until: past}, three)
			if err := d.Order(t.Context(), control.Command{Service: "-t 192.0.2.11:80", Order: drain}); err == nil || err.Error() != "the configuration has no service -t 192.0.2.11:80" {
				t.Error(err)
			}
			w.wantWeights(t, "after refusals", "0 100 100")
			w.set(func() { w.down["192.0.2.22"], w.down["192.0.2.23"] = true, true })
			w.settle()
			w.give(t, d, "drain", three)
		})
	})
}

func TestRemovedServerLeavesTheTableAndComesBack(t *testing.T) {
	for _, quiescent := range []string{"yes", "no"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, strings.Replace(governed, "quiescent=yes", "quiescent="+quiescent, 1))
			w.run(t, "web", func(d *health.Daemon) {
				w.happened()
				w.give(t, d, "remove", one)
				w.wantEvents(t, "order_given -t 192.0.2.10:80 -r 192.0.2.21:80 0:0 (remove by eva since "+time.Now().Local().Format(time.DateTime)+
					")\nserver_removed -t 192.0.2.10:80 -r 192.0.2.21:80 100:-1 http good 0/0\n")
				w.wantWeights(t, "removed", "100 100")
				w.refuse(t, d, "after remove, no real server of -t 192.0.2.10:80 serves; use --force to do it anyway", control.Order{Kind: "remove"}, two, three)
				w.settle()
				if bad := w.verdicts().Bad; len(bad) != 1 || bad[0] != "-t 192.0.2.10:80 -r 192.0.2.21:80" {
					t.Errorf("verdict file: %q", bad)
				}
				w.set(func() { w.down["192.0.2.21"] = true })
				w.settle()
				s, err := d.Snapshot(t.Context())
				if real := s.Services[0].Reals[0]; err != nil || real.Verdict != "bad" || real.Weight != -1 || real.Cause != "ordered" {
					t.Errorf("status: %+v, %v", real, err)
				}
				w.set(func() { w.down["192.0.2.21"] = false })
				w.settle()
				w.wantWeights(t, "good, but removed", "100 100")
			})
			w.run(t, "web", func(d *health.Daemon) {
				w.wantWeights(t, "after a restart", "100 100")
				w.give(t, d, "drain", one)
				w.wantWeights(t, "drained instead", "0 100 100")
				w.refuse(t, d, "", control.Order{Kind: "remove", Until: time.Now().Add(time.Minute)}, one)
				w.wantWeights(t, "removed instead", "100 100")
				<-time.After(time.Minute)
				w.wantWeights(t, "the order has ended", "100 100 100")
				w.give(t, d, "remove", one)
				w.give(t, d, "ready", one)
				w.wantWeights(t, "ready", "100 100 100")
			})
		})
	}
}

func TestOrdersOfTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, governed)
		order := func(kind, server string, weight int) control.Command {
			return control.Command{Service: "-t 192.0.2.10:80", Servers: []string{server}, Order: control.Order{Kind: kind, Weight: weight, By: "eva", Since: time.Now().UTC(), Cluster: true}}
		}
		var drain control.Command
		w.run(t, "web", func(d *health.Daemon) {
			drain = order("drain", one, 0)
			obey := func(commands ...control.Command) {
				t.Helper()
				if err := d.Obey(t.Context(), commands); err != nil {
					t.Fatal(err)
				}
			}
			obey(drain, order("weight", two, 7))
			w.wantWeights(t, "orders of the cluster", "0 7 100")
			stays := "the order " + drain.Order.String() + " stays, because it is an order of the cluster; end it with --on"
			w.refuse(t, d, stays, control.Order{Kind: "undrain"}, one)
			w.refuse(t, d, stays, control.Order{Kind: "ready"})
			<-time.After(time.Second)
			w.refuse(t, d, "", control.Order{Kind: "weight", Weight: 8}, two)
			w.wantWeights(t, "the newer order counts", "0 8 100")
			w.full = true
			obey(drain, order("weight", two, 9))
			w.full = false
			w.wantWeights(t, "the newer order counts, even if it cannot be stored", "0 9 100")
			obey(drain)
			w.wantWeights(t, "the order of this node stays", "0 8 100")
		})
		w.run(t, "web", func(d *health.Daemon) {
			w.wantWeights(t, "after a restart without the cluster", "0 8 100")
			if err := d.Obey(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			w.wantWeights(t, "the cluster has ended its orders", "100 8 100")
			dry := control.Command{Service: "-t 192.0.2.10:80", Servers: []string{one}, Order: control.Order{Kind: "drain"}, Dry: true}
			if err := d.Order(t.Context(), dry); err != nil {
				t.Error(err)
			}
			dry.Servers = nil
			if err := d.Order(t.Context(), dry); err == nil {
				t.Error("a drain of all servers, without force")
			}
			w.wantWeights(t, "nothing changes", "100 8 100")
		})
	})
}

func TestStoredOrdersWithoutEffectAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, governed)
		drain := control.Order{Kind: "drain", By: "eva"}
		w.orders = []control.Command{
			{Service: "-t 192.0.2.10:80", Servers: []string{"rs1"}, Order: drain},
			{Service: "-t 192.0.2.10:80", Servers: []string{"192.0.2.99:80", three}, Order: drain},
			{Service: "-t 192.0.2.10:80", Servers: []string{one}, Order: control.Order{Kind: "of a newer daemon"}},
			{Service: "-t 192.0.2.99:80", Servers: []string{one}, Order: control.Order{Kind: "add", By: "eva"}},
		}
		w.run(t, "web", func(*health.Daemon) { w.wantWeights(t, "start", "100 100 0") })
		if bad := w.verdicts().Bad; len(bad) != 1 {
			t.Errorf("verdict file: %q", bad)
		}
		lines := w.logged()
		for _, want := range []string{
			"the order drain by eva for rs1 of -t 192.0.2.10:80 does not count: not an ip:port",
			"the order drain by eva for 192.0.2.99:80 of -t 192.0.2.10:80 has no effect, because the configuration lacks this real server",
			"the real server 192.0.2.21:80 is not added, because the configuration lacks the service -t 192.0.2.99:80",
		} {
			if !strings.Contains(lines, want) {
				t.Errorf("not logged: %s\n%s", want, lines)
			}
		}
	})
}

func addrPort(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(21 + n)}), 80)
}

const twoServices = `checkinterval=1
own_fault=20
quiescent=yes
virtual=192.0.2.10:80
	real=192.0.2.21:80 gate 1
	real=192.0.2.22:80 gate 1
	real=192.0.2.23:80 gate 1
virtual=192.0.2.11:80
	real=192.0.2.24:80 gate 1
	real=192.0.2.25:80 gate 1
`

func TestDirectorSuspectsItselfForALimitedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, twoServices)
		w.run(t, "web", func(d *health.Daemon) {
			w.set(func() {
				for n := range 5 {
					w.down[addrPort(n).Addr().String()] = true
				}
			})
			w.settle()
			w.wantWeights(t, "all failed at the same moment", "1 1 1 1 1")
			s, err := d.Snapshot(t.Context())
			if err != nil || !strings.Contains(s.Trouble, "own fault suspected") {
				t.Errorf("trouble %q, %v", s.Trouble, err)
			}
			share, err := d.Share(t.Context())
			if err != nil || share.Score() != 0 {
				t.Errorf("score %d, %v", share.Score(), err)
			}
			<-time.After(20 * time.Second)
			w.wantWeights(t, "after the time", "0 0 0 0 0")
		})
	})
}

func TestDirectorTrustsItselfWhenOneServiceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, twoServices)
		w.run(t, "web", func(*health.Daemon) {
			w.set(func() {
				for n := range 3 {
					w.down[addrPort(n).Addr().String()] = true
				}
			})
			w.settle()
			w.wantWeights(t, "one service failed", "0 0 0 1 1")
		})
	})
}
