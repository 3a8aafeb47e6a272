package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
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
	{ID: "-f 7", Scheduler: "rr", Reals: []control.Real{{Addr: "192.0.2.21:0"}}},
	{ID: "-f 8", Scheduler: "wlc"},
}}

func TestOrdersOnTheCommandLine(t *testing.T) {
	t.Setenv("SUDO_USER", "eva")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	drain := control.Order{Kind: "drain", By: "eva"}
	const ignores = "lvsctl: hint: -f 7: the scheduler rr ignores all weights except 0; use wrr or wlc\n"
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
		{"add 192.0.2.10:80 192.0.2.24", "", 0, control.Command{Service: "-t 192.0.2.10:80", Servers: []string{"192.0.2.24:80"}, Order: control.Order{Kind: "add", Weight: 1, By: "eva"}}},
		{"add -t 192.0.2.10:80 192.0.2.24:8080 -m -w 7 --for 1h", "", 0, control.Command{Service: "-t 192.0.2.10:80", Servers: []string{"192.0.2.24:8080"},
			Order: control.Order{Kind: "add", Weight: 7, Forward: "masq", By: "eva", Until: now.Add(time.Hour)}}},
		{"add -f 8 192.0.2.24 -g", "", 0, control.Command{Service: "-f 8", Servers: []string{"192.0.2.24:0"}, Order: control.Order{Kind: "add", Weight: 1, Forward: "gate", By: "eva"}}},
		{"add -f 8 2001:db8::24 -i", "", 0, control.Command{Service: "-f 8", Servers: []string{"[2001:db8::24]:0"}, Order: control.Order{Kind: "add", Weight: 1, Forward: "ipip", By: "eva"}}},
		{"add 192.0.2.10:8 192.0.2.24", "lvsctl: no health daemon on this node has the service 192.0.2.10:8; did you mean \"192.0.2.10:80\"?\n", 1, control.Command{}},
		{"add 192.0.2.10:80 rs4", "lvsctl: real server \"rs4\" is neither ADDRESS:PORT nor ADDRESS\n", 1, control.Command{}},
		{"add 192.0.2.10:80 192.0.2.24 -w 70000000000", "lvsctl: weight 70000000000 is not between 0 and 65535\n", 1, control.Command{}},
		{"add 192.0.2.10:80 192.0.2.24 -g -m", "lvsctl: --gate and --masq can't be used together; see lvsctl --help\n", 2, control.Command{}},
		{"remove 192.0.2.10:80 192.0.2.22", "", 0, control.Command{Service: "-t 192.0.2.10:80", Servers: []string{"192.0.2.22:80"}, Order: control.Order{Kind: "remove", By: "eva"}}},
		{"remove 192.0.2.10:80 192.0.2.21 --force --for 1h", "", 0, control.Command{
			Service: "-t 192.0.2.10:80", Servers: []string{"192.0.2.21:80"}, Order: control.Order{Kind: "remove", By: "eva", Until: now.Add(time.Hour)}, Force: true}},
		{"remove 192.0.2.10:80 192.0.2.21", "lvsctl: real server 192.0.2.21:80 of -t 192.0.2.10:80 has 2 open connections; first run " +
			"lvsctl drain -t 192.0.2.10:80 192.0.2.21:80 and lvsctl wait drained -t 192.0.2.10:80 192.0.2.21:80, or use --force\n", 1, control.Command{}},
		{"remove -u 192.0.2.10:53 192.0.2.21", "lvsctl: real server 192.0.2.21:53 of -u 192.0.2.10:53 has 5 open connections; first run " +
			"lvsctl drain -u 192.0.2.10:53 192.0.2.21:53 and lvsctl wait drained -u 192.0.2.10:53 192.0.2.21:53, or use --force\n", 1, control.Command{}},
		{"remove 192.0.2.10:80", "lvsctl: expected \"<real>\"; see lvsctl --help\n", 2, control.Command{}},
		{"weight 192.0.2.10:80 192.0.2.21 30", "", 0, control.Command{Service: "-t 192.0.2.10:80", Servers: []string{"192.0.2.21:80"}, Order: control.Order{Kind: "weight", Weight: 30, By: "eva"}}},
		{"weight 7 192.0.2.21 0", "", 0, control.Command{Service: "-f 7", Servers: []string{"192.0.2.21:0"}, Order: control.Order{Kind: "weight", By: "eva"}}},
		{"add -f 7 192.0.2.24 -w 2", ignores, 0, control.Command{Service: "-f 7", Servers: []string{"192.0.2.24:0"}, Order: control.Order{Kind: "add", Weight: 2, By: "eva"}}},
		{"add -f 7 192.0.2.24", "", 0, control.Command{Service: "-f 7", Servers: []string{"192.0.2.24:0"}, Order: control.Order{Kind: "add", Weight: 1, By: "eva"}}},
		{"weight 7 192.0.2.21 30", ignores, 0, control.Command{Service: "-f 7", Servers: []string{"192.0.2.21:0"}, Order: control.Order{Kind: "weight", Weight: 30, By: "eva"}}},
		{"undrain -f 7", "", 0, control.Command{Service: "-f 7", Order: control.Order{Kind: "undrain", By: "eva"}}},
		{"ready 7", "", 0, control.Command{Service: "-f 7", Order: control.Order{Kind: "ready", By: "eva"}}},
		{"drain 192.0.2.10:8 192.0.2.21", "lvsctl: no health daemon on this node has the service 192.0.2.10:8; did you mean \"192.0.2.10:80\"?\n", 1, control.Command{}},
		{"drain 192.0.2.10:80 192.0.2.31:80", "lvsctl: service 192.0.2.10:80 has no real server 192.0.2.31:80; did you mean \"192.0.2.21:80\"?\n", 1, control.Command{}},
		{"drain 192.0.2.10:53", "lvsctl: 192.0.2.10:53 names \"-t 192.0.2.10:53\" and \"-u 192.0.2.10:53\"; write one of them\n", 1, control.Command{}},
		{"drain web", "lvsctl: service \"web\" is neither ADDRESS, ADDRESS:PORT nor a firewall mark\n", 1, control.Command{}},
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
		k := draining{open: new(atomic.Int32)}
		k.open.Store(3)
		code := run(t.Context(), strings.Fields(test.args), system{stderr: &errs, stateDir: state, kernel: k, now: func() time.Time { return now }})
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
		return run(t.Context(), []string{"weight", "-t 192.0.2.10:80", "192.0.2.21", "7"}, system{stderr: &errs, stateDir: state, output: noCluster}), errs.String()
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
	start(t, state, "web", clerk{daemon{control.Snapshot{ID: "web", Services: []control.Service{{ID: "-t 192.0.2.10:80", Scheduler: "rr", Reals: []control.Real{{Addr: "192.0.2.21:80"}}}}}}, &got, errors.New("no room")})
	if code, text := order(); code != 1 || text != "lvsctl: directord web: no room\n" || len(got) != 1 {
		t.Errorf("with a dead daemon and another: %d %s", code, text)
	}
}

