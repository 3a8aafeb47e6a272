package health_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/control"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/health"
	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/record"
)

// kernel is a fake IPVS table. While lost is set, reading the table fails as in a kernel without
// IPVS. While torn is above 0, a read misses the first destination of each service.
type kernel struct {
	*kerneltest.IPVS
	lost atomic.Bool
	torn atomic.Int64
	ops  atomic.Int64 // ops counts the operations that succeeded.
	// deletions counts the deletions of destinations, also the ones after a failed operation.
	deletions atomic.Int64
}

func (k *kernel) Apply(ctx context.Context, ops []lvs.Op) (int, error) {
	for _, op := range ops {
		if op.Verb == lvs.DeleteDestination {
			k.deletions.Add(1)
		}
	}
	done, err := k.IPVS.Apply(ctx, ops)
	k.ops.Add(int64(done))
	return done, err
}

func (k *kernel) Table(ctx context.Context) (lvs.Table, error) {
	if k.lost.Load() {
		return nil, host.NotInstalled("IPVS is not in this kernel; modprobe ip_vs")
	}
	table, err := k.IPVS.Table(ctx)
	if k.torn.Add(-1) >= 0 {
		for i, v := range table {
			table[i].Destinations = v.Destinations[1:]
			first := func(addr netip.AddrPort) bool { return addr == v.Destinations[0].Addr }
			table[i].Order = slices.DeleteFunc(slices.Clone(v.Order), first)
		}
	}
	return table, err
}

// world is a director without a network. The checks of the addresses in down fail. An entry of down
// is an address, or an address and a port.
type world struct {
	orders []control.Command // orders are the stored orders of operators.
	full   bool              // full makes the storing of orders fail.
	kernel *kernel
	store  record.Store
	state  string
	log    *logrus.Logger

	mu   sync.Mutex
	text string // text is the configuration file of the test.
	// cfg is the configuration of the daemon. If cfg is nil, the daemon reads text.
	cfg  *config.Config
	down map[string]bool
	// local is the error of each check, as if this host could not send the check. Nil means none.
	local error
	// cut has the addresses that this host cannot reach, each with the fault of the path.
	cut map[string]string
	// waiting reads the clients of destinations. Nil means that clients see no reset.
	waiting func(context.Context, []lvs.Op) (health.Waiting, error)
	// counters are the readings of the connections. Nil means that nothing can be read.
	counters func(context.Context) ([]lvs.Counters, error)
	dead     bool // dead says that the processes of all other daemons have ended.
	// starts has the start times of the checks of each address and port.
	starts map[string][]time.Time
	// slow makes the loading of a configuration wait until the channel is closed. It is nil for no
	// wait.
	slow   chan struct{}
	lines  bytes.Buffer
	events []health.Event
	saved  state.Verdicts // saved is the verdict file of the daemon.
}

func newWorld(t *testing.T, text string) *world {
	t.Helper()
	w := &world{kernel: &kernel{IPVS: kerneltest.NewIPVS()}, state: t.TempDir(), text: text, down: map[string]bool{}, starts: map[string][]time.Time{}}
	var err error
	if w.store, err = record.In(w.state); err != nil {
		t.Fatal(err)
	}
	w.log = logrus.New()
	w.log.SetOutput(io.Discard)
	w.log.AddHook(w)
	return w
}

// Levels implements logrus.Hook.
func (w *world) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (w *world) Fire(e *logrus.Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintln(&w.lines, e.Message)
	return nil
}

// occurred logs an event as directord does, and stores the event.
func (w *world) occurred(e health.Event) {
	compat.LogEvent(w.log, e)
	w.set(func() { w.events = append(w.events, e) })
}

// checkFunc is a check whose result a test sets.
type checkFunc func(context.Context) error

func (f checkFunc) Check(ctx context.Context) error { return f(ctx) }

