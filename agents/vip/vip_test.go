package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/ocf"
	"lvs-agents/ocf/ocftest"
)

// announcements records the announcements of the agent. A neighbour in deaf replies only after a
// separate announcement. A neighbour in mute never replies.
type announcements struct {
	sent  []string
	err   error
	owner string // owner is the link-layer address of the host that replies to ARP requests for every IPv4 address.
	deaf  map[string]bool
	mute  map[string]bool
}

func (a *announcements) Announce(_ context.Context, n host.Announcement) error {
	text := fmt.Sprintf("%s %s %d times every %s", n.NIC, n.IP, n.Count, n.Interval)
	if n.Also != "" {
		text += ", also to " + n.Also
	}
	if n.Wait {
		text += ", waiting"
	}
	a.sent = append(a.sent, text)
	return a.err
}

func (a *announcements) Owner(_ context.Context, nic string, ip netip.Addr, wait time.Duration) (string, error) {
	a.sent = append(a.sent, fmt.Sprintf("who has %s on %s within %s", ip, nic, wait))
	return a.owner, nil
}

func (a *announcements) Answers(_ context.Context, _ string, _, neighbour netip.Addr, _ time.Duration) (bool, error) {
	return !a.deaf[neighbour.String()] && !a.mute[neighbour.String()], nil
}

func (a *announcements) AnnounceTo(_ context.Context, nic string, ip, neighbour netip.Addr) error {
	a.sent = append(a.sent, fmt.Sprintf("%s %s to %s", nic, ip, neighbour))
	delete(a.deaf, neighbour.String())
	return nil
}

// node is a director with the interfaces eth0 and eth1, and their networks.
type node struct {
	links     *kerneltest.Links
	announced *announcements
	state     string
}

const own = `ip addr add 192.0.2.11/24 brd 192.0.2.255 dev eth0
ip addr add 2001:db8::11/64 dev eth0
ip addr add 198.51.100.11/24 brd 198.51.100.255 dev eth1
`

func newNode(t *testing.T) node {
	t.Helper()
	links := kerneltest.NewLinks()
	links.Have("eth0", "192.0.2.11/24", "2001:db8::11/64")
	links.Have("eth1", "198.51.100.11/24")
	return node{links, &announcements{}, t.TempDir()}
}

type result struct {
	code        ocf.Code
	reason, log string
}

func (n node) run(action string, params ...string) (r result) {
	if plain, ok := strings.CutSuffix(action, " at level 10"); ok {
		action, params = plain, append(slices.Clone(params), "OCF_CHECK_LEVEL=10")
	}
	r.code, r.reason, r.log = ocftest.Run(New(n.links, n.announced), n.state, "web", action, params...)
	return r
}

func (n node) mustRun(t *testing.T, want ocf.Code, action string, params ...string) result {
	t.Helper()
	got := n.run(action, params...)
	if got.code != want {
		t.Fatalf("%s %q: got %d, want %d\nreason: %s\nlog: %s\naddresses:\n%s", action, params, got.code, want, got.reason, got.log, n.links)
	}
	return got
}

func (n node) wantAddresses(t *testing.T, want string) {
	t.Helper()
	if diff := cmp.Diff(want, n.links.String()); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func TestEveryActionTwice(t *testing.T) {
	tests := []struct {
		name, address string
		params        []string
	}{
		{"IPv4", "ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0\n", []string{"ip=192.0.2.10"}},
		{"IPv4 on a NIC", "ip addr add 198.51.100.10/24 brd 198.51.100.255 dev eth1\n", []string{"ip=198.51.100.10", "nic=eth1"}},
		{"IPv4 with a length", "ip addr add 192.0.2.10/32 brd 192.0.2.255 dev eth0\n", []string{"ip=192.0.2.10", "cidr_netmask=32"}},
		{"IPv4 with a mask", "ip addr add 192.0.2.10/28 brd 192.0.2.255 dev eth0\n", []string{"ip=192.0.2.10", "cidr_netmask=255.255.255.240"}},
		{"IPv4 of no network", "ip addr add 203.0.113.10/24 dev eth1\n", []string{"ip=203.0.113.10", "nic=eth1", "cidr_netmask=24"}},
		{"IPv6", "ip addr add 2001:db8::10/64 dev eth0 preferred_lft 0\n", []string{"ip=2001:db8::10"}},
		{"IPv6 link-local", "ip addr add fe80::10/64 dev eth0 preferred_lft 0\n", []string{"ip=fe80::10", "nic=eth0", "cidr_netmask=64"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			for _, step := range []struct {
				action string
				code   ocf.Code
				there  bool
			}{
				{"probe", 7, false}, {"stop", 0, false}, {"monitor", 7, false}, {"reload-agent", 7, false},
				{"validate-all", 0, false}, {"validate-all at level 10", 0, false},
				{"start", 0, true}, {"start", 0, true}, {"monitor", 0, true}, {"probe", 0, true}, {"reload-agent", 0, true},
				{"stop", 0, false}, {"stop", 0, false}, {"monitor", 7, false}, {"start", 0, true}, {"stop", 0, false},
			} {
				n.mustRun(t, step.code, step.action, tt.params...)
				want := own
				if step.there {
					want += tt.address
				}
				n.wantAddresses(t, want)
			}
			// Only the start that adds the address announces it. The other actions run within the refresh
			// interval, so they announce nothing.
			var times []string
			for _, sent := range n.announced.sent {
				times = append(times, strings.Fields(sent)[2])
			}
			if want := []string{"5", "5"}; !cmp.Equal(times, want) {
				t.Errorf("announced %q", n.announced.sent)
			}
		})
	}
}

func TestStartAnnounces(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "start", "ip=192.0.2.10", "arp_count=3", "arp_interval=50")
	if want := []string{"eth0 192.0.2.10 3 times every 50ms"}; !cmp.Equal(n.announced.sent, want) {
		t.Errorf("announced %q, want %q", n.announced.sent, want)
	}
}

