package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/control"
)

type daemon struct{ state control.Snapshot }

func (d daemon) Snapshot(context.Context) (control.Snapshot, error) { return d.state, nil }

func (daemon) Resync(context.Context) error { return nil }

func (daemon) Reload(context.Context) error { return nil }

func (daemon) Explain(context.Context, control.Filter) (control.Explanation, error) {
	return control.Explanation{}, nil
}

// Order implements control.Daemon.
func (daemon) Order(context.Context, control.Command) error { return errors.New("refused") }

func TestStatus(t *testing.T) {
	state := shortDir(t)
	status := func(args ...string) (int, string, string) {
		var out, errs strings.Builder
		code := run(t.Context(), append([]string{"status"}, args...), system{stdout: &out, stderr: &errs, stateDir: state})
		return code, out.String(), errs.String()
	}
	if code, _, stderr := status(); code != 1 || stderr != "lvsctl: no health daemon runs on this node\n" {
		t.Errorf("without a daemon: %d %s", code, stderr)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	snapshot := control.Snapshot{
		ID: "web", PID: 7, Version: "1.2.3", Config: "/etc/ha.d/web.cf", Started: now.Add(-time.Hour), Now: now, Limit: 10, Trouble: "web.cf:3: no",
		Services: []control.Service{{
			ID: "-t 192.0.2.10:80", Scheduler: "rr", Persistence: 600,
			Reals: []control.Real{
				{Addr: "192.0.2.21:80", Forward: "Route", Weight: 0, Configured: 1, Verdict: "bad", Since: now.Add(-90 * time.Second), Reason: "connect to 192.0.2.21:80: connection refused"},
				{Addr: "192.0.2.22:80", Forward: "Route", Weight: -1, Configured: 1, Verdict: "unknown", Policy: "no check has a result yet", Cause: "unchecked"},
				{Addr: "192.0.2.23:80", Forward: "Route", Weight: 1, Configured: 1, Verdict: "bad", Reason: "404 Not Found", Policy: "its checks fail, but this director suspects itself", Cause: "suspected"},
				{Addr: "192.0.2.24:80", Forward: "Route", Weight: 5, Configured: 1, Verdict: "good", Policy: "its checks pass; alice has set the weight 5", Cause: "passed"},
				{Addr: "192.0.2.25:80", Forward: "Route", Weight: 1, Configured: 1, Verdict: "good", Policy: "its checks pass", Cause: "passed"},
				{Addr: "192.0.2.26:80", Forward: "Route", Configured: 1, Verdict: "good", Cause: "ordered", Policy: "root has set drain", Since: now.Add(-time.Minute), Orders: []control.Order{
					{Kind: "weight", Weight: 7, By: "eva", Since: now}, {Kind: "drain", By: "root", Since: now, Until: now.Add(time.Hour)},
				}},
			},
			Fallback: &control.Real{Addr: "127.0.0.1:80", Forward: "Route", Weight: 1, Configured: 1},
		}, {
			ID: "-f 5", Scheduler: "rr", Shortage: "hold",
		}, {
			ID: "-f 6", Scheduler: "rr", Shortage: "fail-open",
		}, {
			ID: "-f 7", Scheduler: "rr", Trouble: "resource web was stopped; start it",
			Reals: []control.Real{{Addr: "192.0.2.21:80", Forward: "Route", Weight: 1, Configured: 1, Verdict: "good"}},
		}},
	}
	listener, err := control.Listen(state, "web")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- control.Serve(ctx, listener, daemon{snapshot}, new(control.Feed)) }()
	code, stdout, stderr := status()
	const want = `web: directord 1.2.3, process 7, /etc/ha.d/web.cf, running for 1h0m0s
trouble: web.cf:3: no
Prot LocalAddress:Port  Scheduler
  -> RemoteAddress:Port  Forward  Weight  Verdict   Since  Reason
TCP  192.0.2.10:80  rr persistent 600
  -> 127.0.0.1:80   Route  1    fallback
  -> 192.0.2.21:80  Route  0    bad      1m30s  connect to 192.0.2.21:80: connection refused
  -> 192.0.2.22:80  Route  out  unknown  -
  -> 192.0.2.23:80  Route  1    bad      -      404 Not Found; its checks fail, but this director suspects itself
  -> 192.0.2.24:80  Route  5    good     -      its checks pass; alice has set the weight 5
  -> 192.0.2.25:80  Route  1    good     -
  -> 192.0.2.26:80  Route  0    good     1m0s   weight 7 by eva since 2026-01-02T03:04:05Z; drain by root since 2026-01-02T03:04:05Z until 2026-01-02T04:04:05Z
FWM  5  rr  held: too few real servers are good, so the servers before the shortage serve
FWM  6  rr  fail open: too few real servers are good, so all serve
FWM  7  rr  not balanced: resource web was stopped; start it
  -> 192.0.2.21:80  Route  ?    good     -
`
	if code != 1 || stderr != "lvsctl: directord web does not balance -f 7: resource web was stopped; start it\n" {
		t.Errorf("%d %s", code, stderr)
	}
	squeeze := func(text string) (lines []string) {
		for line := range strings.Lines(text) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		return lines
	}
	if diff := cmp.Diff(squeeze(want), squeeze(stdout)); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, stdout)
	}
	code, stdout, _ = status("--json")
	var read []control.Snapshot
	if err := json.Unmarshal([]byte(stdout), &read); code != 1 || err != nil || cmp.Diff([]control.Snapshot{snapshot}, read) != "" {
		t.Errorf("%d %v %s", code, err, stdout)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(control.Path(state, "dead"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := control.Path(state, "dead")
	died := "lvsctl: querying directord dead: the daemon has died and left its socket (dial unix " + path + ": connect: connection refused); start it again, or remove " + path + "\n"
	if code, _, stderr := status(); code != 1 || stderr != died {
		t.Errorf("with a dead one: %d\ngot  %swant %s", code, stderr, died)
	}
}
