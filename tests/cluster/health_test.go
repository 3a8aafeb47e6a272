package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/tests/lab"
)

// webConfig returns the ldirectord.cf of these tests, with the given value of quiescent.
func webConfig(quiescent string) string {
	return strings.Replace(lab.LdirectordConfig, "quiescent=yes", "quiescent="+quiescent, 1)
}

// Each constant is a line of the IPVS table that the daemon makes from webConfig, or a whole table
// of these lines.
const (
	virtual  = "-A -t 192.0.2.10:80 -s rr\n"
	sorry    = "-a -t 192.0.2.10:80 -r 127.0.0.1:80 -g -w 1\n"
	rs1      = "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n"
	rs2      = "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1\n"
	rs1out   = "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0\n"
	rs2out   = "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 0\n"
	bothIn   = virtual + rs1 + rs2
	firstOut = virtual + rs1out + rs2
	sorryIn  = virtual + sorry + rs1out + rs2out
)

// writeConfig writes the same ldirectord.cf on both directors.
func (s site) writeConfig(t *testing.T, text string) {
	t.Helper()
	for _, name := range []string{"director1", "director2"} {
		s.Node(name).WriteFile(t, "/etc/ha.d/ldirectord.cf", text)
	}
}

// quick returns an example with a monitor every 2 s instead of every 10 s, so that the test is
// faster.
func quick(t *testing.T, name string) string {
	t.Helper()
	return strings.ReplaceAll(example(t, name), "interval=10s", "interval=2s")
}

// TestHealth checks the health agent and its daemon in a cluster, through failures and repairs.
func TestHealth(t *testing.T) {
	s := newSite(t)
	s.writeConfig(t, webConfig("yes"))
	s.Configure(t, quick(t, "group.crm"))
	s.WaitRunning(t, 2*minute, "web-health", "director1")
	s.WaitIdle(t)
	for _, step := range []struct {
		name string
		test func(*testing.T, site)
	}{
		{"standbys of the group under load", standbys},
		{"a drained server and standbys", drainedStandbys},
		{"a killed daemon", killedDaemon},
		{"a killed daemon with a server removed", killedDaemonRemoved},
		{"a stopped daemon", stoppedDaemon},
		{"changes by hand", byHand},
		{"an edited file", editedFile},
		{"standbys of the constraints under load", constraints},
		{"own fault", ownFault},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.test(t, s) }) {
			t.FailNow() // The next steps of the test depend on the result of this step, so the test ends here.
		}
	}
}

// unfailed fails the test if the cluster has a failed action.
func (s site) unfailed(t *testing.T) {
	t.Helper()
	if failed := s.FailedActions(t); len(failed) > 0 {
		t.Errorf("failed actions: %+v\n%s", failed, s.Status())
	}
}

// daemonPID returns the pid of directord on a node, in the node's pid namespace.
func daemonPID(t *testing.T, node *lab.Node) string {
	t.Helper()
	return strings.TrimSpace(node.Run(t, "cat", "/run/lvs-agents/directord/web-health.pid"))
}

// hurt sends a signal to the daemon, which ends or suspends it. Then it waits until the cluster has
// started a new daemon that has a verdict on every real server. Until then the VIP must stay on its
// node, and the table must stay as it is.
func (s site) hurt(t *testing.T, signal, table string, limit time.Duration, reason string) {
	t.Helper()
	node, _ := s.active(t)
	node.Host.WaitTable(t, minute, table)
	watched := node.Host.WatchTable(t)
	addresses := node.Host.Start(t, "ip", "-o", "monitor", "address")
	before := daemonPID(t, node)
	began := time.Now()
	node.Run(t, "kill", signal, before)
	s.Wait(t, limit, "another directord", func() error {
		return s.verdicts(t, node, before)
	})
	t.Logf("kill %s: another directord with all verdicts after %v", signal, time.Since(began))
	s.WaitIdle(t)
	if seen := watched(); !slices.Equal(seen, []string{table}) {
		t.Errorf("the table changed:\n%s", strings.Join(seen, "then\n"))
	}
	if out := addresses.Output(); out != "" {
		t.Errorf("addresses changed:\n%s", out)
	}
	for resource, want := range map[string]int{"web-ipvs": 0, "web-vip": 0, "web-health": 1} {
		if got := s.FailCount(t, resource); got != want {
			t.Errorf("fail count of %s: %d, want %d", resource, got, want)
		}
	}
	failed := s.FailedActions(t)
	if len(failed) != 1 || failed[0].Op != "web-health_monitor_2000" || !strings.Contains(failed[0].Reason, reason) {
		t.Errorf("failed actions, want one of web-health with %q: %+v", reason, failed)
	}
	node.Run(t, "crm_resource", "--cleanup")
	s.WaitIdle(t)
	s.unfailed(t)
}

