package crm_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/crm"
	"lvs-agents/internal/config"
)

func director(name string, links ...string) config.Node {
	n := config.Node{Name: name}
	for _, link := range links {
		n.Links = append(n.Links, netip.MustParseAddr(link))
	}
	return n
}

// TestCorosync writes corosync.conf with all settings. TestOrigins of tests/cluster lets corosync
// read a file.
func TestCorosync(t *testing.T) {
	const want = `totem {
    version: 2
    cluster_name: web
    transport: knet
    token: 10000
    crypto_cipher: aes256
    crypto_hash: sha256
}
quorum {
    provider: corosync_votequorum
    two_node: 1
}
nodelist {
    node {
        name: director1
        nodeid: 1
        ring0_addr: 192.0.2.2
        ring1_addr: 2001:db8::2
    }
    node {
        name: director2
        nodeid: 2
        ring0_addr: 192.0.2.3
        ring1_addr: 2001:db8::3
    }
}
logging {
    to_syslog: yes
    syslog_facility: local0
    to_logfile: yes
    logfile: /var/log/ha-log
}
`
	got, problems := crm.Corosync(&config.Config{File: "ha.cf", Cluster: &config.Cluster{
		Nodes: []config.Node{director("director1", "192.0.2.2", "2001:db8::2"), director("director2", "192.0.2.3", "2001:db8::3")},
		Messages: &config.Messages{
			DeadTime: 22 * time.Second, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.3")}, Signed: true, Facility: "local0", LogFile: "/var/log/ha-log",
		},
	}}, "web")
	if diff := cmp.Diff(want, got); diff != "" || len(problems) > 0 {
		t.Errorf("%v (-want +got):\n%s", problems, diff)
	}
}

func TestCorosyncProblems(t *testing.T) {
	one, two := director("director1", "192.0.2.2"), director("director2", "192.0.2.3")
	pair := []config.Node{one, two}
	for _, tt := range []struct {
		cluster config.Cluster
		want    string // want is the first problem.
		refused bool
	}{
		{config.Cluster{Nodes: pair[:1]}, "FILE: the configuration has 1 directors, and a cluster has two or more; give the files of all directors", true},
		{config.Cluster{Nodes: []config.Node{one, director("192.0.2.3", "192.0.2.3")}}, `FILE: "192.0.2.3" is not the name of a director; give the name that ` + "`uname -n` prints: --host OLD=NAME", true},
		{config.Cluster{Nodes: []config.Node{one, director("a\n}", "192.0.2.3")}}, `FILE: "a\n}" is not the name of a director; give the name that ` + "`uname -n` prints: --host OLD=NAME", true},
		{config.Cluster{Nodes: []config.Node{one, director("director2")}}, "FILE: director2 has 0 links, and director1 has 1; give the same number of addresses for all: --link NODE=ADDRESS,ADDRESS", true},
		{config.Cluster{Nodes: []config.Node{one, director("director2", "192.0.2.2")}}, "FILE: two links have the address 192.0.2.2; give the address of each director: --link NODE=ADDRESS", true},
		{config.Cluster{Nodes: []config.Node{director("a"), director("b")}}, "FILE: no address of a for Corosync, so the name counts: each director must resolve it without DNS; add it to /etc/hosts, or give --link a=ADDRESS", false},
		{config.Cluster{Nodes: pair, Messages: &config.Messages{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.9")}}}, "FILE: ucast: the file does not name the director that has 192.0.2.9; give --link NODE=192.0.2.9", false},
		{config.Cluster{Nodes: pair, NodeChecks: []config.NodeCheck{{Kind: config.CheckPing, Hosts: []string{"gw"}}}}, "FILE: ping gw: Corosync does not ping hosts; the resources of lvsctl convert --to=crm do", false},
		{config.Cluster{Nodes: pair, Messages: &config.Messages{DeadTime: time.Second}}, "FILE: deadtime 1s: a busy director would count as lost; token is 1s", false},
		{config.Cluster{Nodes: pair, Messages: &config.Messages{DeadTime: 1 << 62}}, "FILE: deadtime 1281023h53m38.427387904s: the cluster would not detect a lost director; write less than two hours", true},
		{config.Cluster{Nodes: pair, Messages: &config.Messages{Facility: "mail"}}, "FILE: logfacility mail: Corosync has daemon and local0 to local7", false},
		{config.Cluster{Nodes: pair, Messages: &config.Messages{LogFile: "/a}"}}, `FILE: logfile "/a}": the name has special characters; use another name`, false},
	} {
		text, problems := crm.Corosync(&config.Config{File: "FILE", Cluster: &tt.cluster}, "lvs")
		if len(problems) == 0 || problems[0].String() != tt.want || (text == "") != tt.refused {
			t.Errorf("got %v, %d bytes\nwant %s", problems, len(text), tt.want)
		}
	}
}
