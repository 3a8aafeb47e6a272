package ocf

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/metadata"
)

// thing is an agent for tests. Its resource is a bool.
type thing struct {
	name    string // name is the name of the agent. Empty means thing.
	IP      string
	Count   int
	running bool

	start, stop, look, valid error
	status                   *Status
	panics                   string
	blocks                   bool
	call                     Call
	level                    int
}

func (a *thing) Metadata() metadata.Agent {
	return metadata.Agent{Name: cmp.Or(a.name, "thing"), Short: "Thing", Long: "A thing.", Params: []metadata.Param{
		{Name: "ip", Value: metadata.String(&a.IP), Required: true, UniqueGroup: "ip", Short: "IP", Long: "IP."},
		{Name: "count", Value: metadata.Integer(&a.Count, 1, 9), Short: "Count", Long: "Count."},
	}, Actions: []metadata.Action{{Name: "start", Timeout: time.Second}, {Name: "monitor", Timeout: time.Second}}, Arguments: []string{"ip", "count"}}
}

func (a *thing) Start(ctx context.Context, c Call) error {
	a.call = c
	a.act(ctx)
	if a.start == nil {
		a.running = true
	}
	return a.start
}

func (a *thing) Stop(ctx context.Context, c Call) error {
	a.call = c
	a.act(ctx)
	if a.stop == nil {
		a.running = false
	}
	return a.stop
}

func (a *thing) Monitor(_ context.Context, c Call) (Status, error) {
	a.call = c
	if a.status != nil || a.look != nil {
		if a.status == nil {
			a.status = &Status{}
		}
		return *a.status, a.look
	}
	if a.running {
		return Status{State: Running}, nil
	}
	return Status{State: Stopped, Reason: "the thing is gone"}, nil
}

func (a *thing) Validate(_ context.Context, _ Call, level int) error {
	a.level = level
	return a.valid
}

func (a *thing) act(ctx context.Context) {
	if a.panics != "" {
		panic(a.panics)
	}
	if a.blocks {
		<-ctx.Done()
	}
}

// reloading is a thing that also has the method ReloadAgent.
type reloading struct {
	thing
	err error
}

func (a *reloading) ReloadAgent(context.Context, Call) error { return a.err }

type result struct {
	code           Code
	stdout, stderr string
}

func run(agent Agent, action string, environ ...string) result {
	return runAs(agent, true, action, environ...)
}

func runAs(agent Agent, root bool, action string, environ ...string) result {
	var stdout, stderr bytes.Buffer
	args := []string{"/usr/lib/ocf/resource.d/lvs/thing"}
	if action != "" {
		args = append(args, action, "ignored", "-x")
	}
	code := Run(Process{Args: args, Environ: environ, Stdout: &stdout, Stderr: &stderr, Root: root, StateDir: rootDir}, agent)
	return result{code, stdout.String(), stderr.String()}
}

const ip = "OCF_RESKEY_ip=192.0.2.10"

// errNoIPVS is an example of an error that an agent returns if the node lacks something.
var errNoIPVS = fmt.Errorf("IPVS is not in this kernel; modprobe ip_vs: %w", errors.ErrUnsupported)

