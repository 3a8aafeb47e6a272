package main

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
)

// draining is a kernel whose real server has one open connection less at each read of the counters.
type draining struct {
	fakeKernel
	open *atomic.Int32
}

// Counters implements kernel.
func (k draining) Counters(context.Context) ([]lvs.Counters, error) {
	var all []lvs.Counters
	for _, text := range []string{"-a -t 192.0.2.10:80 -r 192.0.2.21:80", "-a -u 192.0.2.10:53 -r 192.0.2.21:53"} {
		op, err := lvs.ParseOp(text)
		if err != nil {
			return nil, err
		}
		n := uint32(max(0, k.open.Add(-1)))
		all = append(all, lvs.Counters{Service: op.Service.ID, Server: op.Destination.Addr, Active: n, Inactive: 4})
	}
	return all, nil
}

func TestWait(t *testing.T) {
	const table = "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0\n-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1\n" +
		"-A -u 192.0.2.10:53 -s rr\n-a -u 192.0.2.10:53 -r 192.0.2.21:53 -g -w 0\n"
	state := shortDir(t)
	start(t, state, "web", daemon{control.Snapshot{ID: "web", Services: []control.Service{
		{ID: "-t 192.0.2.10:80", Reals: []control.Real{
			{Addr: "192.0.2.21:80", Verdict: "bad", Reason: "connection refused", Cause: "failed"},
			{Addr: "192.0.2.22:80", Verdict: "good", Weight: 1, Configured: 10, Cause: "rising", Policy: "slow start, 10 % of its weight"},
			{Addr: "192.0.2.23:80", Verdict: "good", Weight: 1},
		}},
		{ID: "-u 192.0.2.10:53", Reals: []control.Real{{Addr: "192.0.2.21:53", Verdict: "good"}}},
	}}})
	tests := []struct {
		args, stderr string
		code         int
		open         int32
	}{
		{"drained 192.0.2.10:80 192.0.2.21", "", 0, 3},
		{"drained -t 192.0.2.10:80 --timeout 100ms", "timed out after 100ms: 192.0.2.22:80 of -t 192.0.2.10:80 is not drained: its weight is 1 and it has 0 open connections", 3, 0},
		{"drained -u 192.0.2.10:53 --timeout 100ms", "timed out after 100ms: 192.0.2.21:53 of -u 192.0.2.10:53 is not drained: its weight is 0 and it has 4 open connections", 3, 0},
		{"down 192.0.2.10:80 192.0.2.21", "", 0, 0},
		{"down 192.0.2.10:80 192.0.2.21 --timeout 100ms", "timed out after 100ms: the state was down only at the end", 3, 0},
		{"up 192.0.2.10:80 192.0.2.22", "", 0, 0},
		{"full 192.0.2.10:80 192.0.2.23", "", 0, 0},
		{"full 192.0.2.10:80 192.0.2.22 --timeout 100ms",
			"timed out after 100ms: 192.0.2.22:80 of -t 192.0.2.10:80 is not full: its verdict is good and its weight 1 (slow start, 10 % of its weight)", 3, 0},
		{"up 192.0.2.10:80 --timeout 100ms", "timed out after 100ms: 192.0.2.21:80 of -t 192.0.2.10:80 is not up: its verdict is bad and its weight 0 (connection refused)", 3, 0},
		{"up 192.0.2.10:80 192.0.2.24", `service 192.0.2.10:80 has no real server 192.0.2.24; did you mean "192.0.2.21"?`, 1, 0},
		{"up 192.0.2.10:53 192.0.2.21:80", `service 192.0.2.10:53 has no real server 192.0.2.21:80; did you mean "192.0.2.21:53"?`, 1, 0},
		{"away 7", `<state> must be one of "drained","up","down","full" but got "away"; see lvsctl --help`, 2, 0},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			k := draining{fakeKernel{table: table}, new(atomic.Int32)}
			k.open.Store(test.open)
			var errs strings.Builder
			code := run(t.Context(), append([]string{"wait"}, strings.Fields(test.args)...), system{stderr: &errs, stateDir: state, kernel: k})
			got := strings.TrimSuffix(strings.TrimPrefix(errs.String(), "lvsctl: "), "\n")
			if code != test.code || got != test.stderr {
				t.Errorf("%d %s\nwant %d %s", code, got, test.code, test.stderr)
			}
		})
	}
	t.Run("no daemon", func(t *testing.T) {
		t.Parallel()
		var errs strings.Builder
		code := run(t.Context(), []string{"wait", "up", "7", "--timeout", "100ms"}, system{stderr: &errs, stateDir: shortDir(t), output: noCluster})
		if code != 3 || errs.String() != "lvsctl: timed out after 100ms: no health daemon runs on this node\n" {
			t.Errorf("%d %s", code, errs.String())
		}
	})
}

func TestStatusWaits(t *testing.T) {
	snapshot := func(id string, services ...control.Service) daemon {
		return daemon{control.Snapshot{ID: id, Services: services, Limit: 10}}
	}
	good := func(id, addr string) control.Service {
		return control.Service{ID: id, Scheduler: "rr", Reals: []control.Real{{Addr: addr, Forward: "Route", Verdict: "good", Weight: 1, Configured: 1}}}
	}
	bad := good("-t 192.0.2.11:80", "192.0.2.22:80")
	bad.Reals[0].Verdict, bad.Reals[0].Weight, bad.Reals[0].Reason = "bad", 0, "connection refused"
	state := shortDir(t)
	start(t, state, "web", snapshot("web", good("-t 192.0.2.10:80", "192.0.2.21:80"), bad))
	start(t, state, "dns", snapshot("dns", good("-u 192.0.2.10:53", "192.0.2.21:53")))
	const timeout = "lvsctl: timed out after 100ms: "
	for _, test := range []struct {
		args, stderr string
		code         int
	}{
		{"status --wait up --service 192.0.2.10:80", "", 0},
		{"status --wait full --service -u 192.0.2.10:53", "", 0},
		{"status --wait down --service -t 192.0.2.11:80", "", 0},
		{"status --wait up --timeout 100ms", timeout + "192.0.2.22:80 of -t 192.0.2.11:80 is not up: its verdict is bad and its weight 0 (connection refused)\n", 3},
		{"status --wait down --timeout 100ms", timeout + "192.0.2.21:53 of -u 192.0.2.10:53 is not down: its verdict is good and its weight 1\n", 3},
		{"status --wait up --service 192.0.2.12:80", "lvsctl: no health daemon on this node has the service 192.0.2.12:80; did you mean \"192.0.2.10:80\"?\n", 1},
		{"status --service 192.0.2.10:80", "lvsctl: --service needs --wait\n", 1},
		{"status --wait away", "lvsctl: --wait must be one of \"\",\"drained\",\"up\",\"down\",\"full\" but got \"away\"; see lvsctl --help\n", 2},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			var out, errs strings.Builder
			code := run(t.Context(), strings.Fields(test.args), system{node: healthy{}, stdout: &out, stderr: &errs, stateDir: state, kernel: fakeKernel{}})
			if code != test.code || errs.String() != test.stderr {
				t.Errorf("%d %s\nwant %d %s", code, errs.String(), test.code, test.stderr)
			}
			if shown := strings.Contains(out.String(), "192.0.2.21:80"); shown != (test.code == 0) {
				t.Errorf("output: %s", out.String())
			}
		})
	}
}
