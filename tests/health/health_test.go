// Package health tests the agents and the health daemon as programs on a kernel with IPVS. In most
// tests, the real servers run nginx. The tests do not need a cluster.
package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/tests/lab"
)

// director is a host of the lab with our programs, a state directory and a configuration file.
type director struct {
	*lab.Host
	topology *lab.Topology
	bin      string
	state    string
	config   string
	log      string
}

// story returns the configuration of a common how-to for ldirectord, with a log file and the given
// value of quiescent.
func (d director) story(quiescent string) string {
	settings := fmt.Sprintf("quiescent=%s\nlogfile=%q\n", quiescent, d.log)
	return strings.Replace(lab.LdirectordConfig, "quiescent=yes\n", settings, 1)
}

// newDirector returns a director with two real servers, rs1 and rs2, that serve the VIP.
func newDirector(t *testing.T, quiescent string) director {
	t.Helper()
	d := newBareDirector(t, quiescent)
	d.topology.StartRealServers(t, lab.VIP)
	return d
}

// newBareDirector returns a director without real servers.
func newBareDirector(t *testing.T, quiescent string) director {
	t.Helper()
	lab.Require(t, "ipvsadm", "nginx")
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	// The directory needs a short name: the path of a unix socket can have only 107 characters.
	state, err := os.MkdirTemp("", "lvs")
	if err != nil {
		t.Fatal(err)
	}
	topology := lab.NewTopology(t)
	d := director{
		Host: topology.Host("director1"), topology: topology, bin: bin, state: state,
		config: filepath.Join(state, "web.cf"), log: filepath.Join(state, "log"),
	}
	t.Cleanup(func() {
		if pid := d.pid(); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // a Kill error is normal: the process can have ended
		}
		_ = os.RemoveAll(state)
		if t.Failed() {
			t.Logf("log:\n%s", d.logText())
		}
	})
	d.write(t, d.story(quiescent))
	return d
}

func (d director) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (d director) logText() string {
	text, _ := os.ReadFile(d.log) // if the file does not exist, the tests find an empty log and fail
	return string(text)
}

// run runs a program in the host's network namespace and returns its exit code and output.
func (d director) run(t *testing.T, environ []string, name string, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 5 * time.Second
	// Version 0.1 reads only HA_RSCTMP, later versions read LVS_AGENTS_STATE_DIR first. With both
	// variables, every version uses the same directory.
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HA_RSCTMP=" + d.state,
		"LVS_AGENTS_STATE_DIR=" + d.state + "/lvs-agents"}, environ...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := d.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func (d director) directord(t *testing.T, want int, action string) string {
	t.Helper()
	code, out := d.run(t, nil, filepath.Join(d.bin, "directord"), d.config, action)
	if code != want {
		t.Fatalf("directord %s: exit code %d, want %d: %s", action, code, want, out)
	}
	return out
}

// agent runs an action of a resource. It fails the test unless the exit code is want. Each word is
// a parameter, NAME=value.
func (d director) agent(t *testing.T, want int, agent, id, action string, words ...string) string {
	t.Helper()
	code, out := d.agentCode(t, agent, id, action, words...)
	if code != want {
		t.Fatalf("%s %s %s: exit code %d, want %d: %s\n%s", agent, id, action, code, want, out, d.table(t))
	}
	return out
}

func (d director) agentCode(t *testing.T, agent, id, action string, words ...string) (int, string) {
	t.Helper()
	environ := []string{"OCF_RESOURCE_INSTANCE=" + id, "OCF_RESKEY_CRM_meta_interval=10000"}
	for _, word := range words {
		environ = append(environ, "OCF_RESKEY_"+word)
	}
	return d.run(t, environ, filepath.Join(d.bin, agent), action)
}

