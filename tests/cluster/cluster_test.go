// Package cluster tests the agents in a real cluster: two directors that run
// Corosync and Pacemaker, two web servers, a client.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/tests/lab"
)

// moves is how many times a test repeats its moves of the group. LAB_MOVES sets this number.
func moves() int {
	if n, err := strconv.Atoi(os.Getenv("LAB_MOVES")); err == nil {
		return n
	}
	return 2
}

const minute = time.Minute

// site is the cluster of a test, with its network of directors, real servers and a client.
type site struct {
	*lab.Cluster
	topology *lab.Topology
}

const webTable = `-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
`

// webGroup is the group of crm/examples without the resource health. Without a health daemon, no
// program repairs the IPVS table. The parameters of the resource contain the whole table.
const webGroup = `
primitive web-ipvs ocf:lvs:ipvs \
    params virtual="192.0.2.10:80" real="192.0.2.21 gate, 192.0.2.22 gate" scheduler=rr \
    op start timeout=20s interval=0 op stop timeout=20s interval=0 op monitor timeout=20s interval=2s
primitive web-vip ocf:lvs:vip params ip=192.0.2.10 nic=eth0 cidr_netmask=24 \
    op start timeout=20s interval=0 op stop timeout=20s interval=0 op monitor timeout=20s interval=2s
group web web-ipvs web-vip meta resource-stickiness=200
`

// webGroupByPcs lists the pcs commands that create the same resources as webGroup.
var webGroupByPcs = []string{
	`pcs resource create web-ipvs ocf:lvs:ipvs virtual=192.0.2.10:80 real="192.0.2.21 gate, 192.0.2.22 gate" scheduler=rr op start timeout=20s op stop timeout=20s op monitor timeout=20s interval=2s --group web`,
	`pcs resource create web-vip ocf:lvs:vip ip=192.0.2.10 nic=eth0 cidr_netmask=24 op start timeout=20s op stop timeout=20s op monitor timeout=20s interval=2s --group web`,
	`pcs resource meta web resource-stickiness=200`,
}

// newSite boots the cluster. Each director also has a web server that serves the sorry page.
func newSite(t *testing.T) site {
	t.Helper()
	lab.Require(t, "corosync", "pacemakerd", "crm", "crm_mon", "crm_resource", "nginx", "ipvsadm")
	installed, err := filepath.Abs("../../bin/root") // "make stage" has written this directory
	if err != nil {
		t.Fatal(err)
	}
	topology := lab.NewTopology(t)
	topology.StartRealServers(t, lab.VIP)
	for _, name := range []string{"director1", "director2"} {
		topology.Host(name).ServeSorry(t)
	}
	return site{lab.StartCluster(t, topology, lab.Options{Root: installed}), topology}
}

func TestDirectors(t *testing.T) {
	lab.Require(t, "pcs")
	s := newSite(t)
	for _, step := range []struct {
		name string
		test func(*testing.T, site)
	}{
		{"crm starts the group and it moves", crmGroup},
		{"a changed weight is a reload", changedWeight},
		{"a stray table on the passive node", strayTable},
		{"a second resource with the same service", sameService},
		{"a lost table is restored in place", lostTable},
		{"the same by pcs", pcsGroup},
		{"real servers as a clone", realServers},
		{"the group as heartbeat's GUI writes it", guiGroup},
		{"a file that only one director has", oneFile},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.test(t, s) }) {
			t.FailNow() // The next steps of the test depend on the result of this step, so the test ends here.
		}
	}
}

// active returns the node that has the VIP, and then the other node.
func (s site) active(t *testing.T) (active, passive *lab.Node) {
	t.Helper()
	names := s.Running(t, "web-vip")
	if len(names) != 1 {
		t.Fatalf("web-vip runs on %v\n%s", names, s.Status())
	}
	other := map[string]string{"director1": "director2", "director2": "director1"}
	return s.Node(names[0]), s.Node(other[names[0]])
}

// serves checks the whole service: the client gets replies from both real servers in turn, and one
// director runs the whole group. The other director must have neither VIP nor table, and the
// cluster must have no failed action.
func (s site) serves(t *testing.T, table string) {
	t.Helper()
	active, passive := s.active(t)
	if got := strings.Join(s.Running(t, "web-ipvs"), " "); got != active.Name {
		t.Errorf("web-ipvs runs on %q, web-vip on %q", got, active.Name)
	}
	if diff := cmp.Diff(table, sorted(active.Run(t, "ipvsadm", "-Sn"))); diff != "" {
		t.Errorf("table of %s (-want +got):\n%s", active.Name, diff)
	}
	s.nothingOn(t, passive)
	s.roundRobin(t)
	if failed := s.FailedActions(t); len(failed) > 0 {
		t.Errorf("failed actions: %+v\n%s", failed, s.Status())
	}
}

