package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

func TestTablesAreSeparate(t *testing.T) {
	lab.Require(t, "ipvsadm")
	topology := lab.NewTopology(t)
	first, second := topology.Host("director1"), topology.Host("director2")
	const service = "-A -t 192.0.2.10:80 -s rr\n"
	first.Run(t, "ipvsadm", "-A", "-t", lab.VIP+":80", "-s", "rr")
	if got := first.Run(t, "ipvsadm", "-Sn"); got != service {
		t.Errorf("director1 has %q, want %q", got, service)
	}
	if got := second.Run(t, "ipvsadm", "-Sn"); got != "" {
		t.Errorf("director2 has %q, want an empty table", got)
	}
}

func TestTableIsIpvsadms(t *testing.T) {
	lab.Require(t, "ipvsadm")
	host := lab.NewTopology(t).Host("director1")
	watched := host.WatchTable(t)
	host.Script(t, `
		ipvsadm -A -t 192.0.2.10:80 -s rr
		ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 3
		ipvsadm -a -t 192.0.2.10:80 -r 127.0.0.1:80 -g -w 0
		ipvsadm -A -u 192.0.2.10:53 -s wlc
		ipvsadm -a -u 192.0.2.10:53 -r 192.0.2.22:53 -i -w 1
		ipvsadm -A -f 4711 -s sh
		ipvsadm -a -f 4711 -r 192.0.2.22:0 -m -w 65535`)
	lines := slices.Sorted(strings.Lines(host.Run(t, "ipvsadm", "-Sn")))
	host.WaitTable(t, time.Minute, strings.Join(lines, ""))
	host.Run(t, "ipvsadm", "-C")
	host.WaitTable(t, time.Minute, "")
	if seen := watched(); len(seen) < 3 || seen[0] != "" || seen[len(seen)-1] != "" {
		t.Errorf("tables %q", seen)
	}
}

func TestTopologiesDoNotCollide(t *testing.T) {
	lab.Require(t, "ping")
	first, second := lab.NewTopology(t), lab.NewTopology(t)
	for _, topology := range []*lab.Topology{first, second} {
		topology.Host("client").Run(t, "ping", "-c1", "-W2", topology.Host("director1").Addr)
		topology.Host("client").Run(t, "ping", "-c1", "-W2", topology.Host("director1").Addr6)
	}
	first.Host("director1").Cut(t)
	if pings(first) {
		t.Error("director1 answers without a cable")
	}
	if !pings(second) {
		t.Error("a cut cable in one topology disturbs the other")
	}
	first.Host("director1").Heal(t)
	if !pings(first) {
		t.Error("director1 is silent with its cable plugged in again")
	}
}

func pings(topology *lab.Topology) bool {
	_, err := topology.Host("client").Exec(context.Background(), "ping", "-c1", "-W1", topology.Host("director1").Addr)
	return err == nil
}

func TestDirectRoutingAlternates(t *testing.T) {
	lab.Require(t, "ipvsadm", "nginx", "curl")
	topology := lab.NewTopology(t)
	topology.StartRealServers(t, lab.VIP, lab.VIP6)
	director, client := topology.Host("director1"), topology.Host("client")
	director.Script(t, `
		ip addr add 192.0.2.10/32 dev eth0
		ip addr add 2001:db8::10/128 dev eth0 nodad
		ipvsadm -A -t 192.0.2.10:80 -s rr
		ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21 -g
		ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.22 -g
		ipvsadm -A -t [2001:db8::10]:80 -s rr
		ipvsadm -a -t [2001:db8::10]:80 -r [2001:db8::21]:80 -g
		ipvsadm -a -t [2001:db8::10]:80 -r [2001:db8::22]:80 -g`)
	for _, url := range []string{"http://192.0.2.10/", "http://[2001:db8::10]/"} {
		count := map[string]int{}
		for range 10 {
			page, err := client.Get(context.Background(), url)
			if err != nil {
				t.Fatal(err)
			}
			count[page]++
		}
		if count["rs1\n"] != 5 || count["rs2\n"] != 5 {
			t.Errorf("10 requests to %s were answered by %v, want 5 each", url, count)
		}
	}
	if page := client.Run(t, "curl", "-s", "http://192.0.2.10/"+lab.HealthPage); page != "OK\n" {
		t.Errorf("health page is %q", page)
	}
	topology.Host("rs1").SetHealthy(t, false)
	if _, err := client.Get(context.Background(), "http://192.0.2.21/"+lab.HealthPage); err == nil {
		t.Error("rs1 still serves its health page")
	}
	// The kernel updates the counters of a virtual service only every 2 s.
	lab.Wait(t, 10*time.Second, "11 connections counted", func() error {
		stats := director.Run(t, "ipvsadm", "-Ln", "--stats", "-t", "192.0.2.10:80")
		if !strings.Contains(stats, " 11 ") {
			return errors.New(stats)
		}
		return nil
	})
}

func TestDoAndListenStayInTheHost(t *testing.T) {
	lab.Require(t)
	topology := lab.NewTopology(t)
	listener := topology.Host("rs1").Listen(t, "tcp", "192.0.2.21:7")
	go func() {
		if conn, err := listener.Accept(); err == nil {
			fmt.Fprint(conn, conn.RemoteAddr())
			_ = conn.Close()
		}
	}()
	conn, err := topology.Host("client").Dial(context.Background(), "tcp", "192.0.2.21:7")
	if err != nil {
		t.Fatal(err)
	}
	var buf [64]byte
	n, err := conn.Read(buf[:])
	if host, _, _ := net.SplitHostPort(string(buf[:n])); host != "192.0.2.100" {
		t.Errorf("rs1 was called from %q (%v), want the client", buf[:n], err)
	}
	if _, err := net.DialTimeout("tcp", "192.0.2.21:7", time.Second); err == nil {
		t.Error("the test's own namespace reaches the lab")
	}
}

