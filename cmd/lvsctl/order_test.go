package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/control"
)

// clerk is a daemon that writes down the commands of operators.
type clerk struct {
	daemon
	got    *[]control.Command
	refuse error
}

// Order implements control.Daemon.
func (c clerk) Order(_ context.Context, command control.Command) error {
	*c.got = append(*c.got, command)
	return c.refuse
}

var ordered = control.Snapshot{ID: "web", Services: []control.Service{
	{ID: "-t 192.0.2.10:80", Reals: []control.Real{{Addr: "192.0.2.21:80"}, {Addr: "192.0.2.22:80"}}},
	{ID: "-t 192.0.2.10:53", Reals: []control.Real{{Addr: "192.0.2.21:53"}}},
	{ID: "-u 192.0.2.10:53", Reals: []control.Real{{Addr: "192.0.2.21:53"}}},
	{ID: "-f 7", Reals: []control.Real{{Addr: "192.0.2.21:0"}}},
}}

func TestOrdersOnTheCommandLine(t *testing.T) {
	t.Setenv("SUDO_USER", "eva")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	drain := control.Order{Kind: "drain", By: "eva"}
	tests := []struct {
		args, stderr string
		code         int
		want         control.Command
	}{
		{"drain 192.0.2.10:80 192.0.2.21:80", "", 0, control.Command{Service: "-t 192.0.2.10:80", Servers: []string{"192.0.2.21:80"}, Order: drain}},
		{"drain -t 192.0.2.10:80 192.0.2.21", "", 0, control.Command{Service: "-t 192.0.2.10:80", Servers: []string{"192.0.2.21:80"}, Order: drain}},
		{"drain --force 192.0.2.10:80", "", 0, control.Command{Service: "-t 192.0.2.10:80", Order: drain, Force: true}},
		{"maint -u 192.0.2.10:53 192.0.2.21 --for 10m", "", 0,
			control.Command{Service: "-u 192.0.2.10:53", Servers: []string{"192.0.2.21:53"}, Order: control.Order{Kind: "maint", By: "eva", Until: now.Add(10 * time.Minute)}}},
		{"weight 7 192.0.2.21 30", "", 0, control.Command{Service: "-f 7", Servers: []string{"192.0.2.21:0"}, Order: control.Order{Kind: "weight", Weight: 30, By: "eva"}}},
		{"undrain -f 7", "", 0, control.Command{Service: "-f 7", Order: control.Order{Kind: "undrain", By: "eva"}}},
		{"ready 7", "", 0, control.Command{Service: "-f 7", Order: control.Order{Kind: "ready", By: "eva"}}},
		{"drain 192.0.2.10:8 192.0.2.21", "lvsctl: no health daemon on this node has the service 192.0.2.10:8; did you mean \"192.0.2.10:80\"?\n", 1, control.Command{}},
		{"drain 192.0.2.10:80 192.0.2.31:80", "lvsctl: service 192.0.2.10:80 has no real server 192.0.2.31:80; did you mean \"192.0.2.21:80\"?\n", 1, control.Command{}},
		{"drain 192.0.2.10:53", "lvsctl: 192.0.2.10:53 names \"-t 192.0.2.10:53\" and \"-u 192.0.2.10:53\"; write one of them\n", 1, control.Command{}},
		{"drain web", "lvsctl: service \"web\" is neither ADDRESS:PORT nor a firewall mark\n", 1, control.Command{}},
		{"drain 7 --for=-1m", "lvsctl: --for -1m0s is not a time in the future\n", 1, control.Command{}},
		{"weight 7 192.0.2.21 70000000000", "lvsctl: weight 70000000000 is not between 0 and 65535\n", 1, control.Command{}},
		{"weight 7 192.0.2.21", "lvsctl: expected \"<weight>\"; see lvsctl --help\n", 2, control.Command{}},
	}
	state := shortDir(t)
	var got []control.Command
	start(t, state, "web", clerk{daemon: daemon{ordered}, got: &got})
	for _, test := range tests {
		got = nil
		var errs strings.Builder
		code := run(t.Context(), strings.Fields(test.args), system{stderr: &errs, stateDir: state, now: func() time.Time { return now }})
		if code != test.code || errs.String() != test.stderr {
			t.Errorf("%s: %d %q\nwant %d %q", test.args, code, errs.String(), test.code, test.stderr)
		}
		var want []control.Command
		if test.code == 0 {
			want = []control.Command{test.want}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.args, diff)
		}
	}
}

func TestOrderThatTheDaemonRefuses(t *testing.T) {
	state := shortDir(t)
	order := func() (int, string) {
		var errs strings.Builder
		return run(t.Context(), []string{"drain", "-t 192.0.2.10:80"}, system{stderr: &errs, stateDir: state}), errs.String()
	}
	if code, text := order(); code != 1 || text != "lvsctl: no health daemon runs on this node\n" {
		t.Errorf("without a daemon: %d %s", code, text)
	}
	if err := os.MkdirAll(strings.TrimSuffix(control.Path(state, "dead"), "/dead.sock"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(control.Path(state, "dead"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, text := order(); code != 1 || !strings.HasPrefix(text, "lvsctl: querying directord dead: the daemon has died and left its socket") {
		t.Errorf("with a dead daemon: %d %s", code, text)
	}
	var got []control.Command
	start(t, state, "web", clerk{daemon{ordered}, &got, errors.New("no room")})
	if code, text := order(); code != 1 || text != "lvsctl: directord web: no room\n" || len(got) != 1 {
		t.Errorf("with a dead daemon and another: %d %s", code, text)
	}
}