func TestFailedAnnouncementIsAWarning(t *testing.T) {
	n := newNode(t)
	n.announced.err = errors.New("no process left")
	got := n.mustRun(t, 0, "start", "ip=192.0.2.10")
	if want := "WARNING: 192.0.2.10 is on eth0, but was not announced: no process left\n"; !strings.HasSuffix(got.log, want) {
		t.Errorf("log: %s", got.log)
	}
}

func TestMonitorLooksAtTheAddressNotAtWhoPutItThere(t *testing.T) {
	tests := []struct {
		name, nic, prefix string
		params            []string
		code              ocf.Code
		reason            string
	}{
		{"on the interface of its network", "eth0", "192.0.2.10/32", []string{"ip=192.0.2.10"}, 0, ""},
		{"on the interface of another network", "eth1", "192.0.2.10/32", []string{"ip=192.0.2.10"}, 7, "192.0.2.10 is on eth1, not on the interface of its network"},
		{"of no network", "eth1", "203.0.113.10/32", []string{"ip=203.0.113.10"}, 0, ""},
		{"of no network, on lo", "lo", "203.0.113.10/32", []string{"ip=203.0.113.10"}, 7, "203.0.113.10 is not on any interface"},
		{"on the interface", "eth0", "192.0.2.10/24", []string{"ip=192.0.2.10", "nic=eth0"}, 0, ""},
		{"on another interface", "eth1", "192.0.2.10/24", []string{"ip=192.0.2.10", "nic=eth0"}, 7, "192.0.2.10 is on eth1, not on eth0"},
		{"a real server's address on lo", "lo", "192.0.2.10/32", []string{"ip=192.0.2.10"}, 7, "192.0.2.10 is not on any interface"},
		{"a loopback address", "lo", "127.0.0.3/8", []string{"ip=127.0.0.3"}, 0, ""},
		{"another prefix length", "eth0", "192.0.2.10/32", []string{"ip=192.0.2.10", "cidr_netmask=24"}, 1,
			"192.0.2.10 is on eth0, but with prefix length 32 instead of 24"},
		{"without an address", "eth0", "192.0.2.10/24", nil, 7, "parameter ip has no usable address, so no address can be on an interface"},
		{"with a bad address", "eth0", "192.0.2.10/24", []string{"ip=192.0.2"}, 7, "parameter ip has no usable address, so no address can be on an interface"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.links.Have(tt.nic, tt.prefix)
			if got := n.mustRun(t, tt.code, "monitor", tt.params...); got.reason != tt.reason {
				t.Errorf("reason: %s", got.reason)
			}
		})
	}
}

func TestStartRemovesNothing(t *testing.T) {
	n := newNode(t)
	n.links.Have("eth0", "192.0.2.10/32")
	got := n.mustRun(t, 0, "start", "ip=192.0.2.10", "cidr_netmask=24")
	if want := "INFO: ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0\n"; got.log != want {
		t.Errorf("log: %s", got.log)
	}
	n.links.Have("eth0", "2001:db8::10/128")
	got = n.mustRun(t, 1, "start", "ip=2001:db8::10", "cidr_netmask=64")
	if want := "2001:db8::10 is on eth0 already, with prefix length 128; give cidr_netmask=128, or remove it"; got.reason != want {
		t.Errorf("reason: %s", got.reason)
	}
	n.mustRun(t, 0, "monitor", "ip=2001:db8::10", "cidr_netmask=128")
}

