package moves

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// peerMoves lists the tests of other programs (peers) for TestPlanned.
var peerMoves = []struct {
	name string
	run  func(*testing.T, string) []row
}{{"keepalived and its sync daemon", stopKeepalived}, {"IPaddr2 and ldirectord", peerStandbys}}

// stops is how many times the address of a peer moves as planned.
const stops = 5

// peerGroup is the classic group of how-tos: the address first, then ldirectord.
const peerGroup = `
primitive web-vip ocf:heartbeat:IPaddr2 params ip=192.0.2.10 nic=eth0 cidr_netmask=24 \
    op start timeout=60s interval=0 op stop timeout=60s interval=0 op monitor timeout=60s interval=10s
primitive web-ldirectord ocf:heartbeat:ldirectord params configfile=/etc/ha.d/ldirectord.cf ldirectord=/usr/sbin/perl-ldirectord \
    op start timeout=60s interval=0 op stop timeout=60s interval=0 op monitor timeout=60s interval=10s
group web web-vip web-ldirectord meta resource-stickiness=200
`

// keepalivedConf is the configuration of keepalived on both directors. When the other director
// comes back, the address does not move back. keepalived does not change the sysctls of the
// synchronisation.
const keepalivedConf = `global_defs {
	lvs_sync_daemon eth0 VI_1 id 9
}
vrrp_instance VI_1 {
	state BACKUP
	nopreempt
	interface eth0
	virtual_router_id 51
	priority 100
	advert_int 1
	virtual_ipaddress {
		192.0.2.10/24 dev eth0
	}
}
`

// keepalivedService returns the block of one virtual service in keepalived.conf.
func keepalivedService(port int, protocol, more, check string) string {
	block := fmt.Sprintf("virtual_server %s %d {\n\tdelay_loop 2\n\tlvs_sched rr\n\tlvs_method DR\n\tprotocol %s\n%s", lab.VIP, port, protocol, more)
	for _, server := range []string{"192.0.2.21", "192.0.2.22"} {
		block += fmt.Sprintf("\treal_server %s %d {\n\t\tweight 1\n%s\t}\n", server, port, check)
	}
	return block + "}\n"
}

func keepalived(t *testing.T, node *lab.Node) {
	t.Helper()
	const check = "\t\tTCP_CHECK {\n\t\t\tconnect_timeout 3\n\t\t}\n"
	node.WriteFile(t, "/etc/keepalived/keepalived.conf", keepalivedConf+
		keepalivedService(plainPort, "TCP", "", check)+
		keepalivedService(persistentPort, "TCP", "\tpersistence_timeout 300\n", check)+
		keepalivedService(plainPort, "UDP", "", ""))
	node.Run(t, "keepalived", "-f", "/etc/keepalived/keepalived.conf")
}

// waitAddress waits until the node has the address, and its table has both real servers of each
// service.
func waitAddress(t *testing.T, node *lab.Node) {
	t.Helper()
	lab.Wait(t, time.Minute, node.Name+" has the address", func() error {
		out := node.Script(t, "ip -o addr show to "+lab.VIP+"; ipvsadm -Sn")
		if !strings.Contains(out, lab.VIP+"/24") || strings.Count(out, " -w 1\n") != 6 {
			return fmt.Errorf("it has %q", out)
		}
		return nil
	})
}

// peers lists the forms with other programs. Only the director that gets the address starts IPaddr2
// and ldirectord.
var peers = []form{
	{name: "keepalived and its sync daemon", most: rounds, prepare: keepalived, take: waitAddress},
	{name: "IPaddr2 and ldirectord", most: rounds, prepare: func(t *testing.T, node *lab.Node) {
		t.Helper()
		node.WriteFile(t, "/etc/ha.d/ldirectord.cf", file(false))
		node.WriteProgram(t, "/usr/sbin/perl-ldirectord", lab.PerlLdirectord(t))
	}, take: func(t *testing.T, node *lab.Node) {
		t.Helper()
		agent(t, node, "heartbeat/IPaddr2", "start", "ip="+lab.VIP, "nic=eth0", "cidr_netmask=24")
		agent(t, node, "heartbeat/ldirectord", "start", "configfile=/etc/ha.d/ldirectord.cf", "ldirectord=/usr/sbin/perl-ldirectord")
		waitAddress(t, node)
	}},
}

// stopKeepalived stops keepalived on the director that has the address. It waits until the other
// director has the address, and starts keepalived again.
func stopKeepalived(t *testing.T, name string) []row {
	t.Helper()
	lab.Require(t, "keepalived")
	p := newPair(t)
	from, to := p.Node("director1"), p.Node("director2")
	keepalived(t, from)
	waitAddress(t, from)
	keepalived(t, to)
	load, stop := p.load(t, mix())
	defer stop()
	<-time.After(3 * time.Second)
	load.report(t)
	sum := Report{}
	for n := range stops {
		from.Script(t, "pid=$(cat /run/keepalived.pid); kill $pid; while kill -0 $pid; do sleep 0.1; done 2>/dev/null")
		waitAddress(t, to)
		report := load.report(t)
		t.Logf("move %d from %s: %v", n+1, from.Name, report)
		sum = sum.add(report)
		keepalived(t, from)
		<-time.After(3 * time.Second)
		load.report(t)
		from, to = to, from
	}
	t.Logf("%s, %d moves: %v", name, stops, sum)
	return []row{{name + ": planned", stops, sum}}
}

// peerStandbys makes the planned moves of the hot standby with IPaddr2 and ldirectord. It makes no
// crash: after a crash, the stop of ldirectord fails, and the cluster without fencing blocks the
// resource. TestCrash measures this peer without a cluster.
func peerStandbys(t *testing.T, name string) []row {
	t.Helper()
	lab.Require(t, "ldirectord")
	c := newCluster(t)
	for _, name := range []string{"director1", "director2"} {
		c.Node(name).WriteFile(t, "/etc/ha.d/ldirectord.cf", file(false))
		c.Node(name).WriteProgram(t, "/usr/sbin/perl-ldirectord", lab.PerlLdirectord(t))
	}
	c.Configure(t, peerGroup)
	return c.measure(t, name, stops, 0)
}
