package doctor

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/lvs"
)

var ip = netip.MustParseAddr("192.0.2.10")

// host is what a kernel would say.
type host struct {
	values   map[string]string // of settings, off if missing
	places   []lvs.Address
	heard    Heard
	err      error
	director bool
}

func (h host) Get(_ context.Context, s lvs.Setting) (string, error) {
	value, ok := h.values[s.String()]
	if !ok {
		value = lvs.Off
	}
	return value, nil
}

func (h host) Addresses(context.Context, netip.Addr) ([]lvs.Address, error) { return h.places, nil }
func (h host) Probe(context.Context, []netip.Addr) (Heard, error)           { return h.heard, h.err }
func (h host) Balances(netip.Addr) bool                                     { return h.director }

func on(nic, prefix string) lvs.Address {
	return lvs.Address{NIC: nic, Prefix: netip.MustParsePrefix(prefix), Observed: lvs.Observed{Interface: lvs.Interface{Silent: nic != "eth0"}}}
}

func sysctl(nic, name string) string { return "sysctl name=net/ipv4/conf/" + nic + "/" + name }

// TestFindings has what tests/realserver cannot make in namespaces.
func TestFindings(t *testing.T) {
	answers := Heard{Answered: []Word{{"eth0", ip}}}
	tests := []struct {
		name   string
		host   host
		tunnel bool
		want   string
	}{
		{"the active director", host{places: []lvs.Address{on("eth0", "192.0.2.10/24"), on("lo", "192.0.2.10/32")}, heard: answers, director: true}, false, ""},
		{"a director that is no real server", host{places: []lvs.Address{on("eth0", "192.0.2.10/24")}, heard: answers, director: true}, false, ""},
		{"the wrong interface", host{places: []lvs.Address{on("eth0", "192.0.2.10/24")}, heard: answers}, false,
			`192.0.2.10 is not where a real server has it: it is not on lo; ip addr add 192.0.2.10/32 dev lo
eth0 answers ARP for 192.0.2.10, so clients come directly: 192.0.2.10/24 is on eth0; ip addr del 192.0.2.10/24 dev eth0`},
		{"arp_ignore of all is too large", host{places: []lvs.Address{on("lo", "192.0.2.10/32")}, heard: answers,
			values: map[string]string{sysctl("all", "arp_ignore"): "3", sysctl("eth0", "arp_ignore"): "1"}}, false,
			`eth0 answers ARP for 192.0.2.10, so clients come directly: net.ipv4.conf.all.arp_ignore is 3; sysctl -w net.ipv4.conf.all.arp_ignore=1`},
		{"arp_announce of the interface", host{places: []lvs.Address{on("lo", "192.0.2.10/32")},
			heard:  Heard{Announced: []Word{{"eth0", ip}}},
			values: map[string]string{sysctl("all", "arp_announce"): "0", sysctl("eth0", "arp_announce"): "1"}}, false,
			`eth0 announces 192.0.2.10 in its own ARP requests, so neighbours learn it: net.ipv4.conf.eth0.arp_announce is 1; sysctl -w net.ipv4.conf.all.arp_announce=2`},
		{"tunnel down, filtered by all", host{places: []lvs.Address{on("tunl0", "192.0.2.10/32")},
			values: map[string]string{sysctl("all", "rp_filter"): "1", sysctl("tunl0", "rp_filter"): "0"}}, true,
			`packets out of the tunnel are dropped: tunl0 is down; ip link set dev tunl0 up
packets out of the tunnel are dropped: net.ipv4.conf.all.rp_filter is 1, and the way back to clients is not the tunnel; sysctl -w net.ipv4.conf.tunl0.rp_filter=2`},
		{"deaf", host{places: []lvs.Address{on("lo", "192.0.2.10/32")},
			heard: Heard{Deaf: []Word{{"eth0", netip.MustParseAddr("192.0.2.21")}, {"eth0", netip.MustParseAddr("2001:db8::21")}}}}, false,
			`eth0 does not answer ARP, not even for its own 192.0.2.21: requests are dropped; look at arptables -L and nft list ruleset
eth0 does not answer neighbour solicitations, not even for its own 2001:db8::21: they are dropped; look at ip6tables and nft list ruleset`},
		{"loose wins over strict", host{places: []lvs.Address{on("tunl0", "192.0.2.10/32")},
			values: map[string]string{"link nic=tunl0": lvs.On, sysctl("all", "rp_filter"): "1", sysctl("tunl0", "rp_filter"): "2"}}, true, ""},
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
	if _, err := (Examiner{host{err: want}}).Examine(t.Context(), ByHand([]netip.Addr{ip}, false)); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}
