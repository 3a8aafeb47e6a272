package health

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// unwatched returns the configuration of story without autoreload and without a fallback, so that
// the daemon does not read a changed file on its own.
func (d director) unwatched(quiescent string) string {
	text := strings.Replace(d.story(quiescent), "autoreload=yes\n", "", 1)
	return strings.Replace(text, "\tfallback=127.0.0.1:80 gate\n", "", 1)
}

// shown runs "lvsctl status" and returns its exit code and its output.
func (d director) shown(t *testing.T) (int, string) {
	t.Helper()
	return d.run(t, nil, filepath.Join(d.bin, "lvsctl"), "status")
}

// killed kills the daemon with SIGKILL. So the daemon cannot remove its files.
func (d director) killed(t *testing.T) {
	t.Helper()
	pid := d.pid()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lab.Wait(t, 5*time.Second, "end", func() error {
		if _, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/fd/0"); err == nil {
			return errors.New("it lives")
		}
		return nil
	})
}

// TestRestartOfIPVSWhileTheDaemonRuns checks that the daemon applies its verdicts to the table
// again after a restart of the ipvs resource. If the ipvs resource stays stopped, the daemon must
// not add destinations, and the monitor of health must fail.
func TestRestartOfIPVSWhileTheDaemonRuns(t *testing.T) {
	d := newDirector(t, "yes")
	d.write(t, d.unwatched("yes"))
	config := "config=" + d.config
	d.agent(t, 0, "ipvs", "web-ipvs", "start", config)
	d.agent(t, 0, "health", "web-health", "start", config)
	d.agent(t, 0, "ipvs", "web-ipvs", "stop", config)
	d.agent(t, 0, "ipvs", "web-ipvs", "start", config)
	d.topology.Host("rs2").SetHealthy(t, false)
	d.waitTable(t, 8*time.Second, service+rs1+rs2out)
	d.agent(t, 0, "ipvs", "web-ipvs", "monitor", config)
	d.agent(t, 0, "health", "web-health", "monitor", config)
	if code, out := d.shown(t); code != 0 || strings.Contains(out, "trouble") {
		t.Errorf("lvsctl status: %d\n%s", code, out)
	}

	d.agent(t, 0, "ipvs", "web-ipvs", "stop", config)
	const reason = "resource web-ipvs was stopped; start it"
	lab.Wait(t, 8*time.Second, "status", func() error {
		code, out := d.shown(t)
		if code != 1 || !strings.Contains(out, "not balanced: "+reason) || !strings.Contains(out, " ? ") {
			return fmt.Errorf("%d %s", code, out)
		}
		return nil
	})
	d.agent(t, 0, "health", "web-health", "monitor", config) // the monitor does not fail yet, because the daemon still has time to get its claims
	lab.Wait(t, 30*time.Second, "failed monitor", func() error {
		if code, out := d.agentCode(t, "health", "web-health", "monitor", config); code != 1 || !strings.Contains(out, reason) {
			return fmt.Errorf("%d %s", code, out)
		}
		return nil
	})
	d.agent(t, 7, "ipvs", "web-ipvs", "monitor", config)
	d.waitTable(t, 0, "")
	d.agent(t, 0, "ipvs", "web-ipvs", "start", config)
	d.waitTable(t, 8*time.Second, service+rs1+rs2out)
	lab.Wait(t, 8*time.Second, "monitor", func() error {
		if code, out := d.agentCode(t, "health", "web-health", "monitor", config); code != 0 {
			return fmt.Errorf("%d %s", code, out)
		}
		return nil
	})
}

