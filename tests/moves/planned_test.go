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

// TestPlanned moves the address as an operator does, again and again, while clients send traffic.
// Then the active director crashes. No connection may break with our hot standby. With LAB_FIGURES,
// the test also measures other programs (peers), without a limit.
func TestPlanned(t *testing.T) {
	measured := []struct {
		name string
		run  func(*testing.T, string) []row
	}{{"hot standby", hotStandby}}
	if writesFigures() {
		measured = append(peerMoves, measured...)
	}
	var rows []row
	for _, each := range measured {
		t.Run(each.name, func(t *testing.T) {
			rows = append(rows, each.run(t, each.name)...)
			write(t, "figures2", planned+table(rows))
		})
	}
}

// hotStandby measures the example of the hot standby. LAB_MOVES is half the number of standbys.
func hotStandby(t *testing.T, name string) []row {
	t.Helper()
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
	rows := c.measure(t, name, 2*number("LAB_MOVES", 2), min(crashes(), len(events)))
	for _, each := range rows {
		if each.report.broken(kinds...) > 0 {
			t.Errorf("%s: %v", each.name, each.report)
		}
	}
	if failed := c.FailedActions(t); len(failed) > 0 {
		t.Errorf("failed actions: %+v", failed)
	}
	return rows
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

// measure runs the standbys and then the crashes. It returns the sum of the reports of each.
func (c cluster) measure(t *testing.T, name string, standbys, crashes int) []row {
	t.Helper()
	c.settle(t)
	load, stop := c.load(t, mix())
	defer stop()
	load.report(t)
	began, moves := time.Now(), Report{}
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
	t.Logf("%s, %d standbys: %v, %.0f requests a second", name, standbys, moves, float64(moves["requests"].Count)/time.Since(began).Seconds())
	crashed := Report{}
	for n := range crashes {
		event := events[n%len(events)]
		from, to := c.active(t)
		event.end(t, c.Node(from))
		waitAddress(t, c.Node(to))
		report := load.report(t)
		t.Logf("%s, %s of %s: %v", name, event.name, from, report)
		crashed = crashed.add(report)
		c.Node(from).Restart(t)
		c.WaitOnline(t, "director1", "director2")
		c.settle(t)
		load.report(t)
	}
	rows := []row{{name + ": planned", standbys, moves}}
	if crashes > 0 {
		t.Logf("%s, %d crashes: %v", name, crashes, crashed)
		rows = append(rows, row{name + ": crash", crashes, crashed})
	}
	return rows
}

// settle waits until the cluster is idle and one of the directors has the address.
func (c cluster) settle(t *testing.T) {
	t.Helper()
	c.WaitIdle(t)
	c.Wait(t, 2*time.Minute, "the address", func() error {
		if names := c.Running(t, "web-vip"); len(names) != 1 {
			return fmt.Errorf("web-vip runs on %v", names)
		}
		return nil
	})
	c.WaitIdle(t)
}
