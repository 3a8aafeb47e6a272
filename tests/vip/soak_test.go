package vip

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lvs-agents/internal/kernel/kerneltest"
)

// TestSoakOCFT runs ClusterLabs' cases with ClusterLabs' own program ocft. This takes minutes.
func TestSoakOCFT(t *testing.T) {
	for _, name := range []string{"IPaddr2", "IPaddr2v4", "IPaddr2v6"} {
		t.Run(name, func(t *testing.T) {
			kerneltest.Namespace(t)
			kerneltest.NewPeer(t, "eth0")
			kerneltest.NewPeer(t, "eth1")
			passed, failed := ocft(t, name)
			t.Logf("%d cases passed", passed)
			var want []string
			for _, c := range readSuite(t, name).cases {
				if _, ok := decided[name][c.name]; ok {
					want = append(want, c.name)
				}
			}
			if passed+len(failed) != len(readSuite(t, name).cases) || strings.Join(failed, "\n") != strings.Join(want, "\n") {
				t.Errorf("%d passed; failed: %q, want %q", passed, failed, want)
			}
		})
	}
}

// ocft runs one suite of cases against vip. It returns the number of passed cases and the names of
// the failed cases.
func ocft(t *testing.T, name string) (passed int, failed []string) {
	t.Helper()
	a := newAgent(t)
	text, err := os.ReadFile(filepath.Join(suites, name))
	if err != nil {
		kerneltest.Need(t, err.Error())
	}
	dir := t.TempDir()
	config := regexp.MustCompile(`(?m)^\tAgent IPaddr2$`).ReplaceAllString(string(text), "\tAgent vip")
	config = regexp.MustCompile(`(?m)^\tAgentRoot .*$`).ReplaceAllString(config, "\tAgentRoot "+filepath.Dir(a.path))
	if err := os.WriteFile(filepath.Join(dir, "vip"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`
mount --make-rprivate / 2>/dev/null || nsenter --mount=/proc/self/ns/mnt mount --make-rprivate /
mkdir -p /var/lib/resource-agents
mount -t tmpfs ocft /var/lib/resource-agents
mkdir -p /var/lib/resource-agents/ocft/cases %[1]s/tmp
export HA_RSCTMP=%[1]s/tmp LVS_AGENTS_STATE_DIR=%[1]s/tmp/lvs-agents
cd %[1]s
ocft make -d %[1]s vip && ocft test -v vip </dev/null`, dir)
	out, err := exec.Command("unshare", "-m", "bash", "-c", script).CombinedOutput()
	if err != nil {
		t.Logf("ocft: %v", err)
	}
	report := regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(string(out), "")
	for _, part := range strings.Split(report, "\nStarting 'vip' case ")[1:] {
		name, rest, _ := strings.Cut(part, "':\n")
		_, name, _ = strings.Cut(name, " '")
		if strings.Contains(rest, "FAILED") || strings.Contains(rest, "ERROR") {
			failed = append(failed, name)
			t.Logf("%s:\n%s", name, rest)
			continue
		}
		passed++
	}
	return passed, failed
}
