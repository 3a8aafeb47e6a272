package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"lvs-agents/tests/lab"
)

// runs is the number of times that TestGap measures each case with each group.
const runs = 5

// peerGroup is the group that common how-tos for Pacemaker configure: the address first, then
// ldirectord. These how-tos use a start timeout of 20 s, which is too short in the lab: on a busy
// test host Perl can start more slowly.
const peerGroup = `
primitive peer-ip ocf:heartbeat:IPaddr2 params ip=192.0.2.10 nic=eth0 cidr_netmask=24 \
    op start timeout=60s interval=0 op stop timeout=60s interval=0 op monitor timeout=60s interval=10s
primitive peer-ldirectord ocf:heartbeat:ldirectord params configfile=/etc/ha.d/ldirectord.cf ldirectord=/usr/sbin/perl-ldirectord \
    op start timeout=60s interval=0 op stop timeout=60s interval=0 op monitor timeout=60s interval=10s
group peer peer-ip peer-ldirectord meta resource-stickiness=200 migration-threshold=3 failure-timeout=120s
`

// TestGap measures the longest time during which clients get no page from a real server. In one
// case the active director goes to standby, in the other case it loses its power. Both groups run
// in the same cluster, one after the other: the group of crm/examples, and the group with IPaddr2
// and ldirectord.
func TestGap(t *testing.T) {
	lab.Require(t, "corosync", "pacemakerd", "crm", "crm_mon", "crm_resource", "nginx", "ipvsadm", "ldirectord")
	installed, err := filepath.Abs("../../bin/root") // made by make stage
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile("../../crm/examples/group.crm")
	if err != nil {
		t.Fatal(err)
	}
	topology := lab.NewTopology(t)
	topology.StartRealServers(t, lab.VIP)
	b := gapBench{lab.StartCluster(t, topology, lab.Options{Root: installed}), topology}
	for _, name := range []string{"director1", "director2"} {
		b.Node(name).WriteFile(t, "/etc/ha.d/ldirectord.cf", lab.LdirectordConfig)
		b.Node(name).WriteProgram(t, "/usr/sbin/perl-ldirectord", lab.PerlLdirectord(t))
	}
	forms := []struct{ name, crm, group, last string }{
		{"lvs-agents", string(ours), "web", "web-health"},
		{"IPaddr2, ldirectord", peerGroup, "peer", "peer-ldirectord"},
	}
	cases := []struct {
		name    string
		measure func(*testing.T, string) lab.Tally
		factor  float64 // TestGap fails unless the median gap with IPaddr2 and ldirectord is at least factor times the median gap with our agents
	}{{"node standby", b.standby, 3}, {"node killed", b.killed, 1}}
	gaps := map[string][2][]time.Duration{}
	for i, form := range forms {
		b.Configure(t, form.crm)
		b.settle(t, form.last)
		for range runs {
			for _, c := range cases {
				tally := c.measure(t, form.last)
				t.Logf("%s, %s: %v", form.name, c.name, tally)
				each := gaps[c.name]
				each[i] = append(each[i], tally.Gap)
				gaps[c.name] = each
			}
		}
		b.remove(t, form.group)
	}
	fmt.Printf("longest time without a page from a real server, %d runs each, 4 clients with a limit of %v\n\n", runs, pageTimeout)
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "case\tagents\tmedian\tlongest\tmedian, times less\tverdict")
	for _, c := range cases {
		ours, theirs := gaps[c.name][0], gaps[c.name][1]
		ratio := float64(middle(theirs)) / float64(middle(ours))
		verdict := fmt.Sprintf("holds: %v times", c.factor)
		if ratio < c.factor {
			verdict = "does not hold"
			t.Errorf("%s: %v, not %v times shorter than %v", c.name, ours, c.factor, theirs)
		}
		fmt.Fprintf(w, "%s\t%s\t%v\t%v\t%.2f\t%s\n", c.name, forms[0].name, ms(middle(ours)), ms(slices.Max(ours)), ratio, verdict)
		fmt.Fprintf(w, "%s\t%s\t%v\t%v\t\t\n", c.name, forms[1].name, ms(middle(theirs)), ms(slices.Max(theirs)))
	}
	fmt.Fprintln(w)
	_ = w.Flush() // to a terminal
}

// pageTimeout is a client's time limit for one page.
const pageTimeout = 500 * time.Millisecond

// gapBench is the cluster of TestGap and its network.
type gapBench struct {
	*lab.Cluster
	topology *lab.Topology
}

// settle waits until the last resource of the group runs, clients get pages, and the cluster is
// idle.
func (b gapBench) settle(t *testing.T, last string) {
	t.Helper()
	b.WaitIdle(t)
	b.Wait(t, 2*time.Minute, last, func() error {
		if got := b.Running(t, last); len(got) != 1 {
			return fmt.Errorf("%s runs on %v", last, got)
		}
		return nil
	})
	load := b.load(t)
	b.Wait(t, 2*time.Minute, "pages", load.Serving)
	load.Stop(t)
}

func (b gapBench) load(t *testing.T) *lab.Load {
	t.Helper()
	return b.topology.Host("client").Load(t, 4, lab.VIP+":80", pageTimeout)
}

func (b gapBench) active(t *testing.T, last string) (active, other string) {
	t.Helper()
	names := b.Running(t, last)
	if len(names) != 1 {
		t.Fatalf("%s runs on %v\n%s", last, names, b.Status())
	}
	return names[0], map[string]string{"director1": "director2", "director2": "director1"}[names[0]]
}

// measured runs clients, and causes an event (standby or loss of power) on the active director. It
// waits until the other director serves, and returns the results of the clients.
func (b gapBench) measured(t *testing.T, last string, happens func(active string)) lab.Tally {
	t.Helper()
	active, other := b.active(t, last)
	load := b.load(t)
	b.Wait(t, time.Minute, "pages before", load.Serving)
	happens(active)
	b.WaitRunning(t, 3*time.Minute, last, other)
	b.WaitIdle(t)
	b.Wait(t, time.Minute, "pages after", load.Serving)
	return load.Stop(t)
}

func (b gapBench) standby(t *testing.T, last string) lab.Tally {
	t.Helper()
	active, _ := b.active(t, last)
	tally := b.measured(t, last, func(active string) { b.Standby(t, active, true) })
	b.Standby(t, active, false)
	b.settle(t, last)
	return tally
}

func (b gapBench) killed(t *testing.T, last string) lab.Tally {
	t.Helper()
	active, _ := b.active(t, last)
	tally := b.measured(t, last, func(active string) { b.Node(active).Kill(t) })
	b.Node(active).Restart(t)
	b.WaitOnline(t, "director1", "director2")
	b.settle(t, last)
	return tally
}

// remove deletes the group from the cluster's configuration, so that the next group can be
// measured.
func (b gapBench) remove(t *testing.T, group string) {
	t.Helper()
	node := b.Node("director1")
	node.Run(t, "crm_resource", "--resource", group, "--meta", "--set-parameter", "target-role", "--parameter-value", "Stopped")
	b.WaitIdle(t)
	node.Run(t, "cibadmin", "--delete", "--xml-text", `<group id="`+group+`"/>`)
	b.WaitIdle(t)
	for _, name := range []string{"director1", "director2"} {
		if left := strings.TrimSpace(b.Node(name).Script(t, "ipvsadm -Sn; ip -o addr show to "+lab.VIP)); left != "" {
			t.Fatal(errors.New(name + " keeps " + left))
		}
	}
}