// TestRecordRemovedWhileTheDaemonRuns removes the record of a running daemon from the state
// directory. The daemon must write a new record.
func TestRecordRemovedWhileTheDaemonRuns(t *testing.T) {
	d := newDirector(t, "yes")
	d.write(t, d.unwatched("yes"))
	d.directord(t, 0, "start")
	d.waitTable(t, 8*time.Second, service+rs1+rs2)
	records, err := filepath.Glob(d.state + "/lvs-agents/ipvs/*")
	if err != nil || len(records) != 1 {
		t.Fatalf("records: %v %v", records, err)
	}
	if err := os.Remove(records[0]); err != nil {
		t.Fatal(err)
	}
	d.topology.Host("rs2").SetHealthy(t, false)
	d.waitTable(t, 8*time.Second, service+rs1+rs2out)
	d.Script(t, "ipvsadm -C")
	d.waitTable(t, 8*time.Second, service+rs1+rs2out)
	d.directord(t, 0, "status")

	// If the daemon cannot write a new record, the daemon must report that it does not balance.
	dir := filepath.Dir(records[0])
	if err := errors.Join(os.Remove(records[0]), os.Remove(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	lab.Wait(t, 30*time.Second, "status", func() error {
		code, out := d.run(t, nil, filepath.Join(d.bin, "directord"), d.config, "status")
		if code != 1 || !strings.Contains(out, "does not balance") || strings.Contains(out, "running") {
			return fmt.Errorf("%d %s", code, out)
		}
		return nil
	})
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	lab.Wait(t, 8*time.Second, "status", func() error {
		if code, out := d.run(t, nil, filepath.Join(d.bin, "directord"), d.config, "status"); code != 0 {
			return fmt.Errorf("%d %s", code, out)
		}
		return nil
	})
	d.directord(t, 0, "stop")
	d.waitTable(t, 0, "")
}

// TestServiceWithoutAnOwner checks a virtual service whose daemon does not run. If no destination
// of this service gets new connections, the monitor of ipvs must not report running.
func TestServiceWithoutAnOwner(t *testing.T) {
	d := newDirector(t, "yes")
	config := "config=" + d.config
	start := func() {
		d.agent(t, 0, "ipvs", "web-ipvs", "start", config)
		d.agent(t, 0, "health", "web-health", "start", config)
		d.waitTable(t, 8*time.Second, service+rs1+rs2)
	}
	for quiescent, table := range map[string]string{"no": service, "yes": service + rs1out + rs2out} {
		d.write(t, d.unwatched(quiescent))
		start()
		d.topology.Host("rs1").SetHealthy(t, false)
		d.topology.Host("rs2").SetHealthy(t, false)
		d.waitTable(t, 8*time.Second, table)
		if out := d.agent(t, 0, "ipvs", "web-ipvs", "monitor", config); !strings.Contains(out, "no real server of -t 192.0.2.10:80 was good") {
			t.Error(out)
		}
		d.agent(t, 0, "health", "web-health", "stop", config)
		d.waitTable(t, 0, service+rs1+rs2)
		d.topology.Host("rs1").SetHealthy(t, true)
		d.topology.Host("rs2").SetHealthy(t, true)
		d.agent(t, 0, "ipvs", "web-ipvs", "monitor", config)
		d.agent(t, 0, "ipvs", "web-ipvs", "stop", config)
	}
	const empty = "ipvsadm -d -t 192.0.2.10:80 -r 192.0.2.21:80; ipvsadm -d -t 192.0.2.10:80 -r 192.0.2.22:80"
	for name, end := range map[string]func(){
		"stopped": func() { d.agent(t, 0, "health", "web-health", "stop", config) },
		"killed":  func() { d.killed(t) },
	} {
		start()
		end()
		d.agent(t, 0, "ipvs", "web-ipvs", "monitor", config)
		d.Script(t, empty)
		if out := d.agent(t, 1, "ipvs", "web-ipvs", "monitor", config); !strings.Contains(out, "no real server of -t 192.0.2.10:80 gets new connections") {
			t.Errorf("%s: %s", name, out)
		}
		d.agent(t, 0, "health", "web-health", "stop", config)
		d.agent(t, 0, "ipvs", "web-ipvs", "stop", config)
	}
}

// TestReloadReachesTheDaemon checks that a reload of the ipvs resource also makes the daemon read
// the changed configuration. The first change is in existing services, the second change adds a
// service.
func TestReloadReachesTheDaemon(t *testing.T) {
	d := newDirector(t, "yes")
	before := d.unwatched("yes")
	d.write(t, before)
	config := "config=" + d.config
	d.agent(t, 0, "ipvs", "web-ipvs", "start", config)
	d.agent(t, 0, "health", "web-health", "start", config)
	d.topology.Host("rs2").SetHealthy(t, false)
	d.waitTable(t, 8*time.Second, service+rs1+rs2out)
	d.write(t, strings.Replace(before, "192.0.2.21:80 gate", "192.0.2.21:80 gate 5", 1)+
		"virtual=192.0.2.10:81\n\treal=192.0.2.21:81 gate\n\treal=192.0.2.22:81 gate\n\tservice=http\n\tscheduler=rr\n\tcheckport=80\n\trequest=\".health.html\"\n\treceive=\"OK\"\n")
	d.agent(t, 0, "ipvs", "web-ipvs", "reload-agent", config)
	second := strings.NewReplacer(":80", ":81").Replace(service + rs1 + rs2out)
	d.waitTable(t, 8*time.Second, service+second[:len("-A -t 192.0.2.10:81 -s rr\n")]+
		strings.Replace(rs1, "-w 1", "-w 5", 1)+rs2out+second[len("-A -t 192.0.2.10:81 -s rr\n"):])
	d.agent(t, 0, "ipvs", "web-ipvs", "monitor", config)
	d.agent(t, 0, "health", "web-health", "monitor", config)

	// If the daemon does not use the new configuration, here because it is suspended, the reload
	// must fail.
	if err := syscall.Kill(d.pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if out := d.agent(t, 1, "ipvs", "web-ipvs", "reload-agent", config, "CRM_meta_timeout=4000"); !strings.Contains(out, "health daemon web-health keeps its previous configuration") {
		t.Error(out)
	}
	if err := syscall.Kill(d.pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// TestDeadDaemonsClaimBlocksNoOther checks that a new daemon can start although the claim of a
// killed daemon still exists. The new daemon belongs to a health resource with another name.
func TestDeadDaemonsClaimBlocksNoOther(t *testing.T) {
	d := newDirector(t, "yes")
	config := "config=" + d.config
	d.agent(t, 0, "ipvs", "web-ipvs", "start", config)
	d.agent(t, 0, "health", "web-health", "start", config)
	if out := d.agent(t, 1, "health", "other", "start", config); !strings.Contains(out, "already claimed by health daemon web-health; stop that daemon first") {
		t.Error(out)
	}
	d.killed(t)
	d.agent(t, 0, "health", "other", "start", config)
	d.topology.Host("rs1").SetHealthy(t, false)
	d.waitTable(t, 8*time.Second, service+rs1out+rs2)
	d.agent(t, 0, "health", "web-health", "stop", config)
	d.agent(t, 0, "health", "other", "stop", config)
}
