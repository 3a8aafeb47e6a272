package health

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/attribute"
	"lvs-agents/internal/control"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/pidfile"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
	"lvs-agents/ocf/ocftest"
)

// node is a director on which the test process acts as the daemon. Launch takes the pid file and
// opens the socket.
type node struct {
	t        *testing.T
	kernel   *kerneltest.IPVS
	state    string
	config   string
	launched []string
	fail     error
	silent   bool // silent says that the daemon does not reply to status requests.
	snapshot control.Snapshot
	removed  []string // removed are the node attributes that the agent has removed.
	stays    error    // stays is the error of each removal.
	end      func()
}

func newNode(t *testing.T) *node {
	t.Helper()
	state, err := os.MkdirTemp("", "lvs") // a short directory name: the path of a unix socket can have at most 107 characters
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, kernel: kerneltest.NewIPVS(), state: state, config: t.TempDir(), end: func() {}, snapshot: control.Snapshot{PID: 7, Limit: 10}}
	t.Cleanup(func() {
		n.end()
		_ = os.RemoveAll(state)
	})
	n.write("web.cf", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n")
	return n
}

func (n *node) write(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.config, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// Launch makes the test process act as the daemon, or returns the error in fail.
func (n *node) Launch(_ context.Context, args []string) error {
	n.launched = args
	if n.fail != nil {
		return n.fail
	}
	identity, err := pidfile.Acquire(control.PIDFile(n.state, "web"))
	if err != nil {
		return err
	}
	listener, err := control.Listen(n.state, "web")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = control.Serve(ctx, listener, n, new(control.Feed)) // an error is ignored; a test that uses the socket fails then
	}()
	n.end = func() {
		cancel()
		<-ended
		_ = identity.Release() // an error is ignored, because a test can have released it
		n.end = func() {}
	}
	return nil
}

// Snapshot returns the snapshot of the test. If silent is set, it does not return before ctx ends.
func (n *node) Snapshot(ctx context.Context) (control.Snapshot, error) {
	if n.silent {
		<-ctx.Done()
	}
	return n.snapshot, ctx.Err()
}

// Resync implements control.Daemon.
func (n *node) Resync(context.Context) error { return nil }

// Reload implements control.Daemon.
func (n *node) Reload(context.Context) error { return nil }

// Explain implements control.Daemon.
func (n *node) Explain(context.Context, control.Filter) (control.Explanation, error) {
	return control.Explanation{}, nil
}

// Order implements control.Daemon.
func (n *node) Order(context.Context, control.Command) error { return nil }

// Remove records the name of the attribute, and returns the error in stays.
func (n *node) Remove(_ context.Context, name string) error {
	n.removed = append(n.removed, name)
	return n.stays
}

func (n *node) run(want ocf.Code, action string, params ...string) (reason, log string) {
	n.t.Helper()
	agent := New(n.kernel, n, n)
	agent.configDirs = []string{n.config}
	code, reason, log := ocftest.Run(agent, n.state, "web", action, append([]string{"CRM_meta_timeout=2000"}, params...)...)
	if code != want {
		n.t.Fatalf("%s %q: got %d, want %d; %s\n%s", action, params, code, want, reason, log)
	}
	return reason, log
}

func TestEveryActionTwice(t *testing.T) {
	n := newNode(t)
	for _, step := range []struct {
		action string
		code   ocf.Code
	}{
		{"monitor", 7}, {"stop", 0}, {"validate-all", 0}, {"start", 0}, {"start", 0}, {"monitor", 0}, {"monitor", 0},
	} {
		n.run(step.code, step.action, "config=web.cf")
	}
	n.end()
	for _, step := range []struct {
		action string
		code   ocf.Code
	}{{"monitor", 7}, {"stop", 0}, {"stop", 0}, {"monitor", 7}} {
		n.run(step.code, step.action)
	}
}

