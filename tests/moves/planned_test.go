package moves

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// cluster is the site of a test with Corosync and Pacemaker on both directors.
type cluster struct {
	site
	*lab.Cluster
}

// TestPlanned sets the active director to standby again and again while clients send traffic, and
// then kills the active director. With the hot standby of crm/examples, the hash profile and
// synchronisation, no connection may break. LAB_MOVES is half the number of standbys.
func TestPlanned(t *testing.T) {
	example, err := os.ReadFile("../../crm/examples/hot-standby.crm")
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t)
	for _, name := range []string{"director1", "director2"} {
		c.Node(name).WriteFile(t, "/etc/ha.d/ldirectord.cf", file(true))
	}
	// The guest starts programs slowly, so the limits of the example are too short there.
	c.Configure(t, strings.NewReplacer("timeout=20s", "timeout=60s", "timeout=30s", "timeout=60s").Replace(string(example)))
	moves, crash := c.measure(t, "hot standby", 2*number("LAB_MOVES", 2))
	for event, report := range map[string]Report{"standby": moves, "power": crash} {
		if report.broken(kinds...) > 0 {
			t.Errorf("%s: %v", event, report)
		}
	}
	if failed := c.FailedActions(t); len(failed) > 0 {
		t.Errorf("failed actions: %+v", failed)
	}
}

func newCluster(t *testing.T) cluster {
	t.Helper()
	lab.Require(t, "corosync", "pacemakerd", "crm", "crm_mon", "crm_resource", "ipvsadm")
	s := newSite(t)
	return cluster{s, lab.StartCluster(t, s.Topology, lab.Options{Root: staged(t)})}
}

// active returns the name of the director that has the address, and then the other name.
func (c cluster) active(t *testing.T) (active, other string) {
	t.Helper()
	names := c.Running(t, "web-vip")
	if len(names) != 1 {
		t.Fatalf("web-vip runs on %v\n%s", names, c.Status())
	}
	return names[0], map[string]string{"director1": "director2", "director2": "director1"}[names[0]]
}

// measure runs the standbys and then a crash. It returns the sum of the reports of the standbys,
// and the report of the crash.
func (c cluster) measure(t *testing.T, name string, standbys int) (moves, crash Report) {
	t.Helper()
	c.settle(t)
	load, stop := c.load(t, mix())
	defer stop()
	load.report(t)
	began, requests := time.Now(), 0
	for n := range standbys {
		from, to := c.active(t)
		c.Standby(t, from, true)
		c.WaitRunning(t, 2*time.Minute, "web-vip", to)
		c.WaitIdle(t)
		report := load.report(t)
		c.Standby(t, from, false)
		c.settle(t)
		back := load.report(t)
		t.Logf("%s, standby %d of %s: %v; back: %v", name, n+1, from, report, back)
		moves = moves.add(report).add(back)
	}
	requests = moves["requests"].Count
	t.Logf("%s, %d standbys: %v, %.0f requests a second", name, standbys, moves, float64(requests)/time.Since(began).Seconds())
	from, to := c.active(t)
	c.Node(from).Kill(t)
	c.WaitRunning(t, 2*time.Minute, "web-vip", to)
	crash = load.report(t)
	t.Logf("%s, power of %s: %v", name, from, crash)
	return moves, crash
}

// settle waits until the cluster is idle, both directors have their table, and one of them has the
// address.
func (c cluster) settle(t *testing.T) {
	t.Helper()
	c.WaitIdle(t)
	c.Wait(t, 2*time.Minute, "the address and the tables", func() error {
		if names := c.Running(t, "web-vip"); len(names) != 1 {
			return fmt.Errorf("web-vip runs on %v", names)
		}
		return nil
	})
	c.WaitIdle(t)
}
