package moves

import (
	"fmt"
	"strings"
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
		name     string
		settings string // settings are lines of the configuration.
		command  string // command are the options of ipvsadm that take the real server out.
		check    func(Report) bool
	}{
		{"weight 0, expire_quiescent_template=0", "quiescent=yes\nexpire_quiescent_template=no", "-e %s -w 0",
			func(r Report) bool { return r.broken(kinds...) == 0 }},
		{"weight 0, expire_quiescent_template=1, the default", "quiescent=yes", "-e %s -w 0",
			func(r Report) bool {
				return r["persistent"].Broken[errOther.Error()] > 0 && r.broken("idle", "chatty", "streaming", "datagrams", "requests") == 0
			}},
		{"removed, expire_nodest_conn=0", "quiescent=no\nexpire_nodest_conn=no", "-d %s",
			func(r Report) bool { return r["idle"].Broken["no answer"] > 0 && r["idle"].Broken["reset"] == 0 }},
		{"removed, expire_nodest_conn=1, the default", "quiescent=no", "-d %s",
			func(r Report) bool { return r["idle"].Broken["reset"] > 0 && r["idle"].Broken["no answer"] == 0 }},
	} {
		node.WriteFile(t, "/etc/ha.d/ldirectord.cf", strings.Replace(file(false), "quiescent=yes", c.settings, 1))
		serveTable(t, node, false)
		ours(c.name, false, false).take(t, node)
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
	for i, c := range []struct {
		settings string // settings are lines of the configuration.
		hash     bool
		same     bool
	}{
		{"conn_reuse_mode=0\nexpire_nodest_conn=no", false, true},
		{"conn_reuse_mode=1\nexpire_nodest_conn=no", false, true},
		{"conn_reuse_mode=1\nexpire_nodest_conn=no", true, true},
		{"expire_nodest_conn=no", false, false}, // the default is conn_reuse_mode=3
		{"expire_nodest_conn=no", true, false},
		{"conn_reuse_mode=0\nexpire_nodest_conn=yes", false, false},
	} {
		node.WriteFile(t, "/etc/ha.d/ldirectord.cf", c.settings+"\n"+file(c.hash))
		serveTable(t, node, false)
		if i == 0 {
			ours("", false, false).take(t, node)
		}
		first := p.name(t, 9000+i)
		server := map[string]string{"rs1": "192.0.2.21", "rs2": "192.0.2.22"}[first]
		weight := func(w int) { node.Script(t, fmt.Sprintf("ipvsadm -e -t 192.0.2.10:80 -r %s -w %d", server, w)) }
		weight(0)
		second := p.name(t, 9000+i)
		weight(1)
		t.Logf("%q, hash %v: %s, then %s", c.settings, c.hash, first, second)
		if (first == second) != c.same {
			t.Errorf("%q, hash %v: the same server: %v, not as the documents say", c.settings, c.hash, first == second)
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
