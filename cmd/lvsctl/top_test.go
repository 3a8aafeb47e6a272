package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/control"
	"lvs-agents/internal/top"
)

// viewed runs lvsctl top, and calls look with the source of the view.
func viewed(t *testing.T, sys system, look func(top.Source)) {
	t.Helper()
	var errs strings.Builder
	sys.stderr = &errs
	sys.view = func(_ context.Context, s top.Source) error {
		look(s)
		return nil
	}
	if code := run(t.Context(), []string{"top"}, sys); code != 0 || errs.Len() > 0 {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

func TestTopNeedsATerminal(t *testing.T) {
	code, _, stderr := lvsctl(t, fakeKernel{}, "top")
	if want := "lvsctl: top needs a terminal for its input and its output; lvsctl status --watch works without one\n"; code != 1 || stderr != want {
		t.Errorf("%d %s", code, stderr)
	}
}

func TestTopHasTheStateOfAllDaemons(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	dir := shortDir(t)
	viewed(t, system{stateDir: dir, kernel: counting{}}, func(s top.Source) {
		if diff := cmp.Diff(top.State{Troubles: []string{"no health daemon runs on this node"}}, s.Read()); diff != "" {
			t.Error(diff)
		}
	})
	start(t, dir, "web", daemon{control.Snapshot{ID: "web", Now: now, Limit: 10, Trouble: "web.cf:3: no", Services: []control.Service{{
		ID: "-t 192.0.2.10:80", Scheduler: "rr", Shortage: "hold", Persistence: 600,
		Reals: []control.Real{
			{Addr: "192.0.2.21:80", Configured: 1, Verdict: "bad", Since: now.Add(-90 * time.Second), Reason: "connection refused"},
			{Addr: "192.0.2.22:80", Weight: -1, Configured: 1, Verdict: "unknown"},
		},
		Fallback:       &control.Real{Addr: "127.0.0.1:80", Weight: 1, Configured: 1},
		OtherFallbacks: []control.Real{{Addr: "127.0.0.2:80", Weight: -1}},
	}}}})
	start(t, dir, "old", daemon{control.Snapshot{PID: 9, LoopAge: 11, Limit: 10}})
	slow := slowDaemon{}
	start(t, dir, "slow", slow)
	if err := os.WriteFile(control.Path(dir, "dead"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want := top.State{
		Daemons: 4,
		Troubles: []string{
			fmt.Sprintf("querying directord dead: the daemon has died and left its socket (dial unix %s: connect: connection refused); start it again, or remove %[1]s", control.Path(dir, "dead")),
			"old: directord 9 hangs: it has not updated the IPVS table or run checks for 11.0 s (limit 10 s)",
			"directord slow has not replied for 800ms",
			"web: web.cf:3: no",
		},
		Services: []top.Service{{
			Daemon: "web", ID: "-t 192.0.2.10:80", Title: "TCP  192.0.2.10:80 rr persistent 600", Reason: "held: too few real servers are good, so the servers before the shortage serve",
			Servers: []top.Server{
				{Addr: "127.0.0.1:80", Weight: 1, Weights: "1", Verdict: "fallback"},
				{Addr: "192.0.2.21:80", Weights: "0/1", Verdict: "bad", Age: 90 * time.Second, Aged: true, Reason: "connection refused", Traffic: &control.Traffic{Active: 3, Inactive: 12, ConnRate: 2}},
				{Addr: "192.0.2.22:80", Weight: -1, Weights: "out/1", Verdict: "unknown"},
			},
		}},
	}
	viewed(t, system{stateDir: dir, kernel: counting{}}, func(s top.Source) {
		if diff := cmp.Diff(want, s.Read()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTopWithoutTheKernel(t *testing.T) {
	dir := shortDir(t)
	start(t, dir, "web", daemon{ordered})
	viewed(t, system{stateDir: dir, kernel: fakeKernel{err: os.ErrPermission}}, func(s top.Source) {
		state := s.Read()
		if want := []string{"connections are unknown: permission denied"}; cmp.Diff(want, state.Troubles) != "" || len(state.Services) != len(ordered.Services) {
			t.Errorf("%+v", state)
		}
	})
}

func TestTopExplainsAndGivesOrders(t *testing.T) {
	t.Setenv("SUDO_USER", "eva")
	dir := shortDir(t)
	var got []control.Command
	start(t, dir, "web", clerk{daemon: daemon{ordered}, got: &got})
	viewed(t, system{stateDir: dir, kernel: fakeKernel{}}, func(s top.Source) {
		for _, test := range []struct {
			order top.Order
			want  control.Order
		}{
			{top.Order{Kind: "drain", Service: "-u 192.0.2.10:53", Server: "192.0.2.21:53"}, control.Order{Kind: "drain", By: "eva"}},
			{top.Order{Kind: "weight", Service: "-u 192.0.2.10:53", Server: "192.0.2.21:53", Weight: 7}, control.Order{Kind: "weight", Weight: 7, By: "eva"}},
		} {
			got = nil
			want := []control.Command{{Service: "-u 192.0.2.10:53", Servers: []string{"192.0.2.21:53"}, Order: test.want}}
			if err := s.Give(test.order); err != nil || cmp.Diff(want, got) != "" {
				t.Errorf("%v: %v (-want +got):\n%s", test.order, err, cmp.Diff(want, got))
			}
		}
		if err := s.Give(top.Order{Kind: "drain", Service: "-f 7", Server: "192.0.2.31:0"}); err == nil || err.Error() != "service -f 7 has no real server 192.0.2.31:0; did you mean \"192.0.2.21:0\"?" {
			t.Error(err)
		}
		if text := s.Explain("-f 7", "192.0.2.21:0"); text != "lvsctl: no health daemon on this node has the service -f 7\n" {
			t.Error(text)
		}
	})
	start(t, dir, "why", explainer{explanation: control.Explanation{ID: "why", Services: []control.ExplainedService{{ID: "-t 192.0.2.10:80", Good: 1, Servers: 2}}}})
	viewed(t, system{stateDir: dir, kernel: fakeKernel{}}, func(s top.Source) {
		if text := s.Explain("-t 192.0.2.10:80", ""); !strings.Contains(text, ": 1 of 2 real servers good\n") || !strings.Contains(text, "directord why") {
			t.Error(text)
		}
	})
}
