package cluster

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// origin is a setup of another program. lvsctl convert makes a cluster of it.
type origin struct {
	name string
	// files has the names and texts of the files of the setup.
	files [][2]string
	// flags are the flags of lvsctl convert, and form is its flag for resources.
	flags, form string
	// load is the command that loads the file cluster into the cluster. to is the format of the file.
	load, to string
	vip      string // vip is the resource of the virtual address.
	both     string // both is the table while both real servers reply.
	// without is the table after the web server of rs1 has ended.
	without string
	// fallback is the table after both web servers have ended. Empty means that both never end.
	fallback string
	// persistent is the end of a line of ipvsadm -Sn, for example "-p 600". Then a client stays with
	// its real server.
	persistent string
}

// TestOrigins converts a setup of each origin, with damaged files, and loads the result into the
// cluster. The result must do what the setup did: the client gets pages of both real servers, a
// real server that fails gets no connections, and a standby moves the service.
func TestOrigins(t *testing.T) {
	lab.Require(t, "corosync", "pacemakerd", "crm", "crm_mon", "crm_resource", "cibadmin", "nginx", "ipvsadm")
	topology := lab.NewTopology(t)
	topology.Host("rs1").HideVIP(t, lab.VIP) // origin.test starts the web server of rs1
	topology.Host("rs2").HideVIP(t, lab.VIP)
	rs2 := topology.Host("rs2").Serve(t)
	s := site{lab.StartCluster(t, topology, lab.Options{Root: installed(t)}), topology}
	t.Run("corosync.conf of ha.cf", func(t *testing.T) { corosync(t, s) })
	for _, o := range origins(t) {
		if !t.Run(o.name, func(t *testing.T) { o.test(t, s, rs2) }) {
			t.FailNow() // The next origin needs a cluster without resources, so the test ends here.
		}
	}
}

// corosync tests that the corosync.conf of damaged files of heartbeat is right for corosync.
func corosync(t *testing.T, s site) {
	node := s.Node("director1")
	node.WriteFile(t, "/run/setup/ha.cf", sample(t, "heartbeat/testdata/joined.ha.cf"))
	node.WriteFile(t, "/run/setup/authkeys", sample(t, "heartbeat/testdata/joined.authkeys"))
	t.Log(node.Script(t, `cd /run/setup
lvsctl convert ha.cf authkeys --to=corosync --output=corosync.conf --host node1.example.com=director1 --host node2.example.com=director2 \
	--link director1=192.0.2.11 --link director2=192.0.2.12 2>&1
head -c 256 /dev/urandom > key
sed 's|^totem {|&\n    keyfile: /run/setup/key|' corosync.conf > test.conf
corosync -t -c /run/setup/test.conf
! corosync -t -c /run/setup/ha.cf`))
}

// origins returns the setups. Their times are shorter than in the usual files, so that the test is
// faster.
func origins(t *testing.T) []origin {
	t.Helper()
	const crm, cib = "crm -F configure load update", "cibadmin -M -c -x"
	master := strings.NewReplacer("delay_loop 6", "delay_loop 1", "retry 3", "retry 1").Replace(sample(t, "keepalived/testdata/damaged.conf"))
	backup := strings.NewReplacer("state MASTER", "state BACKUP", "priority 100", "priority 50").Replace(master)
	piranha := strings.Replace(sample(t, "piranha/testdata/damaged.cf"), "port=80", `port=80 persistent = 600 timeout = 1 reentry = 2 send = "GET / HTTP/1.0\r\n\r\n" expect = "HTTP"`, 1)
	addresses := strings.NewReplacer("172.16.31.180", "192.0.2.10", "172.16.31.13", "192.0.2.21", "172.16.31.14", "192.0.2.22",
		"172.25.47.100", "192.0.2.10", "172.25.47.120", "192.0.2.21", "172.25.47.130", "192.0.2.22", "172.25.1.100", "192.0.2.10", "172.25.1.2:", "192.0.2.21:", "172.25.1.3:", "192.0.2.22:")
	merged := addresses.Replace(sample(t, "ldirectord/testdata/seeds/002.cf"))
	joined := addresses.Replace(sample(t, "ldirectord/testdata/seeds/003-one-line.cf"))
	commented := addresses.Replace(sample(t, "ldirectord/testdata/seeds/000.cf"))
	marks, _, _ := strings.Cut(sample(t, "commands/testdata/marks.txt"), "# ipvsadm -E") // without persistence
	const marked, rs2marked = "-A -f 10 -s wrr\n-a -f 10 -r 192.0.2.21:0 -g -w 1\n", "-a -f 10 -r 192.0.2.22:0 -g -w 1\n"
	const weights = virtual + rs1 + "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2\n"
	return []origin{
		{
			name:  "keepalived.conf of two routers",
			files: [][2]string{{"router1.conf", master}, {"router2.conf", backup}},
			flags: "--host router1.conf=director1 --host router2.conf=director2",
			load:  crm, to: "crm", vip: "VI_1-vip", both: bothIn, without: virtual + rs2,
		},
		{
			name:  "lvs.cf of piranha",
			files: [][2]string{{"lvs.cf", piranha}},
			form:  "--form group", flags: "--host 192.0.2.2=director1",
			load: cib, to: "cib", vip: "lvs-vip", both: weights, without: strings.Replace(weights, rs1, "", 1),
			persistent: "-p 600",
		},
		{
			name: "haresources, ha.cf and ldirectord.cf",
			files: [][2]string{
				{"haresources", "node1.example.com IPaddr::192.0.2.10/24/eth0 ldirectord::ldirectord.cf\n"},
				{"ha.cf", sample(t, "heartbeat/testdata/joined.ha.cf")}, {"ldirectord.cf", joined},
			},
			form: "--form group", flags: "--host node1.example.com=director1 --host node2.example.com=director2",
			load: cib, to: "cib", vip: "lvs-vip", both: bothIn, without: firstOut,
		},
		{
			name:  "ldirectord.cf alone",
			files: [][2]string{{"ldirectord.cf", merged}},
			load:  cib, to: "cib", vip: "lvs-vip", both: bothIn, without: virtual + rs2,
		},
		{
			name:  "iptables and ipvsadm commands",
			files: [][2]string{{"commands", "# ip addr add 192.0.2.10/24 dev eth0\n" + marks}},
			load:  crm, to: "crm", vip: "lvs-vip", both: marked + rs2marked, without: "-A -f 10 -s wrr\n-a -f 10 -r 192.0.2.21:0 -g -w 0\n" + rs2marked,
		},
		{ // The last one, because rs2 serves only until its end.
			name:  "ldirectord.cf with a fallback, and a command",
			files: [][2]string{{"ldirectord.cf", commented}, {"commands", "ip addr add 192.0.2.10/24 dev eth0\n# 临时添加ip到eth0网卡\n"}},
			load:  crm, to: "crm", vip: "lvs-vip", both: bothIn, without: virtual + rs2, fallback: virtual + "-a -t 192.0.2.10:80 -r 127.0.0.1:80 -g -w 1\n",
		},
	}
}

