package cluster

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/tests/lab"
)

// standbyConfig returns the configuration file of the lab with a shorter checktimeout, so that the
// test is faster.
func standbyConfig() string {
	return strings.Replace(webConfig("yes"), "checktimeout=3", "checktimeout=2", 1)
}

// suspicious returns a configuration with a second virtual service on port 81, so that a director
// can suspect itself, and with own_fault in seconds. On a busy test host, a suspicion must last
// longer than the steps of the test.
func suspicious(ownFault int, text string) string {
	_, block, _ := strings.Cut(text, "virtual=")
	return fmt.Sprintf("own_fault=%d\n", ownFault) + text + "virtual=" + strings.ReplaceAll(block, ":80", ":81")
}

// twice returns a table of bothIn or sorryIn with the second service of suspicious.
func twice(table string) string {
	return sorted(table + strings.ReplaceAll(table, ":80", ":81"))
}

// dampened is the time after which a value of the node attribute reaches the cluster: twice the sum
// of checkinterval and checktimeout in standbyConfig.
const dampened = 6 * time.Second

// noticed is how long a health daemon can take to detect that its real servers do not reply.
const noticed = 5 * time.Second

// TestHotStandby checks the example of the hot standby: every director has the table, and the VIP
// goes to the director that sees more real servers.
func TestHotStandby(t *testing.T) {
	s := newSite(t)
	s.writeConfig(t, suspicious(30, standbyConfig()))
	s.Configure(t, quick(t, "hot-standby.crm"))
	s.bothReady(t, twice(bothIn))
	for _, step := range []struct {
		name string
		test func(*testing.T, site)
	}{
		{"standbys under load", hotStandbys},
		{"a killed daemon", hotKilledDaemon},
		{"a passive director that restarts its table", hotPassiveTable},
		{"a server that is down for both", hotServerDown},
		{"the servers are cut off from the active director", hotCut},
		{"the servers are cut off from both directors", hotBothCut},
		{"health banned", hotBanned},
		{"orders through the cluster", hotOrders},
		{"a server added through the cluster", hotAdded},
		{"IPv6", hotIPv6},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.test(t, s) }) {
			t.FailNow() // The next steps of the test depend on this step, so the test ends here.
		}
	}
}

// bothReady waits until the attribute of each director says that all real servers are good. Then
// both directors must have the table, and one director the VIP.
func (s site) bothReady(t *testing.T, table string) {
	t.Helper()
	for _, name := range []string{"director1", "director2"} {
		s.waitValue(t, name, "1000")
	}
	s.WaitIdle(t)
	for _, name := range []string{"director1", "director2"} {
		if diff := cmp.Diff(table, sorted(s.Node(name).Run(t, "ipvsadm", "-Sn"))); diff != "" {
			t.Errorf("table of %s (-want +got):\n%s", name, diff)
		}
	}
	s.active(t)
	s.unfailed(t)
}

// value returns the value of the node attribute in the cluster's configuration, or an empty text.
func (s site) value(t *testing.T, name string) string {
	t.Helper()
	id := map[string]string{"director1": "1", "director2": "2"}[name]
	out := s.Node(name).Script(t, `cibadmin --query --xpath '//node_state[@id="`+id+`"]//nvpair[@name="lvs-health-web-health"]' 2>/dev/null || true`)
	_, value, _ := strings.Cut(out, `value="`)
	value, _, _ = strings.Cut(value, `"`)
	return value
}

func (s site) waitValue(t *testing.T, name, want string) {
	t.Helper()
	s.Wait(t, minute, name+" has the value "+want, func() error {
		if got := s.value(t, name); got != want {
			return fmt.Errorf("it has %q", got)
		}
		return nil
	})
}

// cut disconnects a director from the real servers, or connects it again. The director keeps its
// other links.
func (s site) cut(t *testing.T, node *lab.Node, verb string) {
	t.Helper()
	for _, name := range []string{"rs1", "rs2"} {
		addr := s.topology.Host(name).Addr
		node.Run(t, "iptables-legacy", "-w", verb, "OUTPUT", "-d", addr, "-j", "DROP")
		node.Run(t, "iptables-legacy", "-w", verb, "INPUT", "-s", addr, "-j", "DROP")
	}
}

// still calls do, and checks that the VIP does not move meanwhile.
func (s site) still(t *testing.T, do func()) {
	t.Helper()
	watched := map[string]*lab.Process{}
	for _, name := range []string{"director1", "director2"} {
		watched[name] = s.Node(name).Host.Start(t, "ip", "-o", "monitor", "address")
	}
	do()
	for name, process := range watched {
		if out := process.Output(); out != "" {
			t.Errorf("addresses of %s changed:\n%s\n%s", name, out, s.Status())
		}
		process.Kill()
	}
}

