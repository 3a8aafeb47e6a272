package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/record"
)

// many returns a setup with a number of services, and the same number of real servers in each
// service.
func many(services, reals int) Setup {
	var setup Setup
	for i := range services {
		id := lvs.ServiceID{Protocol: lvs.TCP, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 80)}
		s := Service{Service: lvs.Service{ID: id, Scheduler: "rr"}, Quiescent: true}
		for j := range reals {
			n := i*reals + j
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(n >> 16), byte(n >> 8), byte(n)}), 80)
			s.Reals = append(s.Reals, Real{
				Destination: lvs.Destination{Addr: addr, Forward: lvs.Masq, Weight: 1},
				Probes:      []Probe{{Check: config.Check{Type: config.Connect, Interval: time.Second, Fall: 1, Rise: 1}, Addr: addr}},
			})
		}
		setup.Services = append(setup.Services, s)
	}
	return setup
}

// adding is a fake IPVS table that only accepts new services and destinations. kerneltest.IPVS
// would be too slow here, because it copies its table for every change.
type adding struct {
	table lvs.Table
	index map[lvs.ServiceID]int
}

func (k *adding) Table(context.Context) (lvs.Table, error) { return k.table, nil }

func (k *adding) Apply(_ context.Context, ops []lvs.Op) (int, error) {
	for _, op := range ops {
		switch op.Verb {
		case lvs.AddService:
			k.index[op.Service.ID] = len(k.table)
			k.table = append(k.table, lvs.VirtualService{Service: op.Service})
		case lvs.AddDestination:
			v := &k.table[k.index[op.Service.ID]]
			v.Destinations = append(v.Destinations, op.Destination)
		case lvs.EditService, lvs.EditDestination, lvs.DeleteDestination, lvs.DeleteService:
			return 0, fmt.Errorf("%s: not at a start", op)
		}
	}
	return len(ops), nil
}

// BenchmarkTenThousandRealServers measures the start of a daemon without the time of its checks.
// Every real server gets its first verdict, and the daemon makes the table. The benchmark measures
// separately how long a client needs to read the state.
func BenchmarkTenThousandRealServers(b *testing.B) {
	for _, size := range [][2]int{{1, 10000}, {100, 100}, {10000, 1}} {
		setup := many(size[0], size[1])
		b.Run(fmt.Sprintf("services=%d", size[0]), func(b *testing.B) {
			for b.Loop() {
				d := startMany(b, setup)
				b.StopTimer()
				if got := len(d.snapshot().Services); got != size[0] {
					b.Fatalf("%d services", got)
				}
				b.StartTimer()
			}
		})
		b.Run(fmt.Sprintf("snapshot/services=%d", size[0]), func(b *testing.B) {
			d := startMany(b, setup)
			for b.Loop() {
				_ = d.snapshot()
			}
		})
	}
}

// startMany does the same steps as Run until all real servers have a verdict, but in one goroutine.
func startMany(tb testing.TB, setup Setup) *Daemon {
	tb.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	store, err := record.In(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	d := New(Options{ID: "many", Kernel: &adding{index: map[lvs.ServiceID]int{}}, Store: store, Log: log,
		Checker: func(Probe) (check.Checker, error) { return checkFunc(func(context.Context) error { return nil }), nil }})
	if d.adopted, err = d.reconciler.adopt(tb.Context(), setup.Table()); err != nil {
		tb.Fatal(err)
	}
	taken := background(func() { <-d.wheel.changes })
	d.accept(tb.Context(), setup, nil)
	<-taken
	d.begin()
	d.apply(nil)
	now := time.Now()
	for i, probe := range setup.Probes() {
		d.takeResult(result{probe: probe, at: now})
		if i%cap(d.results) == 0 {
			d.apply(nil) // The daemon's function Run also calls apply once for all results that wait.
		}
	}
	d.apply(nil)
	w := <-d.reconciler.wants
	done, err := d.reconciler.round(tb.Context(), w)
	if err != nil {
		tb.Fatal(err)
	}
	if later := d.reconciler.pass(w, done, nil); later != nil {
		tb.Fatalf("%d events are left", len(later))
	}
	if ops, _, err := d.reconciler.plan(tb.Context(), w); err != nil || len(ops) > 0 {
		tb.Fatalf("%d ops are left, %v", len(ops), err)
	}
	return d
}

// TestAVerdictCostsTheSameInALargeService checks how much memory the daemon allocates for a verdict
// in a service with 10000 real servers. It does not measure time, because time is not reliable on a
// busy machine.
func TestAVerdictCostsTheSameInALargeService(t *testing.T) {
	d := startMany(t, many(1, 10000))
	probes := d.setup.Probes()
	// most is the limit in bytes for one verdict. A copy of the service would need ten times as
	// many.
	const verdicts, most = 100, 64 << 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range verdicts {
		d.takeResult(result{probe: probes[i], err: io.EOF, at: time.Now()})
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / verdicts; each > most {
		t.Errorf("%d bytes for a verdict", each)
	}
	d.apply(nil)
	if got := d.wanted[0].Destinations[0].Weight + d.wanted[0].Destinations[verdicts].Weight; got != 1 {
		t.Errorf("weights %v", d.wanted[0].Destinations[:verdicts+1])
	}
}

// TestReasonIsFitForEverybody checks that the function Checked, the status and the events get a
// short, printable text as the reason of a failed check.
func TestReasonIsFitForEverybody(t *testing.T) {
	d := startMany(t, many(1, 1))
	var told string
	d.options.Checked = func(_ Service, _ Real, _ Probe, err error) { told = err.Error() }
	d.takeResult(result{probe: d.setup.Probes()[0], err: errors.New("\x1b[31mred\r\n" + strings.Repeat("long ", 1<<20)), at: time.Now()})
	want := "?[31mred  long "
	for where, got := range map[string]string{
		"hook": told, "status": d.snapshot().Services[0].Reals[0].Reason, "event": d.events[0].Reason,
	} {
		if !strings.HasPrefix(got, want) || len(got) > 400 {
			t.Errorf("%s: %d bytes, %.40q", where, len(got), got)
		}
	}
}

// BenchmarkSetup measures the reading of a configuration with ten thousand real servers.
func BenchmarkSetup(b *testing.B) {
	var text strings.Builder
	text.WriteString("virtual=192.0.2.10:80\n\tservice=http\n\trequest=\"/health\"\n\treceive=\"^status: (up|fine)$\"\n")
	for n := range 10000 {
		fmt.Fprintf(&text, "\treal=127.0.%d.%d:80 masq\n", n>>8, n&255)
	}
	for b.Loop() {
		cfg, problems := ldirectord.Parse("web.cf", []byte(text.String()))
		if err := config.Err(problems); err != nil {
			b.Fatal(err)
		}
		s, err := NewSetup(b.Context(), cfg, nil)
		if err != nil {
			b.Fatal(err)
		}
		d := Daemon{options: Options{Checker: Checkers(Tools{})}}
		if _, err := d.checkers(s); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkResult measures one result of a check that changes no verdict, in a daemon with ten
// thousand real servers.
func BenchmarkResult(b *testing.B) {
	d := startMany(b, many(100, 100))
	d.options.Checked = func(Service, Real, Probe, error) {}
	probes, now, n := d.setup.Probes(), time.Now(), 0
	b.ReportAllocs()
	for b.Loop() {
		d.takeResult(result{probe: probes[n%len(probes)], at: now})
		n++
	}
}
