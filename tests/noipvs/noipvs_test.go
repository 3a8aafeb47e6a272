// Package noipvs tests the agents ipvs and sync on a kernel that has no IPVS and cannot load it. On
// this kernel, they must not report that their resource is running.
package noipvs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// run runs an action of a built agent, and returns its exit code and its output.
func run(t *testing.T, agent, state, action, interval string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "../../bin/"+agent, action)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LVS_AGENTS_STATE_DIR=" + state + "/lvs-agents", "OCF_RESKEY_CRM_meta_interval=" + interval,
		"OCF_RESKEY_virtual=192.0.2.10:80", "OCF_RESKEY_real=192.0.2.21 gate",
		"OCF_RESKEY_interface=lo", "OCF_RESKEY_syncid=7"}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestWithoutIPVSNothingRuns(t *testing.T) {
	if _, err := os.Stat("/proc/net/ip_vs"); err == nil {
		t.Fatal("this kernel has IPVS; run it with tests/lab/test -n")
	}
	if os.Geteuid() != 0 {
		t.Fatal("not root; run it with tests/lab/test -n")
	}
	for _, agent := range []string{"ipvs", "sync"} {
		t.Run(agent, func(t *testing.T) { nothingRuns(t, agent) })
	}
}

func nothingRuns(t *testing.T, agent string) {
	state := t.TempDir()
	for _, step := range []struct {
		action, interval string
		code             int
	}{
		{"validate-all", "", 0}, {"monitor", "0", 7}, {"monitor", "10000", 7}, {"stop", "", 0}, {"start", "", 5},
		{"monitor", "10000", 7}, {"reload-agent", "", 7}, {"stop", "", 0}, {"start", "", 5}, {"monitor", "0", 7},
	} {
		code, out := run(t, agent, state, step.action, step.interval)
		if code != step.code {
			t.Errorf("%s: got %d, want %d\n%s", step.action, code, step.code, out)
		}
		if step.action == "start" && !strings.Contains(out, "modprobe ip_vs") {
			t.Errorf("start does not say what to do: %s", out)
		}
	}
	if ledgers, err := filepath.Glob(state + "/lvs-agents/director-*[0-9]"); err != nil || len(ledgers) > 0 {
		t.Errorf("a ledger of daemons that do not exist: %v, %v", ledgers, err)
	}
	if records, err := os.ReadDir(state + "/lvs-agents/ipvs"); err == nil && len(records) > 0 {
		t.Errorf("records of services that do not exist: %v", records)
	}
}