// pause waits for a fixed time. A test that checks that nothing happens cannot wait for an event.
func pause(d time.Duration) { <-time.After(d) }

// hotStandbys moves the VIP under load. The scheduler of the example is rr. The kernel sends a new
// connection up to 2 s late to the other director (IPVS_SYNC_FLUSH_TIME in ip_vs_sync.c). So the
// other director can reset one request of each client. TestPlanned in tests/moves uses
// a hash scheduler, and there no request fails.
func hotStandbys(t *testing.T, s site) {
	const clients = 2
	load := s.topology.Host("client").Load(t, clients, "192.0.2.10:80", 10*time.Second)
	for range moves() {
		from, to := s.active(t)
		s.Standby(t, from.Name, true)
		s.WaitRunning(t, minute, "web-vip", to.Name)
		s.WaitIdle(t)
		if out := from.Run(t, "ipvsadm", "-Sn"); out != "" {
			t.Errorf("the table of a director on standby:\n%s", out)
		}
		if got := s.value(t, from.Name); got != "" && got != "1000" {
			t.Errorf("value of a director on standby: %q", got)
		}
		s.Standby(t, from.Name, false)
		s.bothReady(t, twice(bothIn))
		if active, _ := s.active(t); active.Name != to.Name {
			t.Errorf("the VIP has moved back to %s\n%s", active.Name, s.Status())
		}
	}
	tally := load.Stop(t)
	t.Logf("%d standbys: %v", moves(), tally)
	if failed := tally.Sorry + tally.Refused + tally.TimedOut + len(tally.Other); failed > 0 || tally.Reset > clients*moves() || tally.Served < 100 {
		t.Errorf("%d failed requests: %v %q", failed+tally.Reset, tally, tally.Other)
	}
}

func hotKilledDaemon(t *testing.T, s site) {
	node, _ := s.active(t)
	load := s.topology.Host("client").Load(t, 1, "192.0.2.10:80", 5*time.Second)
	s.still(t, func() {
		before := daemonPID(t, node)
		node.Run(t, "kill", "-KILL", before)
		s.Wait(t, minute, "another directord", func() error { return s.verdicts(t, node, before) })
		s.WaitIdle(t)
		pause(dampened)
		s.waitValue(t, node.Name, "1000")
	})
	tally := load.Stop(t)
	t.Logf("kill -KILL of the active daemon: %v", tally)
	if failed := tally.Sorry + tally.Refused + tally.Reset + tally.TimedOut + len(tally.Other); failed > 0 {
		t.Errorf("%d failed requests: %v", failed, tally)
	}
	node.Run(t, "crm_resource", "--cleanup")
	s.bothReady(t, twice(bothIn))
}

// hotPassiveTable lets the ipvs resource of the passive director fail. The VIP must stay on the
// active director.
func hotPassiveTable(t *testing.T, s site) {
	_, passive := s.active(t)
	s.still(t, func() {
		passive.Run(t, "crm_resource", "--fail", "--resource", "web-ipvs", "--node", passive.Name)
		s.Wait(t, minute, "a failure of web-ipvs", func() error {
			if s.FailCount(t, "web-ipvs") == 0 {
				return errors.New("no fail count")
			}
			return nil
		})
		s.WaitIdle(t)
		passive.Run(t, "crm_resource", "--cleanup")
		s.bothReady(t, twice(bothIn))
	})
}

func hotServerDown(t *testing.T, s site) {
	s.still(t, func() {
		s.topology.Host("rs1").SetHealthy(t, false)
		s.waitValue(t, "director1", "750")
		s.waitValue(t, "director2", "750")
		s.topology.Host("rs1").SetHealthy(t, true)
		s.bothReady(t, twice(bothIn))
	})
}

// checkHeld checks the tables of a director that suspected itself. The checks of rs1 and rs2 do not
// end in the same moment, so one of them can leave for a moment. The fallback must never serve.
func checkHeld(t *testing.T, seen []string) {
	t.Helper()
	empty := func(table string) bool {
		return !strings.Contains(table, "-w 1") || strings.Contains(table, "127.0.0.1")
	}
	if slices.ContainsFunc(seen, empty) || seen[len(seen)-1] != twice(bothIn) {
		t.Errorf("the table was not held:\n%s", strings.Join(seen, "then\n"))
	}
}

