package health_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
	"lvs-agents/internal/state/record"
)

// snapshot returns the snapshot of a daemon. The test fails if the daemon returns an error.
func snapshot(t *testing.T, d *health.Daemon) control.Snapshot {
	t.Helper()
	s, err := d.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// held reads a record. The test fails if the record does not exist.
func (w *world) held(t *testing.T, id string) record.Record {
	t.Helper()
	r, err := w.store.Load(id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWantedButNotHeldIsAFailedRound(t *testing.T) {
	const web = "-t 192.0.2.10:80"
	for _, tt := range []struct {
		name  string
		hurt  func(*record.Record)
		want  string
		again bool // again says that the daemon must take the service over again.
	}{
		{"its resource is being stopped", func(r *record.Record) { r.State = record.Stopping }, "resource web-ipvs is being stopped", false},
		{"another daemon has it", func(r *record.Record) { r.Holder = "other" }, "health daemon other has taken it over", false},
		{"its resource was started again", func(r *record.Record) { r.Holder, r.Claimed = "", nil }, "resource web-ipvs was started again", true},
		{"its claim is gone", func(r *record.Record) { r.Claimed = nil }, "resource web-ipvs was reloaded", true},
		{"its resource was reloaded without it", func(r *record.Record) { r.Services = nil }, "resource web-ipvs was reloaded", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simple)
				w.resource(t, "web-ipvs", vs+rs1+rs2)
				w.run(t, "web", func(d *health.Daemon) {
					w.logged()
					r := w.held(t, "web-ipvs")
					tt.hurt(&r)
					if err := w.store.Save(r); err != nil {
						t.Fatal(err)
					}
					w.set(func() { w.down["192.0.2.21"] = true })
					want := web + " is checked but not balanced: " + tt.want
					if err := d.Resync(t.Context()); err == nil || err.Error() != want {
						t.Errorf("resync: got %v, want %s", err, want)
					}
					w.settle()
					s := snapshot(t, d)
					if tt.again {
						w.want(t, vs+rs2)
						if r := w.held(t, "web-ipvs"); r.Holder != "web" || len(r.Claimed) != 1 || s.Trouble != "" || s.Services[0].Trouble != "" {
							t.Errorf("record %+v, snapshot %+v", r, s)
						}
						return
					}
					w.want(t, vs+rs1+rs2)
					if s.Trouble != want || s.Services[0].Trouble != tt.want || s.Alive() != nil {
						t.Errorf("trouble %q and %q, %v", s.Trouble, s.Services[0].Trouble, s.Alive())
					}
					<-time.After(10 * time.Second)
					if err := snapshot(t, d).Alive(); err == nil || !strings.HasSuffix(err.Error(), want) {
						t.Errorf("alive: %v", err)
					}
					if n := strings.Count(w.logged(), want); n != 1 {
						t.Errorf("said %d times", n)
					}
				})
			})
		})
	}
}

// TestOwnRecordComesBack checks that a running daemon writes its own record again after another
// program has removed it.
func TestOwnRecordComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.run(t, "web", func(d *health.Daemon) {
			if err := w.store.Remove(record.OwnID("web")); err != nil {
				t.Fatal(err)
			}
			w.set(func() { w.down["192.0.2.21"] = true })
			<-time.After(2 * time.Second)
			w.settle()
			w.want(t, vs+rs2)
			w.change(t, "-D -t 192.0.2.10:80")
			w.settle()
			w.want(t, vs+rs2)
			if s := snapshot(t, d); s.Trouble != "" || s.Alive() != nil {
				t.Errorf("%+v", s)
			}
		})
		if _, err := w.store.Release(t.Context(), w.kernel, "web"); err != nil {
			t.Error(err)
		}
		w.want(t, "")
	})
}

// TestRecordRemovedBeforeTheStop checks that a stop removes all services from the kernel, even if
// the daemon's own record was removed before.
func TestRecordRemovedBeforeTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		var d *health.Daemon
		w.run(t, "web", func(running *health.Daemon) {
			d = running
			if err := w.store.Remove(record.OwnID("web")); err != nil {
				t.Fatal(err)
			}
		})
		if err := d.Secure(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := w.store.Release(t.Context(), w.kernel, "web"); err != nil {
			t.Error(err)
		}
		w.want(t, "")
	})
}

