package clustertools

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lvs-agents/tests/lab"
)

// settings returns the kernel settings that realserver can change, as ip, nft, arptables and /proc
// show them.
func settings(t *testing.T) string {
	t.Helper()
	return mustCommand(t, "sh", "-ec", `ip -o addr; ip route show table all; ip -6 route show table all; nft list tables | grep -v 'arp filter$' || true
		cat /proc/sys/net/ipv4/conf/all/arp_ignore /proc/sys/net/ipv4/conf/all/arp_announce; arptables -S`)
}

func TestOCFTesterPassesRealserver(t *testing.T) {
	for _, params := range []string{
		"ip=192.0.2.10 2001:db8::10", "ip=192.0.2.10,method=arptables", "ip=192.0.2.10,method=nftables,scope=host", "forward=masq,gateway=192.0.2.12",
	} {
		t.Run(params, func(t *testing.T) {
			before := settings(t)
			args := []string{"-n", "web-rs"}
			for _, p := range strings.Split(params, ",") {
				args = append(args, "-o", p)
			}
			out := mustCommand(t, "ocf-tester", append(args, agentDir+"/realserver")...)
			if !strings.Contains(out, agentDir+"/realserver passed all tests") {
				t.Errorf("ocf-tester:\n%s", out)
			}
			if after := settings(t); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// lvsrs installs the command lvsrs and the configuration of the real server "web", and returns the
// path of the command.
func lvsrs(t *testing.T) (command string) {
	t.Helper()
	command = filepath.Join(t.TempDir(), "lvsrs")
	if err := os.Symlink(agentDir+"/realserver", command); err != nil {
		t.Fatal(err)
	}
	mustCommand(t, "sh", "-ec", `mkdir -p /etc/lvsrs.d; mount -t tmpfs conf /etc/lvsrs.d; echo ip=192.0.2.10 >/etc/lvsrs.d/web.conf`)
	t.Cleanup(func() {
		if err := syscall.Unmount("/etc/lvsrs.d", 0); err != nil {
			t.Error(err)
		}
	})
	return command
}

func TestInitScript(t *testing.T) {
	command, before := lvsrs(t), settings(t)
	run := func(action string) string {
		return mustCommand(t, "sh", "-c", "LVSRS="+command+" sh ../../cmd/realserver/lvsrs.init "+action+" 2>/dev/null; echo $?")
	}
	for _, step := range [][2]string{
		{"status", "web: stopped\n3\n"}, {"stop", "web: stopped\n0\n"}, {"start", "web: started\n0\n"}, {"start", "web: started\n0\n"}, {"status", "web: running\n0\n"},
		{"restart", "web: stopped\nweb: started\n0\n"}, {"stop", "web: stopped\n0\n"}, {"status", "web: stopped\n3\n"}, {"nonsense", "2\n"},
	} {
		if got := run(step[0]); got != step[1] {
			t.Errorf("%s: got %q, want %q", step[0], got, step[1])
		}
	}
	if after := settings(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestUnit checks that systemd accepts the unit file of lvsrs (systemd-analyze verify). It also
// runs the commands of the unit with only the privileges that the unit has.
func TestUnit(t *testing.T) {
	command, before := lvsrs(t), settings(t)
	text, err := os.ReadFile("../../cmd/realserver/lvsrs@.service")
	if err != nil {
		t.Fatal(err)
	}
	here := strings.ReplaceAll(string(text), "/usr/sbin/lvsrs", command)
	unit := filepath.Join(t.TempDir(), "lvsrs@web.service")
	if err := os.WriteFile(unit, []byte(here), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := mustCommand(t, "systemd-analyze", "verify", "--man=no", unit); strings.Contains(out, "lvsrs") { // systemd-analyze also verifies units that lvsrs's unit wants, and prints errors in them
		t.Errorf("systemd-analyze verify: %s", out)
	}
	for _, name := range []string{"ExecStart=", "ExecStop="} {
		_, line, _ := strings.Cut(here, name)
		line, _, _ = strings.Cut(line, "\n")
		mustCommand(t, "sh", "-c", strings.Join(lab.Confined(t, unit), " ")+" "+strings.ReplaceAll(line, "%i", "web"))
		if name == "ExecStart=" && settings(t) == before {
			t.Errorf("%s changed nothing", line)
		}
	}
	if after := settings(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