// hotCut cuts the active director off from the real servers. The director holds its table until the
// VIP is on the other director, so no client gets the page of the fallback.
func hotCut(t *testing.T, s site) {
	const clients = 2
	blind, sees := s.active(t)
	load := s.topology.Host("client").Load(t, clients, "192.0.2.10:80", 5*time.Second)
	watched := blind.Host.WatchTable(t)
	s.cut(t, blind, "-A")
	began := time.Now()
	s.WaitRunning(t, minute, "web-vip", sees.Name)
	took := time.Since(began)
	held := watched()
	t.Logf("the VIP has moved %v after the cut: %v", took.Round(100*time.Millisecond), load.Stop(t))
	if tally := load.Stop(t); tally.Sorry+tally.Refused+tally.TimedOut+len(tally.Other) > 0 || tally.Reset > clients {
		t.Errorf("failed requests: %v %q", tally, tally.Other)
	}
	checkHeld(t, held)
	if out := blind.Run(t, "lvsctl", "status"); !strings.Contains(out, "own fault suspected") {
		t.Errorf("status of %s:\n%s", blind.Name, out)
	}
	if limit := noticed + dampened + 5*time.Second; os.Getenv("LAB_EXACT") != "" && took > limit { // LAB_EXACT: the test host is idle, so short limits hold
		t.Errorf("the VIP has moved after %v, want at most %v", took, limit)
	}
	s.WaitIdle(t)
	for node, want := range map[*lab.Node]string{blind: "address gone  -t 192.0.2.10:80", sees: "address here  -t 192.0.2.10:80  192.0.2.10 is on eth0"} {
		lab.Wait(t, minute, want, func() error {
			if out := node.Run(t, "lvsctl", "events", "--since=2m"); !strings.Contains(out, want) {
				return errors.New(out)
			}
			return nil
		})
	}
	s.roundRobin(t)
	if got := s.value(t, blind.Name); got != "0" {
		t.Errorf("value of %s: %q", blind.Name, got)
	}
	s.still(t, func() {
		s.cut(t, blind, "-D")
		s.bothReady(t, twice(bothIn))
	})
}

func hotBothCut(t *testing.T, s site) {
	s.still(t, func() {
		for _, name := range []string{"director1", "director2"} {
			s.cut(t, s.Node(name), "-A")
		}
		s.waitValue(t, "director1", "0")
		s.waitValue(t, "director2", "0")
		s.WaitIdle(t)
		for _, name := range []string{"director1", "director2"} {
			s.Node(name).Host.WaitTable(t, minute, twice(sorryIn))
		}
		page, err := s.topology.Host("client").Get(t.Context(), "http://192.0.2.10/")
		if err != nil || strings.TrimSpace(page) != lab.SorryPage {
			t.Errorf("page %q, %v", page, err)
		}
		for _, name := range []string{"director1", "director2"} {
			s.cut(t, s.Node(name), "-D")
		}
		s.bothReady(t, twice(bothIn))
	})
}

// hotBanned bans the health daemons from the active director, so that the VIP moves. Then it bans
// them from the other director, too, so that the VIP stays on a static table.
func hotBanned(t *testing.T, s site) {
	from, to := s.active(t)
	from.Run(t, "crm_resource", "--ban", "--resource", "cl-health", "--node", from.Name)
	s.WaitRunning(t, minute, "web-vip", to.Name)
	s.waitValue(t, from.Name, "")
	s.WaitIdle(t)
	s.still(t, func() {
		from.Run(t, "crm_resource", "--ban", "--resource", "cl-health", "--node", to.Name)
		s.waitValue(t, to.Name, "")
		s.WaitIdle(t)
		s.roundRobin(t)
	})
	s.still(t, func() {
		for _, node := range []*lab.Node{to, from} {
			from.Run(t, "crm_resource", "--clear", "--resource", "cl-health", "--node", node.Name)
			s.waitValue(t, node.Name, "1000")
		}
		s.bothReady(t, twice(bothIn))
	})
}

// hotOrders drains a server on both directors through the cluster. The order must hold after the
// VIP has moved, and after the other director has started its daemon again.
func hotOrders(t *testing.T, s site) {
	const vip, server = "192.0.2.10:80", "192.0.2.21:80"
	drained := sorted(firstOut + strings.ReplaceAll(bothIn, ":80", ":81"))
	from, to := s.active(t)
	both := func(table string) {
		from.Host.WaitTable(t, minute, table)
		to.Host.WaitTable(t, minute, table)
	}
	from.Run(t, "lvsctl", "drain", "-t", vip, server, "--on", "everywhere")
	if table := sorted(from.Run(t, "ipvsadm", "-Sn")); table != drained {
		t.Errorf("after the order, %s has the table\n%s", from.Name, table)
	}
	both(drained)
	s.moveKeeps(t, from, to, drained)
	to.Run(t, "lvsctl", "wait", "drained", vip, server)
	if status := from.Run(t, "lvsctl", "status"); !strings.Contains(status, "drain by root since ") || !strings.Contains(status, " in the cluster") {
		t.Errorf("no order in the status:\n%s", status)
	}
	to.Run(t, "lvsctl", "ready", vip, "--on", "everywhere")
	both(twice(bothIn))
	s.noOrders(t)
}