func TestCommandLineOfTheDaemon(t *testing.T) {
	n := newNode(t)
	n.run(0, "start", "config=web.cf")
	want := []string{"--serve", "--notify", "--state-dir=" + n.state, "--id=web", "--attribute=lvs-health-web", "--config=" + n.config + "/web.cf"}
	if diff := cmp.Diff(want, n.launched); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	n.end()
	n.run(0, "start", "ipvs=web-ipvs", "checktype=negotiate", "service=http", "request=/a b", "fallback=127.0.0.1", "quiescent=no")
	want = append(want[:5], "--ipvs=web-ipvs", "--check=checkinterval=2", "--check=checktimeout=3", "--check=checktype=negotiate",
		"--check=fallback=127.0.0.1", "--check=quiescent=no", "--check=request=/a b", "--check=service=http")
	if diff := cmp.Diff(want, n.launched); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBadParameters(t *testing.T) {
	n := newNode(t)
	n.write("bad.cf", "virtual=192.0.2.10:80\n\tscheduler=wrrr\n")
	n.write("empty.cf", "# nothing\n")
	tests := []struct {
		name   string
		params []string
		code   ocf.Code
		reason string
	}{
		{"nothing", nil, 6, "nothing to check; give config=FILE or ipvs=RESOURCE"},
		{"both", []string{"config=web.cf", "ipvs=x"}, 6, "parameters config and ipvs exclude each other; keep one of them"},
		{"checks beside a file", []string{"config=web.cf", "checktype=ping"}, 6, `parameter checktype="ping" has no meaning together with config; write it into web.cf`},
		{"no such file", []string{"config=none.cf"}, 5, "parameter config: none.cf: file does not exist in " + n.config + "; copy it to every node"},
		{"bad file", []string{"config=bad.cf"}, 2, n.config + `/bad.cf:2:12: unknown scheduler "wrrr"; did you mean "wrr"?`},
		{"empty file", []string{"config=empty.cf"}, 2, n.config + "/empty.cf has no virtual service; add virtual=ADDRESS:PORT"},
		{"pattern", []string{"ipvs=x", "receive=("}, 6, "receive \"(\": no closing parenthesis at character 1"},
		{"type", []string{"ipvs=x", "checktype=conect"}, 6, `unknown checktype "conect"; did you mean "connect"?`},
		{"contradiction", []string{"ipvs=x", "quiescent=false", "on_marked_down=keep"}, 6, "on_marked_down=keep contradicts quiescent=no; delete the line quiescent"},
		{"time", []string{"ipvs=x", "checkinterval=5ms"}, 6, `checkinterval "5ms" is not a number of milliseconds from 10 to 2678400000`},
		{"several", []string{"ipvs=x", "rise=0", "verify=maybe"}, 6, "rise \"0\" is not a number of checks from 1 to 1000; verify \"maybe\" is neither no nor chain nor name; write no, chain or name"},
		{"password", []string{"ipvs=x", "checktype=negotiate", "service=mysql"}, 6, "service=mysql needs a user and a password, which parameters cannot have; write it into a file with login and passwd, and use config=FILE"},
		{"fallback", []string{"ipvs=x", "fallback=127.0.0.1 route"}, 6, `fallback "127.0.0.1 route": unknown forwarding method "route"; use gate (direct routing), masq (NAT), or a tunnel: ipip, gue or gre`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, action := range []string{"validate-all", "start"} {
				if reason, _ := n.run(tt.code, action, tt.params...); reason != tt.reason {
					t.Errorf("%s:\ngot  %s\nwant %s", action, reason, tt.reason)
				}
			}
		})
	}
	n.run(0, "validate-all", "ipvs=x", "on_marked_down=expire") // The default quiescent=true does not contradict it.
}

