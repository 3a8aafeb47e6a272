package health

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// upgradable is a director whose programs are in a separate directory, so that a test can replace
// the programs.
type upgradable struct{ director }

// newUpgradable returns the director d with the programs of an earlier commit. tests/before has
// built these programs.
func newUpgradable(t *testing.T, d director) upgradable {
	t.Helper()
	u := upgradable{d}
	u.bin = t.TempDir()
	u.install(t, "../../bin/before")
	return u
}

// install replaces the programs as rpm and dpkg do: it renames each new file over the old file. A
// process that runs the old program continues to run it.
func (u upgradable) install(t *testing.T, from string) {
	t.Helper()
	for _, name := range []string{"vip", "ipvs", "health", "realserver", "directord", "lvsctl"} {
		program, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatalf("%v; tests/before and make build make the programs", err)
		}
		target := filepath.Join(u.bin, name)
		if err := os.WriteFile(target+".new", program, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(target+".new", target); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUpgradeOfARunningDirector checks an upgrade while clients send requests. The daemon and the
// resources run with the programs of the earlier commit. The test replaces the programs. Then it
// runs monitor, reload, a restart of the daemon, and stop with the new programs.
func TestUpgradeOfARunningDirector(t *testing.T) {
	d := newBareDirector(t, "yes")
	var servers []upgradable
	const silent = "cd /proc/sys/net/ipv4/conf; grep . */arp_ignore */arp_announce; ip -o -4 addr show dev lo"
	var before []string
	for _, name := range []string{"rs1", "rs2"} {
		host := d.topology.Host(name)
		before = append(before, host.Script(t, silent))
		rs := newUpgradable(t, director{Host: host, topology: d.topology, state: t.TempDir()})
		rs.agent(t, 0, "realserver", "rs", "start", "ip="+lab.VIP)
		host.Serve(t)
		servers = append(servers, rs)
	}
	u := newUpgradable(t, d)
	config := "config=" + u.config
	resources := [][]string{
		{"vip", "web-vip", "ip=" + lab.VIP, "nic=eth0"},
		{"ipvs", "web-ipvs", config},
		{"health", "web-health", config},
	}
	all := func(want int, action string) {
		t.Helper()
		for _, r := range resources {
			u.agent(t, want, r[0], r[1], action, r[2:]...)
		}
	}
	all(0, "start")
	all(0, "monitor")
	u.waitTable(t, 5*time.Second, service+rs1+rs2)
	load := u.topology.Host("client").Load(t, 2, lab.VIP+":80", 5*time.Second)

	for _, host := range append(servers, u) {
		host.install(t, "../../bin")
	}
	old := u.pid()
	all(0, "monitor")
	for _, rs := range servers {
		rs.agent(t, 0, "realserver", "rs", "monitor", "ip="+lab.VIP)
	}
	u.agent(t, 0, "vip", "web-vip", "reload-agent", "ip="+lab.VIP, "nic=eth0")
	// After the replacement of the programs, the old daemon still runs. It must keep its verdicts,
	// and detect a failing real server and a changed file.
	u.topology.Host("rs1").SetHealthy(t, false)
	u.waitTable(t, 5*time.Second, service+rs1out+rs2)
	all(0, "monitor")
	if code, out := u.shown(t); code != 0 || !strings.Contains(out, "192.0.2.21:80") {
		t.Errorf("lvsctl status of the old daemon: %d\n%s", code, out)
	}
	u.write(t, strings.Replace(u.story("yes"), "scheduler=rr", "scheduler=wlc", 1))
	wlc := strings.Replace(service, "rr", "wlc", 1)
	u.waitTable(t, 5*time.Second, wlc+rs1out+rs2)
	all(0, "monitor")
	// If the old daemon does not support a request of the new agent, the error must name the
	// upgrade as the cause: docs/adr/0063-control-protocol-version-1.md.
	if code, out := u.agentCode(t, "ipvs", "web-ipvs", "reload-agent", config); code != 1 || !strings.Contains(out, "the daemon was started before the upgrade") {
		t.Errorf("reload-agent with the old daemon: %d, want 1 and a reason\n%s", code, out)
	}

	// rs1 is down now, so clients use only rs2. The verdicts on rs1 and rs2 must survive the
	// restart of the daemon.
	u.agent(t, 0, "health", "web-health", "stop", config)
	u.waitTable(t, 0, wlc+rs1out+rs2)
	u.agent(t, 0, "health", "web-health", "start", config)
	if pid := u.pid(); pid == 0 || pid == old {
		t.Errorf("pid of the daemon: %d, of the old one %d", pid, old)
	}
	all(0, "monitor")
	u.waitTable(t, 0, wlc+rs1out+rs2)
	u.topology.Host("rs1").SetHealthy(t, true)
	u.waitTable(t, 5*time.Second, wlc+rs1+rs2)
	u.agent(t, 0, "ipvs", "web-ipvs", "reload-agent", config)
	all(0, "monitor")
	tally := load.Stop(t)
	t.Log(tally)
	if tally.Served < 100 || tally.Sorry+tally.Refused+tally.Reset+tally.TimedOut+len(tally.Other) > 0 {
		t.Errorf("traffic during the upgrade: %v %q", tally, tally.Other)
	}

	for i := range resources {
		r := resources[len(resources)-1-i]
		u.agent(t, 0, r[0], r[1], "stop", r[2:]...)
		u.agent(t, 7, r[0], r[1], "monitor", r[2:]...)
	}
	u.waitTable(t, 0, "")
	for i, rs := range servers {
		rs.agent(t, 0, "realserver", "rs", "stop", "ip="+lab.VIP)
		if after := rs.Script(t, silent); after != before[i] {
			t.Errorf("%s after stop:\n%s\nbefore start:\n%s", rs.Name, after, before[i])
		}
	}
}

// TestUpgradeOverAKilledDaemon checks an upgrade after the daemon of the earlier commit was killed.
// The killed daemon has left its record and its claim, and one real server is quiesced.
func TestUpgradeOverAKilledDaemon(t *testing.T) {
	u := newUpgradable(t, newDirector(t, "yes"))
	config := "config=" + u.config
	u.agent(t, 0, "ipvs", "web-ipvs", "start", config)
	u.agent(t, 0, "health", "web-health", "start", config)
	u.topology.Host("rs1").SetHealthy(t, false)
	u.waitTable(t, 5*time.Second, service+rs1out+rs2)
	if err := syscall.Kill(u.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	u.install(t, "../../bin")
	lab.Wait(t, 5*time.Second, "end", func() error {
		if code, out := u.agentCode(t, "health", "web-health", "monitor", config); code != 7 {
			return errors.New(out)
		}
		return nil
	})
	u.agent(t, 0, "ipvs", "web-ipvs", "monitor", config)
	u.agent(t, 0, "health", "web-health", "start", config)
	u.waitTable(t, 0, service+rs1out+rs2)
	u.agent(t, 0, "ipvs", "web-ipvs", "monitor", config)
	u.agent(t, 0, "health", "web-health", "stop", config)
	u.agent(t, 0, "ipvs", "web-ipvs", "stop", config)
	u.waitTable(t, 0, "")
}

// TestUpgradeOfAHashScheduler upgrades a service without a flag of the scheduler, whose real
// servers have the order of the file. No monitor fails. The new daemon sets the flag and the order
// while the service stays.
func TestUpgradeOfAHashScheduler(t *testing.T) {
	u := newUpgradable(t, newBareDirector(t, "no"))
	u.write(t, fmt.Sprintf("logfile=%q\n", u.log)+"virtual=192.0.2.10:80\n\treal=192.0.2.22:80 gate\n\treal=192.0.2.21:80 gate\n\tchecktype=on\n\tscheduler=sh\n")
	config := "config=" + u.config
	monitor := func() {
		t.Helper()
		u.agent(t, 0, "ipvs", "web-ipvs", "monitor", config)
		u.agent(t, 0, "health", "web-health", "monitor", config)
	}
	u.agent(t, 0, "ipvs", "web-ipvs", "start", config)
	u.agent(t, 0, "health", "web-health", "start", config)
	monitor()
	const first, second = "C0000215:0050", "C0000216:0050"
	if got, want := u.order(t), first+" "+second; got != want {
		t.Errorf("the earlier commit: got %s, want %s", got, want)
	}
	u.install(t, "../../bin")
	monitor()
	u.agent(t, 0, "health", "web-health", "stop", config)
	u.agent(t, 0, "health", "web-health", "start", config)
	lab.Wait(t, 5*time.Second, "order", func() error {
		if got := u.order(t); got != second+" "+first {
			return errors.New(got)
		}
		return nil
	})
	u.waitTable(t, 0, "-A -t 192.0.2.10:80 -s sh -b sh-fallback\n"+rs1+rs2)
	monitor()
	u.agent(t, 0, "ipvs", "web-ipvs", "start", config)
	monitor()
	u.agent(t, 0, "health", "web-health", "stop", config)
	u.agent(t, 0, "ipvs", "web-ipvs", "stop", config)
}