// TestStoppedResourceStaysStopped checks that the daemon does not adopt the services of a stopped
// resource before the resource starts again.
func TestStoppedResourceStaysStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple+"virtual=192.0.2.11:80\n\treal=192.0.2.23:80 gate\n\tscheduler=rr\n")
		w.resource(t, "web-ipvs", vs+rs1+rs2)
		w.run(t, "web", func(d *health.Daemon) {
			const own = "-A -t 192.0.2.11:80 -s rr\n-a -t 192.0.2.11:80 -r 192.0.2.23:80 -g -w 1\n"
			if err := w.store.Remove("web-ipvs"); err != nil {
				t.Fatal(err)
			}
			w.change(t, "-D -t 192.0.2.10:80")
			w.settle()
			if err := d.Reload(t.Context()); err != nil {
				t.Error(err)
			}
			w.set(func() { w.down["192.0.2.21"] = true })
			<-time.After(5 * time.Second)
			w.want(t, own)
			s := snapshot(t, d)
			if s.Services[0].Trouble != "resource web-ipvs was stopped; start it" || s.Services[1].Trouble != "" {
				t.Errorf("%+v", s)
			}
			w.resource(t, "web-ipvs", vs+rs1+rs2)
			<-time.After(2 * time.Second)
			w.settle()
			w.want(t, vs+rs2+own)
			if s := snapshot(t, d); s.Trouble != "" {
				t.Errorf("trouble %q", s.Trouble)
			}
		})
	})
}

// TestRestartedResourceHasItsNewConfiguration checks that the daemon uses the new configuration of
// a resource that was restarted.
func TestRestartedResourceHasItsNewConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.resource(t, "web-ipvs", vs+rs1+rs2)
		w.run(t, "web", func(*health.Daemon) {
			w.set(func() { w.text = strings.Replace(simple, "real=192.0.2.22:80 gate", "real=192.0.2.22:80 gate 5", 1) })
			heavy := strings.Replace(rs2, "-w 1", "-w 5", 1)
			w.change(t, "-D -t 192.0.2.10:80")
			w.resource(t, "web-ipvs", vs+rs1+heavy)
			<-time.After(2 * time.Second)
			w.settle()
			w.want(t, vs+rs1+heavy)
			w.set(func() { w.text, w.down["192.0.2.21"] = "virtual=192.0.2.10\n", true })
			w.change(t, "-D -t 192.0.2.10:80")
			w.resource(t, "web-ipvs", vs+rs1+heavy)
			<-time.After(2 * time.Second)
			w.settle()
			// The daemon keeps its previous configuration, because it cannot use the new file.
			w.want(t, vs+heavy)
		})
	})
}

func TestClaimOfADeadDaemonIsTakenOver(t *testing.T) {
	for _, tt := range []struct {
		name     string
		resource bool
		text     string
		want     string
	}{
		{"of a resource", true, simple, vs + rs2},
		{"of its own", false, simple, vs + rs2},
		{"of its own with more services", false, simple + "virtual=7\n\treal=192.0.2.21:80 gate\n\tchecktype=on\n",
			vs + rs2 + "-A -f 7 -s wrr\n-a -f 7 -r 192.0.2.21:80 -g -w 1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.text)
				if tt.resource {
					w.resource(t, "web-ipvs", vs+rs1+rs2)
				}
				w.run(t, "web", func(*health.Daemon) {})
				w.dead, w.text = true, simple
				w.down["192.0.2.21"] = true
				w.run(t, "other", func(d *health.Daemon) {
					w.want(t, tt.want)
					if s := snapshot(t, d); s.Trouble != "" {
						t.Errorf("trouble %q", s.Trouble)
					}
				})
				for _, holder := range []string{"other", "web"} {
					if _, err := w.store.Release(t.Context(), w.kernel, holder); err != nil {
						t.Error(err)
					}
				}
				if !tt.resource {
					w.want(t, "")
				}
			})
		})
	}
}

// TestServicesThatADaemonDoesNotWantAnyMore checks that a daemon which is started again with fewer
// services ends its claim on the missing services. The daemon also gives the missing services the
// destinations that their resource sets.
func TestServicesThatADaemonDoesNotWantAnyMore(t *testing.T) {
	const second = "virtual=192.0.2.11:80\n\treal=192.0.2.21:80 gate\n\tscheduler=rr\n"
	const vs2, other = "-A -t 192.0.2.11:80 -s rr\n", "-a -t 192.0.2.11:80 -r 192.0.2.21:80 -g -w 1\n"
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple+second)
		w.resource(t, "web-ipvs", vs+rs1+rs2+vs2+other)
		w.down["192.0.2.21"] = true
		w.run(t, "web", func(*health.Daemon) { w.want(t, vs+rs2+vs2) })
		w.text = simple
		w.run(t, "web", func(*health.Daemon) { w.want(t, vs+rs2+vs2+other) })
		if r := w.held(t, "web-ipvs"); len(r.Claimed) != 1 || r.Holder != "web" {
			t.Errorf("%+v", r)
		}
		w.text = second
		w.run(t, "web", func(*health.Daemon) { w.want(t, vs+rs1+rs2+vs2) })
	})
}
