package moves

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// form is a way to run two directors without a cluster manager.
type form struct {
	name string
	// prepare starts all programs on a director, except the program that adds the virtual address.
	prepare func(*testing.T, *lab.Node)
	// take adds the virtual address to a director.
	take func(*testing.T, *lab.Node)
	// nat reports whether the real servers send their answers through the director.
	nat bool
}

// forms lists the tested ways to keep connections with our agents. The last form keeps no
// connections.
var forms = []form{
	ours("hash", true, false),
	ours("sync", false, true),
	ours("hash and sync", true, true),
	ours("neither", false, false),
}

// masquerading are the same forms with masq. TestCrash measures them without a limit.
var masquerading = []form{
	masq("masq, hash", true, false),
	masq("masq, sync", false, true),
	masq("masq, hash and sync", true, true),
}

// ours returns a form with our agents, which run on both directors.
func ours(name string, hash, synced bool) form {
	prepare := func(t *testing.T, node *lab.Node) {
		t.Helper()
		node.WriteFile(t, "/etc/ha.d/ldirectord.cf", file(hash))
		serveTable(t, node, synced)
	}
	return form{name: name, prepare: prepare, take: func(t *testing.T, node *lab.Node) {
		t.Helper()
		agent(t, node, "lvs/vip", "start", "ip="+lab.VIP, "nic=eth0", "cidr_netmask=24")
	}}
}

// gateway is the address through which real servers of masq send their answers. It moves with the
// virtual address.
const gateway = "192.0.2.9"

// masq returns a form with our agents and masquerading instead of direct routing.
func masq(name string, hash, synced bool) form {
	f := ours(name, hash, synced)
	direct := f.take
	f.nat = true
	f.prepare = func(t *testing.T, node *lab.Node) {
		t.Helper()
		node.WriteFile(t, "/etc/ha.d/ldirectord.cf", strings.ReplaceAll(file(hash), " gate", " masq"))
		node.Script(t, "cd /proc/sys/net/ipv4; echo 1 >ip_forward; for f in conf/*/send_redirects; do echo 0 >$f; done")
		serveTable(t, node, synced)
	}
	f.take = func(t *testing.T, node *lab.Node) {
		t.Helper()
		node.Script(t, "ip addr add "+gateway+"/24 dev eth0; arping -q -U -c 1 -I eth0 "+gateway)
		direct(t, node)
	}
	return f
}

// route makes the real servers send their answers through the gateway, or ends this.
func (s site) route(t *testing.T, verb string) {
	t.Helper()
	for _, name := range []string{"rs1", "rs2"} {
		s.Host(name).Run(t, "ip", "route", verb, "192.0.2.96/27", "via", gateway)
	}
}

// serveTable starts the agents that a passive director runs.
func serveTable(t *testing.T, node *lab.Node, synced bool) {
	t.Helper()
	agent(t, node, "lvs/ipvs", "start", "config=ldirectord.cf")
	if synced {
		agent(t, node, "lvs/sync", "start", "interface=eth0", "syncid=7")
	}
}

// file returns the configuration of a director. With hash, the persistent service hashes only the
// address of a client, so each address keeps its server.
func file(hash bool) string {
	plain, persistent, head := "rr", "rr", ""
	if hash {
		plain, persistent = "mh\n\tschedflags=mh-port,mh-fallback", "mh\n\tschedflags=mh-fallback"
		head = "sloppy_tcp=yes\n"
	}
	service := func(port int, scheduler, more string) string {
		return fmt.Sprintf("virtual=%s:%d\n\treal=192.0.2.21:%[2]d gate\n\treal=192.0.2.22:%[2]d gate\n\tscheduler=%[3]s\n\tservice=none\n\t%s\n",
			lab.VIP, port, scheduler, more)
	}
	return head + "checktimeout=3\ncheckinterval=2\nquiescent=yes\n" +
		service(plainPort, plain, "protocol=tcp\n\tchecktype=connect") +
		service(persistentPort, persistent, "protocol=tcp\n\tpersistent=300\n\tchecktype=connect") +
		service(plainPort, plain, "protocol=udp\n\tchecktype=on")
}

