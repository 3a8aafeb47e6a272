package clustertools

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// marks returns the rules of nftables and of legacy iptables.
func marks(t *testing.T) string {
	t.Helper()
	return mustCommand(t, "sh", "-ec", `nft list ruleset | sed 's/packets [0-9]* bytes [0-9]*//'
		iptables-legacy -t mangle -S; ip6tables-legacy -t mangle -S`)
}

func TestOCFTesterPassesFwmark(t *testing.T) {
	for _, params := range []string{
		"ip=192.0.2.10;ports=80,443", "ip=192.0.2.10 2001:db8::/64;ports=80-90;proto=any;interface=eth0", "ip=192.0.2.10;method=iptables", "ports=80;method=nftables",
	} {
		t.Run(params, func(t *testing.T) {
			before := marks(t)
			args := []string{"-n", "web-mark", "-o", "mark=0xa"}
			for p := range strings.SplitSeq(params, ";") {
				args = append(args, "-o", p)
			}
			out := mustCommand(t, "ocf-tester", append(args, agentDir+"/fwmark")...)
			if !strings.Contains(out, agentDir+"/fwmark passed all tests") {
				t.Errorf("ocf-tester:\n%s", out)
			}
			if after := marks(t); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// TestFwmarkKilledAtEveryOperation kills start, stop and reload-agent before and after each
// operation on the kernel, in turn, with both methods. After each kill, monitor must report the
// real state, and start and stop must work.
func TestFwmarkKilledAtEveryOperation(t *testing.T) {
	killed := filepath.Join(t.TempDir(), "fwmark")
	target, err := filepath.Abs("../../bin/tests/killed")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, killed); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"nftables", "iptables"} {
		t.Run(method, func(t *testing.T) {
			run := func(program, action, ports string, moment int) int {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), program, action)
				cmd.Env = append(os.Environ(), "OCF_RESOURCE_INSTANCE=web", "OCF_RESKEY_CRM_meta_interval=10000", "OCF_RESKEY_mark=10",
					"OCF_RESKEY_ip=192.0.2.10 2001:db8::10", "OCF_RESKEY_ports="+ports, "OCF_RESKEY_method="+method, fmt.Sprintf("KILL_AT=%d", moment))
				out, _ := cmd.CombinedOutput()
				if code := cmd.ProcessState.ExitCode(); code != 1 || action == "monitor" {
					return code
				}
				t.Fatalf("moment %d: %s: %s", moment, action, out)
				return 1
			}
			agent := agentDir + "/fwmark"
			empty := marks(t)
			run(agent, "start", "80,443", 0)
			full := marks(t)
			for _, action := range []string{"start", "stop", "reload-agent"} {
				moments := 0
				for code := -1; code != 0; moments++ {
					run(agent, map[string]string{"start": "stop", "stop": "start", "reload-agent": "start"}[action], "80,443", 0)
					ports := "80,443"
					if action == "reload-agent" {
						ports = "8080"
					}
					code = run(killed, action, ports, moments)
					have := marks(t)
					if state := run(agent, "monitor", "80,443", 0); state == 0 && have == empty || state == 7 && have != empty {
						t.Errorf("%s, moment %d: monitor gives %d\n%s", action, moments, state, have)
					}
					for next, want := range map[string]string{"start": full, "stop": empty} {
						if run(agent, next, "80,443", 0); marks(t) != want {
							t.Errorf("%s, moment %d, then %s:\n%s", action, moments, next, marks(t))
						}
					}
				}
				t.Logf("%s: killed at %d moments", action, moments-1)
				if moments < 4 {
					t.Errorf("%s: only %d moments", action, moments)
				}
			}
			run(agent, "stop", "80,443", 0)
		})
	}
}

// TestFwmarkStopsWithoutRun checks a stop while /run is read-only. iptables has its lock file in
// /run.
func TestFwmarkStopsWithoutRun(t *testing.T) {
	for _, method := range []string{"nftables", "iptables"} {
		before := marks(t)
		out := mustCommand(t, "env", "OCF_RESOURCE_INSTANCE=web", "OCF_RESKEY_mark=10", "OCF_RESKEY_ip=192.0.2.10", "OCF_RESKEY_method="+method,
			"unshare", "-m", "sh", "-ec", agentDir+`/fwmark start
				mount -o bind /run /run; mount -o remount,bind,ro /run; mount -t tmpfs -o ro none /run/lvs-agents
				! touch /run/x || exit 1
				`+agentDir+`/fwmark stop; `+agentDir+`/fwmark monitor || echo monitor gives $?`)
		if after := marks(t); after != before || !strings.HasSuffix(out, "monitor gives 7\n") {
			t.Errorf("%s\nbefore:\n%s\nafter:\n%s", out, before, after)
		}
	}
}
