package doctor

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/host"
)

var ip = netip.MustParseAddr("192.0.2.10")

// fakeHost is a fake kernel.
type fakeHost struct {
	// values are the values of settings. A setting without a value is off.
	values   map[string]string
	places   []host.Address
	heard    host.Heard
	err      error
	director bool
	masq     []netip.Addr
	forwards bool
}

func (h fakeHost) Get(_ context.Context, s host.Setting) (string, error) {
	value, ok := h.values[s.String()]
	if !ok {
		value = host.Off
	}
	return value, nil
}

func (h fakeHost) Addresses(context.Context, netip.Addr) ([]host.Address, error) {
	return h.places, nil
}
func (h fakeHost) Probe(context.Context, []netip.Addr) (host.Heard, error) { return h.heard, h.err }
func (h fakeHost) Balances(netip.Addr) bool                                { return h.director }
func (h fakeHost) Masqueraded() []netip.Addr                               { return h.masq }
func (h fakeHost) Forwards(bool) bool                                      { return h.forwards }

func (h fakeHost) Route(context.Context, netip.Addr) (host.Route, error) { return host.Route{}, h.err }

// TestMasqServersOfADirector checks the findings for replies of real servers that the director
// forwards, and for replies that the director does not forward.
func TestMasqServersOfADirector(t *testing.T) {
	masq := []netip.Addr{netip.MustParseAddr("192.0.2.21"), netip.MustParseAddr("2001:db8::21")}
	for _, tt := range []struct {
		host fakeHost
		want string
	}{
		{fakeHost{masq: masq}, `replies of the masq server 192.0.2.21 do not reach clients: net.ipv4.ip_forward is 0; sysctl -w net.ipv4.ip_forward=1
replies of the masq server 2001:db8::21 do not reach clients: net.ipv6.conf.all.forwarding is 0; sysctl -w net.ipv6.conf.all.forwarding=1`},
		{fakeHost{masq: masq, forwards: true}, ""},
		{fakeHost{masq: masq[:1], places: []host.Address{on("lo", "192.0.2.21/32")}}, ""},
		{fakeHost{}, ""},
	} {
		findings, err := ExamineDirector(t.Context(), &fakeDirector{fakeHost: tt.host})
		lines := make([]string, 0, len(findings))
		for _, f := range findings {
			lines = append(lines, f.String())
		}
		if got := strings.Join(lines, "\n"); got != tt.want || err != nil {
			t.Errorf("got %v\n%s\nwant\n%s", err, got, tt.want)
		}
	}
}

func on(nic, prefix string) host.Address {
	return host.Address{NIC: nic, Prefix: netip.MustParsePrefix(prefix), Observed: host.Observed{Interface: host.Interface{Silent: nic != "eth0"}}}
}

func sysctl(nic, name string) string { return "sysctl name=net/ipv4/conf/" + nic + "/" + name }

// TestFindings checks the findings for faults that tests/realserver cannot set up in namespaces.
func TestFindings(t *testing.T) {
	answers := host.Heard{Answered: []host.Word{{NIC: "eth0", IP: ip}}}
	tests := []struct {
		name   string
		host   fakeHost
		tunnel bool
		want   string
	}{
		{"the active director", fakeHost{places: []host.Address{on("eth0", "192.0.2.10/24"), on("lo", "192.0.2.10/32")}, heard: answers, director: true}, false, ""},
		{"a director that is not a real server", fakeHost{places: []host.Address{on("eth0", "192.0.2.10/24")}, heard: answers, director: true}, false, ""},
		{"the wrong interface", fakeHost{places: []host.Address{on("eth0", "192.0.2.10/24")}, heard: answers}, false,
			`192.0.2.10 is on the wrong interface for a real server: it is not on lo; ip addr add 192.0.2.10/32 dev lo
eth0 answers ARP for 192.0.2.10, so client packets bypass the director: 192.0.2.10/24 is on eth0; ip addr del 192.0.2.10/24 dev eth0`},
		{"arp_ignore of all is too large", fakeHost{places: []host.Address{on("lo", "192.0.2.10/32")}, heard: answers,
			values: map[string]string{sysctl("all", "arp_ignore"): "3", sysctl("eth0", "arp_ignore"): "1"}}, false,
			`eth0 answers ARP for 192.0.2.10, so client packets bypass the director: net.ipv4.conf.all.arp_ignore is 3; sysctl -w net.ipv4.conf.all.arp_ignore=1`},
		{"arp_announce of the interface", fakeHost{places: []host.Address{on("lo", "192.0.2.10/32")},
			heard:  host.Heard{Announced: []host.Word{{NIC: "eth0", IP: ip}}},
			values: map[string]string{sysctl("all", "arp_announce"): "0", sysctl("eth0", "arp_announce"): "1"}}, false,
			`eth0 announces 192.0.2.10 in its own ARP requests, so neighbours learn it: net.ipv4.conf.eth0.arp_announce is 1; sysctl -w net.ipv4.conf.all.arp_announce=2`},
		{"tunnel down, filtered by all", fakeHost{places: []host.Address{on("tunl0", "192.0.2.10/32")},
			values: map[string]string{sysctl("all", "rp_filter"): "1", sysctl("tunl0", "rp_filter"): "0"}}, true,
			`the kernel drops packets that arrive through the tunnel: tunl0 is down; ip link set dev tunl0 up
the kernel drops packets that arrive through the tunnel: net.ipv4.conf.all.rp_filter is 1, and the route back to clients does not use the tunnel; sysctl -w net.ipv4.conf.tunl0.rp_filter=2`},
		{"deaf", fakeHost{places: []host.Address{on("lo", "192.0.2.10/32")},
			heard: host.Heard{Deaf: []host.Word{{NIC: "eth0", IP: netip.MustParseAddr("192.0.2.21")}, {NIC: "eth0", IP: netip.MustParseAddr("2001:db8::21")}}}}, false,
			`eth0 does not answer ARP, not even for its own 192.0.2.21: a rule drops ARP requests; check the rules: arptables -L, nft list ruleset
eth0 does not answer neighbour solicitations, not even for its own 2001:db8::21: a rule drops them; check the rules: ip6tables -S, nft list ruleset`},
		{"loose wins over strict", fakeHost{places: []host.Address{on("tunl0", "192.0.2.10/32")},
			values: map[string]string{"link nic=tunl0": host.On, sysctl("all", "rp_filter"): "1", sysctl("tunl0", "rp_filter"): "2"}}, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			findings, err := Examiner{tt.host}.Examine(t.Context(), ByHand([]netip.Addr{ip}, tt.tunnel))
			if err != nil {
				t.Fatal(err)
			}
			lines := make([]string, 0, len(findings))
			for _, f := range findings {
				lines = append(lines, f.String())
			}
			if diff := cmp.Diff(tt.want, strings.Join(lines, "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAProbeThatFailsProvesNothing(t *testing.T) {
	want := errors.New("no packets today")
	if _, err := (Examiner{fakeHost{err: want}}).Examine(t.Context(), ByHand([]netip.Addr{ip}, false)); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}