func (s site) nothingOn(t *testing.T, node *lab.Node) {
	t.Helper()
	if left := s.left(t, node); left != "" {
		t.Errorf("left on %s:\n%s", node.Name, left)
	}
}

// left returns the table, the VIP and the records that a node has.
func (s site) left(t *testing.T, node *lab.Node) string {
	t.Helper()
	return node.Script(t, "ipvsadm -Sn; ip -o addr show to 192.0.2.10; ls /run/lvs-agents/ipvs 2>/dev/null || true")
}

func sorted(text string) string {
	lines := slices.Sorted(strings.Lines(text))
	return strings.Join(lines, "")
}

// roundRobin sends ten requests over new connections. With equal weights, the servers get them in
// turn.
func (s site) roundRobin(t *testing.T) {
	t.Helper()
	var pages []string
	inTurn := true
	for i := range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		page, err := s.topology.Host("client").Get(ctx, "http://192.0.2.10/")
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, strings.TrimSpace(page))
		inTurn = inTurn && (i == 0 || pages[i] != pages[i-1])
	}
	if !inTurn || !slices.Contains(pages, "rs1") || !slices.Contains(pages, "rs2") {
		t.Fatalf("not in turn: %v", pages)
	}
}

func crmGroup(t *testing.T, s site) {
	s.Configure(t, webGroup)
	s.WaitIdle(t)
	s.serves(t, webTable)
	for n := range moves() {
		for range 2 {
			from, to := s.active(t)
			s.Standby(t, from.Name, true)
			s.WaitRunning(t, minute, "web-vip", to.Name)
			s.WaitIdle(t)
			s.serves(t, webTable)
			s.Standby(t, from.Name, false)
			s.WaitIdle(t)
			s.nothingOn(t, from)
		}
		t.Logf("move %d and back", n+1)
	}
}

// history returns the call id of each operation of a resource on a node, from the cluster's status.
// If the id of an operation changes, the operation has run again.
func history(t *testing.T, node *lab.Node, resource string) map[string]string {
	t.Helper()
	calls := map[string]string{}
	out := node.Run(t, "cibadmin", "-Q", "--xpath", fmt.Sprintf("//node_state[@uname='%s']//lrm_resource[@id='%s']/lrm_rsc_op", node.Name, resource))
	for line := range strings.Lines(out) {
		if key := attribute(line, "operation_key"); key != "" {
			calls[key] = attribute(line, "call-id")
		}
	}
	return calls
}

