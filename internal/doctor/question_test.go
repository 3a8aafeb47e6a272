package doctor

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/lvs"
	"lvs-agents/metadata/metadatatest"
)

const (
	vip      = "192.0.2.10"
	rightCIB = `<cib><configuration><resources>
<clone id="cl"><primitive id="web-ipvs" class="ocf" provider="lvs" type="ipvs"/></clone>
<group id="web"><primitive id="web-health" class="ocf" provider="lvs" type="health"/>
<primitive id="web-vip" class="ocf" provider="lvs" type="vip"><instance_attributes><nvpair name="ip" value="192.0.2.10"/><nvpair name="nic" value="eth0"/></instance_attributes></primitive></group>
</resources><constraints><rsc_location id="near" rsc="web" node="director1"/></constraints></configuration></cib>`
	nodelist = `nodelist.node.0.name (str) = director1
nodelist.node.0.ring0_addr (str) = 192.0.2.11
nodelist.node.1.name (str) = director2
nodelist.node.1.ring0_addr (str) = 192.0.2.12
`
)

// rightFacts returns the facts of a director without faults.
func rightFacts(t *testing.T) Facts {
	t.Helper()
	f := Facts{
		Host: "director1.example.org", Node: "director1", Units: "Id=ipvsadm.service\nActiveState=inactive\nUnitFileState=\n",
		Links: []Link{{Name: "eth0", Up: true, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.11/24")}}},
		Rules: map[string]string{"iptables-save": "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"},
		Peers: ParsePeers(nodelist, "director1"), State: Directory{Path: "/run", Free: 1 << 30},
		Sysctl: func(string) string { return "" },
	}
	var err error
	if f.Table, err = lvs.ParseTable("-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.ReadMonitor(right); err != nil {
		t.Fatal(err)
	}
	readCIB(t, &f, rightCIB)
	return f
}

func readCIB(t *testing.T, f *Facts, text string) {
	t.Helper()
	if err := f.ReadCIB(text); err != nil {
		t.Fatal(err)
	}
}

func TestGenerated(t *testing.T) { metadatatest.Golden(t, "docs/doctor.md", Page()) }

// TestQuestions plants a fault for each question in right facts. Only that question may find it.
func TestQuestions(t *testing.T) {
	mon := func(old, wrong string) func(*testing.T, *Facts) {
		return func(t *testing.T, f *Facts) {
			t.Helper()
			if err := f.ReadMonitor(strings.Replace(right, old, wrong, 1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	cib := func(old, wrong string) func(*testing.T, *Facts) {
		return func(t *testing.T, f *Facts) { t.Helper(); readCIB(t, f, strings.Replace(rightCIB, old, wrong, 1)) }
	}
	sysctl := func(values map[string]string) func(*testing.T, *Facts) {
		return func(_ *testing.T, f *Facts) { f.Sysctl = func(name string) string { return values[name] } }
	}
	tests := []struct {
		question string
		plant    func(*testing.T, *Facts)
		want     string
	}{
		{"Pacemaker", func(_ *testing.T, f *Facts) { f.Silent = "crm_mon did not reply within 6s" }, "crm_mon did not reply within 6s"},
		{"Pacemaker", mon(`present="true"`, `present="false"`), "Pacemaker has no designated controller"},
		{"quorum", mon(`with_quorum="true"`, `with_quorum="false"`), "too few nodes reach each other"},
		{"fencing", mon(`stonith-enabled="true"`, `stonith-enabled="false"`), "stonith-enabled is false"},
		{"maintenance", mon(`maintenance-mode="false"`, `maintenance-mode="true"`), "maintenance-mode is true"},
		{"nodes", mon(`standby="false"`, `standby="true"`), "the node is in standby"},
		{"resources", mon(`failed="false"`, `failed="true"`), "its last action failed"},
		{"failures", mon(`fail-count="0"`, `fail-count="2"`), "its fail count there is 2"},
		{"bans", mon("web-not-on-3", "cli-ban-web"), "a command has banned it: constraint cli-ban-web"},
		{"moves", cib(`id="near"`, `id="cli-prefer-web"`), "a command has moved it: constraint cli-prefer-web"},
		{"order", cib("</group>", `<primitive id="more" provider="lvs" type="ipvs"/></group>`), "web-vip is before more in the group, so the address exists without the service"},
		{"agents", func(_ *testing.T, f *Facts) { f.Lacking = []string{"sync"} }, "the agent is not in /usr/lib/ocf/resource.d/lvs"},
		{"units", func(_ *testing.T, f *Facts) { f.Units = "Id=pulse.service\nActiveState=active\n" }, "pulse.service runs, and the cluster does not control it"},
		{"name", func(_ *testing.T, f *Facts) { f.Host = "localhost" }, "the host name is localhost, and the cluster calls this node director1"},
		{"interface", cib(`value="eth0"`, `value="eth7"`), "this node has no interface eth7"},
		{"interface", func(_ *testing.T, f *Facts) { f.Links[0].Up = false }, "eth0 is down"},
		{"interface", cib(`name="nic"`, `name="x"`), ""},
		{"interface", cib(`value="192.0.2.10"/><nvpair name="nic"`, `value="198.51.100.1"/><nvpair name="x"`), "no interface has an address in the network of 198.51.100.1"},
		{"ARP", func(_ *testing.T, f *Facts) {
			f.Owners = map[netip.Addr]string{netip.MustParseAddr(vip): "02:00:5e:00:53:15"}
		}, "the host 02:00:5e:00:53:15 answers ARP for the address"},
		{"silence", sysctl(map[string]string{"net/ipv4/conf/eth0/arp_ignore": "8"}), "net.ipv4.conf.eth0.arp_ignore is 8"},
		{"firewall", func(_ *testing.T, f *Facts) { f.Rules["iptables-save"] = "*filter\n:INPUT DROP [0:0]\n" }, "the rule iptables -t filter -P INPUT DROP drops them"},
		{"firewall", func(t *testing.T, f *Facts) {
			t.Helper()
			const chain = `{"nftables": [{"chain": {"family": "inet", "table": "t", "name": "in", "hook": "input", "prio": 0, "policy": "drop"}}]}`
			if err := f.ReadNftables(chain); err != nil {
				t.Fatal(err)
			}
		}, "the policy of chain inet t in of nftables drops them"},
		{"loop", func(_ *testing.T, f *Facts) {
			f.Table[0].Destinations[0].Addr = netip.MustParseAddrPort("192.0.2.12:80")
		}, "its real server 192.0.2.12:80 is the director director2, which balances the same service"},
		{"connection tracking", sysctl(map[string]string{"net/netfilter/nf_conntrack_count": "99", "net/netfilter/nf_conntrack_max": "100"}), "connection tracking has 99 of 100 entries"},
		{"state", func(_ *testing.T, f *Facts) { f.State.ReadOnly = true }, "the file system of /run is read-only"},
		{"state", func(_ *testing.T, f *Facts) { f.State.Free = 4096 }, "the file system of /run has 4096 free bytes"},
	}
	tested := map[string]bool{}
	if found := Answer(rightFacts(t)); len(found) > 0 {
		t.Errorf("a right director: %v", found)
	}
	for _, tt := range tests {
		t.Run(tt.question+": "+tt.want, func(t *testing.T) {
			f := rightFacts(t)
			tt.plant(t, &f)
			for _, q := range Questions() {
				want := ""
				if q.Name == tt.question {
					want = tt.want
					tested[q.Name] = true
				}
				if q.answer == nil {
					continue
				}
				if diff := cmp.Diff(want, causes(q.answer(f))); diff != "" {
					t.Errorf("causes of %s (-want +got):\n%s", q.Name, diff)
				}
			}
		})
	}
	for _, q := range Questions() {
		if q.answer != nil && !tested[q.Name] {
			t.Errorf("question %s has no test", q.Name)
		}
	}
}

// TestFirewall checks which rules certainly drop the packets of clients, and which rules can be
// right.
func TestFirewall(t *testing.T) {
	tests := []struct{ name, rules, want string }{
		{"no rules", "", ""},
		{"a port that is closed", ":INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 80 -j DROP\n", "-t filter -A INPUT -p tcp -m tcp --dport 80 -j DROP"},
		{"another port", "-A INPUT -p tcp -m tcp --dport 81:90 -j DROP\n", ""},
		{"a list of ports", "-A INPUT -p tcp -m multiport --dports 22,80 -j REJECT --reject-with icmp-port-unreachable\n", "-t filter -A INPUT -p tcp -m multiport --dports 22,80 -j REJECT --reject-with icmp-port-unreachable"},
		{"another protocol", "-A INPUT -p udp -j DROP\n", ""},
		{"one sender", "-A INPUT -s 198.51.100.1/32 -j DROP\n", ""},
		{"one sender is accepted", ":INPUT DROP\n-A INPUT -s 198.51.100.0/24 -j ACCEPT\n", ""},
		{"accepted before", ":INPUT DROP\n-A INPUT -d 192.0.2.10/32 -p tcp -m tcp --dport 80 -j ACCEPT\n", ""},
		{"only replies are accepted", ":INPUT DROP\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n", "-t filter -P INPUT DROP"},
		{"all others", "-A INPUT ! -d 192.0.2.10/32 -j DROP\n", ""},
		{"all except another", "-A INPUT ! -d 192.0.2.9/32 -j DROP\n", "-t filter -A INPUT ! -d 192.0.2.9/32 -j DROP"},
		{"a chain accepts", ":INPUT DROP\n-A INPUT -j web\n-A web -p tcp -m comment --comment \"the web -j DROP\" -j ACCEPT\n", ""},
		{"a chain drops", "-A INPUT -p tcp -j web\n-A web -j DROP\n", "-t filter -A web -j DROP"},
		{"a chain returns", "-A INPUT -j web\n-A web -p tcp -j RETURN\n-A web -j DROP\n", ""},
		{"a match that is not known", "-A INPUT -p tcp -m recent --name x --rsource -j DROP\n", ""},
		{"a chain that calls itself", "-A INPUT -j web\n-A web -j web\n", ""},
		{"lo is accepted", ":INPUT DROP\n-A INPUT -i lo -j ACCEPT\n", "-t filter -P INPUT DROP"},
		{"an interface is accepted", ":INPUT DROP\n-A INPUT -i eth1 -j ACCEPT\n", ""},
		{"a return to the policy", ":INPUT DROP\n-A INPUT -p tcp -j RETURN\n-A INPUT -j ACCEPT\n", "-t filter -P INPUT DROP"},
		{"checks", "-A OUTPUT -d 192.0.2.21/32 -j DROP\n", "-t filter -A OUTPUT -d 192.0.2.21/32 -j DROP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := rightFacts(t)
			f.Rules = map[string]string{"iptables-save": "*filter\n" + tt.rules + "COMMIT\n", "ip6tables-save": "*filter\n:INPUT DROP\n"}
			want := tt.want
			if want != "" {
				want = "the rule iptables " + want + " drops them"
			}
			if diff := cmp.Diff(want, causes(firewall(f))); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
		})
	}
	f := rightFacts(t)
	f.Rules = map[string]string{"iptables-save": "*security\n-A INPUT -p tcp -j DROP\nCOMMIT\n"}
	const fix = "iptables -t security -I INPUT -p tcp -d 192.0.2.10 --dport 80 -j ACCEPT, and the same in the configuration of the firewall"
	if found := firewall(f); len(found) != 1 || found[0].Fix != fix {
		t.Errorf("got %v, want the fix %s", found, fix)
	}
}
