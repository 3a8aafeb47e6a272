package ipvs

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/pidfile"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
)

// claim writes into the record that a health daemon sets the destinations of the web service.
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

// healthDaemon is a health daemon in the test process. It executes every request.
type healthDaemon struct {
	n        node
	heal     []string // heal has the operations that a resync makes, in ipvsadm syntax.
	resync   error
	reload   error
	reloaded func() // reloaded is the function that a reload calls. Nil means none.
	asked    []string
}

func (h *healthDaemon) Snapshot(context.Context) (control.Snapshot, error) {
	return control.Snapshot{}, nil
}

func (h *healthDaemon) Explain(context.Context, control.Filter) (control.Explanation, error) {
	return control.Explanation{}, nil
}

func (h *healthDaemon) Resync(ctx context.Context) error {
	h.asked = append(h.asked, "resync")
	for _, command := range h.heal {
		op, err := lvs.ParseOp(command)
		if err == nil {
			_, err = h.n.kernel.Apply(ctx, []lvs.Op{op})
		}
		if err != nil {
			return err
		}
	}
	return h.resync
}

func (h *healthDaemon) Reload(context.Context) error {
	h.asked = append(h.asked, "reload")
	if h.reloaded != nil && h.reload == nil {
		h.reloaded()
	}
	return h.reload
}

// Order implements control.Daemon.
func (h *healthDaemon) Order(context.Context, control.Command) error { return nil }

// living starts a daemon, which runs until the test ends or until the caller calls end.
func (n node) living(t *testing.T, id string, d *healthDaemon) (end func()) {
	t.Helper()
	d.n = n
	identity, err := pidfile.Acquire(control.PIDFile(n.state, id))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := control.Listen(n.state, id)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- control.Serve(ctx, listener, d, new(control.Feed)) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, identity.Release()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return end
}

// newShortNode returns a node whose state directory has a short path. The path of a unix socket can
// have at most 107 characters.
func newShortNode(t *testing.T) node {
	t.Helper()
	n := newNode(t)
	state, err := os.MkdirTemp("", "lvs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(state) })
	n.state = state
	return n
}

const (
	first  = "-t 192.0.2.10:80 -r 192.0.2.21:80"
	second = "-t 192.0.2.10:80 -r 192.0.2.22:80"
)

func TestDestinationsOfALivingDaemonAreNotOurs(t *testing.T) {
	n := newShortNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.claim(t, "web-health")
	d := &healthDaemon{}
	n.living(t, "web-health", d)
	n.set(t, "-e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 5", "-d -t 192.0.2.10:80 -r 192.0.2.22:80", "-a -t 192.0.2.10:80 -r 192.0.2.24:80 -g -w 7")
	const table = "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 5\n-a -t 192.0.2.10:80 -r 192.0.2.24:80 -g -w 7\n"
	for _, action := range []string{"monitor", "start", "monitor", "reload-agent", "monitor"} {
		n.mustRun(t, 0, "web", action, web...)
		n.wantTable(t, table)
	}
	if want := []string{"reload"}; !slices.Equal(d.asked, want) {
		t.Errorf("asked %v, want %v", d.asked, want)
	}
	n.set(t, "-E -t 192.0.2.10:80 -s wlc")
	d.resync = errors.New("the table is full")
	got := n.mustRun(t, 1, "web", "monitor", web...)
	if got.reason != "to do: ipvsadm -E -t 192.0.2.10:80 -s rr" || !strings.Contains(got.log, "the health daemon cannot repair it: directord web-health: the table is full") {
		t.Errorf("reason %q, log %q", got.reason, got.log)
	}
	n.mustRun(t, 0, "web", "start", web...)
	n.wantTable(t, table)
}

func TestMonitorLetsTheDaemonHeal(t *testing.T) {
	n := newShortNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.claim(t, "web-health")
	n.living(t, "web-health", &healthDaemon{heal: []string{"-A -t 192.0.2.10:80 -s rr", "-a " + second + " -g -w 2"}})
	n.set(t, "-D -t 192.0.2.10:80")
	if got := n.mustRun(t, 0, "web", "monitor", web...); got.log != "" {
		t.Errorf("log: %s", got.log)
	}
}

// TestServiceWithoutServers checks the state of a service whose real servers get no connections.
// The service is running if the health daemon found all of them bad, or keeps them out after a
// resync. Then monitor logs a warning. If the daemon is gone, a recurring monitor restores their
// weights.
func TestServiceWithoutServers(t *testing.T) {
	const (
		empty   = "no real server of -t 192.0.2.10:80 gets new connections, and no health daemon keeps them out"
		down    = "WARNING: no real server of -t 192.0.2.10:80 was good when the health daemon last checked them, and there is no fallback\n"
		restore = "WARNING: no health daemon has checked the real servers of -t 192.0.2.10:80 for 1m0s; they get the weights of their configuration\n"
	)
	for _, tt := range []struct {
		name   string
		lives  bool
		resync error
		age    time.Duration // age is the time since the daemon wrote its last verdicts.
		bad    []string
		code   ocf.Code
		want   string // want is the exit reason, or the beginning of the log.
		probe  ocf.Code
	}{
		{"all were bad, the daemon lives", true, nil, 0, []string{first, second}, 0, down, 0},
		{"all were bad, the daemon hangs", true, errors.New("no"), time.Hour, []string{first, second}, 0, down, 0},
		{"all were bad, the daemon has ended", false, nil, time.Second, []string{first, second}, 0, down, 0},
		{"one was good, the daemon lives and keeps it out", true, nil, 0, []string{first}, 0, down, 0},
		{"one was good, the daemon lives and cannot", true, errors.New("no"), 0, []string{first}, 1, empty, 1},
		{"one was good, the daemon has ended", false, nil, time.Second, []string{first}, 1, empty, 1},
		{"the daemon is gone", false, nil, time.Hour, []string{first, second}, 0, restore, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newShortNode(t)
			n.mustRun(t, 0, "web", "start", web...)
			n.claim(t, "web-health")
			n.beat(t, tt.age, tt.bad...)
			if tt.lives {
				n.living(t, "web-health", &healthDaemon{resync: tt.resync})
			}
			n.set(t, "-e "+first+" -g -w 0", "-d "+second)
			n.mustRun(t, tt.probe, "web", "probe", web...)
			n.wantTable(t, drained)
			got := n.mustRun(t, tt.code, "web", "monitor", web...)
			if got.reason != tt.want && !strings.HasPrefix(got.log, tt.want) {
				t.Errorf("reason %q, log %q, want %q", got.reason, got.log, tt.want)
			}
			if tt.want != restore {
				n.wantTable(t, drained)
				return
			}
			n.wantTable(t, webTable)
			if got := n.mustRun(t, 0, "web", "monitor", web...); got.log != "" {
				t.Errorf("log: %s", got.log)
			}
		})
	}
}

