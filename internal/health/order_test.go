package health_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/policy"
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

func TestOrdersOfOperatorsComeBeforeVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, governed)
		w.run(t, "web", func(d *health.Daemon) {
			s, err := d.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			service := mustService(t, s.Services[0].ID)
			at := func(n int) health.Member { return health.Member{Service: service, Server: addrPort(n)} }
			orders := map[health.Member][]policy.Order{
				at(0): {{Kind: policy.Drain, By: "root", Since: time.Now(), Until: time.Now().Add(10 * time.Second)}},
				at(1): {{Kind: policy.Weigh, Weight: 7, By: "root", Since: time.Now()}},
			}
			if err := d.Obey(t.Context(), orders); err != nil {
				t.Fatal(err)
			}
			w.wantWeights(t, "ordered", "0 7 100")
			if err := d.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.settle()
			w.wantWeights(t, "after a reload", "0 7 100")
			<-time.After(10 * time.Second)
			w.wantWeights(t, "the drain has ended", "100 7 100")
			if err := d.Obey(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			w.wantWeights(t, "no orders", "100 100 100")
		})
	})
}

func mustService(t *testing.T, name string) lvs.ServiceID {
	t.Helper()
	op, err := lvs.ParseOp("-A " + name)
	if err != nil {
		t.Fatal(err)
	}
	return op.Service.ID
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
