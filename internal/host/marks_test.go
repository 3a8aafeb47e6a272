package host

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustMarks(t testing.TB, text string) Marks {
	t.Helper()
	m, err := ParseMarks(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestNormalJoinsNetworksAndPorts(t *testing.T) {
	var m Marks
	for _, text := range []string{"2001:db8::10", "192.0.2.10", "192.0.2.64/27", "192.0.2.0/24", "192.0.3.0", "2001:db8::/64"} {
		p, err := ParseNetwork(text)
		if err != nil {
			t.Fatal(err)
		}
		m.IP = append(m.IP, p)
	}
	for _, text := range []string{"443", "80", "8000:8010", "81-90", "8005-8020", "65535", "65534"} {
		p, err := ParsePorts(text)
		if err != nil {
			t.Fatal(err)
		}
		m.Ports = append(m.Ports, p)
	}
	m.Mark, m.Protocols = 10, []string{"udp", "tcp"}
	const want = "mark=10 ip=192.0.2.0/24,192.0.3.0,2001:db8::/64 proto=tcp,udp ports=80-90,443,8000-8020,65534-65535"
	if got := m.Normal().String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseMarksReadsWhatStringWrote(t *testing.T) {
	for _, text := range []string{
		"mark=10 ip=192.0.2.10 proto=tcp", "mark=4294967295 ip=0.0.0.0/0,::/0 proto=tcp,udp,sctp ports=1-65535 interface=eth0.100",
	} {
		if got := mustMarks(t, text).String(); got != text {
			t.Errorf("got %s, want %s", got, text)
		}
	}
	for text, want := range map[string]string{
		"":                                `marks "": "": unknown word`,
		"off":                             `marks "off": "off": unknown word`,
		"mark=0 ip=192.0.2.10 proto=tcp":  `marks "mark=0 ip=192.0.2.10 proto=tcp": it is not complete`,
		"mark=1 ip=192.0.2.10 proto=icmp": `marks "mark=1 ip=192.0.2.10 proto=icmp": it is not complete`,
		"mark=1 ip=192.0.2.999 proto=tcp": `marks "mark=1 ip=192.0.2.999 proto=tcp": "ip=192.0.2.999": "192.0.2.999" is not an address or a network`,
		"mark=1 ip=192.0.2.10 proto=tcp ports=443,80": `marks "mark=1 ip=192.0.2.10 proto=tcp ports=443,80": it is not complete`,
	} {
		if _, err := ParseMarks(text); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestMarksOverlap(t *testing.T) {
	const web = "mark=1 ip=192.0.2.10 proto=tcp ports=80,443 interface=eth0"
	for other, want := range map[string]bool{
		web:                                    true,
		"mark=2 ip=192.0.2.0/24 proto=tcp,udp": true,
		"mark=2 ip=192.0.2.10 proto=tcp ports=443-8000": true,
		"mark=2 ip=192.0.2.10 proto=tcp ports=81-442":   false,
		"mark=2 ip=192.0.2.11 proto=tcp":                false,
		"mark=2 ip=::/0 proto=tcp":                      false,
		"mark=2 ip=192.0.2.10 proto=udp,sctp":           false,
		"mark=2 ip=192.0.2.10 proto=tcp interface=eth1": false,
	} {
		a, b := mustMarks(t, web), mustMarks(t, other)
		if a.Overlaps(b) != want || b.Overlaps(a) != want {
			t.Errorf("%s: not %t", other, want)
		}
	}
}

// TestManyPortsAreSeveralRules checks that no rule of iptables has more than 15 ports. A range
// counts twice.
func TestManyPortsAreSeveralRules(t *testing.T) {
	m := mustMarks(t, "mark=10 ip=192.0.2.10 proto=udp ports=1,3,5,7,9,11,13,15,17,19,21,23,25,27,29-30,32-33,35 interface=eth0")
	want := []string{
		"-A c -d 192.0.2.10/32 -i eth0 -p udp -m multiport --dports 1,3,5,7,9,11,13,15,17,19,21,23,25,27 -j MARK --set-xmark 0xa/0xffffffff",
		"-A c -d 192.0.2.10/32 -i eth0 -p udp -m multiport --dports 29:30,32:33,35 -j MARK --set-xmark 0xa/0xffffffff",
	}
	if diff := cmp.Diff(want, m.IPTablesRules("c", false)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if rules := m.IPTablesRules("c", true); len(rules) > 0 {
		t.Errorf("IPv6: %q", rules)
	}
}

func TestCommandsOfMarks(t *testing.T) {
	nft, legacy := Setting{Kind: NFTMarks, Name: "fwmark-web"}, Setting{Kind: IPTablesMarks, Name: "fwmark-web"}
	const value = "mark=10 ip=192.0.2.10,::/0 proto=tcp ports=80"
	for got, want := range map[string]string{
		nft.Command(value): "nft 'table inet fwmark-web { chain prerouting { type filter hook prerouting priority -149; ip daddr { 192.0.2.10 } meta l4proto { tcp } th dport { 80 } counter meta mark set 10;" +
			" meta nfproto ipv6 meta l4proto { tcp } th dport { 80 } counter meta mark set 10; }; }'",
		nft.Command(Off): "nft delete table inet fwmark-web",
		legacy.Command(value): "iptables-legacy -t mangle -N fwmark-web && iptables-legacy -t mangle -A fwmark-web -d 192.0.2.10/32 -p tcp -m multiport --dports 80 -j MARK --set-xmark 0xa/0xffffffff" +
			" && iptables-legacy -t mangle -I PREROUTING -j fwmark-web && ip6tables-legacy -t mangle -N fwmark-web && ip6tables-legacy -t mangle -A fwmark-web -p tcp -m multiport --dports 80" +
			" -j MARK --set-xmark 0xa/0xffffffff && ip6tables-legacy -t mangle -I PREROUTING -j fwmark-web",
		legacy.Command(Off): "iptables-legacy -t mangle -D PREROUTING -j fwmark-web && iptables-legacy -t mangle -F fwmark-web && iptables-legacy -t mangle -X fwmark-web",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func FuzzParseMarks(f *testing.F) {
	f.Add("mark=10 ip=192.0.2.10,2001:db8::/64 proto=tcp,udp ports=80,443,8000-8010 interface=eth0")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMarks(text)
		if err != nil {
			return
		}
		again, err := ParseMarks(m.String())
		if err != nil || again.String() != m.String() || strings.Contains(m.Interface, " ") {
			t.Errorf("%q became %q, then %q: %v", text, m, again, err)
		}
	})
}
