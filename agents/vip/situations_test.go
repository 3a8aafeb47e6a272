package vip

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/agents/vip/note"
	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/ocf"
)

func TestParametersOfTheAddress(t *testing.T) {
	tests := []struct {
		name, address string
		params        []string
	}{
		{"broadcast", "ip addr add 192.0.2.10/24 brd 192.0.2.127 dev eth0\n", []string{"ip=192.0.2.10", "broadcast=192.0.2.127"}},
		{"broadcast of its own network", "ip addr add 192.0.2.10/28 brd 192.0.2.15 dev eth0\n", []string{"ip=192.0.2.10", "cidr_netmask=28", "broadcast=+"}},
		{"lowest broadcast", "ip addr add 192.0.2.10/28 brd 192.0.2.0 dev eth0\n", []string{"ip=192.0.2.10", "cidr_netmask=28", "broadcast=-"}},
		{"label", "ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0 label eth0:web\n", []string{"ip=192.0.2.10", "iflabel=web"}},
		{"label in nic goes first", "ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0 label eth0:web\n", []string{"ip=192.0.2.10", "nic=eth0:web", "iflabel=abc"}},
		{"label of IPv6", "ip addr add 2001:db8::10/64 dev eth0 preferred_lft 0\n", []string{"ip=2001:db8::10", "iflabel=a-label-that-is-too-long"}},
		{"netmask by its old name", "ip addr add 192.0.2.10/28 brd 192.0.2.255 dev eth0\n", []string{"ip=192.0.2.10", "netmask=28"}},
		{"netmask by both names", "ip addr add 192.0.2.10/26 brd 192.0.2.255 dev eth0\n", []string{"ip=192.0.2.10", "netmask=28", "cidr_netmask=26"}},
		{"no route", "ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0 noprefixroute\n", []string{"ip=192.0.2.10", "noprefixroute=true"}},
		{"origin of the route", "ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0\n", []string{"ip=192.0.2.10", "proto=kernel"}},
		{"namespace", "ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0\n", []string{"ip=192.0.2.10", "network_namespace=blue"}},
		{"IPv6 at once", "ip addr add 2001:db8::10/64 dev eth0 preferred_lft 0 nodad\n", []string{"ip=2001:db8::10", "nodad=true"}},
		{"IPv6 preferred", "ip addr add 2001:db8::10/64 dev eth0\n", []string{"ip=2001:db8::10", "preferred_lft=forever"}},
		{"IPv6 preferred for a while", "ip addr add 2001:db8::10/128 dev eth0 preferred_lft 60\n", []string{"ip=2001:db8::10", "preferred_lft=60", "cidr_netmask=128"}},
		{"IPv6 with a label", "ip addr add 2001:db8::10/64 dev eth0 preferred_lft 0\nip addrlabel add prefix 2001:db8::10/128 label 99\n",
			[]string{"ip=2001:db8::10", "lvs_ipv6_addrlabel=true"}},
		{"IPv6 with a label of its own", "ip addr add 2001:db8::10/64 dev eth0 preferred_lft 0\nip addrlabel add prefix 2001:db8::10/128 label 7\n",
			[]string{"ip=2001:db8::10", "lvs_ipv6_addrlabel=true", "lvs_ipv6_addrlabel_value=7"}},
		{"IPv4 with a label", "ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0\n", []string{"ip=192.0.2.10", "lvs_ipv6_addrlabel=true"}},
		{"a clone on lo", "ip addr add 192.0.2.10/32 dev lo\n", []string{"ip=192.0.2.10", "nic=lo", "cidr_netmask=32", "CRM_meta_clone_max=2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.links.Namespaces = []string{"blue"}
			for range 2 {
				n.mustRun(t, 0, "start", tt.params...)
				n.wantAddresses(t, own+tt.address)
				n.mustRun(t, 0, "monitor", tt.params...)
			}
			n.mustRun(t, 0, "reload-agent", tt.params...)
			n.wantAddresses(t, own+tt.address)
			for range 2 {
				n.mustRun(t, 0, "stop", tt.params...)
				n.wantAddresses(t, own)
			}
			n.mustRun(t, 7, "monitor", tt.params...)
		})
	}
}