func TestExecKillsTheGroupAtTheDeadline(t *testing.T) {
	lab.Require(t)
	host := lab.NewTopology(t).Host("client")
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := host.Exec(ctx, "sh", "-c", "sleep 777 & sleep 777")
	if err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("ended after %v with %v", time.Since(began), err)
	}
	if out, err := host.Exec(context.Background(), "pgrep", "-x", "-f", "sleep 777"); err == nil {
		t.Errorf("left behind: %s", out)
	}
}

func TestCluster(t *testing.T) {
	lab.Require(t, "corosync", "pacemakerd", "crm", "crm_mon", "crm_resource")
	began := time.Now()
	lap := func(what string) {
		t.Logf("%6.1f s %s", time.Since(began).Seconds(), what)
		began = time.Now()
	}
	topology := lab.NewTopology(t)
	agents := t.TempDir()
	cluster := lab.StartCluster(t, topology, lab.Options{Agents: agents})
	lap("start to both online and idle")
	one, two := cluster.Node("director1"), cluster.Node("director2")

	t.Run("nodes are private", func(t *testing.T) { testNodesArePrivate(t, one, two, agents) })
	t.Run("orphans are reaped", func(t *testing.T) { testOrphansAreReaped(t, one) })
	began = time.Now()
	cluster.Configure(t, `
primitive d ocf:heartbeat:Dummy op monitor interval=5s
primitive ip ocf:heartbeat:IPaddr2 params ip=192.0.2.10 cidr_netmask=32 nic=eth0 op monitor interval=5s
group g d ip
`)
	lap("configured by crm")
	cluster.WaitIdle(t)
	lap("started")
	where := cluster.Running(t, "ip")
	if len(where) != 1 {
		t.Fatalf("ip runs on %v\n%s", where, cluster.Status())
	}
	active, spare := cluster.Node(where[0]), two
	if active == two {
		spare = one
	}
	holdsVIP(t, active, spare)

	cluster.Standby(t, active.Name, true)
	cluster.WaitRunning(t, time.Minute, "ip", spare.Name)
	lap("standby moved the group")
	cluster.WaitIdle(t)
	holdsVIP(t, spare, active)
	cluster.Standby(t, active.Name, false)
	cluster.WaitIdle(t)
	lap("idle and online again")
	if failed := cluster.FailedActions(t); len(failed) > 0 {
		t.Errorf("failed actions: %+v\n%s", failed, cluster.Status())
	}

	spare.Kill(t)
	cluster.WaitRunning(t, time.Minute, "ip", active.Name)
	lap("killed node's group runs on the other")
	spare.Restart(t)
	cluster.WaitOnline(t, "director1", "director2")
	cluster.WaitIdle(t)
	lap("killed node is back")
	holdsVIP(t, active, spare)

	active.Run(t, "rm", "/run/resource-agents/Dummy-d.state")
	cluster.Wait(t, time.Minute, "a failed action", func() error {
		for _, failure := range cluster.FailedActions(t) {
			if strings.HasPrefix(failure.Op, "d_monitor_5000") && failure.Node == active.Name {
				return nil
			}
		}
		return errors.New("none")
	})
	lap("a lost Dummy shows as a failed action")
}

func holdsVIP(t *testing.T, with, without *lab.Node) {
	t.Helper()
	for _, node := range []*lab.Node{with, without} {
		addresses := node.Run(t, "ip", "-o", "addr", "show", "dev", "eth0")
		if got := strings.Contains(addresses, lab.VIP+"/32"); got != (node == with) {
			t.Errorf("%s has the VIP: %v, want %v\n%s", node.Name, got, !got, addresses)
		}
	}
}

func testNodesArePrivate(t *testing.T, one, two *lab.Node, agents string) {
	for _, node := range []*lab.Node{one, two} {
		for _, dir := range []string{"/run/lvs-agents", "/etc/ha.d", "/var/log", "/usr/sbin", "/dev/shm", "/usr/lib/ocf/resource.d/x"} {
			node.WriteFile(t, dir+"/mark", node.Name)
		}
	}
	for _, node := range []*lab.Node{one, two} {
		marks := node.Run(t, "sh", "-c", "cat /run/lvs-agents/mark /etc/ha.d/mark /var/log/mark /usr/sbin/mark /dev/shm/mark /usr/lib/ocf/resource.d/x/mark; hostname; uname -n")
		if want := strings.Repeat(node.Name, 7) + "\n" + node.Name + "\n"; marks != want {
			t.Errorf("%s sees %q, want %q", node.Name, marks, want)
		}
		node.Run(t, "ls", "/usr/lib/ocf/resource.d/lvs/", "/usr/lib/ocf/resource.d/heartbeat/IPaddr2", agents)
	}
}

func testOrphansAreReaped(t *testing.T, node *lab.Node) {
	pid := strings.TrimSpace(node.Run(t, "sh", "-c", "sh -c 'exec >/dev/null 2>&1; exec sleep 1' & echo $!"))
	lab.Wait(t, 10*time.Second, "end of an orphan", func() error {
		if out, err := node.Exec(context.Background(), "cat", "/proc/"+pid+"/status"); err == nil {
			return errors.New(strings.Join(strings.Fields(out)[:6], " "))
		}
		return nil
	})
}
