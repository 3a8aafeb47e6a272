package directord

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

// TestAddressEvents checks that an address which comes to the host or leaves it makes one event for
// each of its services.
func TestAddressEvents(t *testing.T) {
	vip, other := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")
	setup := func(ids ...string) *health.Setup {
		s := &health.Setup{}
		for _, id := range ids {
			table, err := lvs.ParseTable("-A " + id + " -s rr")
			if err != nil {
				t.Fatal(err)
			}
			s.Services = append(s.Services, health.Service{Service: table[0].Service})
		}
		return s
	}
	var events []string
	has, failure := map[netip.Addr]bool{}, error(nil)
	a := &addresses{
		has: func() (map[netip.Addr]bool, error) { return has, failure }, place: func(netip.Addr) string { return "eth0" },
		occurred: func(e health.Event) {
			events = append(events, string(e.Kind)+" "+e.Service.ID.String()+": "+e.Reason)
		},
	}
	step := func(what string, want ...string) {
		t.Helper()
		events = nil
		a.look()
		if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(events, "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	step("no configuration")
	a.setup.Store(setup("-t 192.0.2.10:80", "-u 192.0.2.10:53", "-t [2001:db8::10]:80", "-f 7"))
	step("no address")
	has = map[netip.Addr]bool{vip: true}
	step("an address comes", "address_here -t 192.0.2.10:80: 192.0.2.10 is on eth0", "address_here -u 192.0.2.10:53: 192.0.2.10 is on eth0")
	step("it stays")
	has, failure = map[netip.Addr]bool{}, errors.New("no answer")
	step("no answer of the kernel")
	failure = nil
	step("it leaves", "address_gone -t 192.0.2.10:80: 192.0.2.10 is on no interface of this host", "address_gone -u 192.0.2.10:53: 192.0.2.10 is on no interface of this host")
	has = map[netip.Addr]bool{other: true, vip: true}
	a.setup.Store(setup("-t [2001:db8::10]:80"))
	step("another configuration", "address_here -t [2001:db8::10]:80: 2001:db8::10 is on eth0")
	a.setup.Store(setup("-t 192.0.2.10:80"))
	step("a third configuration", "address_here -t 192.0.2.10:80: 192.0.2.10 is on eth0")
}

func TestHostAddresses(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	if has, err := hostAddresses(); err != nil || !has[loopback] {
		t.Errorf("%v, %v", has, err)
	}
	if place := placeOf(loopback); place != "lo" {
		t.Errorf("127.0.0.1 is on %q", place)
	}
	if place := placeOf(netip.MustParseAddr("192.0.2.10")); place != "" {
		t.Errorf("192.0.2.10 is on %q", place)
	}
}
