package vip

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/ocf"
)

// announcements remembers what was announced.
type announcements struct {
	sent []string
	err  error
}

func (a *announcements) Announce(nic string, ip netip.Addr, count int, interval time.Duration) error {
	a.sent = append(a.sent, fmt.Sprintf("%s %s %d times every %s", nic, ip, count, interval))
	return a.err
}

// node is a director with eth0, eth1 and their networks.
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

func (n node) run(action string, params ...string) result {
	environ := []string{"OCF_RESOURCE_INSTANCE=web", "OCF_RESKEY_CRM_meta_interval=10000"}
	for _, p := range params {
		environ = append(environ, "OCF_RESKEY_"+p)
	}
	if action == "probe" {
		action, environ[1] = "monitor", "OCF_RESKEY_CRM_meta_interval=0"
	}
	if action, ok := strings.CutSuffix(action, " at level 10"); ok {
		return n.exec(action, append(environ, "OCF_CHECK_LEVEL=10"))
	}
	return n.exec(action, environ)
}

func (n node) exec(action string, environ []string) result {
	var stdout, stderr bytes.Buffer
	r := result{code: ocf.Run(ocf.Process{
		Args: []string{"vip", action}, Environ: environ, Stdout: &stdout, Stderr: &stderr, Root: true, StateDir: n.state,
	}, New(n.links, n.announced))}
	for line := range strings.Lines(stderr.String()) {
		if reason, ok := strings.CutPrefix(line, "ocf-exit-reason:"); ok {
			r.reason = strings.TrimSpace(reason)
			continue
		}
		_, text, _ := strings.Cut(line, "]: ")
		r.log += text
	}
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
		{"IPv4 with a length", "ip addr add 192.0.2.10/32 dev eth0\n", []string{"ip=192.0.2.10", "cidr_netmask=32"}},
		{"IPv4 with a mask", "ip addr add 192.0.2.10/28 dev eth0\n", []string{"ip=192.0.2.10", "cidr_netmask=255.255.255.240"}},
		{"IPv4 of no network", "ip addr add 203.0.113.10/24 dev eth1\n", []string{"ip=203.0.113.10", "nic=eth1", "cidr_netmask=24"}},
		{"IPv6", "ip addr add 2001:db8::10/64 dev eth0 preferred_lft 0\n", []string{"ip=2001:db8::10"}},
		{"IPv6 link-local", "ip addr add fe80::10/64 dev eth0\n", []string{"ip=fe80::10", "nic=eth0", "cidr_netmask=64"}},
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
			if len(n.announced.sent) != 2 { // not by the start that found it running
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
		{"on the interface of another network", "eth1", "192.0.2.10/32", []string{"ip=192.0.2.10"}, 7, "192.0.2.10 is not on any interface"},
		{"of no network", "eth1", "203.0.113.10/32", []string{"ip=203.0.113.10"}, 0, ""},
		{"of no network, on lo", "lo", "203.0.113.10/32", []string{"ip=203.0.113.10"}, 7, "203.0.113.10 is not on any interface"},
		{"on the interface", "eth0", "192.0.2.10/24", []string{"ip=192.0.2.10", "nic=eth0"}, 0, ""},
		{"on another interface", "eth1", "192.0.2.10/24", []string{"ip=192.0.2.10", "nic=eth0"}, 7, "192.0.2.10 is not on eth0"},
		{"a real server's address on lo", "lo", "192.0.2.10/32", []string{"ip=192.0.2.10"}, 7, "192.0.2.10 is not on any interface"},
		{"a loopback address", "lo", "127.0.0.3/8", []string{"ip=127.0.0.3"}, 0, ""},
		{"another prefix length", "eth0", "192.0.2.10/32", []string{"ip=192.0.2.10", "cidr_netmask=24"}, 1,
			"192.0.2.10 is on eth0, but with prefix length 32 instead of 24"},
		{"without an address", "eth0", "192.0.2.10/24", nil, 7, "without an address nothing can be running"},
		{"with a bad address", "eth0", "192.0.2.10/24", []string{"ip=192.0.2"}, 7, "without an address nothing can be running"},
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
	n.wantAddresses(t, own+"ip addr add 192.0.2.12/32 dev eth0\n")
	if left, err := n.links.Addresses(t.Context(), netip.MustParseAddr("192.0.2.10")); err != nil || len(left) != 1 || left[0].NIC != "lo" {
		t.Errorf("the real server's address on lo: %v %v", left, err)
	}
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
			n.mustRun(t, 7, "monitor", tt.params...)
			n.wantAddresses(t, own)
		})
	}
}

func TestDeadlineOfAKernelThatDoesNotAnswer(t *testing.T) {
	n := newNode(t)
	n.links.Stall = true
	for _, action := range []string{"start", "stop", "monitor"} {
		got := n.mustRun(t, 1, action, "ip=192.0.2.10", "CRM_meta_timeout=500")
		// The second on a busy machine: package ocf does not wait for its agent.
		if !strings.Contains(got.reason, "deadline exceeded") && !strings.Contains(got.reason, "did not end within") {
			t.Errorf("%s: %s", action, got.reason)
		}
	}
}