func TestStopRemovesEveryPrefixLengthAndNothingElse(t *testing.T) {
	n := newNode(t)
	n.links.Have("eth0", "192.0.2.10/24", "192.0.2.10/32", "192.0.2.12/32")
	n.links.Have("lo", "192.0.2.10/32")
	n.mustRun(t, 0, "stop", "ip=192.0.2.10", "cidr_netmask=24")
	n.wantAddresses(t, own+"ip addr add 192.0.2.12/32 dev eth0\nip addr add 192.0.2.10/32 dev lo\n")
}

func TestDuplicateIsTakenAwayAgain(t *testing.T) {
	n := newNode(t)
	n.links.Elsewhere = []netip.Addr{netip.MustParseAddr("2001:db8::10")}
	got := n.mustRun(t, 1, "start", "ip=2001:db8::10")
	if !strings.Contains(got.reason, "2001:db8::10") || !strings.Contains(got.reason, "duplicate") {
		t.Errorf("reason: %s", got.reason)
	}
	n.wantAddresses(t, own)
	if len(n.announced.sent) != 0 {
		t.Errorf("announced %q", n.announced.sent)
	}
}

func TestFailureOfAnOpIsNamed(t *testing.T) {
	n := newNode(t)
	n.links.FailAfter(0, syscall.ENOBUFS)
	got := n.mustRun(t, 1, "start", "ip=192.0.2.10")
	if want := "ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0: no buffer space available"; got.reason != want {
		t.Errorf("reason: %s", got.reason)
	}
	n.mustRun(t, 0, "start", "ip=192.0.2.10")
	n.links.FailAfter(0, syscall.ENOBUFS)
	n.mustRun(t, 1, "stop", "ip=192.0.2.10")
	n.mustRun(t, 0, "monitor", "ip=192.0.2.10")
	n.mustRun(t, 0, "stop", "ip=192.0.2.10")
	n.wantAddresses(t, own)
}

