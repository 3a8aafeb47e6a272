package main

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"lvs-agents/internal/control"
)

func TestEventLines(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	one, zero, out := 1, 0, -1
	for _, tt := range []struct {
		e    control.Event
		want string
	}{
		{control.Event{Time: at, Daemon: "web", Kind: "server_down", Service: "-t 192.0.2.10:80", Server: "192.0.2.21:80", Verdict: "bad", From: &one, To: &zero, Lasted: 89.6, Reason: "connection refused"},
			"2026-01-02 03:04:05  web  server down  -t 192.0.2.10:80  192.0.2.21:80  weight 1 -> 0, after 1m30s  connection refused"},
		{control.Event{Time: at, Daemon: "web", Kind: "check_failed", Service: "-f 7", Server: "192.0.2.21:80", Verdict: "good", Failures: 1, Fall: 3, Reason: "timeout"},
			"2026-01-02 03:04:05  web  check failed  -f 7  192.0.2.21:80  failure 1/3  timeout"},
		{control.Event{Time: at, Daemon: "web", Kind: "check_passed", Service: "-f 7", Server: "192.0.2.21:80", Verdict: "good", Failures: 1, Fall: 3},
			"2026-01-02 03:04:05  web  check passed  -f 7  192.0.2.21:80"},
		{control.Event{Time: at, Daemon: "web", Kind: "table_repaired", Service: "-f 7", Server: "192.0.2.21:80", To: &out},
			"2026-01-02 03:04:05  web  table repaired  -f 7  192.0.2.21:80  weight out"},
		{control.Event{Time: at, Daemon: "web", Kind: "configuration_loaded"}, "2026-01-02 03:04:05  web  configuration loaded"},
		{control.Event{Daemon: "web", Kind: control.KindDropped, Dropped: 17}, "web  events dropped  17"},
	} {
		if got := eventLine(tt.e); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// endsAtOutput is an output that calls end after a write, so that the daemon of the test ends.
type endsAtOutput struct {
	strings.Builder
	end func()
}

func (o *endsAtOutput) Write(p []byte) (int, error) {
	defer o.end()
	return o.Builder.Write(p)
}

// TestEvents checks that lvsctl events prints the events of a daemon until the daemon ends.
func TestEvents(t *testing.T) {
	state, err := os.MkdirTemp("", "lvs") // a short directory name: the path of a unix socket can have at most 107 characters
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(state) })
	var errs strings.Builder
	if code := run(t.Context(), []string{"events"}, system{stderr: &errs, stateDir: state}); code != 1 || errs.String() != "lvsctl: no health daemon runs on this node\n" {
		t.Errorf("without a daemon: %d %s", code, errs.String())
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "web  service empty  -f 7\n"},
		{[]string{"--json", "--service=7"}, `{"daemon":"web","kind":"service_empty","service":"-f 7"}` + "\n"},
	} {
		listener, err := control.Listen(state, "web")
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		var feed control.Feed
		var parts sync.WaitGroup
		parts.Go(func() { _ = control.Serve(ctx, listener, daemon{}, &feed) })
		parts.Go(func() {
			for !feed.Wanted() {
				<-time.After(time.Millisecond)
			}
			feed.Publish(control.Event{Kind: "service_empty", Service: "-f 7"})
		})
		stdout, stderr := endsAtOutput{end: end}, strings.Builder{}
		code := run(t.Context(), append([]string{"events"}, tt.args...), system{stdout: &stdout, stderr: &stderr, stateDir: state})
		const want = "lvsctl: directord web: the daemon has ended; there are no more events\n"
		if code != 1 || stdout.String() != tt.want || stderr.String() != want {
			t.Errorf("%v: %d\n%s%s", tt.args, code, stdout.String(), stderr.String())
		}
		parts.Wait()
	}
}