// events lists how a director can end in this test.
var events = []struct {
	name string
	end  func(*testing.T, *lab.Node)
}{
	{"power", func(t *testing.T, node *lab.Node) { node.Kill(t) }},
	{"link", func(t *testing.T, node *lab.Node) { node.Host.Cut(t) }},
	{"kernel", func(t *testing.T, node *lab.Node) {
		node.Host.Cut(t)
		_ = node.Command(context.Background(), "sh", "-c", "kill -STOP -1").Start() // it stops itself too
	}},
}

// pair is two directors without a cluster manager. The test starts and stops their agents.
type pair struct {
	site
	*lab.Machines
}

func newPair(t *testing.T) pair {
	t.Helper()
	lab.Require(t, "ipvsadm")
	s := newSite(t)
	return pair{s, lab.StartMachines(t, s.Topology, lab.Options{Root: staged(t)})}
}

// agent runs one action of an agent on a node. name is its path below resource.d.
func agent(t *testing.T, node *lab.Node, name, action string, params ...string) {
	t.Helper()
	args := []string{"OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_INSTANCE=web", "OCF_RESKEY_CRM_meta_timeout=60000"}
	for _, param := range params {
		args = append(args, "OCF_RESKEY_"+param)
	}
	node.Run(t, "env", append(args, "/usr/lib/ocf/resource.d/"+name, action)...)
}

// crashes returns how many times each form is tested with each event. LAB_CRASHES sets this number.
func crashes() int { return number("LAB_CRASHES", 1) }

// TestCrash ends the director that has the address, and gives the address to the other director at
// once. It counts the connections that break. In the form without hash and without synchronisation,
// connections must break, which shows that the test counts them.
func TestCrash(t *testing.T) {
	measured := forms
	if *figures != "" {
		lab.Require(t, "keepalived", "ldirectord")
		measured = slices.Concat(forms, masquerading, peers)
	}
	total := newPair(t).crashes(t, measured)
	if *figures != "" {
		write(t, *figures, measured, crashes(), total)
	}
	open := []string{"idle", "chatty", "streaming"}
	for _, name := range []string{"hash", "hash and sync"} {
		if broken := total[name].broken(open...); broken > 0 {
			t.Errorf("%s: %d broken connections: %v", name, broken, total[name])
		}
	}
	if broken, all := total["sync"].broken(open...), total["sync"].count(open...); broken*1000 > all {
		t.Errorf("sync: %d broken connections of %d: %v", broken, all, total["sync"])
	}
	if total["neither"].broken(open...) == 0 {
		t.Errorf("neither: no broken connection, so the test measures nothing: %v", total["neither"])
	}
}

// crashes runs all crashes of each form, and returns the sum of their reports by the name of the
// form.
func (p pair) crashes(t *testing.T, forms []form) map[string]Report {
	t.Helper()
	total := map[string]Report{}
	for _, f := range forms {
		for n := range crashes() {
			event := events[n%len(events)]
			report := p.crash(t, f, event.end)
			t.Logf("%s, %s: %v", f.name, event.name, report)
			total[f.name] = total[f.name].add(report)
		}
		t.Logf("%s: %v", f.name, total[f.name])
	}
	return total
}

func (p pair) crash(t *testing.T, f form, end func(*testing.T, *lab.Node)) Report {
	t.Helper()
	first, second := p.Node("director1"), p.Node("director2")
	f.prepare(t, first)
	f.take(t, first)
	f.prepare(t, second)
	if f.nat {
		p.route(t, "add")
		defer p.route(t, "del")
	}
	load, stop := p.load(t, mix())
	<-time.After(3 * time.Second) // the kernel sends a connection to the other director within a second
	load.report(t)
	<-time.After(2 * time.Second)
	end(t, first)
	f.take(t, second)
	report := load.report(t)
	stop()
	for _, node := range []*lab.Node{first, second} {
		node.Restart(t)
	}
	return report
}