func TestExitCodesAndReasons(t *testing.T) {
	tests := []struct {
		name    string
		agent   Agent
		action  string
		environ []string
		code    Code
		// reason is the last line of stderr after the prefix. Empty means no exit reason.
		reason string
	}{
		{"start", &thing{}, "start", []string{ip}, Success, ""},
		{"start again", &thing{running: true}, "start", []string{ip}, Success, ""},
		{"start without a parameter", &thing{}, "start", nil, Configured, "parameter ip is required"},
		{"start with a bad parameter", &thing{}, "start", []string{ip, "OCF_RESKEY_count=x"}, Configured,
			`parameter count="x": not a whole number from 1 to 9`},
		{"all bad parameters at once", &thing{}, "start", []string{"OCF_RESKEY_count=0"}, Configured,
			`parameter ip is required; parameter count="0": not a whole number from 1 to 9`},
		{"start fails", &thing{start: errors.New("ip addr add: no such device")}, "start", []string{ip}, Generic, "ip addr add: no such device"},
		{"start lacks something", &thing{start: errNoIPVS}, "start", []string{ip}, Installed, errNoIPVS.Error()},
		{"start lacks permission", &thing{start: fs.ErrPermission}, "start", []string{ip}, Permission, "permission denied"},
		{"start is wrong on every node", &thing{start: WrongEverywhere(errors.New("x"))}, "start", []string{ip}, Configured, "x"},
		{"start is wrong on this node", &thing{start: fmt.Errorf("y: %w", WrongHere(errors.New("x")))}, "start", []string{ip}, Args, "y: x"},
		{"start that monitor denies", &thing{status: &Status{Failed, "half"}}, "start", []string{ip}, Generic,
			"start was done, but the monitor after it reports failed: half"},
		{"start that cannot look", &thing{look: errors.New("netlink: eof")}, "start", []string{ip}, Generic,
			"the monitor after start: netlink: eof"},
		{"start panics", &thing{panics: "nil map"}, "start", []string{ip}, Generic, "bug in the agent, please report it: panic: nil map"},

		{"stop", &thing{running: true}, "stop", []string{ip}, Success, ""},
		{"stop again", &thing{}, "stop", []string{ip}, Success, ""},
		{"stop with bad parameters", &thing{running: true}, "stop", []string{"OCF_RESKEY_count=x"}, Success, ""},
		{"stop without the subsystem", &thing{stop: errNoIPVS, look: errNoIPVS}, "stop", []string{ip}, Success, ""},
		{"stop fails", &thing{running: true, stop: errors.New("busy")}, "stop", []string{ip}, Generic, "busy"},
		{"stop that monitor denies", &thing{status: &Status{State: Running}}, "stop", []string{ip}, Generic,
			"stop was done, but the monitor after it reports running"},
		{"stop that cannot look", &thing{look: errors.New("netlink: eof")}, "stop", []string{ip}, Generic,
			"the monitor after stop: netlink: eof"},

		{"monitor running", &thing{running: true}, "monitor", []string{ip, "OCF_RESKEY_CRM_meta_interval=10000"}, Success, ""},
		{"monitor stopped", &thing{}, "monitor", []string{ip, "OCF_RESKEY_CRM_meta_interval=10000"}, NotRunning, "the thing is gone"},
		{"probe stopped", &thing{}, "monitor", []string{ip}, NotRunning, ""},
		{"probe with interval 0", &thing{}, "monitor", []string{ip, "OCF_RESKEY_CRM_meta_interval=0"}, NotRunning, ""},
		{"probe with bad parameters", &thing{}, "monitor", []string{"OCF_RESKEY_count=x"}, NotRunning, ""},
		{"probe without the subsystem", &thing{look: errNoIPVS}, "monitor", []string{ip}, NotRunning, ""},
		{"monitor without the subsystem", &thing{look: errNoIPVS}, "monitor", []string{ip, "OCF_RESKEY_CRM_meta_interval=10000"}, NotRunning, errNoIPVS.Error()},
		{"monitor cannot look", &thing{look: errors.New("netlink: eof")}, "monitor", []string{ip}, Generic, "netlink: eof"},
		{"an error number is not a missing subsystem", &thing{look: syscall.ENOSYS}, "monitor", []string{ip}, Generic, "function not implemented"},
		{"nor is it for stop", &thing{stop: syscall.EOPNOTSUPP, look: syscall.EOPNOTSUPP}, "stop", []string{ip}, Generic, "operation not supported"},
		{"monitor failed", &thing{status: &Status{Failed, "half"}}, "monitor", []string{ip}, Generic, "half"},
		{"monitor degraded", &thing{status: &Status{Degraded, "1 of 2 down"}}, "monitor", []string{ip}, DegradedCode, "1 of 2 down"},
		{"monitor forgets the state", &thing{status: &Status{}}, "monitor", []string{ip}, Generic,
			"bug in the agent, please report it: monitor came to no state"},
		{"status is monitor", &thing{running: true}, "status", []string{ip}, Success, ""},
		{"reasons are one line", &thing{status: &Status{Failed, "a\nb"}}, "monitor", []string{ip}, Generic, "a; b"},
		{"another prefix", &thing{status: &Status{Failed, "a"}}, "monitor", []string{ip, "OCF_EXIT_REASON_PREFIX=why:"}, Generic, "why:a"},

		{"reload-agent", &reloading{thing: thing{running: true}}, "reload-agent", []string{ip}, Success, ""},
		{"reload-agent of nothing", &reloading{err: ErrNotRunning}, "reload-agent", []string{ip}, NotRunning, "the resource is not running"},
		{"reload-agent without the method", &thing{}, "reload-agent", []string{ip}, Unimplemented, `action "reload-agent" does not exist`},
		{"unknown action", &thing{}, "no_cmd", []string{ip}, Unimplemented, `action "no_cmd" does not exist`},
		{"promote", &thing{}, "promote", []string{ip}, Unimplemented, `action "promote" does not exist`},
		{"no action", &thing{}, "", []string{ip}, Unimplemented, `action "" does not exist`},
		{"validate-all", &thing{}, "validate-all", []string{ip}, Success, ""},
		{"validate-all of a bad parameter", &thing{}, "validate-all", []string{ip, "OCF_RESKEY_count=12"}, Configured,
			`parameter count="12": not a whole number from 1 to 9`},
		{"validate-all by the agent", &thing{valid: errNoIPVS}, "validate-all", []string{ip}, Installed, errNoIPVS.Error()},
		{"usage", &thing{}, "usage", nil, Success, ""},
		{"meta-data", &thing{name: "vip"}, "meta-data", nil, Success, ""},
		{"meta-data that nobody wrote", &thing{}, "meta-data", nil, Generic,
			"no meta-data document for thing; make docs: open documents/thing.xml: file does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(tt.agent, tt.action, tt.environ...)
			lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
			reason, _ := strings.CutPrefix(lines[len(lines)-1], "ocf-exit-reason:")
			if got.code != tt.code || reason != tt.reason {
				t.Errorf("got %d, reason %q, want %d, %q\nstderr:\n%s", got.code, reason, tt.code, tt.reason, got.stderr)
			}
			if n := strings.Count(got.stderr, "ocf-exit-reason:"); n > 1 {
				t.Errorf("%d exit reasons:\n%s", n, got.stderr)
			}
		})
	}
}

