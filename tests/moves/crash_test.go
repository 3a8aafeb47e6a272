package moves

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// form is a way to run two directors without a cluster manager.
type form struct {
	name string
	// prepare starts the programs of a director, except our agent vip and IPaddr2.
	prepare func(*testing.T, *lab.Node)
	// take adds the virtual address to a director, or waits until keepalived has added it.
	take func(*testing.T, *lab.Node)
	// nat reports whether the real servers send their answers through the director.
	nat bool
	// most is the largest number of crashes of this form. 0 means no limit.
	most int
}

// rounds is the largest number of crashes of a form without a limit for broken connections: each
// event twice.
const rounds = 6

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
	masq("masq with hash", true, false),
	masq("masq with sync", false, true),
	masq("masq with hash and sync", true, true),
}

// ours returns a form with our agents, which run on both directors.
func ours(name string, hash, synced bool) form {
	prepare := func(t *testing.T, node *lab.Node) {
		t.Helper()
		node.WriteFile(t, "/etc/ha.d/ldirectord.cf", file(hash))
		serveTable(t, node, synced)
	}
	f := form{name: name, prepare: prepare, take: func(t *testing.T, node *lab.Node) {
		t.Helper()
		agent(t, node, "lvs/vip", "start", "ip="+lab.VIP, "nic=eth0", "cidr_netmask=24")
	}}
	if !hash && !synced {
		f.most = rounds
	}
	return f
}

// gateway is the address through which real servers of masq send their answers. It moves with the
// virtual address.
const gateway = "192.0.2.9"

// masq returns a form with our agents and masquerading instead of direct routing.
func masq(name string, hash, synced bool) form {
	f := ours(name, hash, synced)
	direct := f.take
	f.nat, f.most = true, rounds/2
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

// event is a way to end a director.
type event struct {
	name string
	end  func(*testing.T, *lab.Node)
}

// events lists the tested events. The namespaces share one kernel, so no test can stop the kernel
// of one director. The event "kernel" disconnects the cable of the director, and then suspends all
// its processes except the first one. So no process closes a connection or sends a last message.
var events = []event{
	{"power", func(t *testing.T, node *lab.Node) { t.Helper(); node.Kill(t) }},
	{"link", func(t *testing.T, node *lab.Node) { t.Helper(); node.Host.Cut(t) }},
	{"kernel", func(t *testing.T, node *lab.Node) {
		t.Helper()
		node.Host.Cut(t)
		// kill -1 does not stop its own process.
		if out := node.Script(t, "kill -STOP -1; ps -e -o pid=,stat=,args= | awk '$1 > 1 && $2 !~ /^[TZ]/ && $3 !~ /^(sh|ps|awk)$/'"); out != "" {
			t.Errorf("%s: processes that still run:\n%s", node.Name, out)
		}
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

// agent runs one action of an agent on a node. name is its path below resource.d. As in a cluster,
// each agent has its own resource name.
func agent(t *testing.T, node *lab.Node, name, action string, params ...string) {
	t.Helper()
	args := []string{"OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_INSTANCE=web-" + path.Base(name), "OCF_RESKEY_CRM_meta_timeout=60000"}
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
	if writesFigures() {
		lab.Require(t, "keepalived", "ldirectord")
		measured = slices.Concat(forms, peers, masquerading)
	}
	p := newPair(t)
	var rows []row
	for _, f := range measured {
		t.Run(f.name, func(t *testing.T) {
			n := crashes()
			if f.most > 0 {
				n = min(n, f.most)
			}
			total := p.crashes(t, f, n)
			rows = append(rows, row{f.name, n, total})
			writeCrashes(t, rows)
			open := []string{"idle", "chatty", "streaming"}
			switch broken, all := total.broken(open...), total.count(open...); {
			case (f.name == "hash" || f.name == "hash and sync") && broken > 0,
				f.name == "sync" && broken*1000 > all:
				t.Errorf("%d of %d connections broken: %v", broken, all, total)
			case f.name == "neither" && broken == 0:
				t.Errorf("no broken connection, so the test measures nothing: %v", total)
			}
		})
	}
}

// crashes runs the crashes of a form, and returns the sum of their reports.
func (p pair) crashes(t *testing.T, f form, count int) Report {
	t.Helper()
	total := Report{}
	for n := range count {
		event := events[n%len(events)]
		report := p.crash(t, f, event.end)
		t.Logf("%s, %s: %v", f.name, event.name, report)
		total = total.add(report)
	}
	t.Logf("%s: %v", f.name, total)
	return total
}

func (p pair) crash(t *testing.T, f form, end func(*testing.T, *lab.Node)) Report {
	t.Helper()
	first, second := p.Node("director1"), p.Node("director2")
	defer func() {
		for _, node := range []*lab.Node{first, second} {
			node.Restart(t)
		}
	}()
	f.prepare(t, first)
	f.take(t, first)
	f.prepare(t, second)
	if f.nat {
		p.route(t, "add")
		defer p.route(t, "del")
	}
	load, stop := p.load(t, mix())
	defer stop()
	<-time.After(3 * time.Second) // the kernel sends a connection to the other director within a second
	load.report(t)
	<-time.After(2 * time.Second)
	p.resets(t)
	end(t, first)
	f.take(t, second)
	report := load.report(t)
	if resets := p.resets(t); resets != "" {
		t.Logf("%s: resets: %s", f.name, resets)
	}
	return report
}
