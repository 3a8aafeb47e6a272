package health_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
)

func explained(t *testing.T, d *health.Daemon, f control.Filter) control.ExplainedService {
	t.Helper()
	e, err := d.Explain(t.Context(), f)
	if err != nil || len(e.Services) != 1 || e.PID != 42 || e.Config != "web.cf" {
		t.Fatalf("%+v, %v", e, err)
	}
	return e.Services[0]
}

func TestExplainHasTheLastChecksAndTheDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, governed+"\tfall=2\n\tmax_ejection_percent=34\n")
		w.run(t, "web", func(d *health.Daemon) {
			w.set(func() { w.down["192.0.2.21"], w.down["192.0.2.22"] = true, true })
			<-time.After(10 * time.Second)
			synctest.Wait()
			s := explained(t, d, control.Filter{Service: "192.0.2.10:80"})
			if s.Record != "health daemon web" || s.Holder != "web" || s.Good != 1 || s.Servers != 3 || s.Trouble != "" || s.Plan != nil {
				t.Errorf("%+v", s)
			}
			var got []string
			for _, r := range s.Reals {
				got = append(got, r.Verdict+": "+r.Because+" ("+r.Rule+")")
				if r.Kernel == nil || *r.Kernel != r.Weight || len(r.Checks) != 1 || len(r.Checks[0].Last) != 1 {
					t.Errorf("%+v", r)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff([]string{
				"bad: its checks fail (checks)",
				"bad: its checks fail, but checks have taken out as many servers as they may (max_ejection_percent)",
				"good: its checks pass (checks)",
			}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			s = explained(t, d, control.Filter{Service: "-t 192.0.2.10:80", Server: "192.0.2.21"})
			if len(s.Reals) != 1 || len(s.Reals[0].Checks) != 1 {
				t.Fatalf("%+v", s.Reals)
			}
			c := s.Reals[0].Checks[0]
			if c.Kind != "http" || c.Query != "GET http://192.0.2.21:80/" || c.Expected != "status 200-299" || c.Interval != 1 || c.Fall != 2 || c.Rise != 1 || c.Failures < 9 {
				t.Errorf("%+v", c)
			}
			if next := time.Until(c.Next); next <= 0 || next > time.Second {
				t.Errorf("next check in %v", next)
			}
			if len(c.Last) != 5 || c.Last[0].Reason != "refused" || c.Last[0].Time.Sub(c.Last[4].Time) != 4*time.Second {
				t.Errorf("%+v", c.Last)
			}
		})
	})
}

func TestExplainHasThePendingCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simple)
		w.run(t, "web", func(d *health.Daemon) {
			w.change(t, "-e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 7")
			s := explained(t, d, control.Filter{Server: "192.0.2.21:80"})
			if diff := cmp.Diff([]string{"ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1"}, s.Plan); diff != "" || *s.Reals[0].Kernel != 7 {
				t.Errorf("(-want +got):\n%s\n%+v", diff, s)
			}
			if err := w.store.Remove("directord%web"); err != nil {
				t.Fatal(err)
			}
			if s = explained(t, d, control.Filter{}); s.Holder != "" || s.Record != "" || s.Trouble == "" {
				t.Errorf("without a record: %+v", s)
			}
		})
	})
}