// TestServersStayAsADaemonLeftThem checks that real servers keep their weights after the daemon has
// ended. A real server that an operator has added also stays, until a start without a daemon. When
// the last verdicts are too old, monitor restores the weights of the configuration.
func TestServersStayAsADaemonLeftThem(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.claim(t, "web-health")
	n.beat(t, time.Second, first)
	const added = "-a -t 192.0.2.10:80 -r 192.0.2.24:80 -g -w 7"
	n.set(t, "-e "+first+" -g -w 0", added)
	without := strings.Replace(webTable, "-r 192.0.2.21:80 -g -w 1", "-r 192.0.2.21:80 -g -w 0", 1)
	for _, action := range []string{"monitor", "probe"} {
		n.mustRun(t, 0, "web", action, web...)
		n.wantTable(t, without+added+"\n")
	}
	for _, action := range []string{"start", "monitor"} {
		n.mustRun(t, 0, "web", action, web...)
		n.wantTable(t, without)
	}
	n.beat(t, control.Memory+time.Second, first)
	n.mustRun(t, 0, "web", "probe", web...)
	n.wantTable(t, without)
	n.mustRun(t, 0, "web", "monitor", web...)
	n.wantTable(t, webTable)
}

// TestReloadWithoutALivingDaemon checks that a reload applies the new parameters. A real server
// that was bad at the last check gets weight 0.
func TestReloadWithoutALivingDaemon(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.claim(t, "web-health")
	n.beat(t, time.Second, first)
	n.set(t, "-d "+first) // A daemon with quiescent=no has removed the real server.
	more := []string{web[0], web[1] + ", 192.0.2.23 gate 3", web[2]}
	n.mustRun(t, 0, "web", "reload-agent", more...)
	n.wantTable(t, strings.Replace(webTable, "-r 192.0.2.21:80 -g -w 1", "-r 192.0.2.21:80 -g -w 0", 1)+"-a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 3\n")
	n.mustRun(t, 0, "web", "monitor", more...)
	n.beat(t, 2*control.Memory, first)
	n.mustRun(t, 0, "web", "monitor", more...)
	n.wantTable(t, webTable+"-a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 3\n")
}