func TestServersWithoutVerdictDoNotFailTheStart(t *testing.T) {
	n := newNode(t)
	n.snapshot.Services = []control.Service{{Reals: []control.Real{{Verdict: "unknown"}, {Verdict: "bad"}}}}
	_, log := n.run(0, "start", "config=web.cf")
	if want := "WARNING: 1 real servers have no verdict yet; a server without a weight in the kernel gets no connections until it passes a check\n"; log != want {
		t.Errorf("log: %s", log)
	}
	n.run(0, "monitor", "config=web.cf")
}

func TestStartSaysWhyTheDaemonDoesNot(t *testing.T) {
	n := newNode(t)
	n.fail = errors.New("web.cf:2: real server rs1: no such host")
	if reason, _ := n.run(1, "start", "config=web.cf"); reason != "starting directord: web.cf:2: real server rs1: no such host" {
		t.Errorf("reason: %s", reason)
	}
	n.kernel.Missing = true
	n.run(5, "start", "config=web.cf")
}

func TestFourStartsAtOnce(t *testing.T) {
	n := newNode(t)
	var starts sync.WaitGroup
	for range 4 {
		starts.Go(func() { n.run(0, "start", "config=web.cf") })
	}
	starts.Wait()
}

func TestMonitorOfADaemonThatHangs(t *testing.T) {
	n := newNode(t)
	n.run(0, "start", "config=web.cf")
	n.snapshot.LoopAge, n.snapshot.Trouble = 11, "ipvsadm -Sn: no buffer space"
	const want = "directord 7 could not write the wanted IPVS table for 11.0 s, more than 10 s: ipvsadm -Sn: no buffer space"
	if reason, _ := n.run(1, "monitor", "config=web.cf"); reason != want {
		t.Errorf("reason: %s", reason)
	}
}

func TestMonitorOfADaemonThatDoesNotAnswer(t *testing.T) {
	n := newNode(t)
	n.run(0, "start", "config=web.cf")
	n.silent = true
	if err := (state.Verdicts{Age: time.Second, Limit: 10 * time.Second}).Save(n.state, "web"); err != nil {
		t.Fatal(err)
	}
	if _, log := n.run(0, "monitor", "config=web.cf"); !strings.HasPrefix(log, "WARNING: directord web does not reply: ") {
		t.Errorf("log: %s", log)
	}
	if err := (state.Verdicts{Age: 12 * time.Second, Limit: 10 * time.Second}).Save(n.state, "web"); err != nil {
		t.Fatal(err)
	}
	const want = `^directord \d+ hangs: it has not updated the IPVS table or run checks for 1\d\.\d s \(limit 10 s\)$`
	if reason, _ := n.run(1, "monitor", "config=web.cf"); !regexp.MustCompile(want).MatchString(reason) {
		t.Errorf("reason: %s", reason)
	}
}

func TestMonitorOfADaemonThatDied(t *testing.T) {
	n := newNode(t)
	file := control.PIDFile(n.state, "web")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("4194300\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if reason, _ := n.run(7, "monitor", "config=web.cf"); reason != "directord (process 4194300) has died" {
		t.Errorf("reason: %s", reason)
	}
	n.run(0, "stop")
}

// TestStopWhereNothingCanBeWritten checks that stop succeeds if the state directory cannot be
// written.
func TestStopWhereNothingCanBeWritten(t *testing.T) {
	n := newNode(t)
	n.state = "/proc/nonexistent"
	n.run(7, "monitor", "config=web.cf")
	n.run(0, "stop")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n.state = file
	n.run(7, "monitor", "config=web.cf")
	n.run(0, "stop")
}