func TestSuccessIsSilent(t *testing.T) {
	for _, action := range []string{"validate-all", "monitor", "start"} {
		if got := run(&thing{running: true}, action, ip); got != (result{}) {
			t.Errorf("%s: %+v", action, got)
		}
	}
}

func TestNotRootIsPermissionDenied(t *testing.T) {
	for _, action := range []string{"start", "stop", "monitor", "reload-agent"} {
		got := runAs(&reloading{}, false, action, ip)
		if want := "ocf-exit-reason:" + action + " needs root\n"; got.code != Permission || !strings.HasSuffix(got.stderr, want) {
			t.Errorf("%s: %+v", action, got)
		}
	}
	for _, action := range []string{"meta-data", "validate-all", "usage"} {
		if got := runAs(&thing{name: "vip"}, false, action, ip); got.code != Success || got.stderr != "" {
			t.Errorf("%s: %+v", action, got)
		}
	}
}

func TestMetadataIsXMLWhateverTheEnvironmentSays(t *testing.T) {
	want := run(&thing{name: "vip"}, "meta-data").stdout
	if !strings.HasPrefix(want, `<?xml version="1.0"?>`) {
		t.Fatalf("no XML: %q", want)
	}
	for _, format := range []string{"text", "xml", "log", ""} {
		if got := run(&thing{name: "vip"}, "meta-data", "OCF_OUTPUT_FORMAT="+format); got != (result{stdout: want}) {
			t.Errorf("format %q: %+v", format, got)
		}
	}
}

func TestDeadlineIsALittleBeforeTheClusters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		got := run(&thing{blocks: true}, "start", ip, "OCF_RESKEY_CRM_meta_timeout=5000")
		if took := time.Since(begin); took != 4500*time.Millisecond || got.code != Success {
			t.Errorf("took %s, %+v", took, got)
		}
	})
}

// deaf is an agent that continues after its deadline.
type deaf struct{ thing }

func (a *deaf) Start(context.Context, Call) error { <-make(chan int); return nil }

func TestActionThatIgnoresItsDeadlineStillEndsWithAReason(t *testing.T) {
	// The test does not use package synctest, because the goroutine that hangs outlives the test.
	got := run(&deaf{}, "start", ip, "OCF_RESKEY_CRM_meta_timeout=2000")
	if got.code != Generic || !strings.HasSuffix(got.stderr, "ocf-exit-reason:start did not end within 1.9s\n") {
		t.Errorf("%+v", got)
	}
}

