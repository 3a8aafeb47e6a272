package ipvs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
	"lvs-agents/ocf"
	"lvs-agents/ocf/ocftest"
)

// node is a director with a fake kernel, a state directory and configuration files.
type node struct {
	kernel *kerneltest.IPVS
	host   *kerneltest.Settings
	state  string
	config string

	attributes Attributes // attributes is nil outside of a cluster.
}

func newNode(t *testing.T) node {
	t.Helper()
	return node{kernel: kerneltest.NewIPVS(), host: kerneltest.NewSettings(), state: t.TempDir(), config: t.TempDir()}
}

type result struct {
	code   ocf.Code
	reason string // reason is the exit reason of the action.
	log    string // log has the lines of the log without their tags.
}

// run runs one action of a resource. Each of params is NAME=value.
func (n node) run(instance, action string, params ...string) (r result) {
	agent := New(n.kernel, n.host, nil)
	agent.configDirs = []string{n.config}
	agent.Obey(n.attributes, time.Now())
	r.code, r.reason, r.log = ocftest.Run(agent, n.state, instance, action, params...)
	return r
}

// mustRun runs an action and fails the test if the exit code is not want.
func (n node) mustRun(t *testing.T, want ocf.Code, instance, action string, params ...string) result {
	t.Helper()
	got := n.run(instance, action, params...)
	if got.code != want {
		t.Fatalf("%s %s %q: got %d, want %d\nreason: %s\nlog: %s\ntable:\n%s", instance, action, params, got.code, want, got.reason, got.log, n.kernel)
	}
	return got
}

// set changes the table as another program would. No resource has a record of the change.
func (n node) set(t *testing.T, commands ...string) {
	t.Helper()
	for _, command := range commands {
		op, err := lvs.ParseOp(command)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.kernel.Apply(t.Context(), []lvs.Op{op}); err != nil {
			t.Fatal(err)
		}
	}
}

func (n node) wantTable(t *testing.T, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), n.kernel.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

var web = []string{"virtual=192.0.2.10:80", "real=192.0.2.21 gate, 192.0.2.22 gate 2", "scheduler=rr"}

const webTable = `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2
`