func TestStopInANamespaceThatIsGone(t *testing.T) {
	n := newNode(t)
	for action, code := range map[string]ocf.Code{"stop": 0, "monitor": 7, "probe": 7} {
		got := n.mustRun(t, code, action, "ip=192.0.2.10", "network_namespace=gone")
		if want := "WARNING: network namespace \"gone\" does not exist; ip netns add gone\n"; action == "stop" && got.log != want {
			t.Errorf("log %s", got.log)
		}
	}
}

func TestFlushRoutes(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "start", "ip=192.0.2.10", "flush_routes=yes")
	n.mustRun(t, 0, "stop", "ip=192.0.2.10", "flush_routes=yes")
	n.mustRun(t, 0, "stop", "ip=192.0.2.10", "flush_routes=yes")
	if n.links.Flushed != 1 {
		t.Errorf("flushed %d times", n.links.Flushed)
	}
}

func TestParametersWithoutEffectAreNamed(t *testing.T) {
	n := newNode(t)
	got := n.mustRun(t, 0, "start", "ip=192.0.2.10", "mac=01:02:03:04:05:06", "clusterip_hash=sourceip", "send_arp_opts=-A", "unique_clone_address=false")
	want := "WARNING: parameters without effect: mac, clusterip_hash: an address on several nodes at once is not supported, because the kernel has no CLUSTERIP any more; use ocf:lvs:ipvs to share load\n" +
		"WARNING: parameter send_arp_opts has no effect: the agent sends ARP requests and replies on its own\n" +
		"INFO: ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0\n"
	if diff := cmp.Diff(want, got.log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReloadChangesTheLifetime(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "start", "ip=2001:db8::10")
	for _, step := range []struct{ lifetime, want string }{
		{"forever", ""}, {"60", " preferred_lft 60"}, {"0", " preferred_lft 0"}, {"0", " preferred_lft 0"},
	} {
		n.mustRun(t, 0, "reload-agent", "ip=2001:db8::10", "preferred_lft="+step.lifetime)
		n.wantAddresses(t, own+"ip addr add 2001:db8::10/64 dev eth0"+step.want+"\n")
	}
	n.mustRun(t, 6, "reload-agent", "ip=2001:db8::10", "preferred_lft=x")
}

// TestRefreshIsPaced checks the number of announcements if actions follow each other within one
// refresh interval.
func TestRefreshIsPaced(t *testing.T) {
	tests := []struct {
		name, params string
		actions      []string
		want         int
	}{
		{"two monitors", "arp_refresh_interval=30", []string{"monitor", "monitor"}, 1},
		{"two monitors, each refreshes", "arp_refresh_interval=0", []string{"monitor", "monitor"}, 2},
		{"start is an announcement", "arp_refresh_interval=30", []string{"start", "monitor"}, 1},
		{"stop forgets it", "arp_refresh_interval=30", []string{"start", "stop", "start", "monitor"}, 2},
		{"two monitors, none refreshes", "arp_count_refresh=0", []string{"monitor", "monitor"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			if tt.actions[0] == "monitor" {
				n.links.Have("eth0", "192.0.2.10/24")
			}
			for _, action := range tt.actions {
				n.mustRun(t, 0, action, "ip=192.0.2.10", tt.params)
			}
			if got := len(n.announced.sent); got != tt.want {
				t.Errorf("%d announcements, want %d: %q", got, tt.want, n.announced.sent)
			}
		})
	}
}

func TestAnnouncements(t *testing.T) {
	tests := []struct {
		name, action, want string
		params             []string
	}{
		{"start", "start", "eth0 192.0.2.10 5 times every 200ms", nil},
		{"start that waits", "start", "eth0 192.0.2.10 5 times every 200ms, waiting", []string{"arp_bg=false"}},
		{"recurring monitor", "monitor", "eth0 192.0.2.10 1 times every 200ms", nil},
		{"recurring monitor with more", "monitor", "eth0 192.0.2.10 3 times every 50ms", []string{"arp_count_refresh=3", "arp_interval=50"}},
		{"recurring monitor with none", "monitor", "", []string{"arp_count_refresh=0"}},
		{"recurring monitor that fails", "monitor", "", []string{"cidr_netmask=32"}},
		{"probe", "probe", "", nil},
		{"stop", "stop", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			if tt.action != "start" {
				n.links.Have("eth0", "192.0.2.10/24")
			}
			n.run(tt.action, append(tt.params, "ip=192.0.2.10")...)
			if got := strings.Join(n.announced.sent, "; "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNothingIsAnnouncedOnLo(t *testing.T) {
	n := newNode(t)
	n.links.Have("lo", "127.0.0.3/8")
	n.mustRun(t, 0, "monitor", "ip=127.0.0.3")
	if len(n.announced.sent) > 0 {
		t.Errorf("announced %q", n.announced.sent)
	}
}

func TestNothingIsAnnouncedWithoutCarrier(t *testing.T) {
	n := newNode(t)
	n.links.Have("eth0", "192.0.2.10/24")
	n.links.Becomes("eth0", host.Interface{NoCarrier: true})
	n.mustRun(t, 0, "monitor", "ip=192.0.2.10")
	if len(n.announced.sent) > 0 {
		t.Errorf("announced %q", n.announced.sent)
	}
}

func TestTheLink(t *testing.T) {
	const v4, v6 = "ip=192.0.2.10", "ip=2001:db8::10"
	noCarrier, down := host.Interface{NoCarrier: true}, host.Interface{Down: true}
	tests := []struct {
		name    string
		happens func(*kerneltest.Links) // happens is the change that the test makes after start.
		params  []string
		code    ocf.Code // code is the exit code of the monitor after the change.
		reason  string
		restart ocf.Code // restart is the exit code of a start after the stop.
	}{
		{name: "carrier lost", happens: func(k *kerneltest.Links) { k.Becomes("eth0", noCarrier) }, params: []string{v4}},
		{name: "carrier lost, IPv6", happens: func(k *kerneltest.Links) { k.Becomes("eth0", noCarrier) }, params: []string{v6}},
		{name: "carrier lost and checked", happens: func(k *kerneltest.Links) { k.Becomes("eth0", noCarrier) }, params: []string{v4, "check_link_status=true"},
			code: 1, reason: "eth0 has no carrier, and check_link_status=true", restart: 5},
		{name: "set down", happens: func(k *kerneltest.Links) { k.Becomes("eth0", down) }, params: []string{v4},
			code: 1, reason: "eth0 is down; ip link set dev eth0 up"},
		{name: "set down, IPv6", happens: func(k *kerneltest.Links) { k.Becomes("eth0", down) }, params: []string{v6, "nic=eth0", "cidr_netmask=64"},
			code: 7, reason: "2001:db8::10 is not on eth0"},
		{name: "interface gone", happens: func(k *kerneltest.Links) { k.Rename("eth0", "") }, params: []string{v4, "nic=eth0"},
			code: 1, reason: `192.0.2.10 is gone: network interface "eth0" does not exist; create it or give one that ip link shows`, restart: 5},
		{name: "interface gone, and not given", happens: func(k *kerneltest.Links) { k.Rename("eth0", "") }, params: []string{v4},
			code: 7, reason: "192.0.2.10 is not on any interface", restart: 1},
		{name: "interface renamed", happens: func(k *kerneltest.Links) { k.Rename("eth0", "lan0") }, params: []string{v4, "nic=eth0"},
			code: 1, reason: `192.0.2.10 is on lan0: network interface "eth0" does not exist any more`, restart: 5},
		{name: "interface renamed, and not given", happens: func(k *kerneltest.Links) { k.Rename("eth0", "lan0") }, params: []string{v4}},
		{name: "address removed", happens: func(k *kerneltest.Links) { by(k, host.DeleteAddress, "eth0", "192.0.2.10/24") }, params: []string{v4},
			code: 7, reason: "192.0.2.10 is not on any interface"},
		{name: "address moved", happens: func(k *kerneltest.Links) {
			by(k, host.DeleteAddress, "eth0", "192.0.2.10/24")
			by(k, host.AddAddress, "eth1", "192.0.2.10/24")
		}, params: []string{v4, "nic=eth0"}, code: 7, reason: "192.0.2.10 is on eth1, not on eth0"},
		{name: "address with another prefix", happens: func(k *kerneltest.Links) {
			by(k, host.DeleteAddress, "eth0", "192.0.2.10/24")
			by(k, host.AddAddress, "eth0", "192.0.2.10/32")
		}, params: []string{v4, "cidr_netmask=24"}, code: 1, reason: "192.0.2.10 is on eth0, but with prefix length 32 instead of 24"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.mustRun(t, 0, "start", tt.params...)
			tt.happens(n.links)
			if got := n.mustRun(t, tt.code, "monitor", tt.params...); got.reason != tt.reason {
				t.Errorf("got  %s\nwant %s", got.reason, tt.reason)
			}
			stopped := n.mustRun(t, 0, "stop", tt.params...)
			const warning = "WARNING: 192.0.2.10 is still on eth1, which is not the interface of this resource; remove it there\n"
			if warned := stopped.log == warning; warned != (tt.name == "address moved") {
				t.Errorf("stop says %s", stopped.log)
			}
			n.mustRun(t, tt.restart, "start", tt.params...)
			if tt.restart == 0 {
				n.mustRun(t, 0, "monitor", tt.params...)
			}
			n.mustRun(t, 0, "stop", tt.params...)
			if left := n.links.String(); tt.name != "address moved" && strings.Contains(left, ".10/") {
				t.Errorf("stop left the address:\n%s", left)
			}
		})
	}
}

// by changes the fake kernel as an operator does by hand with ip.
func by(k *kerneltest.Links, verb host.AddressVerb, nic, prefix string) {
	address := host.Address{NIC: nic, Prefix: netip.MustParsePrefix(prefix)}
	if _, err := k.Apply(context.Background(), []host.AddressOp{{Verb: verb, Address: address}}); err != nil {
		panic(err)
	}
}

func TestStartWithoutCarrierWarns(t *testing.T) {
	for _, ip := range []string{"192.0.2.10", "2001:db8::10"} {
		n := newNode(t)
		n.links.Becomes("eth0", host.Interface{NoCarrier: true})
		got := n.mustRun(t, 0, "start", "ip="+ip)
		if want := "WARNING: eth0 has no carrier: no client can reach " + ip + " on this node yet\n"; !strings.HasPrefix(got.log, want) {
			t.Errorf("log: %s", got.log)
		}
		n.mustRun(t, 0, "monitor", "ip="+ip)
		n.links.Becomes("eth0", host.Interface{})
		if ip == "2001:db8::10" {
			n.mustRun(t, 1, "monitor", "ip="+ip) // Monitor fails because duplicate address detection has not finished yet.
		}
		n.mustRun(t, 0, "start", "ip="+ip)
		n.mustRun(t, 0, "monitor", "ip="+ip)
	}
}

func TestStartSetsTheInterfaceUp(t *testing.T) {
	n := newNode(t)
	n.links.Becomes("eth0", host.Interface{Down: true})
	got := n.mustRun(t, 0, "start", "ip=192.0.2.10")
	if want := "INFO: ip link set dev eth0 up\nINFO: ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0\n"; got.log != want {
		t.Errorf("log: %s", got.log)
	}
	n.mustRun(t, 0, "monitor", "ip=192.0.2.10")
}

func TestLVSSupport(t *testing.T) {
	tests := []struct{ name, ip, lo, brought string }{
		{"IPv4", "192.0.2.10", "192.0.2.10/32 brd 192.0.2.10 dev lo label lo:vip scope host", "192.0.2.10/24 brd 192.0.2.255 dev eth0"},
		{"IPv6", "2001:db8::10", "2001:db8::10/128 dev lo preferred_lft 0", "2001:db8::10/64 dev eth0 preferred_lft 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			there, err := host.ParseAddress(tt.lo)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := n.links.Apply(t.Context(), []host.AddressOp{{Verb: host.AddAddress, Address: there}}); err != nil {
				t.Fatal(err)
			}
			before, params := n.links.String(), []string{"ip=" + tt.ip, "lvs_support=true"}
			n.mustRun(t, 7, "monitor", params...)
			for range 2 {
				n.mustRun(t, 0, "start", params...)
				n.wantAddresses(t, own+"ip addr add "+tt.brought+"\n")
				n.mustRun(t, 0, "monitor", params...)
			}
			n.mustRun(t, 0, "stop", params...)
			n.wantAddresses(t, before)
			n.mustRun(t, 7, "monitor", params...)

			n.mustRun(t, 0, "start", params...)
			by(n.links, host.DeleteAddress, "eth0", strings.Fields(tt.brought)[0])
			got := n.mustRun(t, 1, "probe", params...)
			if want := "start removed " + tt.ip + " from lo, and it is neither on any interface nor on lo now; stop adds it to lo again"; got.reason != want {
				t.Errorf("got  %s\nwant %s", got.reason, want)
			}
			n.mustRun(t, 0, "stop") // stop gets no parameters
			n.wantAddresses(t, before)
		})
	}
}

func TestFailureOfAnyOpLeavesNothingHalfDone(t *testing.T) {
	for _, params := range [][]string{
		{"ip=192.0.2.10", "lvs_support=true", "flush_routes=true"},
		{"ip=2001:db8::10", "lvs_support=true", "lvs_ipv6_addrlabel=true"},
	} {
		for after := range 4 {
			n := newNode(t)
			n.links.Have("lo", "192.0.2.10/32", "2001:db8::10/128")
			before := n.links.String()
			n.links.FailAfter(after, syscall.ENOBUFS)
			started := n.run("start", params...)
			n.links.FailAfter(9, nil)
			if started.code != 0 && started.code != 1 {
				t.Errorf("op %d: start gives %d: %s", after, started.code, started.reason)
			}
			monitor := n.run("probe", params...)
			if started.code == 0 && monitor.code != 0 || monitor.code == 7 && n.links.String() != before {
				t.Errorf("op %d: start gives %d, monitor %d\n%s", after, started.code, monitor.code, n.links)
			}
			n.mustRun(t, 0, "stop", params...)
			if diff := cmp.Diff(before, sortedLines(n.links.String(), before)); diff != "" {
				t.Errorf("op %d: after stop (-want +got):\n%s", after, diff)
			}
		}
	}
}

// sortedLines returns want if text has the same lines in any order. Otherwise it returns text.
func sortedLines(text, want string) string {
	left := text
	for line := range strings.Lines(want) {
		left = strings.Replace(left, line, "", 1)
	}
	if left == "" && len(text) == len(want) {
		return want
	}
	return text
}

// proof returns the replies of neighbours that lvsctl status shows.
func (n node) proof(t *testing.T) string {
	t.Helper()
	text, err := note.Of(n.state, note.Proof, "web").Read()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDuplicatePolicies(t *testing.T) {
	const asked, burst = "who has 192.0.2.10 on eth0 within 600ms", "eth0 192.0.2.10 5 times every 200ms"
	const mac = "02:00:00:00:00:09"
	tests := []struct {
		name, owner string
		params      []string
		code        ocf.Code
		reason      string
		sent        []string
	}{
		{"off", mac, nil, 0, "", []string{burst}},
		{"nobody", "", []string{"duplicate=fail"}, 0, "", []string{asked, burst}},
		{"fail", mac, []string{"duplicate=fail"}, 1, "192.0.2.10 belongs to the host with link-layer address " + mac + " on eth0 already; stop it there", []string{asked}},
		{"run_arping", mac, []string{"run_arping=true"}, 1, "192.0.2.10 belongs to the host with link-layer address " + mac + " on eth0 already; stop it there", []string{asked}},
		{"warn", mac, []string{"duplicate=warn", "run_arping=true"}, 0, "", []string{asked, burst}},
		{"take", mac, []string{"duplicate=take"}, 0, "", []string{asked, burst + ", also to " + mac}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.announced.owner = tt.owner
			got := n.mustRun(t, tt.code, "start", append(tt.params, "ip=192.0.2.10")...)
			if diff := cmp.Diff(tt.sent, n.announced.sent); diff != "" || got.reason != tt.reason {
				t.Errorf("reason %s\n(-want +got):\n%s", got.reason, diff)
			}
			if tt.code != 0 {
				n.wantAddresses(t, own)
			}
			if warned := strings.Contains(got.log, "WARNING: 192.0.2.10 belongs to the host with link-layer address "+mac); warned != (tt.name == "warn" || tt.name == "take") {
				t.Errorf("log: %s", got.log)
			}
		})
	}
}

func TestDuplicatePoliciesOfIPv6(t *testing.T) {
	for policy, code := range map[string]ocf.Code{"off": 1, "fail": 1, "warn": 0, "take": 0} {
		n := newNode(t)
		n.links.Elsewhere = []netip.Addr{netip.MustParseAddr("2001:db8::10")}
		n.mustRun(t, code, "start", "ip=2001:db8::10", "duplicate="+policy)
		want := map[ocf.Code]string{0: "ip addr add 2001:db8::10/64 dev eth0 preferred_lft 0 nodad\n"}[code]
		n.wantAddresses(t, own+want)
	}
}

func TestConfirmations(t *testing.T) {
	const (
		burst   = "eth0 192.0.2.10 5 times every 200ms"
		told    = "eth0 192.0.2.10 to 192.0.2.254"
		proof   = "192.0.2.10 on eth0: neighbour 192.0.2.254 sends to this node\n"
		silence = "192.0.2.10 on eth0: neighbour 192.0.2.254 did not reply within 3000ms\n"
		reason  = "neighbour 192.0.2.254 does not reply to 192.0.2.10 on eth0; check the neighbour's ARP or neighbour table"
	)
	tests := []struct {
		name       string
		deaf, mute bool
		params     []string
		code       ocf.Code
		told       bool
		proof      string
	}{
		{"knows", false, false, []string{"confirm=gateway"}, 0, false, proof},
		{"given twice", false, false, []string{"confirm=gateway, 192.0.2.254"}, 0, false, proof},
		{"has to be told", true, false, []string{"confirm=192.0.2.254", "confirm_policy=fail"}, 0, true, proof},
		{"never answers", false, true, []string{"confirm=gateway"}, 0, true, silence},
		{"never answers and has to", false, true, []string{"confirm=gateway", "confirm_policy=fail"}, 1, true, silence},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				n.links.Routers = map[string][]netip.Addr{"eth0": {netip.MustParseAddr("2001:db8::fe"), netip.MustParseAddr("192.0.2.254")}}
				n.announced.deaf = map[string]bool{"192.0.2.254": tt.deaf}
				n.announced.mute = map[string]bool{"192.0.2.254": tt.mute}
				got := n.mustRun(t, tt.code, "start", append(tt.params, "ip=192.0.2.10")...)
				if n.announced.sent[0] != burst || (len(n.announced.sent) > 1) != tt.told || tt.told && n.announced.sent[1] != told {
					t.Errorf("sent %q", n.announced.sent)
				}
				if text := n.proof(t); text != tt.proof {
					t.Errorf("proof: %q", text)
				}
				if tt.code != 0 {
					if got.reason != reason {
						t.Errorf("got  %s\nwant %s", got.reason, reason)
					}
					n.wantAddresses(t, own)
				}
				n.mustRun(t, 0, "stop", "ip=192.0.2.10")
				if text := n.proof(t); text != "" {
					t.Errorf("proof after stop: %q", text)
				}
			})
		})
	}
}

func TestConfirmWithoutAGateway(t *testing.T) {
	n := newNode(t)
	got := n.mustRun(t, 0, "start", "ip=192.0.2.10", "confirm=gateway")
	if want := "WARNING: confirm=gateway: no default route over eth0 has a next hop\n"; !strings.HasSuffix(got.log, want) {
		t.Errorf("log: %s", got.log)
	}
}

func TestFailedRefreshIsAWarning(t *testing.T) {
	n := newNode(t)
	n.links.Have("eth0", "192.0.2.10/24")
	n.announced.err = errors.New("no process left")
	got := n.mustRun(t, 0, "monitor", "ip=192.0.2.10")
	if want := "WARNING: 192.0.2.10 is on eth0, but was not announced again: no process left\n"; got.log != want {
		t.Errorf("log: %s", got.log)
	}
}
