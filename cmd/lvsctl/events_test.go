package main

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"lvs-agents/internal/control"
)

func TestEventLines(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	one, zero, out := 1, 0, -1
	for _, tt := range []struct {
		e    control.Event
		want string
	}{
		{control.Event{Time: at, Daemon: "web", Kind: "server_down", Service: "-t 192.0.2.10:80", Server: "192.0.2.21:80", Verdict: "bad", From: &one, To: &zero, Lasted: 89.6, Reason: "connection refused"},
			"2026-01-02 03:04:05  web  server down  -t 192.0.2.10:80  192.0.2.21:80  weight 1 -> 0, was good for 1m30s  connection refused"},
		{control.Event{Time: at, Daemon: "web", Kind: "check_failed", Service: "-f 7", Server: "192.0.2.21:80", Verdict: "good", Failures: 1, Fall: 3, Reason: "timeout"},
			"2026-01-02 03:04:05  web  check failed  -f 7  192.0.2.21:80  failure 1/3  timeout"},
		{control.Event{Time: at, Daemon: "web", Kind: "check_passed", Service: "-f 7", Server: "192.0.2.21:80", Verdict: "good", Failures: 1, Fall: 3},
			"2026-01-02 03:04:05  web  check passed  -f 7  192.0.2.21:80"},
		{control.Event{Time: at, Daemon: "web", Kind: "table_repaired", Service: "-f 7", Server: "192.0.2.21:80", To: &out},
			"2026-01-02 03:04:05  web  table repaired  -f 7  192.0.2.21:80  weight out"},
		{control.Event{Time: at, Daemon: "web", Kind: "table_repaired", Service: "-f 7", Server: "192.0.2.21:80", To: &one, Undone: "ipvsadm -e -f 7 -r 192.0.2.21:80 -g -w 9", Reason: "\x1b[31m\nforged"},
			`2026-01-02 03:04:05  web  table repaired  -f 7  192.0.2.21:80  weight 1  \u001b[31m\u000aforged  undid a change by another program: ipvsadm -e -f 7 -r 192.0.2.21:80 -g -w 9`},
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
	if code := run(t.Context(), []string{"events", "-w"}, system{stderr: &errs, stateDir: state, now: time.Now, output: noCluster}); code != 1 || errs.String() != "lvsctl: no health daemon runs on this node\n" {
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
		code := run(t.Context(), append([]string{"events", "-w"}, tt.args...), system{stdout: &stdout, stderr: &stderr, stateDir: state, now: time.Now})
		const want = "lvsctl: directord web: the daemon has ended; there are no more events\n"
		if code != 1 || stdout.String() != tt.want || stderr.String() != want {
			t.Errorf("%v: %d\n%s%s", tt.args, code, stdout.String(), stderr.String())
		}
		parts.Wait()
	}
}

// TestPastEvents checks which of the kept events lvsctl events prints. No daemon runs.
func TestPastEvents(t *testing.T) {
	dir := shortDir(t)
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)
	events := func(args ...string) (int, string, string) {
		var out, errs strings.Builder
		code := run(t.Context(), append([]string{"events"}, args...), system{stdout: &out, stderr: &errs, stateDir: dir, now: func() time.Time { return now }})
		return code, out.String(), errs.String()
	}
	const none = "lvsctl: no health daemon of this node has kept an event since the boot; lvsctl events -w waits for new ones\n"
	if code, _, stderr := events(); code != 1 || stderr != none {
		t.Errorf("%d %s", code, stderr)
	}
	listener, err := control.Listen(dir, "web") // it makes the directory
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	web, mail := control.NewKeeper(dir, "web"), control.NewKeeper(dir, "mail")
	for hour := range 3 {
		at := now.Add(time.Duration(hour-3) * time.Hour)
		for _, err := range []error{
			web.Keep(control.Event{Time: at, Kind: "service_empty", Service: "-f 7"}),
			mail.Keep(control.Event{Time: at.Add(time.Minute), Kind: "service_empty", Service: "-f 8"}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	const nine, ten, eleven = "2026-01-02 09:00:00  web  service empty  -f 7\n", "2026-01-02 10:00:00  web  service empty  -f 7\n", "2026-01-02 11:00:00  web  service empty  -f 7\n"
	const last = "2026-01-02 11:01:00  mail  service empty  -f 8\n"
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--service=7"}, nine + ten + eleven},
		{[]string{"-n", "2"}, eleven + last},
		{[]string{"--since=1h"}, eleven + last},
		{[]string{"--since=2026-01-02 11:01"}, last},
		{[]string{"--since=1h", "-n1", "--service=7"}, eleven},
		{[]string{"--since=1s"}, ""},
	} {
		if code, stdout, stderr := events(tt.args...); code != 0 || stdout != tt.want || stderr != "" {
			t.Errorf("%v: %d %s\n%s", tt.args, code, stderr, stdout)
		}
	}
	if code, _, stderr := events("--since=yesterday"); code != 1 || stderr != "lvsctl: --since \"yesterday\" is neither a duration such as 30m nor a time such as \"2006-01-02 15:04\"\n" {
		t.Errorf("%d %s", code, stderr)
	}
}

// TestWatchPrintsEachEventOnce checks that the kept events come first, and that an event that is
// kept and sent at the same moment is printed once.
func TestWatchPrintsEachEventOnce(t *testing.T) {
	dir := shortDir(t)
	listener, err := control.Listen(dir, "web")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	var feed control.Feed
	var parts sync.WaitGroup
	keeper := control.NewKeeper(dir, "web")
	at := time.Now()
	both, after := control.Event{Time: at, Kind: "both"}, control.Event{Time: at.Add(1), Kind: "after"}
	if err := keeper.Keep(both); err != nil {
		t.Fatal(err)
	}
	parts.Go(func() { _ = control.Serve(ctx, listener, daemon{}, &feed) })
	parts.Go(func() {
		for !feed.Wanted() {
			<-time.After(time.Millisecond)
		}
		feed.Publish(both)
		feed.Publish(after)
	})
	writes := 0
	stdout, stderr := endsAtOutput{end: func() {
		if writes++; writes == 2 {
			end()
		}
	}}, strings.Builder{}
	run(t.Context(), []string{"events", "-w", "-n9"}, system{stdout: &stdout, stderr: &stderr, stateDir: dir, now: time.Now})
	parts.Wait()
	when := at.Format(time.DateTime) + "  web  "
	if want := when + "both\n" + at.Add(1).Format(time.DateTime) + "  web  after\n"; stdout.String() != want {
		t.Errorf("got  %swant %s%s", stdout.String(), want, stderr.String())
	}
}

// told is an output that sends each write to a channel.
type told chan string

func (t told) Write(p []byte) (int, error) {
	t <- string(p)
	return len(p), nil
}

// TestWatchReportsASilentDaemon checks the reports for a daemon that hangs when lvsctl connects. It
// replies later.
func TestWatchReportsASilentDaemon(t *testing.T) {
	dir := shortDir(t)
	listener, err := control.Listen(dir, "web")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	defer parts.Wait()
	defer end()
	errs := make(told, 10)
	parts.Go(func() {
		run(ctx, []string{"events", "-w"}, system{stdout: io.Discard, stderr: errs, stateDir: dir, now: time.Now})
	})
	next := func(want string) {
		t.Helper()
		select {
		case got := <-errs:
			if got != want {
				t.Errorf("got  %swant %s", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("not reported: %s", want)
		}
	}
	next("lvsctl: directord web has not replied for 800ms; its events are missing until it replies\n")
	parts.Go(func() { _ = control.Serve(ctx, listener, daemon{}, new(control.Feed)) })
	next("lvsctl: directord web replies again\n")
}