func TestCallCarriesWhatTheClusterSays(t *testing.T) {
	tests := []struct {
		name    string
		environ []string
		want    Call
	}{
		{"nothing set", nil, Call{Instance: "default", Probe: true, StateDir: "/run/lvs-agents"}},
		{"Pacemaker", []string{"OCF_RESOURCE_INSTANCE=web:0", "OCF_RESKEY_CRM_meta_interval=10000", "OCF_RESKEY_crm_feature_set=3.16.2"},
			Call{Instance: "web:0", Recurring: true, Pacemaker: true, StateDir: "/run/lvs-agents"}},
		{"a clone", []string{"OCF_RESKEY_CRM_meta_clone_max=3", "OCF_RESKEY_CRM_meta_interval=0"},
			Call{Instance: "default", Probe: true, CloneMax: 3, StateDir: "/run/lvs-agents"}},
		{"HA_RSCTMP", []string{"HA_RSCTMP=/run/resource-agents"}, Call{Instance: "default", Probe: true, StateDir: "/run/lvs-agents"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			agent := &thing{}
			run(agent, "monitor", append(tt.environ, ip)...)
			agent.call.Log = nil
			if agent.call != tt.want {
				t.Errorf("got %+v, want %+v", agent.call, tt.want)
			}
		})
	}
}

func TestUnknownParameterIsNamedWithASuggestion(t *testing.T) {
	got := run(&thing{}, "start", ip, "OCF_RESKEY_cuont=3", "OCF_RESKEY_crm_feature_set=3.16", "OCF_RESKEY_CRM_meta_name=x")
	if want := "WARNING: unknown parameter cuont is ignored; did you mean \"count\"?\n"; got.code != Success || !strings.HasSuffix(got.stderr, want) || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("%+v", got)
	}
}

func TestLogFileGetsWhatTheClusterAskedFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pacemaker.log")
	got := run(&thing{start: errors.New("no")}, "start", ip, "HA_LOGFILE="+file, "OCF_RESOURCE_INSTANCE=web")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if line := regexp.MustCompile(`^\w{3} \d\d \d\d:\d\d:\d\d thing\(web\)\[\d+\]:    ERROR: no\n$`); !line.Match(text) {
		t.Errorf("log file: %q", text)
	}
	if got.stderr != "ocf-exit-reason:no\n" {
		t.Errorf("stderr: %q", got.stderr)
	}
}

func TestLogThatCannotBeWrittenGoesToStderr(t *testing.T) {
	got := run(&thing{start: errors.New("no")}, "start", ip, "HA_LOGFILE=/dev/full")
	if got.code != Generic || !strings.HasPrefix(got.stderr, "ERROR: no (log: write /dev/full: no space left on device)\n") {
		t.Errorf("%+v", got)
	}
}

func TestOneOfTwoLogsIsEnough(t *testing.T) {
	// Most test hosts run no syslog daemon. The test also works if a syslog daemon runs.
	file := filepath.Join(t.TempDir(), "log")
	got := run(&thing{start: errors.New("no")}, "start", ip, "HA_LOGFILE="+file, "HA_LOGFACILITY=daemon")
	if got.stderr != "ocf-exit-reason:no\n" {
		t.Errorf("stderr: %q", got.stderr)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.HasSuffix(string(text), "    ERROR: no\n") {
		t.Errorf("%v %q", err, text)
	}
}

func TestLogThatIsAPipeIsRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	got := run(&thing{start: errors.New("no")}, "start", ip, "HA_LOGFILE="+pipe)
	if want := "ERROR: no (log: " + pipe + " is a pipe)\nocf-exit-reason:no\n"; got.stderr != want {
		t.Errorf("stderr: %q", got.stderr)
	}
}

func TestCheckLevelReachesTheValidator(t *testing.T) {
	for text, want := range map[string]int{"": 0, "10": 10, "15": 15, "x": 0, "-1": 0} {
		agent := &thing{}
		run(agent, "validate-all", ip, "OCF_CHECK_LEVEL="+text)
		if agent.level != want {
			t.Errorf("level %q: got %d, want %d", text, agent.level, want)
		}
	}
}

// FuzzEnvironment runs actions under arbitrary environments.
func FuzzEnvironment(f *testing.F) {
	f.Add("start", "OCF_RESKEY_ip=1\x00OCF_RESKEY_CRM_meta_timeout=99999999999999999999")
	f.Add("stop", "OCF_CHECK_LEVEL=-5\x00=\x00OCF_RESKEY_")
	f.Fuzz(func(t *testing.T, action, environ string) {
		var safe []string
		for entry := range strings.SplitSeq(environ, "\x00") {
			// The variables HA_* would make the agent write files.
			if !strings.HasPrefix(entry, "HA_") {
				safe = append(safe, entry)
			}
		}
		got := run(&reloading{}, action, safe...)
		reason := got.stderr != "" && got.stderr[len(got.stderr)-1] == '\n'
		if got.code != Success && got.code != NotRunning && !reason {
			t.Errorf("%q %q: %+v has no reason", action, environ, got)
		}
		if got.code == Args {
			t.Errorf("%q %q: exit code 2", action, environ)
		}
	})
}