// setup returns the setup of a configuration in ldirectord's syntax.
func setup(ctx context.Context, text string) (health.Setup, error) {
	cfg, problems := ldirectord.Parse("web.cf", []byte(text))
	if err := config.Err(problems); err != nil {
		return health.Setup{}, err
	}
	return health.NewSetup(ctx, cfg, nil)
}

// logged returns the lines that the daemon has logged since the last call of logged.
func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.lines.String()
	w.lines.Reset()
	return text
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// run runs a daemon. It calls f after the daemon is ready and its first checks had time to end.
func (w *world) run(t *testing.T, id string, f func(d *health.Daemon)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d := health.New(health.Options{
		ID: id, Lives: func(string) (bool, error) { return !w.dead, nil }, Kernel: w.kernel, Store: w.store, Log: w.log, PID: 42, Config: "web.cf",
		PathFault: func(_ context.Context, addr netip.Addr) (string, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.cut[addr.String()], nil
		},
		Waiting: w.waiting, Counters: w.counters, Occurred: w.occurred, Orders: w.orders, SaveOrders: w.saveOrders,
		SaveVerdicts: func(v state.Verdicts) { w.set(func() { w.saved = v }) },
		Load: func(ctx context.Context) (health.Setup, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if slow := w.slow; slow != nil {
				w.mu.Unlock()
				<-slow
				w.mu.Lock()
			}
			if w.cfg != nil {
				return health.NewSetup(ctx, w.cfg, nil)
			}
			return setup(ctx, w.text)
		},
		Checker: func(p health.Probe) (check.Checker, error) {
			return checkFunc(func(context.Context) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.starts[p.Addr.String()] = append(w.starts[p.Addr.String()], time.Now())
				if w.down[p.Addr.Addr().String()] || w.down[p.Addr.String()] {
					return errors.New("refused")
				}
				return w.local
			}), nil
		},
	})
	ready := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	w.settle()
	f(d)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// settle waits until the reconciler and each check with an interval of one second have run.
func (w *world) settle() {
	<-time.After(1500 * time.Millisecond)
	synctest.Wait()
}

func (w *world) want(t *testing.T, table string) {
	t.Helper()
	if diff := cmp.Diff(table, w.kernel.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func (w *world) wantLog(t *testing.T, lines string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimPrefix(lines, "\n"), w.logged()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func (w *world) change(t *testing.T, commands ...string) {
	t.Helper()
	for _, command := range commands {
		op, err := lvs.ParseOp(command)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.kernel.Apply(t.Context(), []lvs.Op{op}); err != nil {
			t.Fatal(err)
		}
	}
}

const simple = `checkinterval=1
quiescent=no
virtual=192.0.2.10:80
	real=192.0.2.21:80 gate
	real=192.0.2.22:80 gate
	fallback=127.0.0.1:80 gate
	service=http
	scheduler=rr
`

const (
	vs     = "-A -t 192.0.2.10:80 -s rr\n"
	sorry  = "-a -t 192.0.2.10:80 -r 127.0.0.1:80 -g -w 1\n"
	rs1    = "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n"
	rs2    = "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1\n"
	rs1off = "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0\n"
	rs2off = "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 0\n"
)

// TestLogLines checks the log lines of the daemon against the log lines of ldirectord.
func TestLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.down["192.0.2.22"] = true
		w.run(t, "web", func(*health.Daemon) {
			w.want(t, vs+rs1)
			w.wantLog(t, `
Added virtual server: 192.0.2.10:80
Added fallback server: 127.0.0.1:80 (192.0.2.10:80) (Weight set to 1)
Resetting soft failure count: 192.0.2.21:80 (tcp:192.0.2.10:80)
Added real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 1)
Deleted fallback server: 127.0.0.1:80 (192.0.2.10:80)
`)
			w.set(func() { w.down["192.0.2.21"] = true })
			w.settle()
			w.want(t, vs+sorry)
			w.wantLog(t, `
Deleted real server: 192.0.2.21:80 (192.0.2.10:80)
Added fallback server: 127.0.0.1:80 (192.0.2.10:80) (Weight set to 1)
`)
			w.set(func() { clear(w.down) })
			w.settle()
			w.want(t, vs+rs1+rs2)
			w.wantLog(t, `
Resetting soft failure count: 192.0.2.22:80 (tcp:192.0.2.10:80)
Added real server: 192.0.2.22:80 (192.0.2.10:80) (Weight set to 1)
Deleted fallback server: 127.0.0.1:80 (192.0.2.10:80)
Resetting soft failure count: 192.0.2.21:80 (tcp:192.0.2.10:80)
Added real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 1)
`)
		})
		w.want(t, vs+rs1+rs2)
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, strings.Replace(simple, "quiescent=no", "quiescent=yes", 1))
		w.run(t, "web", func(*health.Daemon) {
			w.logged()
			w.set(func() { w.down["192.0.2.21"] = true })
			w.settle()
			w.wantLog(t, "Quiescent real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 0)\n")
			w.set(func() { w.down["192.0.2.22"] = true })
			w.settle()
			w.want(t, vs+sorry+rs1off+rs2off)
			w.set(func() { clear(w.down) })
			w.settle()
			w.want(t, vs+rs1+rs2)
		})
	})
}

func TestDriftIsHealedAndForeignServicesStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const foreign = "-A -f 9 -s sh\n"
		w := newWorld(t, simple)
		w.change(t, "-A -f 9 -s sh")
		w.run(t, "web", func(*health.Daemon) {
			for _, commands := range [][]string{
				{"-D -t 192.0.2.10:80"}, {"-E -t 192.0.2.10:80 -s wlc"}, {"-d -t 192.0.2.10:80 -r 192.0.2.21:80"},
				{"-e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 7"}, {"-a -t 192.0.2.10:80 -r 192.0.2.29:80 -g -w 7"},
			} {
				w.change(t, commands...)
				<-time.After(1100 * time.Millisecond)
				synctest.Wait()
				w.want(t, vs+rs1+rs2+foreign)
			}
		})
		ops, err := w.store.Release(t.Context(), w.kernel, "web")
		if err != nil || len(ops) != 1 {
			t.Errorf("release: %v, %v", ops, err)
		}
		w.want(t, foreign)
	})
}

// TestSecondDaemonAdopts checks that a second daemon adopts the table that the first daemon left. A
// bad real server stays quiesced or removed. The second daemon changes nothing in the table.
func TestSecondDaemonAdopts(t *testing.T) {
	for quiescent, want := range map[string]string{"yes": vs + rs1off + rs2, "no": vs + rs2} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, strings.Replace(simple, "quiescent=no", "quiescent="+quiescent, 1))
			w.down["192.0.2.21"] = true
			w.run(t, "web", func(*health.Daemon) { w.want(t, want) })
			w.want(t, want)
			w.logged()
			w.run(t, "web", func(*health.Daemon) { w.want(t, want) })
			w.wantLog(t, "")
		})
	}
}

func TestBadConfigurationChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.run(t, "web", func(d *health.Daemon) {
			w.logged()
			w.set(func() { w.text = "virtual=192.0.2.10\n" })
			const want = `web.cf:1:9: virtual "192.0.2.10": no port; write 192.0.2.10:PORT, or a number alone for a firewall mark`
			if err := d.Reload(t.Context()); err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			w.wantLog(t, "the new configuration is refused, the previous configuration stays: "+want+"\n")
			if s, err := d.Snapshot(t.Context()); err != nil || s.Refused != want || s.Trouble != want+"; the previous configuration stays in use" {
				t.Errorf("refused %q, trouble %q, error %v", s.Refused, s.Trouble, err)
			}
			w.set(func() { w.down["192.0.2.21"] = true })
			w.settle()
			w.want(t, vs+rs2)
		})
	})
}

func TestReloadReplacesServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.down["192.0.2.21"] = true
		w.run(t, "web", func(d *health.Daemon) {
			w.logged()
			w.set(func() {
				w.text = strings.Replace(simple, "scheduler=rr", "scheduler=wlc", 1) + "virtual=7\n\treal=192.0.2.21:80 gate\n\tchecktype=on\n"
			})
			if err := d.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.settle()
			w.want(t, "-A -t 192.0.2.10:80 -s wlc\n"+rs2+"-A -f 7 -s wrr\n-a -f 7 -r 192.0.2.21:80 -g -w 1\n")
			w.set(func() { w.text = "virtual=7\n\treal=192.0.2.21:80 gate\n\tchecktype=off\n\tquiescent=yes\n" })
			w.logged()
			if err := d.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.settle()
			w.want(t, "-A -f 7 -s wrr\n-a -f 7 -r 192.0.2.21:80 -g -w 0\n")
			w.wantLog(t, "Purged virtual server (start): 192.0.2.10:80\nQuiescent real server: 192.0.2.21:80 (7) (Weight set to 0)\n")
		})
	})
}

// resource writes the record of an ipvs resource.
func (w *world) resource(t *testing.T, id, text string) {
	t.Helper()
	services, err := lvs.ParseTable(text)
	if err != nil {
		t.Fatal(err)
	}
	r := record.Record{ID: id, State: record.Running, Generation: 1, Services: services}
	if err := w.store.Save(r); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		w.change(t, strings.TrimSpace(line))
	}
}

func TestServicesOfAResourceAreClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.resource(t, "web-ipvs", vs+rs1+rs2)
		w.down["192.0.2.21"] = true
		w.run(t, "web", func(d *health.Daemon) {
			w.want(t, vs+rs2)
			r, err := w.store.Load("web-ipvs")
			if err != nil || r.Holder != "web" || len(r.Claimed) != 1 || r.Generation != 1 {
				t.Errorf("record %+v, error %v", r, err)
			}
			// The resource stops. The daemon must not put its services back into the kernel.
			if err := w.store.Remove("web-ipvs"); err != nil {
				t.Fatal(err)
			}
			w.change(t, "-D -t 192.0.2.10:80")
			w.settle()
			w.set(func() { clear(w.down) })
			w.settle()
			w.want(t, "")
			// The resource starts again. The daemon must take its service over again.
			w.resource(t, "web-ipvs", vs+rs1off+rs2)
			<-time.After(2 * time.Second)
			w.settle()
			w.want(t, vs+rs1+rs2)
			if err := d.Resync(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if _, err := os.Stat(w.store.Path(record.OwnID("web"))); err == nil {
			t.Error("a record of its own")
		}
	})
}

func TestReleaseLeavesDestinationsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.resource(t, "web-ipvs", vs+rs1+rs2)
		w.down["192.0.2.21"] = true
		w.run(t, "web", func(*health.Daemon) {})
		if _, err := w.store.Release(t.Context(), w.kernel, "web"); err != nil {
			t.Fatal(err)
		}
		w.want(t, vs+rs2)
		r, err := w.store.Load("web-ipvs")
		if err != nil || r.Holder != "web" || len(r.Claimed) != 1 {
			t.Errorf("record %+v, error %v", r, err)
		}
	})
}

// TestReleaseGivesAnIdleServiceBack checks that Release returns a service to its resource if no
// real server and no fallback gets connections. No daemon checks the service any more.
func TestReleaseGivesAnIdleServiceBack(t *testing.T) {
	for _, tt := range []struct{ name, quiescent, fallback, want string }{
		{"removed", "no", "", vs + rs1 + rs2},
		{"weight 0", "yes", "", vs + rs1 + rs2},
		{"the fallback serves", "no", "\tfallback=127.0.0.1:80 gate\n", vs + sorry},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				text := strings.Replace(simple, "\tfallback=127.0.0.1:80 gate\n", tt.fallback, 1)
				w := newWorld(t, strings.Replace(text, "quiescent=no", "quiescent="+tt.quiescent, 1))
				w.resource(t, "web-ipvs", vs+rs1+rs2)
				w.down["192.0.2.21"], w.down["192.0.2.22"] = true, true
				w.run(t, "web", func(*health.Daemon) {})
				if _, err := w.store.Release(t.Context(), w.kernel, "web"); err != nil {
					t.Fatal(err)
				}
				w.want(t, tt.want)
				if r := w.held(t, "web-ipvs"); (r.Holder == "") != (tt.fallback == "") {
					t.Errorf("holder %q", r.Holder)
				}
			})
		})
	}
}

func TestClaimOfAnotherDaemonIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.resource(t, "web-ipvs", vs+rs1+rs2)
		w.run(t, "web", func(*health.Daemon) {})
		d := health.New(health.Options{ID: "other", Kernel: w.kernel, Store: w.store, Log: w.log,
			Load: func(ctx context.Context) (health.Setup, error) { return setup(ctx, simple) },
			Checker: func(health.Probe) (check.Checker, error) {
				return checkFunc(func(context.Context) error { return nil }), nil
			}})
		err := d.Run(t.Context(), func() { t.Error("ready") })
		const want = "the virtual services of web-ipvs are already claimed by health daemon web; stop that daemon first"
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})
}

func TestFailingKernelIsInTheStatusAndAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.run(t, "web", func(d *health.Daemon) {
			w.logged()
			w.kernel.FailAfter(0, syscall.ENOBUFS)
			w.set(func() { w.down["192.0.2.21"] = true })
			w.settle()
			w.want(t, vs+rs2) // The next round of the reconciler has repaired the table.
			if log := w.logged(); !strings.Contains(log, "no buffer space available") {
				t.Errorf("log: %s", log)
			}
			w.kernel.lost.Store(true)
			<-time.After(11 * time.Second)
			s, err := d.Snapshot(t.Context())
			if err != nil || !strings.Contains(s.Trouble, "modprobe ip_vs") || s.Alive() == nil {
				t.Errorf("trouble %q, alive %v, error %v", s.Trouble, s.Alive(), err)
			}
			if n := strings.Count(w.logged(), "modprobe"); n != 1 {
				t.Errorf("said %d times", n)
			}
		})
	})
}

func TestSlowReloadStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.run(t, "web", func(d *health.Daemon) {
			slow, reloaded := make(chan struct{}), make(chan error, 1)
			w.set(func() {
				w.slow, w.down["192.0.2.22"] = slow, true
				w.text = strings.Replace(simple, "192.0.2.21:80 gate", "192.0.2.21:80 gate 3", 1)
			})
			go func() { reloaded <- d.Reload(t.Context()) }()
			w.settle()
			w.want(t, vs+rs1)
			if s, err := d.Snapshot(t.Context()); err != nil || s.Alive() != nil {
				t.Errorf("%+v, %v", s, err)
			}
			close(slow)
			if err := <-reloaded; err != nil {
				t.Error(err)
			}
			w.settle()
			w.want(t, vs+strings.Replace(rs1, "-w 1", "-w 3", 1))
		})
	})
}