// sample returns a sample of the tests of a reader.
func sample(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../../internal/config/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// test runs an origin. rs2 is the web server of rs2.
func (o origin) test(t *testing.T, s site, rs2 *lab.Process) {
	began := time.Now()
	took := func(what string) { t.Logf("%s after %.0f s", what, time.Since(began).Seconds()) }
	rs1 := s.topology.Host("rs1")
	server := rs1.Serve(t)
	o.convert(t, s)
	active, passive := o.active(t, s)
	o.serving(t, s, active)
	took("loaded")

	server.Kill()
	active.Host.WaitTable(t, minute, o.without)
	o.replies(t, s, "rs2")
	if o.fallback != "" {
		rs2.Kill()
		sorry := active.Host.ServeSorry(t)
		active.Host.WaitTable(t, minute, o.fallback)
		o.replies(t, s, lab.SorryPage)
		sorry.Kill()
		s.topology.Host("rs2").Serve(t)
		took("the fallback has served")
	}
	rs1.Serve(t)
	o.serving(t, s, active)
	took("rs1 was down and is back")

	s.Standby(t, active.Name, true)
	o.serving(t, s, passive)
	s.waitGone(t, active)
	s.unfailed(t)
	took("the service has moved")
	vacate(t, s)
	s.Standby(t, active.Name, false)
	s.WaitIdle(t)
	took("removed")
}

// convert writes the files of the setup, and runs the commands of an operator.
func (o origin) convert(t *testing.T, s site) {
	t.Helper()
	node, files := s.Node("director1"), ""
	for _, file := range o.files {
		node.WriteFile(t, "/run/setup/"+file[0], file[1])
		files += " " + file[0]
	}
	convert := "cd /run/setup; lvsctl convert" + files + " " + o.flags
	t.Log(node.Script(t, convert+" --to=ldirectord.cf --output=/etc/ha.d/ldirectord.cf 2>&1"))
	s.Node("director2").WriteFile(t, "/etc/ha.d/ldirectord.cf", node.Run(t, "cat", "/etc/ha.d/ldirectord.cf"))
	t.Log(node.Script(t, convert+" "+o.form+" --to="+o.to+" --output=/run/setup/cluster 2>&1"))
	node.Script(t, o.load+" /run/setup/cluster")
}

// active waits until the cluster is idle. It returns the director that has the address, and the
// other one.
func (o origin) active(t *testing.T, s site) (active, passive *lab.Node) {
	t.Helper()
	s.WaitIdle(t)
	active, passive = s.Node("director1"), s.Node("director2")
	if slices.Contains(s.Running(t, o.vip), passive.Name) {
		return passive, active
	}
	return active, passive
}

// serving waits until a director has the address and the table. Then the client must get replies of
// both real servers.
func (o origin) serving(t *testing.T, s site, node *lab.Node) {
	t.Helper()
	s.WaitRunning(t, minute, o.vip, node.Name)
	node.Host.WaitTable(t, minute, o.both)
	if o.persistent == "" {
		o.replies(t, s, "rs1", "rs2")
		return
	}
	if table := node.Run(t, "ipvsadm", "-Sn"); !strings.Contains(table, "-A -t 192.0.2.10:80 -s rr "+o.persistent+"\n") {
		t.Fatalf("the table of %s without %s:\n%s", node.Name, o.persistent, table)
	}
	if got := o.pages(t, s); len(got) != 1 {
		t.Fatalf("replies of %v, although a client stays with its real server", got)
	}
}

// replies sends requests over new connections. Exactly the named real servers must reply.
func (o origin) replies(t *testing.T, s site, servers ...string) {
	t.Helper()
	if got := o.pages(t, s); !slices.Equal(got, servers) {
		t.Fatalf("replies of %v, not of %v", got, servers)
	}
}

// pages sends requests over new connections, and returns the real servers that reply.
func (o origin) pages(t *testing.T, s site) []string {
	t.Helper()
	pages := map[string]bool{}
	for range 6 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		page, err := s.topology.Host("client").Get(ctx, "http://192.0.2.10/")
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		pages[strings.TrimSpace(page)] = true
	}
	return slices.Sorted(maps.Keys(pages))
}
