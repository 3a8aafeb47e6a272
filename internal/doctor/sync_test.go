package doctor

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

type syncHost struct {
	// gateways and servers have the addresses of each interface.
	gateways, servers map[string]string
	filtered          bool
	unserved          []netip.Addr
}

func (h syncHost) Unserved() []netip.Addr { return h.unserved }

func (h syncHost) Gateways(_ context.Context, nic string, v6 bool) (list []netip.Addr, _ error) {
	if ip, err := netip.ParseAddr(h.gateways[nic]); err == nil && ip.Is6() == v6 {
		list = append(list, ip)
	}
	return list, nil
}

func (h syncHost) Network(_ context.Context, s host.Search) (host.Network, error) {
	for nic, ip := range h.servers {
		if nic != "" && ip == s.IP.String() {
			return host.Network{NIC: nic}, nil
		}
	}
	return host.Network{}, host.ErrNoNetwork
}

func (h syncHost) Servers() (list []netip.Addr) {
	for _, ip := range h.servers {
		list = append(list, netip.MustParseAddr(ip))
	}
	return list
}

func (h syncHost) HasTable(name string) bool { return h.filtered && name == "lvs-sync" }

func TestConnectionsOfAnotherCluster(t *testing.T) {
	got, err := ExamineSync(t.Context(), syncHost{unserved: []netip.Addr{netip.MustParseAddr("192.0.2.99")}}, lvs.SyncDaemon{Role: lvs.SyncBackup, Interface: "eth1", ID: 7}, 1)
	want := Finding{"connections of 192.0.2.99 arrive, but this director has no virtual service with that address",
		"another cluster uses syncid 7 on eth1, or the directors have different configurations",
		"give each cluster its own syncid, and all directors of a cluster the same configuration"}
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestLinkOfTheDirectors(t *testing.T) {
	const fix = "use an interface that only the directors share, or replace PEERS by the addresses of the other directors: " +
		"nft 'table ip lvs-sync { chain input { type filter hook input priority 0; iifname eth1 ip daddr 224.0.0.81 udp dport 8848-8849 ip saddr != { PEERS } drop; }; }'"
	for _, tt := range []struct {
		name  string
		host  syncHost
		leads string
	}{
		{"a cable", syncHost{gateways: map[string]string{"eth0": "192.0.2.1"}, servers: map[string]string{"eth0": "192.0.2.21", "": "198.51.100.9"}}, ""},
		{"a gateway", syncHost{gateways: map[string]string{"eth1": "2001:db8::1"}}, "the gateway 2001:db8::1"},
		{"a real server", syncHost{servers: map[string]string{"eth1": "192.0.2.21"}}, "the real server 192.0.2.21"},
		{"a filter", syncHost{filtered: true, servers: map[string]string{"eth1": "192.0.2.21"}}, ""},
	} {
		got, err := ExamineSync(t.Context(), tt.host, lvs.SyncDaemon{Role: lvs.SyncBackup, Interface: "eth1", ID: 7}, 2)
		if err != nil {
			t.Error(err)
		}
		want := []Finding{{"other hosts can create and change connections of this director",
			"the synchronisation daemons use eth1, which also leads to " + tt.leads + ", and their datagrams are not authenticated", fix}}
		if tt.leads == "" && len(got) > 0 || tt.leads != "" && (len(got) != 1 || got[0] != want[0]) {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func TestExamineSenders(t *testing.T) {
	sender := func(ip string, id, version uint8) lvs.SyncSender {
		return lvs.SyncSender{Addr: netip.MustParseAddr(ip), ID: id, Version: version}
	}
	got := ExamineSenders(lvs.SyncDaemon{Interface: "eth1", ID: 7}, []lvs.SyncSender{sender("192.0.2.12", 7, 1), sender("192.0.2.13", 9, 1), sender("192.0.2.14", 7, 0)})
	want := []Finding{
		{
			"this director ignores the connections that 192.0.2.13 sends",
			"the datagrams of 192.0.2.13 have syncid 9, and this director has syncid 7",
			"if 192.0.2.13 is a director of this cluster, give its sync resource syncid=7; otherwise give the other cluster another group",
		},
		{
			"192.0.2.14 sends connections without IPv6, firewall marks and timeouts",
			"its datagrams have version 0: net.ipv4.vs.sync_version is 0 there, or its kernel is older than Linux 2.6.39",
			"on 192.0.2.14: sysctl -w net.ipv4.vs.sync_version=1, then restart its synchronisation daemons",
		},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestExamineCoverage(t *testing.T) {
	got := ExamineCoverage("web-sync", map[string]string{"director1": "100", "director2": "87"}, map[string]string{"director1": "1:0:", "director2": "1:0:", "director3": "2:0:"})
	want := []Finding{
		{
			"a take-over by node director2 breaks connections",
			"it has 87 % of the connections of the other directors (node attribute lvs-sync-web-sync)",
			"lvsctl resync on the director with the virtual address; if the value stays below 99, lvsctl doctor on director2",
		},
		{
			"it is unknown whether node director3 has the connections of the other directors",
			"it does not publish the node attribute lvs-sync-web-sync: it cannot read the sample of a node with another version of lvs-agents",
			"install the same version of lvs-agents on all nodes",
		},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