// fakeMemory has the permanent attributes of two nodes.
type fakeMemory struct {
	kept map[string]map[string]string
	fail string // fail is the node whose attributes cannot be changed.
}

func (m fakeMemory) Name(context.Context) (string, error) { return "director1", nil }

func (m fakeMemory) Kept(context.Context, string) (map[string]map[string]string, error) {
	return m.kept, nil
}

func (m fakeMemory) Keep(_ context.Context, node, name, value string) error {
	if node == m.fail {
		return errors.New("timed out")
	}
	m.kept[node][name] = value
	return nil
}

func (m fakeMemory) Forget(_ context.Context, node, name string) error {
	delete(m.kept[node], name)
	return nil
}

// follows is a daemon that has the orders of the cluster for director1.
type follows struct {
	clerk
	memory fakeMemory
}

// Snapshot implements control.Daemon.
func (f follows) Snapshot(context.Context) (control.Snapshot, error) {
	service := control.Service{ID: "-t 192.0.2.10:80"}
	addrs := []string{"192.0.2.21:80", "192.0.2.22:80"}
	for name := range f.memory.kept["director1"] {
		if strings.HasPrefix(name, "lvs-order-add") {
			addrs = append(addrs, "192.0.2.24:80")
		}
	}
	for _, addr := range addrs {
		real := control.Real{Addr: addr}
		for _, words := range f.memory.kept["director1"] {
			c, err := control.ParseWords(words)
			if err == nil && c.Servers[0] == addr {
				real.Orders = append(real.Orders, c.Order)
			}
		}
		service.Reals = append(service.Reals, real)
	}
	return control.Snapshot{ID: "web", Services: []control.Service{service}}, nil
}