// verdicts returns nil if a daemon other than old has a verdict on every real server. old is the
// pid of the earlier daemon.
func (s site) verdicts(t *testing.T, node *lab.Node, old string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := node.Command(ctx, "lvsctl", "status", "--json").Output()
	if err != nil {
		return err
	}
	var daemons []control.Snapshot
	if err := json.Unmarshal(out, &daemons); err != nil {
		return err
	}
	if len(daemons) != 1 || strconv.Itoa(daemons[0].PID) == old || daemons[0].Unknown() > 0 {
		return errors.New(string(out))
	}
	return nil
}

func killedDaemon(t *testing.T, s site) {
	s.topology.Host("rs1").SetHealthy(t, false)
	s.hurt(t, "-KILL", firstOut, minute, "has died")
}

func killedDaemonRemoved(t *testing.T, s site) {
	s.writeConfig(t, webConfig("no"))
	s.hurt(t, "-KILL", virtual+rs2, minute, "has died")
	s.writeConfig(t, webConfig("yes"))
	s.topology.Host("rs1").SetHealthy(t, true)
	node, _ := s.active(t)
	node.Host.WaitTable(t, minute, bothIn)
}

// stoppedDaemon suspends the daemon with SIGSTOP. The kernel still accepts connections to the
// socket of the daemon, so the monitor must detect that the daemon does not reply.
func stoppedDaemon(t *testing.T, s site) {
	s.hurt(t, "-STOP", bothIn, 2*minute, "hangs: it has not updated the IPVS table or run checks")
}

// byHand changes the IPVS table as an operator can do it, and checks that the daemon repairs it.
func byHand(t *testing.T, s site) {
	node, _ := s.active(t)
	const foreign = "-A -f 9 -s sh\n"
	node.Run(t, "ipvsadm", "-A", "-f", "9", "-s", "sh")
	for _, change := range []struct{ name, script, want string }{
		{"service deleted", "ipvsadm -D -t 192.0.2.10:80", foreign + bothIn},
		{"weight changed", "ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 7", foreign + bothIn},
		{"scheduler changed", "ipvsadm -E -t 192.0.2.10:80 -s wlc", foreign + bothIn},
		{"table cleared", "ipvsadm -C", bothIn},
	} {
		node.Run(t, "sh", "-c", change.script)
		took := node.Host.WaitTable(t, minute, change.want)
		t.Logf("%s: healed after %v", change.name, took)
		if os.Getenv("LAB_EXACT") != "" && took > 2*time.Second { // LAB_EXACT: the test host is idle, so short limits hold
			t.Errorf("%s: healed too late", change.name)
		}
	}
	s.monitorsPass(t)
}

// monitorsPass runs the monitor of every resource once, in addition to the cluster's own monitors,
// and none may fail.
func (s site) monitorsPass(t *testing.T) {
	t.Helper()
	node, _ := s.active(t)
	for _, resource := range []string{"web-ipvs", "web-vip", "web-health"} {
		node.Run(t, "crm_resource", "--resource", resource, "--force-check")
	}
	s.unfailed(t)
}

func editedFile(t *testing.T, s site) {
	node, _ := s.active(t)
	s.writeConfig(t, strings.Replace(webConfig("yes"), "192.0.2.21:80 gate", "192.0.2.21:80 gate 5", 1))
	node.Host.WaitTable(t, minute, virtual+strings.Replace(rs1, "-w 1", "-w 5", 1)+rs2)
	s.monitorsPass(t)
	s.writeConfig(t, strings.Replace(webConfig("yes"), "scheduler=rr", "scheduler=wlc", 1))
	node.Host.WaitTable(t, minute, strings.Replace(bothIn, "rr", "wlc", 1))
	s.monitorsPass(t)
	s.writeConfig(t, strings.Replace(webConfig("yes"), "scheduler=rr", "scheduler=rrr", 1))
	s.Wait(t, minute, "the refusal in the status", func() error {
		if out := node.Run(t, "lvsctl", "status"); !strings.Contains(out, "ldirectord.cf:12:13: unknown scheduler") {
			return errors.New(out)
		}
		return nil
	})
	s.monitorsPass(t)
	node.Host.WaitTable(t, 0, strings.Replace(bothIn, "rr", "wlc", 1))
	s.writeConfig(t, webConfig("yes"))
	node.Host.WaitTable(t, minute, bothIn)
	s.monitorsPass(t)
}