// pid returns the pid in the pid file of a health daemon, 0 without a pid file.
func (d director) pid() int {
	files, _ := filepath.Glob(filepath.Join(d.state, "lvs-agents/directord/*.pid"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 1 {
			return pid
		}
	}
	return 0
}

func (d director) table(t *testing.T) string {
	t.Helper()
	_, out := d.run(t, nil, "ipvsadm", "-Sn")
	lines := slices.Collect(strings.Lines(out))
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// waitTable waits until the host has the wanted IPVS table, and returns how long this took.
func (d director) waitTable(t *testing.T, limit time.Duration, want string) time.Duration {
	t.Helper()
	began := time.Now()
	lab.Wait(t, limit, "table", func() error {
		if diff := cmp.Diff(want, d.table(t)); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
	return time.Since(began)
}

const (
	service  = "-A -t 192.0.2.10:80 -s rr\n"
	fallback = "-a -t 192.0.2.10:80 -r 127.0.0.1:80 -g -w 1\n"
	rs1      = "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n"
	rs2      = "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1\n"
	rs1out   = "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0\n"
	rs2out   = "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 0\n"
)

// TestStory follows a common how-to for ldirectord on one director: start, failures and repairs of
// real servers, stop. Only the daemon runs, without agents.
func TestStory(t *testing.T) {
	d := newDirector(t, "yes")
	first, second := d.topology.Host("rs1"), d.topology.Host("rs2")
	d.Script(t, "ip addr add 192.0.2.10/32 dev eth0; ipvsadm -A -f 9 -s sh")
	const foreign = "-A -f 9 -s sh\n"
	d.directord(t, 3, "status")
	d.directord(t, 0, "start")
	d.waitTable(t, 5*time.Second, foreign+service+rs1+rs2)
	d.directord(t, 0, "start")
	d.directord(t, 0, "status")

	first.SetHealthy(t, false)
	t.Logf("one page gone: %v", d.waitTable(t, 5*time.Second, foreign+service+rs1out+rs2))
	second.SetHealthy(t, false)
	t.Logf("both pages gone: %v", d.waitTable(t, 5*time.Second, foreign+service+fallback+rs1out+rs2out))
	first.SetHealthy(t, true)
	d.waitTable(t, 5*time.Second, foreign+service+rs1+rs2out)
	second.SetHealthy(t, true)
	d.waitTable(t, 5*time.Second, foreign+service+rs1+rs2)

	d.Script(t, "ipvsadm -D -t 192.0.2.10:80")
	t.Logf("service deleted by hand: %v", d.waitTable(t, 3*time.Second, foreign+service+rs1+rs2))
	d.Script(t, "ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.21 -g -w 7; ipvsadm -E -t 192.0.2.10:80 -s wlc")
	t.Logf("changed by hand: %v", d.waitTable(t, 3*time.Second, foreign+service+rs1+rs2))
	d.Script(t, "ipvsadm -C")
	t.Logf("cleared: %v", d.waitTable(t, 3*time.Second, service+rs1+rs2))

	code, out := d.run(t, nil, filepath.Join(d.bin, "lvsctl"), "status")
	if code != 0 || !strings.Contains(out, "192.0.2.21:80") || !strings.Contains(out, "good") {
		t.Errorf("lvsctl status: %d\n%s", code, out)
	}
	d.directord(t, 0, "stop")
	d.waitTable(t, time.Second, "")
	d.directord(t, 3, "status")
	for _, line := range []string{
		"Added virtual server: 192.0.2.10:80\n",
		"Added fallback server: 127.0.0.1:80 (192.0.2.10:80) (Weight set to 1)\n",
		"Restored real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 1)\n",
		"Deleted fallback server: 127.0.0.1:80 (192.0.2.10:80)\n",
		"Quiescent real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 0)\n",
		"Purged virtual server (stop): 192.0.2.10:80\n",
	} {
		if !strings.Contains(d.logText(), line) {
			t.Errorf("not in the log: %s", line)
		}
	}
}

// TestKilledDaemonChangesNothing kills the daemon and starts it again while one real server is
// down. The real server is quiesced or removed. Neither the kill nor the start may change the IPVS
// table.
func TestKilledDaemonChangesNothing(t *testing.T) {
	for quiescent, want := range map[string]string{"yes": service + rs1out + rs2, "no": service + rs2} {
		t.Run(quiescent, func(t *testing.T) {
			d := newDirector(t, quiescent)
			d.directord(t, 0, "start")
			d.waitTable(t, 5*time.Second, service+rs1+rs2)
			d.topology.Host("rs1").SetHealthy(t, false)
			d.waitTable(t, 5*time.Second, want)
			if err := syscall.Kill(d.pid(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			lab.Wait(t, 5*time.Second, "end", func() error {
				if code, out := d.run(t, nil, filepath.Join(d.bin, "directord"), d.config, "status"); code != 1 {
					return fmt.Errorf("status %d: %s", code, out)
				}
				return nil
			})
			before := len(d.logText())
			d.directord(t, 0, "start")
			lab.Wait(t, 5*time.Second, "verdicts", func() error {
				if _, out := d.run(t, nil, filepath.Join(d.bin, "lvsctl"), "status"); strings.Contains(out, "unknown") || !strings.Contains(out, "good") {
					return errors.New(out)
				}
				return nil
			})
			if diff := cmp.Diff(want, d.table(t)); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
			if log := d.logText()[before:]; strings.Contains(log, "real server:") || strings.Contains(log, "fallback server:") {
				t.Errorf("the table was changed:\n%s", log)
			}
		})
	}
}

// TestAgents checks an ipvs resource and a health resource that use the same configuration file.
// The ipvs resource owns the virtual services. The health resource makes the checks.
func TestAgents(t *testing.T) {
	d := newDirector(t, "yes")
	config := "config=" + d.config
	d.agent(t, 0, "ipvs", "web-ipvs", "start", config)
	d.agent(t, 7, "health", "web-health", "monitor", config)
	d.agent(t, 0, "health", "web-health", "start", config)
	d.agent(t, 0, "health", "web-health", "start", config)
	d.waitTable(t, 0, service+rs1+rs2)
	d.topology.Host("rs1").SetHealthy(t, false)
	d.waitTable(t, 5*time.Second, service+rs1out+rs2)
	d.agent(t, 0, "ipvs", "web-ipvs", "monitor", config)

	d.Script(t, "ipvsadm -C")
	d.agent(t, 0, "ipvs", "web-ipvs", "monitor", config)
	d.waitTable(t, 2*time.Second, service+rs1out+rs2)

	if err := syscall.Kill(d.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lab.Wait(t, 5*time.Second, "end", func() error {
		if code, out := d.agentCode(t, "health", "web-health", "monitor", config); code != 7 {
			return fmt.Errorf("monitor %d: %s", code, out)
		}
		return nil
	})
	d.agent(t, 0, "ipvs", "web-ipvs", "monitor", config)
	before := len(d.logText())
	d.agent(t, 0, "health", "web-health", "stop", config)
	d.agent(t, 0, "ipvs", "web-ipvs", "monitor", config)
	d.agent(t, 0, "ipvs", "web-ipvs", "stop", config)
	d.waitTable(t, 0, "")
	if out := d.agent(t, 0, "ipvs", "web-ipvs", "start", config); !strings.Contains(out, "-r 192.0.2.21:80 failed its last health check less than 1m0s ago") {
		t.Error(out)
	}
	d.waitTable(t, 0, service+rs1out+rs2) // from the last verdicts
	d.agent(t, 0, "ipvs", "web-ipvs", "monitor", config)
	d.agent(t, 0, "health", "web-health", "start", config)
	d.waitTable(t, 0, service+rs1out+rs2)
	if log := d.logText()[before:]; strings.Contains(log, "real server:") {
		t.Errorf("the table was changed:\n%s", log)
	}

	d.write(t, strings.Replace(d.story("yes"), "virtual=192.0.2.10:80", "virtual=192.0.2.10", 1))
	lab.Wait(t, 5*time.Second, "log", func() error {
		if !strings.Contains(d.logText(), "web.cf:6:9: ") {
			return errors.New(d.logText())
		}
		return nil
	})
	d.agent(t, 0, "health", "web-health", "monitor", config)
	d.waitTable(t, 0, service+rs1out+rs2)
	d.write(t, strings.Replace(d.story("yes"), "scheduler=rr", "scheduler=wlc", 1))
	d.waitTable(t, 5*time.Second, strings.Replace(service, "rr", "wlc", 1)+rs1out+rs2)
	d.agent(t, 0, "ipvs", "web-ipvs", "monitor", config)

	if err := syscall.Kill(d.pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// This monitor still succeeds: one missing reply of the daemon is not a failure. tests/cluster
	// waits until the monitor fails.
	if out := d.agent(t, 0, "health", "web-health", "monitor", config); !strings.Contains(out, "does not reply") {
		t.Error(out)
	}
	d.agent(t, 0, "ipvs", "web-ipvs", "stop", config)
	if err := syscall.Kill(d.pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	<-time.After(2500 * time.Millisecond)
	d.waitTable(t, 0, "")
	d.agent(t, 0, "health", "web-health", "stop", config)
	d.agent(t, 0, "health", "web-health", "stop", config)
	d.agent(t, 7, "health", "web-health", "monitor", config)
}

// TestInline checks resources whose parameters contain the complete configuration, so that no file
// is necessary. At first no real server replies to checks.
func TestInline(t *testing.T) {
	d := newDirector(t, "no")
	params := []string{"ipvs=web-ipvs", "checktype=negotiate", "request=.health.html", "receive=OK", "checkinterval=1",
		"checktimeout=2", "fallback=127.0.0.1", "quiescent=false"}
	out := d.agent(t, 1, "health", "web-health", "start", params...)
	if !strings.Contains(out, "resource web-ipvs has no virtual services on this node; start it first") {
		t.Error(out)
	}
	d.agent(t, 0, "ipvs", "web-ipvs", "start", "virtual=192.0.2.10:80", "real=192.0.2.21 gate, 192.0.2.22 gate", "scheduler=rr")
	d.topology.Host("rs1").Cut(t)
	d.topology.Host("rs2").Cut(t)
	began := time.Now()
	d.agent(t, 0, "health", "web-health", "start", params...)
	d.waitTable(t, 3*time.Second, service+fallback)
	_, out = d.run(t, nil, filepath.Join(d.bin, "lvsctl"), "status")
	if strings.Count(out, "bad") != 2 || !strings.Contains(out, "connect to 192.0.2.21:80: no ") {
		t.Error(out)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("every server silent: the status reports it after %v", took)
	}
	d.topology.Host("rs1").Heal(t)
	d.topology.Host("rs2").Heal(t)
	d.waitTable(t, 6*time.Second, service+rs1+rs2)
	d.agent(t, 0, "ipvs", "web-ipvs", "reload-agent", "virtual=192.0.2.10:80", "real=192.0.2.21 gate 1", "scheduler=rr")
	d.waitTable(t, 5*time.Second, service+rs1)
	d.agent(t, 0, "ipvs", "web-ipvs", "monitor", "virtual=192.0.2.10:80")
	d.agent(t, 0, "health", "web-health", "stop", params...)
	d.waitTable(t, 0, service+rs1)
	d.agent(t, 0, "ipvs", "web-ipvs", "monitor", "virtual=192.0.2.10:80")
	d.agent(t, 0, "ipvs", "web-ipvs", "stop")
	d.waitTable(t, 0, "")
}

func TestOCFTesterPassesHealth(t *testing.T) {
	d := newDirector(t, "yes")
	lab.Require(t, "ocf-tester")
	out := d.Run(t, "env", "LVS_AGENTS_STATE_DIR="+d.state+"/lvs-agents", "ocf-tester", "-n", "web-health", "-o", "config="+d.config, lab.Public(t, d.bin+"/health", d.bin+"/directord")+"/health")
	if !strings.Contains(out, "passed all tests") {
		t.Error(out)
	}
	if left := d.table(t); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}

// TestStoppedServerIsOutSoon checks that the daemon quiesces a real server within limit after its
// health page is gone. make bench measures the time exactly.
func TestStoppedServerIsOutSoon(t *testing.T) {
	const limit = 3 * time.Second // 1 s between two checks, and 2 s for a busy test host
	d := newDirector(t, "yes")
	d.directord(t, 0, "start")
	d.WaitTable(t, 10*time.Second, service+rs1+rs2)
	d.topology.Host("rs1").SetHealthy(t, false)
	t.Logf("page gone: %v", d.WaitTable(t, limit, service+rs1out+rs2))
	d.topology.Host("rs1").SetHealthy(t, true)
	d.WaitTable(t, limit, service+rs1+rs2)
}
