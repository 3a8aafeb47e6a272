package health_test

import (
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

// severalChecks returns the configuration of a service with one real server and two fallbacks. The
// real server has two checks with different thresholds, which ldirectord.cf cannot express.
func severalChecks() *config.Config {
	real := func(addr string, checks ...config.Check) config.Real {
		return config.Real{Destination: lvs.Destination{Addr: netip.MustParseAddrPort(addr), Forward: lvs.Route, Weight: 1}, Checks: checks}
	}
	s := config.Service{
		Service: lvs.Service{ID: lvs.AddrService(lvs.TCP, netip.MustParseAddrPort("192.0.2.10:80")), Scheduler: "rr"},
		Reals: []config.Real{real("192.0.2.21:80",
			config.Check{Type: config.Connect, Interval: time.Second, Timeout: time.Second, Fall: 1, Rise: 1},
			config.Check{Type: config.Negotiate, Application: "http", Port: 8080, Interval: time.Second, Timeout: time.Second, Fall: 2, Rise: 3},
		)},
		Fallbacks: []config.Fallback{{Host: "127.0.0.1", Port: 80, Forward: lvs.Route}, {Host: "192.0.2.99", Port: 80, Forward: lvs.Route}},
	}
	return &config.Config{File: "web", Services: []config.Service{s}}
}

const sorries = sorry + "-a -t 192.0.2.10:80 -r 192.0.2.99:80 -g -w 1\n"

// first returns the first real server of the only service in the daemon's snapshot.
func first(t *testing.T, d *health.Daemon) control.Real {
	t.Helper()
	s, err := d.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.Services[0].Reals[0]
}

// TestOneBadCheckOfSeveralMakesARealServerBad checks that one bad check makes a real server bad.
// The server stays bad until all of its checks are good again.
func TestOneBadCheckOfSeveralMakesARealServerBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.cfg = severalChecks()
		w.run(t, "web", func(d *health.Daemon) {
			w.want(t, vs+rs1)
			w.happened()
			step := func(name string, down map[string]bool, last time.Duration, table, reason, events string) {
				t.Helper()
				w.set(func() { w.down = down })
				<-time.After(last)
				synctest.Wait()
				w.want(t, table)
				if got := first(t, d).Reason; got != reason {
					t.Errorf("%s: reason %q, want %q", name, got, reason)
				}
				w.wantEvents(t, events)
			}
			http, connect := "192.0.2.21:8080", "192.0.2.21:80"
			step("the second check fails once", map[string]bool{http: true}, time.Second, vs+rs1, "http: refused",
				"check_failed -t 192.0.2.10:80 -r 192.0.2.21:80 0:0 http good 1/2 (refused)\n")
			step("the second check fails", map[string]bool{http: true}, 9*time.Second, vs+sorries, "http: refused", `
server_down -t 192.0.2.10:80 -r 192.0.2.21:80 1:-1 http bad 0/0 after 2s (http: refused)
fallback_in -t 192.0.2.10:80 -r 127.0.0.1:80 -1:1
fallback_in -t 192.0.2.10:80 -r 192.0.2.99:80 -1:1
service_empty -t 192.0.2.10:80
`)
			step("both fail", map[string]bool{http: true, connect: true}, 10*time.Second, vs+sorries, "connect: refused", "")
			step("only the first fails", map[string]bool{connect: true}, 10*time.Second, vs+sorries, "connect: refused",
				"check_passed -t 192.0.2.10:80 -r 192.0.2.21:80 0:0 http bad 20/2\n")
			step("none fails", nil, 5*time.Second, vs+rs1, "", `
check_passed -t 192.0.2.10:80 -r 192.0.2.21:80 0:0 connect good 20/1
server_up -t 192.0.2.10:80 -r 192.0.2.21:80 -1:1 connect good 0/0 after 30s
fallback_out -t 192.0.2.10:80 -r 127.0.0.1:80 1:-1
fallback_out -t 192.0.2.10:80 -r 192.0.2.99:80 1:-1
service_serving -t 192.0.2.10:80
`)
		})
	})
}

// TestSeveralChecksStayOverAReload checks that a reload keeps the verdict on a real server with
// several checks, and the time when this verdict began.
func TestSeveralChecksStayOverAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.cfg = severalChecks()
		w.down["192.0.2.21:8080"] = true
		w.run(t, "web", func(d *health.Daemon) {
			<-time.After(5 * time.Second)
			before := first(t, d)
			if err := d.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if after := first(t, d); !reflect.DeepEqual(after, before) || after.Verdict != "bad" {
				t.Errorf("got  %+v\nwant %+v", after, before)
			}
			w.cfg.Services[0].Reals[0].Checks = w.cfg.Services[0].Reals[0].Checks[:1]
			if err := d.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.settle()
			w.want(t, vs+rs1)
		})
	})
}

// TestARealServerWithoutChecksIsUp checks that a real server without checks is up from the start,
// unless an operator drains it.
func TestARealServerWithoutChecksIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.cfg = severalChecks()
		w.cfg.Services[0].Reals[0].Checks = nil
		w.run(t, "web", func(d *health.Daemon) {
			w.want(t, vs+rs1)
			if r := first(t, d); r.Verdict != "good" || r.Since.IsZero() {
				t.Errorf("%+v", r)
			}
			server := health.Member{Service: w.cfg.Services[0].ID, Server: netip.MustParseAddrPort("192.0.2.21:80")}
			if err := d.Maintain(t.Context(), map[health.Member]bool{server: true}); err != nil {
				t.Fatal(err)
			}
			w.settle()
			w.want(t, vs+sorries)
		})
	})
}