func TestEveryActionTwice(t *testing.T) {
	n := newNode(t)
	for _, step := range []struct {
		action string
		code   ocf.Code
		table  string
	}{
		{"probe", 7, ""}, {"stop", 0, ""}, {"reload-agent", 7, ""}, {"monitor", 7, ""},
		{"start", 0, webTable}, {"start", 0, webTable}, {"probe", 0, webTable}, {"monitor", 0, webTable},
		{"reload-agent", 0, webTable}, {"reload-agent", 0, webTable}, {"validate-all", 0, webTable},
		{"stop", 0, ""}, {"stop", 0, ""}, {"monitor", 7, ""}, {"probe", 7, ""},
		{"start", 0, webTable}, {"stop", 0, ""},
	} {
		n.mustRun(t, step.code, "web", step.action, web...)
		n.wantTable(t, step.table)
	}
	if left, err := filepath.Glob(n.state + "/ipvs/*"); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

const foreign = `-A -t 192.0.2.99:80 -s wlc
-a -t 192.0.2.99:80 -r 192.0.2.21:80 -m -w 7
-A -f 9 -s sh
`

func TestForeignServicesAreUntouchedByEveryAction(t *testing.T) {
	n := newNode(t)
	n.set(t, strings.Split(strings.TrimSpace(foreign), "\n")...)
	for _, step := range []struct {
		action string
		code   ocf.Code
	}{{"probe", 7}, {"start", 0}, {"monitor", 0}, {"reload-agent", 0}, {"start", 0}, {"stop", 0}, {"stop", 0}, {"monitor", 7}} {
		n.mustRun(t, step.code, "web", step.action, web...)
		for line := range strings.Lines(foreign) {
			if !strings.Contains(n.kernel.String(), line) {
				t.Fatalf("%s: %q is gone:\n%s", step.action, line, n.kernel)
			}
		}
	}
	n.wantTable(t, foreign)
}

func (n node) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(n.config, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutIPVSNothingRuns(t *testing.T) {
	n := newNode(t)
	n.kernel.Missing = true
	for action, want := range map[string]ocf.Code{"start": 5, "monitor": 7, "probe": 7, "stop": 0, "validate-all": 0} {
		got := n.mustRun(t, want, "web", action, web...)
		if action == "start" && !strings.Contains(got.reason, "modprobe ip_vs") {
			t.Errorf("%s: reason %q", action, got.reason)
		}
	}
}

func TestStateDirectoryThatCannotBeWritten(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.state = "/proc/nonexistent"
	n.mustRun(t, 7, "web", "monitor", web...)
	n.mustRun(t, 0, "web", "stop", web...)
	got := n.mustRun(t, 1, "web", "start", web...)
	if !strings.Contains(got.reason, "/proc/nonexistent") {
		t.Errorf("reason: %s", got.reason)
	}
	n.wantTable(t, webTable) // The failed start has changed nothing, and stop found no record.
}

func TestDeadlineOfAKernelThatDoesNotAnswer(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.kernel.Stall = true
	for _, action := range []string{"monitor", "stop", "start"} {
		got := n.mustRun(t, 1, "web", action, append([]string{"CRM_meta_timeout=500"}, web...)...)
		// The second text appears on a busy host, where package ocf ends the action before the agent
		// returns.
		if !strings.Contains(got.reason, "deadline exceeded") && !strings.Contains(got.reason, "did not end within") {
			t.Errorf("%s: reason %s", action, got.reason)
		}
	}
}

func TestBadParameters(t *testing.T) {
	n := newNode(t)
	n.write(t, "bad.cf", "virtual=192.0.2.10:80\n\treal=192.0.2.21:80 gate\n\tscheduler=wrrr\n")
	n.write(t, "empty.cf", "# nothing yet\n")
	tests := []struct {
		name   string
		params []string
		code   ocf.Code
		reason string
	}{
		{"nothing", nil, 6, "no virtual services; give config=FILE or virtual=ADDRESS:PORT"},
		{"both", []string{"config=bad.cf", "virtual=192.0.2.10:80"}, 6, "parameters config and virtual exclude each other; keep one of them"},
		{"config and real", []string{"config=bad.cf", "real=192.0.2.21 gate"}, 6,
			`parameter real="192.0.2.21 gate" has no meaning together with config; write it into bad.cf`},
		{"no real server", []string{"virtual=192.0.2.10:80"}, 6, "no real servers; give real=\"ADDRESS gate|masq|ipip WEIGHT, …\""},
		{"scheduler", []string{"virtual=192.0.2.10:80", "real=192.0.2.21 gate", "scheduler=wcl"}, 6,
			`parameter scheduler="wcl": unknown; did you mean "wlc"? (one of rr, wrr, lc, wlc, lblc, lblcr, dh, sh, sed, nq, fo, ovf, mh, twos)`},
		{"no such file", []string{"config=none.cf"}, 5, fmt.Sprintf("parameter config: none.cf: file does not exist in %s; copy it to every node", n.config)},
		{"bad line", []string{"config=bad.cf"}, 2, n.config + `/bad.cf:3:12: unknown scheduler "wrrr"; did you mean "wrr"?`},
		{"empty file", []string{"config=empty.cf"}, 2, n.config + "/empty.cf has no virtual service; add virtual=ADDRESS:PORT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Every call of the fake kernel hangs from now on. The two actions succeed only if they do not
			// read the table.
			n.kernel.Stall = true
			for _, action := range []string{"validate-all", "start"} {
				if got := n.mustRun(t, tt.code, "web", action, tt.params...); got.reason != tt.reason {
					t.Errorf("%s:\ngot  %s\nwant %s", action, got.reason, tt.reason)
				}
			}
		})
	}
}

func TestErrorsOfTheKernelKeepTheirCode(t *testing.T) {
	n := newNode(t)
	n.kernel.FailAfter(0, fmt.Errorf("ipvsadm -A: %w", os.ErrPermission))
	got := n.mustRun(t, 4, "web", "start", web...)
	if !strings.Contains(got.reason, "permission denied") {
		t.Errorf("reason: %s", got.reason)
	}
}