func TestBadParameters(t *testing.T) {
	tests := []struct {
		name, action string
		params       []string
		code         ocf.Code
		reason       string
	}{
		{"no ip", "start", nil, 6, "parameter ip is required"},
		{"bad ip", "start", []string{"ip=192.0.2.300"}, 6, `parameter ip="192.0.2.300": not an IPv4 or IPv6 address`},
		{"bad mask", "start", []string{"ip=192.0.2.10", "cidr_netmask=255.0.255.0"}, 6,
			`parameter cidr_netmask="255.0.255.0": not a prefix length from 1 to 32 (IPv6: 128), nor an IPv4 netmask`},
		{"long mask", "start", []string{"ip=192.0.2.10", "cidr_netmask=33"}, 6,
			"parameter cidr_netmask=33 is longer than the address 192.0.2.10; the most is 32"},
		{"mask of the other family", "start", []string{"ip=2001:db8::10", "cidr_netmask=255.255.255.0"}, 6,
			"parameter cidr_netmask is an IPv4 netmask, but ip=2001:db8::10 is IPv6; give a prefix length"},
		{"localhost", "start", []string{"ip=127.0.0.1"}, 6, "parameter ip=127.0.0.1 cannot be a virtual address"},
		{"broadcast", "start", []string{"ip=255.255.255.255"}, 6, "parameter ip=255.255.255.255 cannot be a virtual address"},
		{"multicast", "start", []string{"ip=224.0.0.1"}, 6, "parameter ip=224.0.0.1 is a multicast address; an interface cannot have it"},
		{"link-local without nic", "start", []string{"ip=fe80::10"}, 6,
			"parameter ip=fe80::10 is link-local and exists on every interface; give nic"},
		{"no network", "start", []string{"ip=203.0.113.10"}, 1,
			"no directly connected network holds 203.0.113.10; give nic and cidr_netmask"},
		{"no network on this NIC", "start", []string{"ip=192.0.2.10", "nic=eth1"}, 1,
			"no directly connected network of eth1 holds 192.0.2.10; give cidr_netmask, or another nic"},
		{"no NIC", "start", []string{"ip=192.0.2.10", "nic=eth9"}, 5,
			`network interface "eth9" does not exist; create it or give one that ip link shows`},
		{"no NIC, everything given", "start", []string{"ip=192.0.2.10", "nic=eth9", "cidr_netmask=24"}, 5,
			`network interface "eth9" does not exist; create it or give one that ip link shows`},
		{"no NIC at level 10", "validate-all at level 10", []string{"ip=192.0.2.10", "nic=eth9"}, 5,
			`network interface "eth9" does not exist; create it or give one that ip link shows`},
		{"bad broadcast", "start", []string{"ip=192.0.2.10", "broadcast=2001:db8::1"}, 6,
			`parameter broadcast="2001:db8::1": neither an IPv4 address nor + nor -`},
		{"broadcast of IPv6", "start", []string{"ip=2001:db8::10", "broadcast=+"}, 6, "parameter broadcast=+ is for IPv4, but ip=2001:db8::10 is IPv6"},
		{"bad NIC", "start", []string{"ip=192.0.2.10", "nic=a name that is too long"}, 6,
			`parameter nic="a name that is too long": not the name of a network interface`},
		{"long label", "start", []string{"ip=192.0.2.10", "nic=eth0", "iflabel=abcdefghijk"}, 6,
			`label "eth0:abcdefghijk" is longer than 15 characters; give a shorter iflabel`},
		{"long label on any interface", "start", []string{"ip=192.0.2.10", "iflabel=abcdefghijklmn"}, 6,
			`label "NIC:abcdefghijklmn" is longer than 15 characters; give a shorter iflabel`},
		{"long label on this interface", "start", []string{"ip=192.0.2.10", "iflabel=abcdefghijk"}, 5,
			`label "eth0:abcdefghijk" is longer than 15 characters; give a shorter iflabel`},
		{"bad lifetime", "start", []string{"ip=2001:db8::10", "preferred_lft=bogus"}, 6,
			`parameter preferred_lft="bogus": neither a number of seconds nor forever`},
		{"bad origin", "start", []string{"ip=192.0.2.10", "proto=256"}, 6,
			`parameter proto="256": neither a route protocol (kernel, static, ...) nor a number from 1 to 255`},
		{"another origin", "start", []string{"ip=192.0.2.10", "proto=static"}, 1,
			"no directly connected network holds 192.0.2.10; give nic and cidr_netmask"},
		{"bad sender", "start", []string{"ip=192.0.2.10", "arp_sender=bogus"}, 6,
			`parameter arp_sender="bogus": unknown (one of send_arp, iputils_arping, libnet_arping, ipoibarping)`},
		{"IPv4 with a shorter prefix", "start", []string{"ip=192.0.2.10", "cidr_netmask=16"}, 1,
			"no directly connected network holds 192.0.2.10/16; give nic and cidr_netmask"},
		{"IPv6 with another prefix", "start", []string{"ip=2001:db8::10", "cidr_netmask=80"}, 1,
			"the network of 2001:db8::10 on eth0 has prefix length 64, not 80; give cidr_netmask=64 or 128, or nic as well"},
		{"no namespace", "start", []string{"ip=192.0.2.10", "network_namespace=nosuch"}, 5,
			`network namespace "nosuch" does not exist; ip netns add nosuch`},
		{"address of each instance", "start", []string{"ip=192.0.2.10", "unique_clone_address=true"}, 6,
			"parameter unique_clone_address=true is not supported, because the cluster cannot see the address of each instance; use one resource for each address"},
		{"a clone", "start", []string{"ip=192.0.2.10", "CRM_meta_clone_max=2"}, 6,
			"an address on several nodes at once (clone-max above 1) is not supported, because the kernel has no CLUSTERIP any more; use ocf:lvs:ipvs to share load"},
		{"bad neighbour", "start", []string{"ip=192.0.2.10", "confirm=gateway router"}, 6,
			`parameter confirm="gateway router": "router" is neither gateway nor an address`},
		{"strange neighbour", "start", []string{"ip=192.0.2.10", "confirm=2001:db8::1"}, 6,
			"parameter confirm: 2001:db8::1 is not a neighbour of ip=192.0.2.10"},
		{"no NIC at level 0", "validate-all", []string{"ip=192.0.2.10", "nic=eth9"}, 0, ""},
		{"long mask at level 0", "validate-all", []string{"ip=192.0.2.10", "cidr_netmask=33"}, 6,
			"parameter cidr_netmask=33 is longer than the address 192.0.2.10; the most is 32"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			if got := n.mustRun(t, tt.code, tt.action, tt.params...); got.reason != tt.reason {
				t.Errorf("got  %s\nwant %s", got.reason, tt.reason)
			}
			n.wantAddresses(t, own)
			n.mustRun(t, 0, "stop", tt.params...)
			n.mustRun(t, 7, "probe", tt.params...)
			n.wantAddresses(t, own)
		})
	}
}

func TestDeadlineOfAKernelThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.links.Stall = true
		for _, action := range []string{"start", "stop", "monitor"} {
			got := n.mustRun(t, 1, action, "ip=192.0.2.10", "CRM_meta_timeout=500")
			if !strings.Contains(got.reason, "deadline exceeded") {
				t.Errorf("%s: %s", action, got.reason)
			}
		}
	})
}