// ownFault cuts the director off from the real servers. No other director checks them, so the VIP
// stays, and the director holds the table.
func ownFault(t *testing.T, s site) {
	node, _ := s.active(t)
	node.Host.WaitTable(t, minute, twice(bothIn))
	watched := node.Host.WatchTable(t)
	load := s.topology.Host("client").Load(t, 2, "192.0.2.10:80", 5*time.Second)
	s.still(t, func() {
		s.cut(t, node, "-A")
		s.Wait(t, minute, "own fault in the status", func() error {
			if out := node.Run(t, "lvsctl", "status"); !strings.Contains(out, "own fault suspected") {
				return errors.New(out)
			}
			return nil
		})
		s.monitorsPass(t)
		s.cut(t, node, "-D")
		s.Wait(t, minute, "good real servers", func() error {
			if out := node.Run(t, "lvsctl", "status"); strings.Contains(out, " bad ") {
				return errors.New(out)
			}
			return nil
		})
	})
	tally := load.Stop(t)
	t.Logf("own fault: %v", tally)
	if failed := tally.Sorry + tally.Refused + tally.Reset + tally.TimedOut + len(tally.Other); failed > 0 {
		t.Errorf("%d failed requests: %v %q", failed, tally, tally.Other)
	}
	checkHeld(t, watched())
}

// pageTimeout is a client's time limit for one page. It is shorter than any take-over in these
// tests, so that a client gives up instead of being reset. A client that waits longer with an open
// connection gets a reset from the new director:
// docs/adr/0022-take-over-without-synchronisation.md.
const pageTimeout = 500 * time.Millisecond

func standbys(t *testing.T, s site) { s.standbys(t, bothIn) }

// standbys moves all resources to the other director while clients send requests. Each time, the
// other director must have the table. The function moves returns how often.
func (s site) standbys(t *testing.T, table string) {
	t.Helper()
	load := s.topology.Host("client").Load(t, 4, "192.0.2.10:80", pageTimeout)
	for range moves() {
		from, to := s.active(t)
		s.Standby(t, from.Name, true)
		s.WaitRunning(t, minute, "web-health", to.Name)
		s.WaitIdle(t)
		s.nothingOn(t, from)
		to.Host.WaitTable(t, minute, table)
		s.Standby(t, from.Name, false)
		s.WaitIdle(t)
		s.unfailed(t)
	}
	tally := load.Stop(t)
	t.Logf("%d standbys: %v", moves(), tally)
	if tally.Sorry+tally.Refused+tally.Reset+len(tally.Other) > 0 || tally.Served < 100 {
		t.Errorf("clients got more than pages and time-outs: %v %q", tally, tally.Other)
	}
}

// drainedStandbys drains a server through the cluster. In the group, the address comes before the
// health daemon, but the drained server must never have a weight.
func drainedStandbys(t *testing.T, s site) {
	const vip, server = "192.0.2.10:80", "192.0.2.21:80"
	from, to := s.active(t)
	from.Run(t, "lvsctl", "drain", "-t", vip, server, "--on", "everywhere")
	from.Host.WaitTable(t, minute, firstOut)
	for _, node := range []*lab.Node{to, from} {
		other := map[*lab.Node]*lab.Node{to: from, from: to}[node]
		watched := node.Host.WatchTable(t)
		s.Standby(t, other.Name, true)
		s.WaitRunning(t, minute, "web-health", node.Name)
		s.WaitIdle(t)
		node.Host.WaitTable(t, minute, firstOut)
		s.Standby(t, other.Name, false)
		s.WaitIdle(t)
		if seen := watched(); slices.ContainsFunc(seen, func(table string) bool { return strings.Contains(table, rs1) }) {
			t.Errorf("table of %s:\n%s", node.Name, strings.Join(seen, "then\n"))
		}
	}
	from.Run(t, "lvsctl", "undrain", "-t", vip, server, "--on", "everywhere")
	from.Host.WaitTable(t, minute, bothIn)
	s.unfailed(t)
}

func constraints(t *testing.T, s site) {
	s.clear(t)
	s.writeConfig(t, suspicious(120, webConfig("yes")))
	s.Configure(t, quick(t, "constraints.crm"))
	s.Wait(t, 2*minute, "web-health runs", func() error {
		if got := s.Running(t, "web-health"); len(got) != 1 {
			return fmt.Errorf("on %v", got)
		}
		return nil
	})
	s.WaitIdle(t)
	s.standbys(t, twice(bothIn))
}
