package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
		code := run(t.Context(), append([]string{"status"}, args...), system{stdout: &out, stderr: &errs, stateDir: state, output: noCluster, kernel: counting{}, node: healthy{}})
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
				{Addr: "192.0.2.27:80", Forward: "Route", Configured: 1, Verdict: "good", Cause: "said", Policy: "the server says drain: new release"},
				{Addr: "192.0.2.28:80", Forward: "Route", Configured: 1, Verdict: "good", Cause: "failed", Policy: "the server says that it is down: disk is full"},
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
addresses: 192.0.2.10 on no interface of this node
Prot LocalAddress:Port Scheduler
  -> RemoteAddress:Port  Forward  Weight  ActiveConn  InActConn  Conn/s  Verdict   Since  Reason
TCP  192.0.2.10:80 rr persistent 600
  -> 127.0.0.1:80        Route    1       -           -          -       fallback
  -> 192.0.2.21:80       Route    0/1     3           12         2       bad       1m30s  connect to 192.0.2.21:80: connection refused
  -> 192.0.2.22:80       Route    out/1   -           -          -       unknown   -
  -> 192.0.2.23:80       Route    1       -           -          -       bad       -      404 Not Found; its checks fail, but this director suspects itself
  -> 192.0.2.24:80       Route    5/1     -           -          -       good      -      its checks pass; alice has set the weight 5
  -> 192.0.2.25:80       Route    1       -           -          -       good      -
  -> 192.0.2.26:80       Route    0/1     -           -          -       good      1m0s   weight 7 by eva since 2026-01-02 03:04:05; drain by root since 2026-01-02 03:04:05 until 2026-01-02 04:04:05
  -> 192.0.2.27:80       Route    0/1     -           -          -       good      -      the server says drain: new release
  -> 192.0.2.28:80       Route    0/1     -           -          -       good      -      the server says that it is down: disk is full
FWM  5 rr  held: too few real servers are good, so the servers before the shortage serve
FWM  6 rr  fail open: too few real servers are good, so all serve
FWM  7 rr  not balanced: resource web was stopped; start it
  -> 192.0.2.21:80       Route    ?       -           -          -       good      -
`
	if code != 1 || stderr != "lvsctl: directord web does not balance -f 7: resource web was stopped; start it\n" {
		t.Errorf("%d %s", code, stderr)
	}
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, stdout)
	}
	snapshot.Services[0].Reals[0].Traffic = &control.Traffic{Active: 3, Inactive: 12, ConnRate: 2}
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

// shownStatus runs lvsctl status with some daemons and returns its output.
func shownStatus(t *testing.T, colour bool, args []string, daemons ...control.Daemon) (stdout, stderr string) {
	t.Helper()
	dir := shortDir(t)
	for i, d := range daemons {
		start(t, dir, fmt.Sprint("web", i), d)
	}
	var out, errs strings.Builder
	run(t.Context(), append([]string{"status"}, args...), system{stdout: &out, stderr: &errs, stateDir: dir, node: healthy{}, kernel: fakeKernel{}, colour: colour})
	return out.String(), errs.String()
}

func TestStatusOfThousandsOfServersIsSummarised(t *testing.T) {
	var s control.Snapshot
	for i := range 3 {
		service := control.Service{ID: fmt.Sprint("-f ", i+1)}
		for j := range 1000 {
			service.Reals = append(service.Reals, control.Real{Addr: fmt.Sprintf("10.0.%d.%d:80", j/250, j%250), Weight: 1, Configured: 1, Verdict: "good"})
		}
		s.Services = append(s.Services, service)
	}
	s.Services[1].Reals[7] = control.Real{Addr: "192.0.2.21:80", Configured: 1, Verdict: "bad"}
	out, _ := shownStatus(t, false, nil, daemon{s})
	if n := strings.Count(out, "\n"); n != 6 || !strings.Contains(out, "FWM  2\n") || !strings.Contains(out, "192.0.2.21:80") ||
		!strings.HasSuffix(out, "\nand more real servers: 2999 good; lvsctl status --all prints them\n") {
		t.Errorf("%d lines\n%s", n, out)
	}
	for i := range s.Services[0].Reals {
		s.Services[0].Reals[i].Verdict = "bad"
	}
	if out, _ = shownStatus(t, false, nil, daemon{s}); strings.Count(out, "\n") != 205 || !strings.HasSuffix(out, "\nand more real servers: 801 bad, 1999 good; lvsctl status --all prints them\n") {
		t.Errorf("%d lines\n%s", strings.Count(out, "\n"), out[max(0, len(out)-200):])
	}
	if out, _ = shownStatus(t, false, []string{"--all"}, daemon{s}); strings.Count(out, "\n") != 3006 || strings.Contains(out, "more real servers") {
		t.Errorf("--all: %d lines", strings.Count(out, "\n"))
	}
}

func TestStatusShowsOnlyItsOwnEscapes(t *testing.T) {
	s := control.Snapshot{ID: "web", Trouble: "a\x1b[2J\nb", Services: []control.Service{{
		ID: "-f 7", Scheduler: "rr", Reals: []control.Real{{Addr: "192.0.2.21:80", Verdict: "bad", Reason: "\x1b]0;x\x07\nFWM  8", Configured: 1}},
	}}}
	out, _ := shownStatus(t, true, nil, daemon{s})
	if strings.Count(out, "\x1b") != 2 || !strings.Contains(out, "\x1b[31mbad\x1b[0m") || strings.Count(out, "\n") != 6 ||
		!strings.Contains(out, `\u001b]0;x\u0007\u000aFWM  8`) || !strings.Contains(out, `trouble: a\u001b[2J\u000ab`) {
		t.Errorf("%q", out)
	}
	if out, _ = shownStatus(t, false, nil, daemon{s}); strings.Contains(out, "\x1b") {
		t.Errorf("without colours: %q", out)
	}
	if out, _ = shownStatus(t, false, []string{"--json"}, daemon{s}); strings.Contains(out, "\x1b") {
		t.Errorf("JSON: %q", out)
	}
}

// slowDaemon is a daemon that replies late.
type slowDaemon struct{ daemon }

func (d slowDaemon) Snapshot(context.Context) (control.Snapshot, error) {
	<-time.After(patience + 300*time.Millisecond)
	return d.state, nil
}

func TestSlowDaemonDelaysNoOther(t *testing.T) {
	fast := control.Snapshot{ID: "fast"}
	slow := control.Snapshot{ID: "slow"}
	out, errs := shownStatus(t, false, nil, slowDaemon{daemon{slow}}, daemon{fast})
	if at := strings.Index(out, "fast: "); at < 0 || at > strings.Index(out, "slow: ") {
		t.Error(out)
	}
	if want := "lvsctl: directord web0 has not replied for 800ms; lvsctl waits for 5s at most\n"; errs != want {
		t.Errorf("got  %swant %s", errs, want)
	}
}

func TestStatusWatchRepeats(t *testing.T) {
	dir := shortDir(t)
	start(t, dir, "web", daemon{control.Snapshot{ID: "web"}})
	ctx, end := context.WithCancel(t.Context())
	writes := 0
	out := endsAtOutput{end: func() {
		if writes++; writes == 2 {
			end()
		}
	}}
	code := run(ctx, []string{"status", "-w"}, system{stdout: &out, stateDir: dir, node: healthy{}, kernel: fakeKernel{}, colour: true})
	if want := clearScreen + "web: directord"; code != 0 || writes != 2 || !strings.HasPrefix(out.String(), want) {
		t.Errorf("%d %q", code, out.String())
	}
}