// moveKeeps moves the VIP from one node to another, and brings the first node back as the standby.
// Both must then have the table, and the table of the other node must not change meanwhile.
func (s site) moveKeeps(t *testing.T, from, to *lab.Node, table string) {
	t.Helper()
	watched := to.Host.WatchTable(t)
	s.Standby(t, from.Name, true)
	s.WaitRunning(t, minute, "web-vip", to.Name)
	s.WaitIdle(t)
	s.Standby(t, from.Name, false)
	from.Host.WaitTable(t, minute, table)
	s.bothReady(t, table)
	if seen := watched(); len(seen) != 1 {
		t.Errorf("the table changed:\n%s", strings.Join(seen, "then\n"))
	}
}

// noOrders checks that the cluster keeps no order.
func (s site) noOrders(t *testing.T) {
	t.Helper()
	if left := s.Node("director1").Script(t, "cibadmin -Q -o nodes | grep lvs-order || true"); left != "" {
		t.Errorf("left in the CIB: %s", left)
	}
}

// hotAdded adds a server on both directors through the cluster. It must stay after the VIP has
// moved, and come back with the daemon of the other director. Then hotAdded removes it again.
func hotAdded(t *testing.T, s site) {
	const vip, server = "192.0.2.10:80", "192.0.2.26:80"
	const address = " 192.0.2.26/24 dev eth0"
	rs2 := s.topology.Host("rs2")
	rs2.Script(t, "ip addr add"+address)
	usual := twice(bothIn)
	with := sorted(usual + "-a -t 192.0.2.10:80 -r 192.0.2.26:80 -g -w 1\n")
	from, to := s.active(t)
	both := func(table string) {
		t.Helper()
		from.Host.WaitTable(t, minute, table)
		to.Host.WaitTable(t, minute, table)
	}
	from.Run(t, "lvsctl", "add", "-t", vip, "192.0.2.26", "--on", "everywhere")
	both(with)
	s.moveKeeps(t, from, to, with)
	if status := from.Run(t, "lvsctl", "status"); !strings.Contains(status, "added by root since ") || !strings.Contains(status, " in the cluster") {
		t.Errorf("no added server in the status:\n%s", status)
	}
	to.Run(t, "lvsctl", "remove", vip, server, "--on", "everywhere")
	both(usual)
	s.noOrders(t)
	rs2.Script(t, "ip addr del"+address)
}

// hotIPv6 runs the hot standby with an IPv6 VIP, and checks that the VIP does not move. The checks
// of the active director must not use the VIP as their source address.
func hotIPv6(t *testing.T, s site) {
	const config = `checktimeout=2
checkinterval=1
quiescent=yes
virtual=[2001:db8::10]:80
	real=[2001:db8::21]:80 gate
	real=[2001:db8::22]:80 gate
	service=http
	request=".health.html"
	receive="OK"
	scheduler=rr
	checktype=negotiate
`
	const table = `-A -t [2001:db8::10]:80 -s rr
-a -t [2001:db8::10]:80 -r [2001:db8::21]:80 -g -w 1
-a -t [2001:db8::10]:80 -r [2001:db8::22]:80 -g -w 1
`
	long := time.Minute
	if moves() >= 20 {
		long = 10 * time.Minute
	}
	for _, name := range []string{"rs1", "rs2"} {
		s.topology.Host(name).HideVIP(t, lab.VIP6)
	}
	node, _ := s.active(t)
	// The cluster starts these resources again with their new configuration.
	for _, resource := range []string{"web-vip", "cl-health", "cl-ipvs"} {
		stop(t, node, resource)
	}
	s.WaitIdle(t)
	s.writeConfig(t, config)
	s.Configure(t, strings.NewReplacer("ip=192.0.2.10", "ip="+lab.VIP6, "cidr_netmask=24", "cidr_netmask=64").Replace(quick(t, "hot-standby.crm")))
	s.bothReady(t, table)
	load := s.topology.Host("client").Load(t, 1, "["+lab.VIP6+"]:80", 5*time.Second)
	s.still(t, func() { pause(long) })
	tally := load.Stop(t)
	t.Logf("%v of IPv6: %v", long, tally)
	if failed := tally.Sorry + tally.Refused + tally.Reset + tally.TimedOut + len(tally.Other); failed > 0 || tally.Served < 100 {
		t.Errorf("%d failed requests: %v %q", failed, tally, tally.Other)
	}
	s.bothReady(t, table)
}
