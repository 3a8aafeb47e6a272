package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
)

// explainer is a daemon that returns an explanation.
type explainer struct {
	daemon
	explanation control.Explanation
}

func (e explainer) Explain(_ context.Context, f control.Filter) (control.Explanation, error) {
	all := e.explanation
	if !f.HasService("-t 192.0.2.10:80") {
		all.Services = nil
	}
	if f.Server != "" && !f.HasServer("192.0.2.21:80") {
		all.Services = []control.ExplainedService{{ID: "-t 192.0.2.10:80"}}
	}
	return all, nil
}

// counting is a kernel with counters.
type counting struct{ fakeKernel }

func (counting) Counters(context.Context) ([]lvs.Counters, error) {
	op, err := lvs.ParseOp("-a -t 192.0.2.10:80 -r 192.0.2.21:80")
	return []lvs.Counters{{Service: op.Service.ID, Server: op.Destination.Addr, Active: 3, Inactive: 12, ConnRate: 2}}, err
}

// shortDir returns a new directory with a short name: the path of a unix socket can have at most
// 107 characters.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lvs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// start serves a daemon on a control socket until the end of the test.
func start(t *testing.T, dir, id string, d control.Daemon) {
	t.Helper()
	listener, err := control.Listen(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- control.Serve(ctx, listener, d, new(control.Feed)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestExplain(t *testing.T) {
	dir := shortDir(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	zero := 0
	explanation := control.Explanation{ID: "web", PID: 7, Version: "1.2.3", Config: "/etc/ha.d/web.cf", Now: now, Services: []control.ExplainedService{{
		ID: "-t 192.0.2.10:80", Scheduler: "wrr", Persistence: 600, Record: "resource web-ipvs", RecordPath: "/run/lvs-agents/ipvs/web-ipvs", Holder: "web", Good: 1, Servers: 2,
		Reals: []control.ExplainedServer{{
			Real:   control.Real{Addr: "192.0.2.21:80", Configured: 1, Verdict: "bad", Since: now.Add(-90 * time.Second)},
			Kernel: &zero, Because: "its checks fail", Rule: "checks",
			Checks: []control.ExplainedCheck{{
				Kind: "http", Query: "GET http://192.0.2.21:80/health", Expected: `status 200-299, a reply that matches "OK"`,
				Interval: 10, Timeout: 5, Fall: 3, Rise: 1, Verdict: "bad", Failures: 3, Next: now.Add(4 * time.Second),
				Last: []control.CheckResult{
					{Time: now.Add(-6 * time.Second), Reason: "status 500 No\x1b[31m\nforged line", Reply: "status 500 No", Connect: 0.0002, FirstByte: 0.0031, Total: 0.00345},
					{Time: now.Add(-16 * time.Second), Connect: 0.0002, TLS: 0.004, FirstByte: 1.5, Match: 0.0000123, Total: 1.51, Hint: true},
				},
			}},
		}},
	}}}
	start(t, dir, "web", explainer{daemon{control.Snapshot{Services: []control.Service{{ID: "-t 192.0.2.10:80", Reals: []control.Real{{Addr: "192.0.2.21:80"}}}}}}, explanation})
	explain := func(args ...string) (int, string, string) {
		var out, errs strings.Builder
		code := run(t.Context(), append([]string{"explain"}, args...), system{stdout: &out, stderr: &errs, stateDir: dir, kernel: counting{}})
		return code, out.String(), errs.String()
	}
	code, stdout, stderr := explain("192.0.2.10:80", "192.0.2.21")
	const want = `-t 192.0.2.10:80, wrr persistent 600: 1 of 2 real servers good
  checked by    directord web, process 7, /etc/ha.d/web.cf
  record of     resource web-ipvs (/run/lvs-agents/ipvs/web-ipvs)
  claimed by    health daemon web
  would change  nothing, the kernel has the wanted table
192.0.2.21:80: bad for 1m30s, since 2026-01-02 03:02:35
  weight       wanted 0, configured 1, in the kernel 0
  because      its checks fail (rule: checks)
  connections  3 active, 12 inactive, 2 new per second
  check        http: GET http://192.0.2.21:80/health
  expected     status 200-299, a reply that matches "OK"
  schedule     every 10s, timeout 5s; 3 failures make it bad, 1 success makes it good again
  in a row     3 failures; next check in 4s
  at 03:03:59  failed in 3.45ms (connect 200µs, first byte 3.1ms): status 500 No\u001b[31m\u000aforged line
    reply      status 500 No
  at 03:03:49  passed in 1.51s (connect 200µs, TLS 4ms, first byte 1.5s, match 12.3µs), early because of its connections
`
	if diff := cmp.Diff(want, stdout); code != 0 || stderr != "" || diff != "" {
		t.Errorf("%d %s(-want +got):\n%s", code, stderr, diff)
	}
	if code, stdout, _ := explain("192.0.2.10:80", "--json"); code != 0 || !strings.Contains(stdout, `"reason": "status 500 No\u001b[31m\nforged line"`) {
		t.Errorf("%d %s", code, stdout)
	}
	for _, tt := range []struct{ args, want string }{
		{"192.0.2.11:80", "lvsctl: no health daemon on this node has the service 192.0.2.11:80; did you mean \"192.0.2.10:80\"?\n"},
		{"192.0.2.10:80 192.0.2.22:80", "lvsctl: service -t 192.0.2.10:80 has no real server 192.0.2.22:80; did you mean \"192.0.2.21:80\"?\n"},
		{"web", "lvsctl: directord web: service \"web\" is neither ADDRESS, ADDRESS:PORT nor a firewall mark\n"},
	} {
		if code, _, stderr := explain(strings.Fields(tt.args)...); code != 1 || stderr != tt.want {
			t.Errorf("%s: %d\ngot  %swant %s", tt.args, code, stderr, tt.want)
		}
	}
}

func TestExplainHintsAtIgnoredWeights(t *testing.T) {
	for _, tt := range []struct {
		scheduler          string
		weight, configured int
		want               bool
	}{{"rr", 2, 2, true}, {"rr", 7, 1, true}, {"rr", -1, 2, true}, {"rr", 1, 1, false}, {"wrr", 2, 2, false}} {
		var out strings.Builder
		s := control.ExplainedService{Scheduler: tt.scheduler, Reals: []control.ExplainedServer{{Real: control.Real{Weight: tt.weight, Configured: tt.configured}}}}
		explainCommand{}.write(&out, control.Explanation{}, s, nil)
		if got := strings.Contains(out.String(), "  the scheduler rr ignores all weights except 0; use wrr or wlc\n"); got != tt.want {
			t.Errorf("%s with weight %d: %s", tt.scheduler, tt.weight, out.String())
		}
	}
}

func TestInertTexts(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"connection refused – grün", "connection refused – grün"},
		{"a\x1b]0;title\x07\r\n\tb", `a\u001b]0;title\u0007\u000d\u000a\u0009b`},
		{"\u009b31m \u202e \x7f \xff", `\u009b31m \u202e \u007f ` + "\ufffd"},
		{"<script>&", "<script>&"},
		{"\xff", "\ufffd"},
		{"\U000e0001", "\ufffd"},
	} {
		if got := inert(tt.text); got != tt.want {
			t.Errorf("got  %q\nwant %q", got, tt.want)
		}
	}
	var out strings.Builder
	if err := writeJSON(&out, map[string]string{"reason": "\x1b[31m\u009b\n<b>"}); err != nil || out.String() != "{\n  \"reason\": \"\\u001b[31m\\u009b\\n\\u003cb\\u003e\"\n}\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// slowExplainer is a daemon that explains late.
type slowExplainer struct{ explainer }

func (e slowExplainer) Explain(ctx context.Context, f control.Filter) (control.Explanation, error) {
	<-time.After(patience + 300*time.Millisecond)
	return e.explainer.Explain(ctx, f)
}

func TestExplainReportsASlowDaemon(t *testing.T) {
	dir := shortDir(t)
	why := explainer{explanation: control.Explanation{ID: "web0", Services: []control.ExplainedService{{ID: "-t 192.0.2.10:80", Good: 1, Servers: 2}}}}
	start(t, dir, "web0", slowExplainer{why})
	start(t, dir, "web1", daemon{})
	var out, errs strings.Builder
	code := run(t.Context(), []string{"explain", "192.0.2.10:80"}, system{stdout: &out, stderr: &errs, stateDir: dir, kernel: fakeKernel{}})
	if want := "lvsctl: directord web0 has not replied for 800ms; lvsctl waits for 5s at most\n"; code != 0 || errs.String() != want || !strings.Contains(out.String(), ": 1 of 2 real servers good\n") {
		t.Errorf("%d %s%s", code, errs.String(), out.String())
	}
}
