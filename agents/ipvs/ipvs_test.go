package ipvs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
	"lvs-agents/ocf/ocftest"
)

// node is a director with a fake kernel, a state directory and configuration files.
type node struct {
	kernel *kerneltest.IPVS
	host   *kerneltest.Settings
	state  string
	config string
}

func newNode(t *testing.T) node {
	t.Helper()
	return node{kerneltest.NewIPVS(), kerneltest.NewSettings(), t.TempDir(), t.TempDir()}
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

func TestStartLogsEachOpInIpvsadmSyntax(t *testing.T) {
	got := newNode(t).mustRun(t, 0, "web", "start", web...)
	const want = `INFO: ipvsadm -A -t 192.0.2.10:80 -s rr
INFO: ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
INFO: ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2
`
	if diff := cmp.Diff(want, got.log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMonitorIsSilentWhenRunning(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	if got := n.mustRun(t, 0, "web", "monitor", web...); got.log != "" {
		t.Errorf("log: %q", got.log)
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

func TestProbeWithoutRecordLogsWhatStandsThere(t *testing.T) {
	n := newNode(t)
	n.set(t, "-A -f 9 -s sh")
	got := n.mustRun(t, 7, "web", "probe", web...)
	if want := "INFO: no record of this resource; the kernel has services of others, which stay: [-f 9]\n"; got.log != want {
		t.Errorf("log: %q", got.log)
	}
}

func TestStartAdoptsAnEqualService(t *testing.T) {
	n := newNode(t)
	n.set(t, strings.Split(strings.TrimSpace(webTable), "\n")...)
	n.mustRun(t, 7, "web", "probe", web...)
	if got := n.mustRun(t, 0, "web", "start", web...); got.log != "" {
		t.Errorf("something was changed: %s", got.log)
	}
	n.mustRun(t, 0, "web", "stop", web...)
	n.wantTable(t, "")
}

func TestStartNamesTheDifferenceToAForeignService(t *testing.T) {
	n := newNode(t)
	n.set(t, "-A -t 192.0.2.10:80 -s rr", "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 5")
	before := n.kernel.String()
	got := n.mustRun(t, 1, "web", "start", web...)
	const want = "virtual service -t 192.0.2.10:80 exists already and differs; ipvsadm -D it, or make it equal (to do: ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2)"
	if got.reason != want {
		t.Errorf("reason: %s", got.reason)
	}
	n.mustRun(t, 7, "web", "monitor", web...)
	n.mustRun(t, 0, "web", "stop", web...)
	n.wantTable(t, before)
}

func TestServiceOfAnotherResourceIsRefused(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	got := n.mustRun(t, 1, "web2", "start", web...)
	if want := "virtual service -t 192.0.2.10:80 already belongs to resource web; stop resource web, or delete the stale record " + n.state + "/ipvs/web if the owner no longer exists"; got.reason != want {
		t.Errorf("reason: %s", got.reason)
	}
	n.mustRun(t, 0, "web2", "stop", web...)
	n.mustRun(t, 7, "web2", "monitor", web...)
	n.wantTable(t, webTable)
	n.mustRun(t, 0, "web", "monitor", web...)
	n.mustRun(t, 0, "web", "stop", web...)
	n.mustRun(t, 0, "web2", "start", web...)
}

func TestMonitorReportsDrift(t *testing.T) {
	tests := []struct {
		name, command, reason string
		code                  ocf.Code
	}{
		{"weight", "-e -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 9", "to do: ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2", 1},
		{"method", "-e -t 192.0.2.10:80 -r 192.0.2.22:80 -i -w 2", "to do: ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2", 1},
		{"real server", "-d -t 192.0.2.10:80 -r 192.0.2.21:80", "to do: ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1", 1},
		{"one more", "-a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 1", "to do: ipvsadm -d -t 192.0.2.10:80 -r 192.0.2.23:80", 1},
		{"scheduler", "-E -t 192.0.2.10:80 -s wlc", "to do: ipvsadm -E -t 192.0.2.10:80 -s rr", 1},
		{"persistence", "-E -t 192.0.2.10:80 -s rr -p 9", "to do: ipvsadm -E -t 192.0.2.10:80 -s rr", 1},
		{"service", "-D -t 192.0.2.10:80", "none of the virtual services is in the kernel any more", 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := tunedNode(t)
			n.mustRun(t, 0, "web", "start", web...)
			n.set(t, tt.command)
			if got := n.mustRun(t, tt.code, "web", "monitor", web...); got.reason != tt.reason {
				t.Errorf("reason: %s", got.reason)
			}
			n.mustRun(t, 0, "web", "start", web...)
			n.wantTable(t, webTable)
		})
	}
}

// TestOrderOfAHashTableIsRepairedByStart checks destinations in another order than the agent gives
// them, as an earlier version has added them. Monitor accepts the order, because a recovery would
// break every connection. Start repairs the order.
func TestOrderOfAHashTableIsRepairedByStart(t *testing.T) {
	n := newNode(t)
	hashed := []string{"virtual=192.0.2.10:80", "real=192.0.2.22 gate, 192.0.2.21 gate", "scheduler=sh"}
	n.mustRun(t, 0, "web", "start", hashed...)
	n.set(t, "-d -t 192.0.2.10:80 -r 192.0.2.21:80", "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1")
	n.mustRun(t, 0, "web", "monitor", hashed...)
	got := n.mustRun(t, 0, "web", "start", hashed...)
	if want := "ipvsadm -d -t 192.0.2.10:80 -r 192.0.2.22:80"; !strings.Contains(got.log, want) {
		t.Errorf("start did not put the destinations in order: %s", got.log)
	}
	if got := n.mustRun(t, 0, "web", "start", hashed...); strings.Contains(got.log, "ipvsadm") {
		t.Errorf("a second start changes the table: %s", got.log)
	}
}

func TestMonitorCountsWhatIsMissing(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.set(t, "-D -t 192.0.2.10:80", "-A -t 192.0.2.10:80 -s rr")
	const want = "to do: ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1 (and 1 more)"
	if got := n.mustRun(t, 1, "web", "monitor", web...); got.reason != want {
		t.Errorf("reason: %s", got.reason)
	}
}

func TestReloadChangesWeightsAndSchedulerInPlace(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	changed := []string{"virtual=192.0.2.10:80", "real=192.0.2.21 gate 5, 192.0.2.22 gate 2", "scheduler=wrr"}
	got := n.mustRun(t, 0, "web", "reload-agent", changed...)
	const want = `INFO: ipvsadm -E -t 192.0.2.10:80 -s wrr
INFO: ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 5
`
	if diff := cmp.Diff(want, got.log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	n.mustRun(t, 0, "web", "monitor", changed...)
	n.mustRun(t, 0, "web", "stop", changed...)
	n.wantTable(t, "")
}

func TestReloadMayReplaceServices(t *testing.T) {
	n := newNode(t)
	n.write(t, "web.cf", "virtual=192.0.2.10:80\n\treal=192.0.2.21:80 gate\n\tscheduler=rr\nvirtual=7\n\treal=192.0.2.21:80 gate\n\tscheduler=rr\n")
	n.mustRun(t, 0, "web", "start", "config=web.cf")
	n.write(t, "web.cf", "virtual=192.0.2.10:443\n\treal=192.0.2.21:443 gate\n\tscheduler=rr\n")
	// Monitor compares the kernel with the record, and does not read the changed file.
	n.mustRun(t, 0, "web", "monitor", "config=web.cf")
	n.mustRun(t, 0, "web", "reload-agent", "config=web.cf")
	n.wantTable(t, "-A -t 192.0.2.10:443 -s rr\n-a -t 192.0.2.10:443 -r 192.0.2.21:443 -g -w 1\n")
	if err := os.Remove(filepath.Join(n.config, "web.cf")); err != nil {
		t.Fatal(err)
	}
	n.mustRun(t, 0, "web", "monitor", "config=web.cf")
	n.mustRun(t, 0, "web", "stop", "config=web.cf")
	n.wantTable(t, "")
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

func TestIPVSThatWentAwayIsNotRunning(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.kernel.Missing = true
	n.mustRun(t, 7, "web", "monitor", web...)
	n.mustRun(t, 0, "web", "stop", web...)
}

func TestMissingSchedulerIsNotInstalled(t *testing.T) {
	got := newNode(t).mustRun(t, 5, "web", "start", "virtual=192.0.2.10:80", "real=192.0.2.21 gate", "scheduler=twos")
	if !strings.Contains(got.reason, "modprobe ip_vs_twos") {
		t.Errorf("reason: %s", got.reason)
	}
}

func TestFailureAtEveryOpOfStart(t *testing.T) {
	for after := range 3 {
		n := newNode(t)
		n.set(t, "-A -f 9 -s sh")
		n.kernel.FailAfter(after, syscall.ENOBUFS)
		got := n.mustRun(t, 1, "web", "start", web...)
		if !strings.Contains(got.reason, "ipvsadm -") || !strings.Contains(got.reason, "no buffer space available") {
			t.Errorf("after %d: reason %q does not name the op", after, got.reason)
		}
		want := ocf.Failed
		if after == 0 {
			want = ocf.Stopped
		}
		if code := n.run("web", "monitor", web...).code; (code == 7) != (want == ocf.Stopped) || code == 0 {
			t.Errorf("after %d: monitor says %d", after, code)
		}
		n.mustRun(t, 0, "web", "start", web...)
		n.mustRun(t, 0, "web", "monitor", web...)
		n.kernel.FailAfter(0, syscall.ENOBUFS)
		n.mustRun(t, 1, "web", "stop", web...)
		// The stop could not remove the services, so they are still in the kernel.
		n.mustRun(t, 1, "web", "monitor", web...)
		n.mustRun(t, 0, "web", "stop", web...)
		n.wantTable(t, "-A -f 9 -s sh\n")
	}
}

func TestStopNeedsNoParameters(t *testing.T) {
	for _, params := range [][]string{nil, {"virtual=garbage"}, {"scheduler=garbage", "persistent=-1"}, {"config=/nonexistent"}} {
		n := newNode(t)
		n.mustRun(t, 0, "web", "start", web...)
		n.mustRun(t, 0, "web", "monitor", params...)
		n.mustRun(t, 0, "web", "stop", params...)
		n.wantTable(t, "")
	}
}

func TestDamagedRecord(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	file := filepath.Join(n.state, "ipvs", "web")
	for _, text := range []string{"", "garbage", "-A -t 192.0.2.10:80 -s rr"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := n.mustRun(t, 1, "web", "monitor", web...); !strings.Contains(got.reason, "damaged record") {
			t.Errorf("reason: %s", got.reason)
		}
		n.mustRun(t, 0, "web", "stop", web...)
		n.wantTable(t, "")
		n.mustRun(t, 0, "web", "start", web...)
	}
}

func TestDamagedRecordAndBadParameters(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	file := filepath.Join(n.state, "ipvs", "web")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := n.mustRun(t, 1, "web", "stop", "config=/nonexistent")
	if want := "record " + file + " is damaged and may contain -t 192.0.2.10:80; ipvsadm -D the services that this resource added, then remove the file"; got.reason != want {
		t.Errorf("reason: %s", got.reason)
	}
	if got := n.mustRun(t, 1, "dns", "start", web...); !strings.Contains(got.reason, "may belong to the damaged record "+file) {
		t.Errorf("adopted: %s", got.reason)
	}
	n.set(t, "-D -t 192.0.2.10:80")
	n.mustRun(t, 0, "web", "stop", "config=/nonexistent")
	n.mustRun(t, 7, "web", "monitor", web...)
}

func TestDamagedRecordLeavesTheServicesOfOthers(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.mustRun(t, 0, "dns", "start", "virtual=192.0.2.20:53", "real=192.0.2.21 masq", "scheduler=rr")
	if err := os.WriteFile(filepath.Join(n.state, "ipvs", "web"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n.mustRun(t, 0, "web", "stop", "virtual=192.0.2.10:80 192.0.2.20:53", "real=192.0.2.21 masq", "protocol=udp")
	n.mustRun(t, 0, "dns", "monitor")
}

func TestReloadForgetsWhatItRemoved(t *testing.T) {
	n := newNode(t)
	n.write(t, "web.cf", "virtual=7\n\treal=192.0.2.21:80 gate\nvirtual=8\n\treal=192.0.2.21:80 gate\n")
	n.mustRun(t, 0, "web", "start", "config=web.cf")
	n.write(t, "web.cf", "virtual=8\n\treal=192.0.2.21:80 gate\n")
	n.mustRun(t, 0, "web", "reload-agent", "config=web.cf")
	n.set(t, "-A -f 7 -s rr") // another program has added this service
	n.mustRun(t, 0, "web", "monitor", "config=web.cf")
	n.mustRun(t, 0, "web", "stop", "config=web.cf")
	n.wantTable(t, "-A -f 7 -s rr\n")
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

func TestStopDoesNotWaitForTheLockForEver(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	store, err := record.In(n.state)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := store.Lock(t.Context(), "dns", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	got := n.mustRun(t, 1, "web", "start", append([]string{"CRM_meta_timeout=2000"}, web...)...)
	// On a busy host, package ocf can end the action before the wait for the lock ends.
	if want := fmt.Sprintf("locking the IPVS table: dns (process %d) has the lock: context deadline exceeded", os.Getpid()); got.reason != want && !strings.Contains(got.reason, "did not end within") {
		t.Errorf("reason: %s", got.reason)
	}
	n.mustRun(t, 0, "web", "stop", append([]string{"CRM_meta_timeout=3000"}, web...)...)
	n.wantTable(t, "")
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

// TestOrderOfAnotherVersionIsRunning checks that monitor accepts destinations in any order, for
// schedulers that hash. An earlier version, or ipvsadm, can have given them another order.
func TestOrderOfAnotherVersionIsRunning(t *testing.T) {
	for _, scheduler := range []string{"mh", "sh", "dh"} {
		n := newNode(t)
		n.set(t, "-A -t 192.0.2.10:80 -s "+scheduler, "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1", "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1")
		params := []string{"virtual=192.0.2.10:80", "real=192.0.2.21 gate, 192.0.2.22 gate", "scheduler=" + scheduler}
		// Start adopts the service in the kernel, because it is equal to the configured service.
		n.mustRun(t, 0, "web", "start", params...)
		service := "-A -t 192.0.2.10:80 -s " + scheduler
		if scheduler != "dh" {
			service += " -b " + scheduler + "-fallback"
		}
		n.wantTable(t, service+`
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
`)
		n.set(t, "-d -t 192.0.2.10:80 -r 192.0.2.21:80", "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1")
		n.mustRun(t, 0, "web", "monitor", params...)
		n.set(t, "-d -t 192.0.2.10:80 -r 192.0.2.21:80")
		n.mustRun(t, 1, "web", "monitor", params...)
	}
}

// TestBadServerOfAHashSchedulerKeepsItsSlots checks that a real server that was bad at start gets
// the slots of its configured weight, although it gets no connections.
func TestBadServerOfAHashSchedulerKeepsItsSlots(t *testing.T) {
	for scheduler, weight := range map[string]int{"mh": 3, "sh": 1} {
		n := newNode(t)
		n.beat(t, 5*time.Second, "-t 192.0.2.10:80 -r 192.0.2.21:80")
		params := []string{"virtual=192.0.2.10:80", fmt.Sprintf("real=192.0.2.22 gate 2, 192.0.2.21 gate %d", weight), "scheduler=" + scheduler}
		n.mustRun(t, 0, "web", "start", params...)
		n.wantTable(t, "-A -t 192.0.2.10:80 -s "+scheduler+" -b "+scheduler+`-fallback
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2
`)
		if got, want := n.kernel.Hash(), fmt.Sprintf("-t 192.0.2.10:80 -s %s 192.0.2.21:80=%d 192.0.2.22:80=2\n", scheduler, weight); got != want {
			t.Errorf("got  %swant %s", got, want)
		}
		n.mustRun(t, 0, "web", "monitor", params...)
	}
}

// TestServiceWithoutAFallbackFlagOfAnotherVersion checks that monitor accepts the record and the
// service of an earlier version, which set no flag. A start then sets the flag in place.
func TestServiceWithoutAFallbackFlagOfAnotherVersion(t *testing.T) {
	n := sloppyNode(t)
	params := []string{"virtual=192.0.2.10:80", "real=192.0.2.21 gate", "scheduler=sh", "sloppy_tcp=no"}
	n.mustRun(t, 0, "web", "start", append(params, "schedflags=sh-port")...)
	store, err := record.In(n.state)
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.Load("web")
	if err != nil {
		t.Fatal(err)
	}
	r.Services[0].Flags = 0
	if err := store.Save(r); err != nil {
		t.Fatal(err)
	}
	n.set(t, "-E -t 192.0.2.10:80 -s sh")
	n.mustRun(t, 0, "web", "monitor", params...)
	got := n.mustRun(t, 0, "web", "start", params...)
	if want := "INFO: ipvsadm -E -t 192.0.2.10:80 -s sh -b sh-fallback\n"; got.log != want {
		t.Errorf("got  %swant %s", got.log, want)
	}
}

func TestWarningsAboutHashSchedulers(t *testing.T) {
	const sloppy = "WARNING: -t 192.0.2.10:80: scheduler mh without sloppy_tcp: a director that takes over breaks open connections (113 of 200 in a test), unless they are synchronised; set sloppy_tcp=yes, or sloppy_tcp=no if this is intended\n"
	for flags, want := range map[string]string{
		"":                    "WARNING: -t 192.0.2.10:80: scheduler mh without mh-port: all connections of one client address go to one real server, also of the many clients of one NAT address; write schedflags=mh-fallback,mh-port, unless clients must stay with their real server\n",
		"mh-port":             "WARNING: -t 192.0.2.10:80: scheduler mh without mh-fallback: while a real server has weight 0, the kernel refuses new clients that hash to it; add mh-fallback to schedflags\n",
		"mh-port,mh-fallback": "",
	} {
		got := newNode(t).mustRun(t, 0, "web", "validate-all", "virtual=192.0.2.10:80", "real=192.0.2.21 gate", "scheduler=mh", "schedflags="+flags)
		if want = sloppy + want; got.log != want {
			t.Errorf("%q: got  %swant %s", flags, got.log, want)
		}
	}
}

// TestReloadChangesEverythingInPlace checks that reload-agent changes each setting with an edit. An
// edit breaks no connection. It deletes only the services that the parameters no longer have.
func TestReloadChangesEverythingInPlace(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", "virtual=192.0.2.10:5060/udp 5/fwm4", "real=192.0.2.21 masq 1, 192.0.2.22 gate", "scheduler=rr")
	for _, step := range []struct{ virtual, params, log string }{
		{"192.0.2.10:5060/udp 5/fwm4", "real=192.0.2.21 gue 2 port:6081 csum u:9 l:3, 192.0.2.22 gate|scheduler=mh|persistent=60|netmask=255.255.255.0|persistence_engine=sip|ops=yes", `
ipvsadm -E -u 192.0.2.10:5060 -s mh -p 60 -M 255.255.255.0 --pe sip -o -b mh-fallback
ipvsadm -E -f 5 -s mh -p 60 -M 255.255.255.0 --pe sip -o -b mh-fallback
ipvsadm -e -u 192.0.2.10:5060 -r 192.0.2.21:5060 -i -w 2 -x 9 -y 3 --tun-type gue --tun-port 6081 --tun-csum
ipvsadm -e -f 5 -r 192.0.2.21:0 -i -w 2 -x 9 -y 3 --tun-type gue --tun-port 6081 --tun-csum
`},
		{"192.0.2.10:5060/udp 192.0.2.10:5060/sctp", "real=192.0.2.21 gre 2, 192.0.2.22 gate|scheduler=rr|persistent=0", `
ipvsadm -A --sctp-service 192.0.2.10:5060 -s rr
ipvsadm -E -u 192.0.2.10:5060 -s rr
ipvsadm -a --sctp-service 192.0.2.10:5060 -r 192.0.2.21:5060 -i -w 2 --tun-type gre --tun-nocsum
ipvsadm -a --sctp-service 192.0.2.10:5060 -r 192.0.2.22:5060 -g -w 1
ipvsadm -e -u 192.0.2.10:5060 -r 192.0.2.21:5060 -i -w 2 --tun-type gre --tun-nocsum
ipvsadm -D -f 5
`},
	} {
		params := append(strings.Split(step.params, "|"), "virtual="+step.virtual)
		got := n.mustRun(t, 0, "web", "reload-agent", params...)
		var changes []string
		for line := range strings.Lines(got.log) {
			if command, found := strings.CutPrefix(line, "INFO: ipvsadm"); found {
				changes = append(changes, "ipvsadm"+command)
			}
		}
		want := strings.SplitAfter(strings.TrimPrefix(step.log, "\n"), "\n")
		slices.Sort(changes)
		slices.Sort(want)
		if diff := cmp.Diff(strings.Join(want, ""), strings.Join(changes, "")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		n.mustRun(t, 0, "web", "monitor", params...)
	}
}

func TestMissingSchedulerIsNamedBeforeStart(t *testing.T) {
	for _, action := range []string{"validate-all", "start"} {
		n := newNode(t)
		got := n.mustRun(t, 5, "web", action, "virtual=192.0.2.10:80", "real=192.0.2.21 gate", "scheduler=twos")
		if want := `scheduler "twos" is not available; modprobe ip_vs_twos`; !strings.Contains(fmt.Sprint(got), want) {
			t.Errorf("%s: got %v, want %s", action, got, want)
		}
	}
}

// TestKernelWithoutTunnelTypes checks the reason of a start on a kernel that stores all tunnels as
// IP-in-IP.
func TestKernelWithoutTunnelTypes(t *testing.T) {
	n := newNode(t)
	n.kernel.OnlyIPIP = true
	got := n.mustRun(t, 1, "web", "start", "virtual=192.0.2.10:80", "real=192.0.2.21 gre")
	const want = "the kernel does not keep the tunnel type gre: gue needs Linux 5.2, and gre Linux 5.3; use ipip, or a newer kernel"
	if got.reason != want {
		t.Errorf("got  %s\nwant %s", got.reason, want)
	}
}