func TestStopWithoutTheLockLeavesTheClaim(t *testing.T) {
	n := newNode(t)
	store, err := record.In(n.state)
	if err != nil {
		t.Fatal(err)
	}
	table, err := lvs.ParseTable("-A -t 192.0.2.10:53 -s rr\n-a -t 192.0.2.10:53 -r 192.0.2.21:53 -g -w 1\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Save(record.Record{ID: "dns", State: record.Running, Services: table, Holder: "web", Claimed: table.IDs()}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.kernel.Apply(t.Context(), []lvs.Op{{Verb: lvs.AddService, Service: table[0].Service}}); err != nil {
		t.Fatal(err)
	}
	unlock, err := store.Lock(t.Context(), "dns", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, log := n.run(0, "stop"); !strings.Contains(log, "the daemon has ended, but a claim stays, on dns: locking the IPVS table: dns") {
		t.Errorf("log: %s", log)
	}
	if held, err := store.Load("dns"); err != nil || held.Holder != "web" {
		t.Errorf("%+v, %v", held, err)
	}
	unlock()
	n.run(0, "stop")
	if held, err := store.Load("dns"); err != nil || held.Holder != "" {
		t.Errorf("%+v, %v", held, err)
	}
}

func TestStartOfADaemonThatDoesNotAnswer(t *testing.T) {
	n := newNode(t)
	n.silent = true
	if err := os.MkdirAll(state.DaemonDir(n.state), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (state.Verdicts{Limit: time.Minute}).Save(n.state, "web"); err != nil {
		t.Fatal(err)
	}
	_, log := n.run(0, "start", "config=web.cf")
	if !strings.HasPrefix(log, "WARNING: ") || !strings.Contains(log, "directord web") || strings.Contains(log, "no verdict yet") {
		t.Errorf("log: %s", log)
	}
}

// TestNodeAttribute checks which name the daemon gets for the node attribute, and that stop removes
// the attribute.
func TestNodeAttribute(t *testing.T) {
	tests := []struct{ name, instance, param, want string }{
		{"a resource", "web", "", "lvs-health-web"},
		{"an instance of a clone", "web:1", "", "lvs-health-web"},
		{"a name", "web", "attribute=web_servers", "web_servers"},
		{"none", "web", "attribute=none", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			agent := New(n.kernel, n, n)
			agent.Attribute = strings.TrimPrefix(tt.param, "attribute=")
			if got := agent.attribute(ocf.Call{Instance: tt.instance}); got != tt.want {
				t.Errorf("name %q, want %q", got, tt.want)
			}
			n.run(0, "stop", tt.param)
			var want []string
			if tt.want != "" {
				want = []string{tt.want, tt.want + "-tables", tt.want + "-setup"}
			}
			if diff := cmp.Diff(want, n.removed); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStopSucceedsWhenTheAttributeStays checks that stop warns about a node attribute that it could
// not remove, and is silent outside of a cluster.
func TestStopSucceedsWhenTheAttributeStays(t *testing.T) {
	n := newNode(t)
	n.stays = fmt.Errorf("attrd_updater: %w", attribute.ErrNoCluster)
	if _, log := n.run(0, "stop"); strings.Contains(log, "attribute") {
		t.Errorf("outside of a cluster:\n%s", log)
	}
	n.stays = errors.New("attrd_updater: timed out")
	_, log := n.run(0, "stop")
	want := "removing the node attribute lvs-health-web: attrd_updater: timed out; remove it: attrd_updater -D -n lvs-health-web"
	if !strings.Contains(log, want) {
		t.Errorf("log without %q:\n%s", want, log)
	}
}

// TestStartWaitsForTheAttribute checks that start succeeds with a warning if the daemon publishes
// no first value of the node attribute in time.
func TestStartWaitsForTheAttribute(t *testing.T) {
	n := newNode(t)
	n.snapshot.Attribute = &control.Attribute{Name: "lvs-health-web"}
	_, log := n.run(0, "start", "config=web.cf")
	want := "the daemon has not published its node attribute yet; the cluster gets it later"
	if !strings.Contains(log, want) {
		t.Errorf("log without %q:\n%s", want, log)
	}
	n.end()
	n.snapshot.Attribute.Value = "1000"
	if _, log = n.run(0, "start", "config=web.cf"); strings.Contains(log, want) {
		t.Errorf("a published value:\n%s", log)
	}
}