// TestLogFollowsVerdicts checks that the log has every verdict in its order, even if one change of
// the table contains several of them.
func TestLogFollowsVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "failurecount=2\n"+strings.Replace(simple, "checkinterval=1", "checkinterval=3", 1))
		w.run(t, "web", func(*health.Daemon) {
			<-time.After(4 * time.Second)
			w.logged()
			w.kernel.lost.Store(true)
			w.set(func() { w.down["192.0.2.21"] = true })
			<-time.After(7 * time.Second)
			w.set(func() { w.down["192.0.2.22"] = true })
			<-time.After(7 * time.Second)
			w.set(func() { delete(w.down, "192.0.2.21") })
			<-time.After(4 * time.Second)
			w.logged()
			w.kernel.lost.Store(false)
			w.settle()
			w.want(t, vs+rs1)
			w.wantLog(t, `
Soft failure real server: 192.0.2.21:80 (tcp:192.0.2.10:80) failure 1/2
Deleted real server: 192.0.2.21:80 (192.0.2.10:80)
Soft failure real server: 192.0.2.22:80 (tcp:192.0.2.10:80) failure 1/2
Deleted real server: 192.0.2.22:80 (192.0.2.10:80)
Added fallback server: 127.0.0.1:80 (192.0.2.10:80) (Weight set to 1)
Resetting soft failure count: 192.0.2.21:80 (tcp:192.0.2.10:80)
Added real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 1)
Deleted fallback server: 127.0.0.1:80 (192.0.2.10:80)
`)
			w.set(func() { w.down["192.0.2.21"] = true })
			<-time.After(3100 * time.Millisecond)
			w.set(func() { clear(w.down) })
			<-time.After(3100 * time.Millisecond)
			w.wantLog(t, `
Soft failure real server: 192.0.2.21:80 (tcp:192.0.2.10:80) failure 1/2
Resetting soft failure count: 192.0.2.22:80 (tcp:192.0.2.10:80)
Added real server: 192.0.2.22:80 (192.0.2.10:80) (Weight set to 1)
Resetting soft failure count: 192.0.2.21:80 (tcp:192.0.2.10:80)
`)
		})
	})
}

func TestMaintenanceOverridesChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.run(t, "web", func(d *health.Daemon) {
			members, err := d.Members(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Maintain(t.Context(), map[health.Member]bool{members[0]: true}); err != nil {
				t.Fatal(err)
			}
			w.settle()
			w.want(t, vs+rs2)
			if s, err := d.Snapshot(t.Context()); err != nil || s.Services[0].Reals[0].Reason != "Server in maintenance" {
				t.Errorf("%+v %v", s, err)
			}
			if err := d.Maintain(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			w.settle()
			w.want(t, vs+rs1+rs2)
		})
	})
}

// TestMaintenanceIsOfAService checks that an operator can drain a real server in only one of its
// two services.
func TestMaintenanceIsOfAService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple+strings.ReplaceAll(simple[strings.Index(simple, "virtual"):], "192.0.2.10", "192.0.2.11"))
		w.run(t, "web", func(d *health.Daemon) {
			members, err := d.Members(t.Context())
			if err != nil || len(members) != 4 {
				t.Fatalf("%v, %v", members, err)
			}
			if err := d.Maintain(t.Context(), map[health.Member]bool{members[0]: true}); err != nil {
				t.Fatal(err)
			}
			w.settle()
			w.want(t, vs+rs2+strings.ReplaceAll(vs+rs1+rs2, "192.0.2.10", "192.0.2.11"))
			last := w.events[len(w.events)-1]
			if last.Kind != health.ServerDrained || last.Service.ID != members[0].Service || last.Reason != "Server in maintenance" {
				t.Errorf("%+v", last)
			}
		})
	})
}

// TestHostWithoutDescriptors checks that the verdicts stay while the host has no descriptors to
// send checks.
func TestHostWithoutDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.run(t, "web", func(d *health.Daemon) {
			w.want(t, vs+rs1+rs2)
			w.logged()
			trouble := func(want string) {
				t.Helper()
				if s, err := d.Snapshot(t.Context()); err != nil || s.Trouble != want {
					t.Errorf("got %q, %v; want %q", s.Trouble, err, want)
				}
			}
			trouble("")
			w.set(func() { w.local = fmt.Errorf("connect to 192.0.2.21:80: %w", syscall.EMFILE) })
			<-time.After(20 * time.Second)
			w.want(t, vs+rs1+rs2)
			const said = "this host cannot send checks, the verdicts stay: connect to 192.0.2.21:80: too many open files"
			w.wantLog(t, said+"\n")
			trouble(said)
			w.set(func() { w.local = nil })
			<-time.After(20 * time.Second)
			trouble("")
			w.want(t, vs+rs1+rs2)
		})
	})
}