func attribute(line, name string) string {
	_, rest, found := strings.Cut(line, " "+name+`="`)
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// logged counts the operations of a resource in a node's Pacemaker log, by the name of the
// operation. The test of reloads needs the log: in the cluster's status, Pacemaker 2.1.5 stores a
// reload as a start.
func logged(t *testing.T, node *lab.Node, resource string) map[string]int {
	t.Helper()
	count := map[string]int{}
	for line := range strings.Lines(node.Run(t, "cat", "/var/log/pacemaker/pacemaker.log")) {
		_, rest, _ := strings.Cut(line, "Result of ")
		if op, rest, ok := strings.Cut(rest, " operation for "); ok && strings.HasPrefix(rest, resource+" ") {
			count[op]++
		}
	}
	return count
}

func changedWeight(t *testing.T, s site) {
	active, _ := s.active(t)
	vipBefore, before := history(t, active, "web-vip"), logged(t, active, "web-ipvs")
	setParameter(t, active, "real", "192.0.2.21 gate 3, 192.0.2.22 gate")
	s.WaitIdle(t)
	setParameter(t, active, "scheduler", "wrr")
	const want = `-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 3
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
`
	s.Wait(t, minute, "the new weight in the kernel", func() error {
		if got := sorted(active.Run(t, "ipvsadm", "-Sn")); got != want {
			return errors.New(got)
		}
		return nil
	})
	s.WaitIdle(t)
	if again, _ := s.active(t); again != active {
		t.Errorf("the group moved to %s", again.Name)
	}
	vipAfter := history(t, active, "web-vip")
	if vipBefore["web-vip_start_0"] == "" || vipBefore["web-vip_start_0"] != vipAfter["web-vip_start_0"] {
		t.Errorf("the address was restarted: %v, then %v", vipBefore, vipAfter)
	}
	after := logged(t, active, "web-ipvs")
	if after["reload-agent"] != before["reload-agent"]+2 || after["stop"] != before["stop"] || after["start"] != before["start"] {
		t.Errorf("not two reloads: %v, then %v", before, after)
	}
	if failed := s.FailedActions(t); len(failed) > 0 {
		t.Errorf("failed actions: %+v", failed)
	}
	setParameter(t, active, "real", "192.0.2.21 gate, 192.0.2.22 gate")
	setParameter(t, active, "scheduler", "rr")
	s.Wait(t, minute, "the old weight in the kernel", func() error {
		if got := sorted(active.Run(t, "ipvsadm", "-Sn")); got != webTable {
			return errors.New(got)
		}
		return nil
	})
	s.WaitIdle(t)
	s.serves(t, webTable)
}

func setParameter(t *testing.T, node *lab.Node, name, value string) {
	t.Helper()
	node.Run(t, "crm_resource", "--resource", "web-ipvs", "--set-parameter", name, "--parameter-value", value)
}

// stop stops a resource as "crm resource stop" does, but ten times faster in the guest.
func stop(t *testing.T, node *lab.Node, resource string) {
	t.Helper()
	node.Run(t, "crm_resource", "--resource", resource, "--meta", "--set-parameter", "target-role", "--parameter-value", "Stopped")
}

// strayTable adds an IPVS table to the passive node as an operator can do it by mistake. It does
// this once with a table equal to the resource's table, and once with another table. Then the
// cluster probes every node again. The service and the stray table must not change.
func strayTable(t *testing.T, s site) {
	active, passive := s.active(t)
	for _, stray := range []string{webTable, "-A -t 192.0.2.10:80 -s wlc\n-a -t 192.0.2.10:80 -r 192.0.2.99:80 -m -w 7\n"} {
		before := history(t, active, "web-vip")["web-vip_start_0"]
		passive.Script(t, fmt.Sprintf("printf '%%s' '%s' | ipvsadm -R", stray))
		active.Run(t, "crm_resource", "--refresh")
		s.WaitIdle(t)
		if again, _ := s.active(t); again != active {
			t.Errorf("the group moved to %s", again.Name)
		}
		if got := sorted(active.Run(t, "ipvsadm", "-Sn")); got != webTable {
			t.Errorf("the active table changed:\n%s", got)
		}
		if got := sorted(passive.Run(t, "ipvsadm", "-Sn")); got != stray {
			t.Errorf("the stray table changed:\n%s", got)
		}
		if failed := s.FailedActions(t); len(failed) > 0 {
			t.Errorf("failed actions: %+v", failed)
		}
		// crm_resource --refresh deletes the history of start. So the test compares the call ids
		// only if the history has a start.
		if after := history(t, active, "web-vip")["web-vip_start_0"]; after != "" && after != before {
			t.Errorf("the address was restarted: %s, then %s", before, after)
		}
		s.roundRobin(t)
		passive.Run(t, "ipvsadm", "-C")
	}
}

func sameService(t *testing.T, s site) {
	active, _ := s.active(t)
	s.Configure(t, `
primitive other-ipvs ocf:lvs:ipvs \
    params virtual="192.0.2.10:80" real="192.0.2.22 gate" scheduler=rr \
    op start timeout=20s interval=0 op stop timeout=20s interval=0 op monitor timeout=20s interval=2s
location other-with-web other-ipvs inf: `+active.Name+`
`)
	s.WaitIdle(t)
	failed := s.FailedActions(t)
	if len(failed) != 1 || failed[0].Op != "other-ipvs_start_0" || !strings.HasPrefix(failed[0].Reason, "virtual service -t 192.0.2.10:80 already belongs to resource web-ipvs") {
		t.Errorf("failed actions: %+v", failed)
	}
	if got := sorted(active.Run(t, "ipvsadm", "-Sn")); got != webTable {
		t.Errorf("table:\n%s", got)
	}
	stop(t, active, "other-ipvs")
	s.WaitIdle(t)
	active.Run(t, "cibadmin", "--delete", "--xml-text", `<rsc_location id="other-with-web"/>`)
	active.Run(t, "cibadmin", "--delete", "--xml-text", `<primitive id="other-ipvs"/>`)
	active.Run(t, "crm_resource", "--cleanup")
	s.WaitIdle(t)
	s.serves(t, webTable)
}

// lostTable deletes the IPVS table on the active node as an operator can do it by mistake. The next
// monitor must report the loss. The cluster must restore the table, and all resources must run
// again.
func lostTable(t *testing.T, s site) {
	active, _ := s.active(t)
	active.Run(t, "ipvsadm", "-C")
	s.Wait(t, minute, "the table is back", func() error {
		if got := sorted(active.Run(t, "ipvsadm", "-Sn")); got != webTable {
			return errors.New(got)
		}
		return nil
	})
	s.WaitIdle(t)
	failed := s.FailedActions(t)
	if len(failed) != 1 || failed[0].Op != "web-ipvs_monitor_2000" || failed[0].Reason != "none of the virtual services is in the kernel any more" {
		t.Errorf("failed actions: %+v", failed)
	}
	active.Run(t, "crm_resource", "--cleanup")
	s.WaitIdle(t)
	s.serves(t, webTable)
}

// clear stops and deletes the group. Then neither node may have a part of the service.
func (s site) clear(t *testing.T) {
	t.Helper()
	node := s.Node("director1")
	stop(t, node, "web")
	s.WaitIdle(t)
	node.Run(t, "cibadmin", "--delete", "--xml-text", `<group id="web"/>`)
	s.WaitIdle(t)
	s.nothingOn(t, s.Node("director1"))
	s.nothingOn(t, s.Node("director2"))
}

func pcsGroup(t *testing.T, s site) {
	s.clear(t)
	for _, command := range webGroupByPcs {
		s.Node("director2").Run(t, "sh", "-c", command)
	}
	s.WaitIdle(t)
	s.serves(t, webTable)
	from, to := s.active(t)
	s.Node("director2").Run(t, "pcs", "node", "standby", from.Name)
	s.WaitRunning(t, minute, "web-vip", to.Name)
	s.WaitIdle(t)
	s.serves(t, webTable)
	s.Node("director2").Run(t, "pcs", "node", "unstandby", from.Name)
	s.WaitIdle(t)
	s.serves(t, webTable)
}

// guiGroup loads an example of a cluster information base (CIB) of heartbeat 2. The style sheet in
// crm/examples translates the CIB for Pacemaker. First crm adds the result to the configuration of
// the cluster. Then cibadmin replaces the configuration with the result.
func guiGroup(t *testing.T, s site) {
	xml, err := exec.Command("xsltproc", "../../crm/examples/heartbeat2.xsl", "../../crm/examples/hb_gui.xml").Output()
	if err != nil {
		t.Fatal(err)
	}
	node := s.Node("director1")
	node.WriteFile(t, "/run/web.xml", string(xml))
	s.writeConfig(t, webConfig("yes"))
	for _, load := range []string{
		"crm configure load xml update /run/web.xml",
		"cibadmin --replace --xml-file /run/web.xml; crm_attribute --name stonith-enabled --update false; cibadmin --upgrade --force",
	} {
		s.clear(t)
		node.Run(t, "sh", "-ec", load)
		s.Wait(t, 2*minute, "the whole group", func() error {
			if got := s.Running(t, "web-health"); len(got) != 1 {
				return fmt.Errorf("web-health runs on %v after %s", got, load)
			}
			return nil
		})
		s.WaitIdle(t)
		s.serves(t, webTable)
	}
}

// oneFile configures a group whose parameter config= names a file that exists only on director1.
// director2 must report the missing file, and director1 must run the service.
func oneFile(t *testing.T, s site) {
	s.clear(t)
	const file = "virtual=192.0.2.10:80\n\treal=192.0.2.21:80 gate\n\treal=192.0.2.22:80 gate\n\tscheduler=rr\n"
	s.Node("director1").WriteFile(t, "/etc/ha.d/web.cf", file)
	s.Configure(t, strings.Replace(webGroup, `virtual="192.0.2.10:80" real="192.0.2.21 gate, 192.0.2.22 gate" scheduler=rr`, "config=web.cf", 1)+
		"location prefer web 1000: director2\n")
	s.WaitRunning(t, minute, "web-vip", "director1")
	s.WaitIdle(t)
	failed := s.FailedActions(t)
	const want = "parameter config: web.cf: file does not exist in /etc/ha.d, /etc/ha.d/conf; copy it to every node"
	if len(failed) != 1 || failed[0].Node != "director2" || failed[0].Op != "web-ipvs_start_0" || failed[0].Reason != want {
		t.Errorf("failed actions: %+v", failed)
	}
	s.roundRobin(t)
	s.nothingOn(t, s.Node("director2"))
}