// TestReloadLeavesTheFallback checks that a reload keeps the fallback of a service if all of its
// real servers were bad.
func TestReloadLeavesTheFallback(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.claim(t, "web-health")
	n.beat(t, time.Second, first, second)
	n.set(t, "-d "+first, "-d "+second, "-a -t 192.0.2.10:80 -r 127.0.0.1:80 -g -w 1")
	const sorry = "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 127.0.0.1:80 -l -w 1\n"
	got := n.mustRun(t, 0, "web", "reload-agent", web...)
	n.wantTable(t, strings.Replace(sorry, "-l", "-g", 1))
	const want = "WARNING: health daemon web-health has ended; real servers of -t 192.0.2.10:80 stay as it left them until the next one checks them, but at most 1m0s\n"
	if got.log != want {
		t.Errorf("log: %s", got.log)
	}
	n.mustRun(t, 0, "web", "monitor", web...)
}

func TestReloadIsTheDaemonsToo(t *testing.T) {
	n := newShortNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.claim(t, "web-health")
	d := &healthDaemon{}
	n.living(t, "web-health", d)
	d.reloaded = func() { n.set(t, "-a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 0") }
	more := []string{web[0] + " 192.0.2.11:80", web[1] + ", 192.0.2.23 gate 3", web[2]}
	got := n.mustRun(t, 0, "web", "reload-agent", more...)
	const unchecked = "WARNING: health daemon web-health does not check -t 192.0.2.11:80, which its configuration does not have; its real servers stay as they are configured\n"
	if !strings.HasSuffix(got.log, unchecked) || !slices.Equal(d.asked, []string{"reload"}) {
		t.Errorf("asked %v, log: %s", d.asked, got.log)
	}
	d.reload = errors.New("web.cf:3: no")
	got = n.mustRun(t, 1, "web", "reload-agent", web...)
	const refused = "the virtual services are set, but health daemon web-health keeps its previous configuration: directord web-health: web.cf:3: no; correct the new one, or restart its resource"
	if got.reason != refused {
		t.Errorf("reason: %s", got.reason)
	}
	d.reload, d.reloaded, d.asked = nil, nil, nil
	n.mustRun(t, 0, "web", "start", web...) // The parameters are unchanged, so the agent does not make the daemon reload.
	n.mustRun(t, 0, "web", "start", more...)
	if !slices.Equal(d.asked, []string{"reload"}) {
		t.Errorf("asked %v", d.asked)
	}
}

// beat writes the verdict file of a health daemon.
func (n node) beat(t *testing.T, age time.Duration, bad ...string) {
	t.Helper()
	if err := os.MkdirAll(state.DaemonDir(n.state), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (state.Verdicts{Age: age, Limit: 10 * time.Second, Bad: bad}).Save(n.state, "web-health"); err != nil {
		t.Fatal(err)
	}
}

func TestStartUsesTheLastVerdicts(t *testing.T) {
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
			const line = "WARNING: -t 192.0.2.10:80 -r 192.0.2.21:80 failed its last health check less than 1m0s ago and gets weight 0 until a health daemon checks it, but at most for 1m0s\n"
			if strings.Contains(got.log, line) != (tt.want == without) {
				t.Errorf("log: %s", got.log)
			}
			n.mustRun(t, 0, "web", "monitor", web...)
			n.wantTable(t, tt.want)
			n.mustRun(t, 0, "web", "reload-agent", web...) // A reload does not raise the weight of the bad real server.
			n.wantTable(t, tt.want)
			n.mustRun(t, 0, "web", "stop", web...)
		})
	}
}

// TestWeightsComeBackWithoutAHealthDaemon checks that monitor restores weights when the last
// verdicts are too old. It changes no weights while a health daemon has claimed the service.
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
			n := newShortNode(t)
			n.beat(t, control.Memory-30*time.Second, bad)
			n.mustRun(t, 0, "web", "start", web...)
			if tt.holder != "" {
				n.claim(t, tt.holder)
				n.living(t, tt.holder, &healthDaemon{})
			}
			n.mustRun(t, 0, "web", "monitor", web...)
			n.wantTable(t, without)
			n.beat(t, control.Memory+time.Second, bad)
			n.mustRun(t, 0, "web", "probe", web...) // a probe changes nothing
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

// TestServiceOfAHealthDaemon checks that start refuses a service in the own record of a health
// daemon. The error names this daemon.
func TestServiceOfAHealthDaemon(t *testing.T) {
	n := newShortNode(t)
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
	for _, which := range []string{", which has died", ""} {
		if which == "" {
			n.living(t, "checks", &healthDaemon{})
		}
		got := n.mustRun(t, 1, "web", "start", web...)
		want := "virtual service -t 192.0.2.10:80 already belongs to health daemon checks" + which + "; stop health daemon checks, or delete the stale record " + store.Path(r.ID) + " if the owner no longer exists"
		if got.reason != want {
			t.Errorf("got  %s\nwant %s", got.reason, want)
		}
	}
}