func TestOrdersThroughTheCluster(t *testing.T) {
	t.Setenv("SUDO_USER", "eva")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	memory := fakeMemory{kept: map[string]map[string]string{"director1": {}, "director2": {"lvs-order-old": "drain 0 2026-01-01T03:04:05Z 2026-01-01T03:05:05Z eva -t 192.0.2.10:80 192.0.2.21:80"}}}
	state := shortDir(t)
	var got []control.Command
	start(t, state, "web", follows{clerk{got: &got}, memory})
	const drain, drained = "lvs-order-drain_t_192.0.2.10_80_192.0.2.21_80", "drain 0 2026-01-02T03:04:05Z - eva -t 192.0.2.10:80 192.0.2.21:80"
	const weigh, weighs = "lvs-order-weight_t_192.0.2.10_80_192.0.2.22_80", "weight 7 2026-01-02T03:04:05Z 2026-01-02T03:14:05Z eva -t 192.0.2.10:80 192.0.2.22:80"
	const add, added = "lvs-order-add_t_192.0.2.10_80_192.0.2.24_80", "add-masq 7 2026-01-02T03:04:05Z - eva -t 192.0.2.10:80 192.0.2.24:80"
	const drain4, drained4 = "lvs-order-drain_t_192.0.2.10_80_192.0.2.24_80", "drain 0 2026-01-02T03:04:05Z - eva -t 192.0.2.10:80 192.0.2.24:80"
	const removed = "remove 0 2026-01-02T03:04:05Z - eva -t 192.0.2.10:80 192.0.2.21:80"
	for _, step := range []struct {
		args, fail, stderr string
		code               int
		first, second      map[string]string
	}{
		{"drain 192.0.2.10:80 192.0.2.21 --on director3", "", "lvsctl: the cluster has no node director3; did you mean \"director1\"?\n", 1, nil, map[string]string{"lvs-order-old": memory.kept["director2"]["lvs-order-old"]}},
		{"drain 192.0.2.10:80 192.0.2.21 --on everywhere", "", "", 0, map[string]string{drain: drained}, map[string]string{drain: drained}},
		{"weight 192.0.2.10:80 192.0.2.22 7 --for 10m --on director2", "", "", 0, map[string]string{drain: drained}, map[string]string{drain: drained, weigh: weighs}},
		{"undrain 192.0.2.10:80 --on director2", "", "", 0, map[string]string{drain: drained}, map[string]string{weigh: weighs}},
		{"weight 192.0.2.10:80 192.0.2.22 7 --for 10m --on everywhere", "director2", "lvsctl: node director2 does not have the order: timed out\n", 1, map[string]string{drain: drained, weigh: weighs}, map[string]string{weigh: weighs}},
		{"ready 192.0.2.10:80 --on everywhere", "", "", 0, nil, nil},
		{"remove 192.0.2.10:80 192.0.2.21 --on everywhere", "", "", 0, map[string]string{drain: removed}, map[string]string{drain: removed}},
		{"undrain 192.0.2.10:80 --on everywhere", "", "", 0, nil, nil},
		{"add 192.0.2.10:80 192.0.2.24 -w 7 -m --on everywhere", "", "", 0, map[string]string{add: added}, map[string]string{add: added}},
		{"drain 192.0.2.10:80 192.0.2.24 --on director2", "", "", 0, map[string]string{add: added}, map[string]string{add: added, drain4: drained4}},
		{"remove 192.0.2.10:80 192.0.2.24 --on everywhere", "", "", 0, nil, nil},
	} {
		var errs strings.Builder
		memory.fail = step.fail
		code := run(t.Context(), strings.Fields(step.args), system{stderr: &errs, stateDir: state, memory: memory, kernel: draining{open: new(atomic.Int32)}, now: func() time.Time { return now }})
		if code != step.code || errs.String() != step.stderr {
			t.Errorf("%s: %d %q\nwant %d %q", step.args, code, errs.String(), step.code, step.stderr)
		}
		for node, want := range map[string]map[string]string{"director1": step.first, "director2": step.second} {
			if diff := cmp.Diff(want, memory.kept[node]); diff != "" && len(want)+len(memory.kept[node]) > 0 {
				t.Errorf("%s: %s (-want +got):\n%s", step.args, node, diff)
			}
		}
	}
	for _, c := range got {
		if !c.Dry {
			t.Errorf("an order for the daemon alone: %+v", c)
		}
	}
}

func TestRemoveOfAServerThatOnlyThisNodeHas(t *testing.T) {
	state := shortDir(t)
	snapshot := control.Snapshot{ID: "web", Services: []control.Service{{ID: "-t 192.0.2.10:80", Reals: []control.Real{
		{Addr: "192.0.2.24:80", Orders: []control.Order{{Kind: "add"}}}, {Addr: "192.0.2.25:80", Orders: []control.Order{{Kind: "add"}}}, {Addr: "192.0.2.25:81"},
	}}}}
	var got []control.Command
	start(t, state, "web", clerk{daemon: daemon{snapshot}, got: &got})
	for args, want := range map[string]string{
		"remove 192.0.2.10:80 192.0.2.24":                 "",
		"remove 192.0.2.10:80 192.0.2.25":                 "lvsctl: 192.0.2.25 names real servers of the configuration and added real servers; write ADDRESS:PORT\n",
		"remove 192.0.2.10:80 192.0.2.24 --on everywhere": "lvsctl: real server 192.0.2.24:80 of -t 192.0.2.10:80 was added only for this node; remove it without --on\n",
	} {
		var errs strings.Builder
		run(t.Context(), strings.Fields(args), system{stderr: &errs, stateDir: state, kernel: draining{open: new(atomic.Int32)}})
		if errs.String() != want {
			t.Errorf("%s: %s", args, errs.String())
		}
	}
	if len(got) != 1 || got[0].Order.Kind != "remove" {
		t.Errorf("%+v", got)
	}
}
