package health_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/health"
)

// happened returns the events since the last call, one event on each line.
func (w *world) happened() string {
	var text strings.Builder
	w.set(func() {
		for _, e := range w.events {
			text.WriteString(string(e.Kind))
			if e.Service != nil {
				fmt.Fprintf(&text, " %s", e.Service.ID)
			}
			if e.Server.IsValid() {
				fmt.Fprintf(&text, " -r %s %d:%d", e.Server, e.From, e.To)
			}
			if e.Check != "" {
				fmt.Fprintf(&text, " %s %s %d/%d", e.Check, e.Verdict, e.Failures, e.Fall)
			}
			if lasted := e.Lasted.Round(time.Second); lasted != 0 {
				fmt.Fprintf(&text, " after %v", lasted)
			}
			if e.Reason != "" {
				fmt.Fprintf(&text, " (%s)", e.Reason)
			}
			text.WriteString("\n")
		}
		w.events = nil
	})
	return text.String()
}

func (w *world) wantEvents(t *testing.T, lines string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimPrefix(lines, "\n"), w.happened()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestEvents checks the events of a service from the start of the daemon to a reload.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "failurecount=2\n"+simple)
		w.down["192.0.2.22"] = true
		w.run(t, "web", func(d *health.Daemon) {
			<-time.After(3 * time.Second)
			w.wantEvents(t, `
configuration_loaded
service_added -t 192.0.2.10:80
fallback_in -t 192.0.2.10:80 -r 127.0.0.1:80 -1:1
check_passed -t 192.0.2.10:80 -r 192.0.2.21:80 0:0 http good 0/2
server_up -t 192.0.2.10:80 -r 192.0.2.21:80 -1:1 http good 0/0
fallback_out -t 192.0.2.10:80 -r 127.0.0.1:80 1:-1
service_serving -t 192.0.2.10:80
`)
			w.set(func() { w.down["192.0.2.21"] = true })
			<-time.After(10 * time.Second)
			w.wantEvents(t, `
check_failed -t 192.0.2.10:80 -r 192.0.2.21:80 0:0 http good 1/2 (refused)
server_down -t 192.0.2.10:80 -r 192.0.2.21:80 1:-1 http bad 0/0 after 6s (refused)
fallback_in -t 192.0.2.10:80 -r 127.0.0.1:80 -1:1
service_empty -t 192.0.2.10:80
`)
			w.change(t, "-d -t 192.0.2.10:80 -r 127.0.0.1:80")
			w.settle()
			w.wantEvents(t, "table_repaired -t 192.0.2.10:80 -r 127.0.0.1:80 -1:1\n")
			w.set(func() { w.text = "virtual=\n" })
			if d.Reload(t.Context()) == nil {
				t.Error("accepted")
			}
			w.wantEvents(t, "configuration_refused (web.cf:1:9: virtual \"\": no address; write ADDRESS:PORT)\n")
			w.set(func() { w.text = strings.ReplaceAll(simple, "scheduler=rr", "scheduler=wlc") })
			if err := d.Reload(t.Context()); err != nil {
				t.Error(err)
			}
			w.settle()
			w.wantEvents(t, "configuration_loaded\nservice_changed -t 192.0.2.10:80\n")
		})
	})
}

// TestFailuresOfAServerThatWasIn checks that a server that the daemon found in the table goes down
// only after failurecount failures. As in ldirectord, the count begins when the daemon starts.
func TestFailuresOfAServerThatWasIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "failurecount=2\n"+simple)
		w.run(t, "web", func(*health.Daemon) {})
		w.happened()
		w.logged()
		w.down["192.0.2.21"] = true
		w.run(t, "web", func(*health.Daemon) {
			<-time.After(4 * time.Second)
			w.set(func() { clear(w.down) })
			w.settle()
			w.wantEvents(t, `
configuration_loaded
check_failed -t 192.0.2.10:80 -r 192.0.2.21:80 0:0 http unknown 1/2 (refused)
service_serving -t 192.0.2.10:80
server_down -t 192.0.2.10:80 -r 192.0.2.21:80 1:-1 http bad 0/0 after 1s (refused)
check_passed -t 192.0.2.10:80 -r 192.0.2.21:80 0:0 http good 6/2
server_up -t 192.0.2.10:80 -r 192.0.2.21:80 -1:1 http good 0/0 after 5s
`)
			w.wantLog(t, `
Soft failure real server: 192.0.2.21:80 (tcp:192.0.2.10:80) failure 1/2
Deleted real server: 192.0.2.21:80 (192.0.2.10:80)
Resetting soft failure count: 192.0.2.21:80 (tcp:192.0.2.10:80)
Added real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 1)
`)
		})
	})
}

// TestUndoneChanges checks the events of changes that another program made and the daemon undid.
func TestUndoneChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.run(t, "web", func(*health.Daemon) {
			w.happened()
			for _, tt := range []struct{ change, want string }{
				{"-e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 7", "-e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 7"},
				{"-d -t 192.0.2.10:80 -r 192.0.2.21:80", "-d -t 192.0.2.10:80 -r 192.0.2.21:80"},
				{"-a -t 192.0.2.10:80 -r 192.0.2.99:80 -g -w 3", "-a -t 192.0.2.10:80 -r 192.0.2.99:80 -g -w 3"},
				{"-E -t 192.0.2.10:80 -s wlc", "-E -t 192.0.2.10:80 -s wlc"},
				{"-D -t 192.0.2.10:80", "-D -t 192.0.2.10:80"},
			} {
				w.change(t, tt.change)
				w.settle()
				w.mu.Lock()
				var undone []string
				for _, e := range w.events {
					if text := e.Control().Undone; text != "" {
						undone = append(undone, text)
					}
				}
				w.events = nil
				w.mu.Unlock()
				if diff := cmp.Diff([]string{"ipvsadm " + tt.want}, undone); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tt.change, diff)
				}
			}
			if err := w.store.Remove("directord%web"); err != nil {
				t.Fatal(err)
			}
			w.settle()
			w.settle()
			var kinds []string
			for _, e := range w.events {
				kinds = append(kinds, string(e.Kind)+" "+e.Reason)
			}
			if got := strings.Join(kinds, "\n"); !strings.HasPrefix(got, "service_lost its record ") || !strings.Contains(got, "service_taken") {
				t.Error(got)
			}
		})
	})
}
