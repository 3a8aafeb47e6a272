package moves

import (
	"fmt"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// TestFailedServer takes a real server out of the table in four ways, and counts what its clients
// see. The server itself answers, so the table alone decides.
func TestFailedServer(t *testing.T) {
	write(t, "figures4", settings)
	p := newPair(t)
	node := p.Node("director1")
	m := mix()
	m.Requests, m.Idle = min(m.Requests, 10), min(m.Idle, 100)
	for _, c := range []struct {
		name, settings, command string
		check                   func(Report) bool
	}{
		{"weight 0, expire_quiescent_template=0", "expire_quiescent_template=0", "-e %s -w 0",
			func(r Report) bool { return r.broken(kinds...) == 0 }},
		{"weight 0, expire_quiescent_template=1", "expire_quiescent_template=1", "-e %s -w 0",
			func(r Report) bool {
				return r["persistent"].Broken[errOther.Error()] > 0 && r.broken("idle", "chatty", "streaming", "datagrams", "requests") == 0
			}},
		{"removed, expire_nodest_conn=0", "expire_nodest_conn=0", "-d %s",
			func(r Report) bool { return r["idle"].Broken["no answer"] > 0 && r["idle"].Broken["reset"] == 0 }},
		{"removed, expire_nodest_conn=1", "expire_nodest_conn=1", "-d %s",
			func(r Report) bool { return r["idle"].Broken["reset"] > 0 && r["idle"].Broken["no answer"] == 0 }},
	} {
		f := ours(c.name, false, false)
		f.prepare(t, node)
		f.take(t, node)
		node.Run(t, "sysctl", "-q", "-w", "net.ipv4.vs."+c.settings)
		load, stop := p.load(t, m)
		<-time.After(3 * time.Second)
		load.report(t)
		for _, service := range []string{"-t 192.0.2.10:80", "-t 192.0.2.10:81", "-u 192.0.2.10:80"} {
			node.Script(t, "ipvsadm "+fmt.Sprintf(c.command, service+" -r 192.0.2.21"))
		}
		<-time.After(3 * time.Second)
		report := load.report(t)
		t.Logf("%s: %v", c.name, report)
		if !c.check(report) {
			t.Errorf("%s: not what the documents say: %v", c.name, report)
		}
		stop()
		node.Restart(t)
	}
}

// TestReusedPort ends a connection, sets the weight of its real server to 0, and connects again
// from the same port. With direct routing, the director does not see the end of the server's side.
func TestReusedPort(t *testing.T) {
	p := newPair(t)
	node := p.Node("director1")
	f := ours("reused port", false, false)
	f.prepare(t, node)
	f.take(t, node)
	for i, c := range []struct {
		settings string
		same     bool
	}{
		{"conn_reuse_mode=0 net.ipv4.vs.expire_nodest_conn=0", true},
		{"conn_reuse_mode=1 net.ipv4.vs.expire_nodest_conn=0", true},
		{"conn_reuse_mode=3 net.ipv4.vs.expire_nodest_conn=0", false},
		{"conn_reuse_mode=0 net.ipv4.vs.expire_nodest_conn=1", false},
	} {
		node.Script(t, "sysctl -q -w net.ipv4.vs."+c.settings)
		first := p.name(t, 9000+i)
		server := map[string]string{"rs1": "192.0.2.21", "rs2": "192.0.2.22"}[first]
		weight := func(w int) { node.Script(t, fmt.Sprintf("ipvsadm -e -t 192.0.2.10:80 -r %s -w %d", server, w)) }
		weight(0)
		second := p.name(t, 9000+i)
		weight(1)
		t.Logf("%s: %s, then %s", c.settings, first, second)
		if (first == second) != c.same {
			t.Errorf("%s: the same server: %v, not as the documents say", c.settings, first == second)
		}
	}
}

// name connects from a port of the client and returns the name of the real server.
func (s site) name(t *testing.T, port int) string {
	t.Helper()
	var name string
	err := s.Host("client").Do(func() (err error) {
		c := client{mix: Mix{Target: lab.VIP}, begun: map[int]time.Time{}, port: port}
		name, err = c.get("", plainPort)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}
