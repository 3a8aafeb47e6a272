package moves

import (
	"context"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// form is one configuration of the directors that keeps connections at a take-over.
type form struct {
	name         string
	hash, synced bool
}

var forms = []form{
	{name: "hash", hash: true},
	{name: "sync", synced: true},
	{name: "hash and sync", hash: true, synced: true},
	{name: "neither"},
}

// file returns the configuration file of a director. The persistent service hashes the address of
// the client without its port, so each client address stays with its real server.
func (f form) file() string {
	plain, persistent, head := "rr", "rr", ""
	if f.hash {
		plain, persistent = "mh\n\tschedflags=mh-port,mh-fallback", "mh\n\tschedflags=mh-fallback"
		head = "sloppy_tcp=yes\n"
	}
	service := func(address, scheduler, more string) string {
		return "virtual=" + address + "\n\treal=192.0.2.21 gate\n\treal=192.0.2.22 gate\n\tscheduler=" + scheduler + "\n\t" + more + "\n"
	}
	return head + "checktimeout=3\ncheckinterval=2\nquiescent=yes\n" +
		service("192.0.2.10:80", plain, "protocol=tcp\n\tservice=none\n\tchecktype=connect") +
		service("192.0.2.10:81", persistent, "protocol=tcp\n\tpersistent=300\n\tservice=none\n\tchecktype=connect") +
		service("192.0.2.10:80", plain, "protocol=udp\n\tservice=none\n\tchecktype=on")
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

// agent runs one action of an agent on a node.
func agent(t *testing.T, node *lab.Node, name, action string, params ...string) {
	t.Helper()
	args := []string{"OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_INSTANCE=" + name, "OCF_RESKEY_CRM_meta_timeout=60000"}
	for _, param := range params {
		args = append(args, "OCF_RESKEY_"+param)
	}
	node.Run(t, "env", append(args, "/usr/lib/ocf/resource.d/lvs/"+name, action)...)
}

// prepare starts the agents of a form on a director, except the agent vip.
func (f form) prepare(t *testing.T, node *lab.Node) {
	t.Helper()
	node.WriteFile(t, "/etc/ha.d/ldirectord.cf", f.file())
	agent(t, node, "ipvs", "start", "config=ldirectord.cf")
	if f.synced {
		agent(t, node, "sync", "start", "interface=eth0", "syncid=7")
	}
}

func takeOver(t *testing.T, node *lab.Node) {
	t.Helper()
	agent(t, node, "vip", "start", "ip="+lab.VIP, "nic=eth0", "cidr_netmask=24")
}

// TestCrash ends the director that has the address, and gives the address to the other one at once.
// It counts the connections that break. LAB_CRASHES is the number of crashes of each form. The form
// without hash and synchronisation shows that the test counts broken connections.
func TestCrash(t *testing.T) {
	lab.Require(t, "ipvsadm")
	s := newSite(t)
	p := pair{s, lab.StartMachines(t, s.Topology, lab.Options{Root: staged(t)})}
	total := map[string]Report{}
	for _, f := range forms {
		for n := range number("LAB_CRASHES", 1) {
			event := events[n%len(events)]
			report := p.crash(t, f, event.end)
			t.Logf("%s, %s: %v", f.name, event.name, report)
			total[f.name] = total[f.name].add(report)
		}
		t.Logf("%s: %v", f.name, total[f.name])
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

func (p pair) crash(t *testing.T, f form, end func(*testing.T, *lab.Node)) Report {
	t.Helper()
	first, second := p.Node("director1"), p.Node("director2")
	for _, node := range []*lab.Node{first, second} {
		f.prepare(t, node)
	}
	takeOver(t, first)
	load, stop := p.load(t, mix())
	<-time.After(3 * time.Second) // a synchronised connection is older than a second
	load.report(t)
	<-time.After(2 * time.Second)
	end(t, first)
	takeOver(t, second)
	report := load.report(t)
	stop()
	for _, node := range []*lab.Node{first, second} {
		node.Restart(t)
	}
	return report
}
