package ipvs

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/record"
)

// claim makes a health daemon the owner of the destinations of the web service.
func (n node) claim(t *testing.T, holder string) {
	t.Helper()
	store, err := record.In(n.state)
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.Load("web")
	if err != nil {
		t.Fatal(err)
	}
	r.Holder, r.Claimed = holder, r.Services.IDs()
	if err := store.Save(r); err != nil {
		t.Fatal(err)
	}
}

const drained = "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0\n"

func TestDestinationsOfAClaimedServiceAreNotOurs(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.claim(t, "web-health")
	n.set(t, "-e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0", "-d -t 192.0.2.10:80 -r 192.0.2.22:80")
	for _, action := range []string{"monitor", "start", "monitor", "reload-agent", "monitor"} {
		n.mustRun(t, 0, "web", action, web...)
		n.wantTable(t, drained)
	}
	n.claim(t, "") // the health resource was stopped: the daemon's last word stays
	n.mustRun(t, 0, "web", "monitor", web...)
	n.mustRun(t, 0, "web", "start", web...)
	n.wantTable(t, webTable)
	n.mustRun(t, 0, "web", "stop", web...)
	n.wantTable(t, "")
}

func TestServicesUnderAClaimAreOurs(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.claim(t, "web-health")
	n.set(t, "-e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0", "-E -t 192.0.2.10:80 -s wlc")
	got := n.mustRun(t, 1, "web", "monitor", web...)
	if got.reason != "to do: ipvsadm -E -t 192.0.2.10:80 -s rr" || !strings.Contains(got.log, "its health daemon cannot help: asking directord web-health: ") {
		t.Errorf("reason %q, log %q", got.reason, got.log)
	}
	n.mustRun(t, 0, "web", "start", web...)
	n.wantTable(t, strings.Replace(webTable, "-r 192.0.2.21:80 -g -w 1", "-r 192.0.2.21:80 -g -w 0", 1))
}

// healer is a daemon that puts a service back when it is asked.
type healer struct {
	t *testing.T
	n node
}

func (h healer) Snapshot(context.Context) (control.Snapshot, error) { return control.Snapshot{}, nil }

func (h healer) Reload(context.Context) error { return nil }

func (h healer) Resync(ctx context.Context) error {
	op, err := lvs.ParseOp("-A -t 192.0.2.10:80 -s rr")
	if err == nil {
		_, err = h.n.kernel.Apply(ctx, []lvs.Op{op})
	}
	return err
}

func TestMonitorLetsTheDaemonHeal(t *testing.T) {
	n := newNode(t)
	state, err := os.MkdirTemp("", "lvs") // the path of a unix socket has 107 characters at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(state) })
	n.state = state
	n.mustRun(t, 0, "web", "start", web...)
	n.claim(t, "web-health")
	listener, err := control.Listen(n.state, "web-health")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- control.Serve(ctx, listener, healer{t, n}) }()
	n.set(t, "-D -t 192.0.2.10:80")
	if got := n.mustRun(t, 0, "web", "monitor", web...); got.log != "" {
		t.Errorf("log: %s", got.log)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// beat is what a health daemon has left.
func (n node) beat(t *testing.T, age time.Duration, bad ...string) {
	t.Helper()
	if err := os.MkdirAll(control.Dir(n.state), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (control.Beat{Age: age, Limit: 10 * time.Second, Bad: bad}).Save(n.state, "web-health"); err != nil {
		t.Fatal(err)
	}
}

func TestStartUsesTheLastVerdicts(t *testing.T) {
	const first, second = "-t 192.0.2.10:80 -r 192.0.2.21:80", "-t 192.0.2.10:80 -r 192.0.2.22:80"
	without := strings.Replace(webTable, "-r 192.0.2.21:80 -g -w 1", "-r 192.0.2.21:80 -g -w 0", 1)
	for _, tt := range []struct {
		name string
		age  time.Duration
		bad  []string
		want string
	}{
		{"one was bad a moment ago", 5 * time.Second, []string{first, "-f 9 -r 192.0.2.22:80"}, without},
		{"one was bad an hour ago", time.Hour, []string{first}, webTable},
		{"all were bad", 5 * time.Second, []string{first, second}, webTable},
		{"none was bad", 5 * time.Second, nil, webTable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.beat(t, tt.age, tt.bad...)
			got := n.mustRun(t, 0, "web", "start", web...)
			n.wantTable(t, tt.want)
			const line = "WARNING: -t 192.0.2.10:80 -r 192.0.2.21:80 was bad less than 1m0s ago and starts with weight 0, until a health daemon has checked it, or for 1m0s if there is none\n"
			if strings.Contains(got.log, line) != (tt.want == without) {
				t.Errorf("log: %s", got.log)
			}
			n.mustRun(t, 0, "web", "monitor", web...)
			n.wantTable(t, tt.want)
			n.mustRun(t, 0, "web", "reload-agent", web...) // asks for the weights of its parameters
			n.wantTable(t, webTable)
			n.mustRun(t, 0, "web", "stop", web...)
		})
	}
}

// TestWeightsComeBackWithoutAHealthDaemon by a monitor when the last verdicts are
// too old; a daemon that has the service decides for itself.
func TestWeightsComeBackWithoutAHealthDaemon(t *testing.T) {
	const bad = "-t 192.0.2.10:80 -r 192.0.2.21:80"
	without := strings.Replace(webTable, "-r 192.0.2.21:80 -g -w 1", "-r 192.0.2.21:80 -g -w 0", 1)
	for _, tt := range []struct {
		name   string
		holder string
		want   string
		log    string
	}{
		{"no health daemon", "", webTable, "WARNING: no health daemon has checked real servers that were bad before start; they get their weights back\n" +
			"INFO: ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n"},
		{"a health daemon", "web-health", without, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.beat(t, memory-30*time.Second, bad)
			n.mustRun(t, 0, "web", "start", web...)
			if tt.holder != "" {
				n.claim(t, tt.holder)
			}
			n.mustRun(t, 0, "web", "monitor", web...)
			n.wantTable(t, without)
			n.beat(t, memory+time.Second, bad)
			n.mustRun(t, 0, "web", "probe", web...) // changes nothing
			n.wantTable(t, without)
			if got := n.mustRun(t, 0, "web", "monitor", web...); got.log != tt.log {
				t.Errorf("log: %s", got.log)
			}
			n.wantTable(t, tt.want)
			if got := n.mustRun(t, 0, "web", "monitor", web...); got.log != "" {
				t.Errorf("log: %s", got.log)
			}
		})
	}
}

// TestServiceOfAHealthDaemon that began before us is refused by the daemon's name.
func TestServiceOfAHealthDaemon(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	store, err := record.In(n.state)
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.Load("web")
	if err != nil {
		t.Fatal(err)
	}
	n.mustRun(t, 0, "web", "stop", web...)
	r.ID = record.OwnID("checks")
	if err := store.Save(r); err != nil {
		t.Fatal(err)
	}
	got := n.mustRun(t, 1, "web", "start", web...)
	want := "virtual service -t 192.0.2.10:80 belongs to health daemon checks already; stop that, or remove " + store.Path(r.ID) + " if there is none"
	if got.reason != want {
		t.Errorf("got  %s\nwant %s", got.reason, want)
	}
}
