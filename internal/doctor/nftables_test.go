package doctor

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/kernel/kerneltest"
)

// zones are rules as firewalld makes them, with an open port and a zone of an interface.
const zones = `table inet firewalld {
	chain filter_INPUT {
		type filter hook input priority filter + 10
		ct state { established, related } accept
		ct status dnat accept
		iifname lo accept
		ct state invalid drop
		jump filter_INPUT_ZONES
		reject with icmpx admin-prohibited
	}
	chain filter_INPUT_ZONES {
		iifname eth1 goto filter_IN_internal
		goto filter_IN_public
	}
	chain filter_IN_internal {
		tcp dport 22 accept
		reject with icmpx admin-prohibited
	}
	chain filter_IN_public {
		jump filter_IN_public_allow
		meta l4proto { icmp, ipv6-icmp } accept
		reject with icmpx admin-prohibited
	}
	chain filter_IN_public_allow {
		tcp dport PORT accept
	}
}
`

// TestNftables loads rules into the kernel of a network namespace. It checks which rules in the
// output of nft certainly drop the packets of clients and of checks. The virtual service is
// 192.0.2.10:80, and its real server is 192.0.2.21:80.
func TestNftables(t *testing.T) {
	nftNamespace(t)
	const (
		input = `table inet t {
	set web {
		type inet_service
		flags interval
		elements = { 22, 80-90 }
	}
	set pairs {
		type ipv4_addr . inet_service
		elements = { 192.0.2.10 . 80 }
	}
	map verdicts {
		type ipv4_addr : verdict
		elements = { 192.0.2.10 : drop }
	}
	chain web {
		WEB
	}
	chain in {
		type filter hook input priority 0; policy POLICY
`
		clients = "packets of clients to virtual service 192.0.2.10:80 are dropped: "
		checks  = "packets of checks to real server 192.0.2.21:80 are dropped: "
		policy  = clients + "the policy of chain inet t in of nftables drops them\n"
		rule    = clients + "the rule with handle N in chain inet t in of nftables drops them\n"
		inner   = clients + "the rule with handle N in chain inet t web of nftables drops them\n"
	)
	tests := []struct {
		name, rules string
		want        string
		web         string // web has the rules of the chain web.
		drops       bool   // drops says that the policy is drop.
	}{
		{name: "no rules"},
		{name: "the policy", drops: true, want: policy},
		{name: "the port", rules: "tcp dport 80 drop", want: rule},
		{name: "another port", rules: "tcp dport 81 drop"},
		{name: "all except the port", rules: "tcp dport != 80 drop"},
		{name: "all except another port", rules: "tcp dport != 81 counter log reject with tcp reset", want: rule},
		{name: "small ports", rules: "tcp dport < 1024 drop", want: rule},
		{name: "large ports", rules: "tcp dport >= 1024 drop"},
		{name: "any protocol with ports", rules: "meta nfproto ipv4 th dport 80 drop", want: rule},
		{name: "another protocol", rules: "udp dport 80 drop\nudp dport != 81 drop\nmeta l4proto { icmp, ipv6-icmp } drop"},
		{name: "the other family", rules: "ip6 daddr ::/0 tcp dport 80 drop\nmeta nfproto ipv6 drop\nmeta protocol ip6 drop"},
		{name: "the address", rules: "ip daddr { 192.0.2.8/30, 198.51.100.1 } ip protocol tcp reject", want: rule},
		{name: "a range of addresses", rules: "ip daddr 192.0.2.1-192.0.2.10 meta mark set 1 drop", want: rule},
		{name: "another range of addresses", rules: "ip daddr 192.0.2.11-192.0.2.20 drop"},
		{name: "ports of a set", rules: "tcp dport @web drop", want: rule},
		{name: "an address and a port", rules: "ip daddr . tcp dport @pairs drop", want: rule},
		{name: "an address and other ports", rules: "ip daddr . tcp dport { 192.0.2.10 . 81, 192.0.2.11 . 80 } drop"},
		{name: "a map of verdicts", rules: "ip daddr vmap @verdicts", want: rule},
		{name: "a map of other states", rules: "ct state vmap { invalid : drop, established : drop }"},
		{name: "a map that accepts", rules: "tcp dport vmap { 80 : accept, 81 : drop }", drops: true},
		{name: "a map that an interface can accept", rules: "iifname vmap { eth1 : accept, lo : drop }", drops: true},
		{name: "a map of interfaces", rules: "iifname vmap { eth1 : drop, lo : accept }", drops: true, want: policy},
		{name: "a map with a verdict for all others", rules: "ip daddr vmap { 192.0.2.9 : accept, * : drop }", want: rule},
		{name: "a map that accepts all others", rules: "ip daddr vmap { * : accept, 192.0.2.9 : drop }", drops: true},
		{name: "a map with a verdict before all others", rules: "ip daddr vmap { * : drop, 192.0.2.10 : accept }"},
		{name: "accepted before", rules: "tcp dport { 80, 443 } accept", drops: true},
		{name: "one sender is accepted", rules: "ip saddr 198.51.100.0/24 accept", drops: true},
		{name: "one sender is dropped", rules: "ip saddr 198.51.100.0/24 drop"},
		{name: "only replies are accepted", rules: "ct state established,related accept\nct status dnat accept\niif lo accept\nct state invalid drop", drops: true, want: policy},
		{name: "new connections are accepted", rules: "ct state new tcp dport 80 accept", drops: true},
		{name: "a limit", rules: "tcp dport 80 limit rate 5/second accept", drops: true},
		{name: "above a limit", rules: "tcp dport 80 limit rate over 5/second drop"},
		{name: "flags of TCP", rules: "tcp flags & (syn|ack) == syn drop"},
		{name: "a chain drops", rules: "tcp dport 80 jump web", web: "reject", want: inner},
		{name: "a chain accepts", rules: "tcp dport 80 jump web\ndrop", web: "accept"},
		{name: "a chain returns", rules: "jump web\naccept", web: "tcp dport 80 return\ndrop"},
		{name: "a chain can return", rules: "jump web\naccept", web: "ip saddr 198.51.100.1 return\ndrop"},
		{name: "a chain without a way back", rules: "goto web\naccept", web: "udp dport 53 drop", drops: true, want: policy},
		{name: "a chain that a packet can leave", rules: "iifname eth1 goto web\ndrop", web: "accept"},
		{name: "checks", rules: "}\nchain out {\ntype filter hook output priority 0\noif lo accept\nip daddr 192.0.2.21 drop", want: checks + "the rule with handle N in chain inet t out of nftables drops them\n"},
		{name: "after IPVS", rules: "}\nchain late {\ntype filter hook input priority 100; policy drop"},
		{name: "before connection tracking", rules: "}\nchain early {\ntype filter hook prerouting priority raw\ntcp dport 80 notrack\nct state new drop"},
		{name: "another destination", rules: "}\n}\ntable ip n {\nchain nat {\ntype nat hook prerouting priority dstnat\ntcp dport 80 redirect to :8080", drops: true},
		{name: "another destination of another port", rules: "}\n}\ntable ip n {\nchain nat {\ntype nat hook prerouting priority dstnat\ntcp dport 81 redirect to :8080", drops: true, want: policy},
		{name: "a dormant table", rules: "}\n}\ntable ip n {\nflags dormant\nchain late {\ntype filter hook input priority 0; policy drop"},
		{name: "a table of IPv6", rules: "}\n}\ntable ip6 n {\nchain late {\ntype filter hook input priority 0; policy drop"},
	}
	for _, tt := range tests {
		policy := map[bool]string{false: "accept", true: "drop"}[tt.drops]
		f := rightFacts(t)
		readNftables(t, &f, strings.NewReplacer("WEB", tt.web, "POLICY", policy).Replace(input)+tt.rules+"\n}\n}\n")
		if diff := cmp.Diff(tt.want, dropped(f)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}

	f := rightFacts(t)
	readNftables(t, &f, strings.ReplaceAll(zones, "PORT", "443"))
	if got, want := dropped(f), clients+"the rule with handle N in chain inet firewalld filter_IN_public of nftables drops them\n"; got != want {
		t.Errorf("a closed port of firewalld: got %q, want %q", got, want)
	}
	found := firewall(f)
	const fix = "nft insert rule inet firewalld filter_INPUT ip daddr 192.0.2.10 tcp dport 80 accept"
	if len(found) != 1 || found[0].Fix != fix+", and the same in the configuration of the firewall" {
		t.Fatalf("the fix of a closed port of firewalld: %v", found)
	}
	kerneltest.Run(t, fix)
	readNftables(t, &f, "")
	if got := dropped(f); got != "" {
		t.Errorf("after %s: %s", fix, got)
	}
	readNftables(t, &f, strings.ReplaceAll(zones, "PORT", "80"))
	if got := dropped(f); got != "" {
		t.Errorf("an open port of firewalld: %s", got)
	}
}

// TestNftablesOfIptables checks that the doctor reports a rule of iptables for nftables only once,
// and a rule of nft in the same table, too.
func TestNftablesOfIptables(t *testing.T) {
	nftNamespace(t)
	f := rightFacts(t)
	readNftables(t, &f, "table ip filter {\nchain own {\ntype filter hook output priority 0\nip daddr 192.0.2.21 drop\n}\n}\n")
	kerneltest.Run(t, "iptables-nft -A INPUT -p tcp --dport 80 -j DROP")
	readNftables(t, &f, "")
	const own = "packets of checks to real server 192.0.2.21:80 are dropped: the rule with handle N in chain ip filter own of nftables drops them\n"
	const byNft = "packets of clients to virtual service 192.0.2.10:80 are dropped: the rule with handle N in chain ip filter INPUT of nftables drops them\n"
	const byIptables = "packets of clients to virtual service 192.0.2.10:80 are dropped: the rule iptables -t filter -A INPUT -p tcp -m tcp --dport 80 -j DROP drops them\n"
	saved := kerneltest.Run(t, "iptables-nft-save")
	for _, tt := range []struct {
		name  string
		rules map[string]string
		want  string
	}{
		{"iptables-save prints the rule", map[string]string{"iptables-save": saved}, byIptables + own},
		{"iptables-save is not installed", nil, byNft + own},
		{"legacy rules with the same name", map[string]string{"iptables-save": "*filter\n:INPUT ACCEPT [0:0]\n", "iptables-legacy-save": "*filter\n"}, byNft + own},
		{"legacy rules, and iptables-save for nftables", map[string]string{"iptables-save": saved, "iptables-legacy-save": "*filter\n"}, byIptables + own},
	} {
		f.Rules = tt.rules
		if diff := cmp.Diff(tt.want, dropped(f)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestNftablesOfTranslation checks a chain of iptables that gives the packets of clients another
// destination. A later rule does not certainly drop these packets.
func TestNftablesOfTranslation(t *testing.T) {
	nftNamespace(t)
	f := rightFacts(t)
	readNftables(t, &f, "table ip own {\nchain in {\ntype filter hook input priority 0\ntcp dport 80 drop\n}\n}\n")
	const own = "packets of clients to virtual service 192.0.2.10:80 are dropped: the rule with handle N in chain ip own in of nftables drops them\n"
	if got := dropped(f); got != own {
		t.Errorf("without translation: %q", got)
	}
	kerneltest.Run(t, "iptables-nft -t nat -N web")
	kerneltest.Run(t, "iptables-nft -t nat -A PREROUTING -j web")
	kerneltest.Run(t, "iptables-nft -t nat -A web -p tcp --dport 80 -j DNAT --to-destination 192.0.2.99:8080")
	readNftables(t, &f, "")
	if got := dropped(f); got != "" {
		t.Errorf("with translation: %q", got)
	}
}

func nftNamespace(t *testing.T) {
	t.Helper()
	for _, program := range []string{"nft", "iptables-nft"} {
		if _, err := exec.LookPath(program); err != nil {
			kerneltest.Need(t, program)
		}
	}
	kerneltest.Namespace(t)
}

// readNftables replaces the rules of the kernel, unless text is empty. Then it reads them as the
// doctor does.
func readNftables(t *testing.T, f *Facts, text string) {
	t.Helper()
	if text != "" {
		load := exec.CommandContext(t.Context(), "nft", "--file", "-")
		load.Stdin = strings.NewReader("flush ruleset\n" + text)
		if out, err := load.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s%s", err, out, text)
		}
	}
	if err := f.ReadNftables(kerneltest.Run(t, "nft --json list ruleset")); err != nil {
		t.Fatal(err)
	}
}

// dropped returns the findings of the question about the firewall, without handles.
func dropped(f Facts) string {
	all := ""
	for _, found := range firewall(f) {
		all += regexp.MustCompile("handle [0-9]+").ReplaceAllString(found.What+": "+found.Why, "handle N") + "\n"
	}
	return all
}
