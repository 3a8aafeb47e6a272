package realserver

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/doctor"
	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/metadata/metadatatest"
	"lvs-agents/ocf"
	"lvs-agents/ocf/ocftest"
)

func TestGenerated(t *testing.T) {
	metadatatest.Run(t, func() ocf.Agent { return New(kerneltest.NewSettings(), nil) })
}

// prober is a fake Prober. It returns the findings and the error that the test has set.
type prober struct {
	findings []doctor.Finding
	err      error
}

func (p *prober) Examine(context.Context, []host.Setting) ([]doctor.Finding, error) {
	return p.findings, p.err
}

// realHost is a real server with a fake kernel and a state directory.
type realHost struct {
	kernel *kerneltest.Settings
	prober *prober
	state  string
}

func newHost(t *testing.T) realHost {
	t.Helper()
	return realHost{kerneltest.NewSettings(), &prober{}, t.TempDir()}
}

type result struct {
	code        ocf.Code
	reason, log string
}

func (h realHost) run(instance, action string, words ...string) (r result) {
	r.code, r.reason, r.log = ocftest.Run(New(h.kernel, h.prober), h.state, instance, action, words...)
	return r
}

func (h realHost) must(t *testing.T, want ocf.Code, instance, action string, words ...string) result {
	t.Helper()
	got := h.run(instance, action, words...)
	if got.code != want {
		t.Fatalf("%s %s %q: got %d, want %d\nreason: %s\nlog: %s\nsettings:\n%s", instance, action, words, got.code, want, got.reason, got.log, h.kernel)
	}
	return got
}

func (h realHost) want(t *testing.T, want string) {
	t.Helper()
	if diff := cmp.Diff(want, h.kernel.String()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// nothingNoted fails the test if a state file of the agent is left.
func (h realHost) nothingNoted(t *testing.T) {
	t.Helper()
	files, _ := filepath.Glob(h.state + "/realserver-*")
	for _, file := range files {
		if !strings.HasSuffix(file, ".lock") {
			text, _ := os.ReadFile(file)
			t.Errorf("%s is left:\n%s", file, text)
		}
	}
}

func setting(text string) host.Setting {
	s, err := host.ParseSetting(text)
	if err != nil {
		panic(err)
	}
	return s
}

const (
	ignore   = "sysctl name=net/ipv4/conf/all/arp_ignore"
	announce = "sysctl name=net/ipv4/conf/all/arp_announce"
)

func TestEveryActionTwice(t *testing.T) {
	tests := []struct {
		name           string
		params         []string
		started, ended []string
	}{
		{"IPv4", []string{"ip=192.0.2.10"},
			[]string{"sysctl -w net.ipv4.conf.all.arp_ignore=1", "sysctl -w net.ipv4.conf.all.arp_announce=2", "ip addr add 192.0.2.10/32 dev lo"},
			[]string{"ip addr del 192.0.2.10/32 dev lo", "sysctl -w net.ipv4.conf.all.arp_announce=0", "sysctl -w net.ipv4.conf.all.arp_ignore=0"}},
		{"IPv6", []string{"ip=2001:db8::10"},
			[]string{"ip addr add 2001:db8::10/128 dev lo preferred_lft 0 nodad"}, []string{"ip addr del 2001:db8::10/128 dev lo"}},
		{"both, with scope", []string{"ip=192.0.2.10, 2001:db8::10", "scope=host"},
			[]string{"sysctl -w net.ipv4.conf.all.arp_ignore=1", "sysctl -w net.ipv4.conf.all.arp_announce=2",
				"ip addr add 192.0.2.10/32 dev lo scope host", "ip addr add 2001:db8::10/128 dev lo preferred_lft 0 nodad"},
			[]string{"ip addr del 2001:db8::10/128 dev lo", "ip addr del 192.0.2.10/32 dev lo",
				"sysctl -w net.ipv4.conf.all.arp_announce=0", "sysctl -w net.ipv4.conf.all.arp_ignore=0"}},
		{"arptables", []string{"ip=192.0.2.10", "method=arptables"},
			[]string{"arptables -I INPUT -d 192.0.2.10 -j DROP", "arptables -I OUTPUT -s 192.0.2.10 -j mangle --mangle-ip-s 192.0.2.21", "ip addr add 192.0.2.10/32 dev lo"},
			[]string{"ip addr del 192.0.2.10/32 dev lo", "arptables -D OUTPUT -s 192.0.2.10 -j mangle --mangle-ip-s 192.0.2.21", "arptables -D INPUT -d 192.0.2.10 -j DROP"}},
		{"nftables", []string{"ip=203.0.113.10", "method=nftables", "source=192.0.2.22"},
			[]string{"nft 'table arp lvs-203.0.113.10 { chain input { type filter hook input priority 0; arp daddr ip 203.0.113.10 drop; }; chain output { type filter hook output priority 0; arp saddr ip 203.0.113.10 arp saddr ip set 192.0.2.22; }; }'", "ip addr add 203.0.113.10/32 dev lo"},
			[]string{"ip addr del 203.0.113.10/32 dev lo", "nft delete table arp lvs-203.0.113.10"}},
		{"tunnels", []string{"ip=192.0.2.10 2001:db8::10", "forward=ipip"},
			[]string{"sysctl -w net.ipv4.conf.all.arp_ignore=1", "sysctl -w net.ipv4.conf.all.arp_announce=2",
				"ip link set dev tunl0 up", "sysctl -w net.ipv4.conf.tunl0.rp_filter=2", "ip addr add 192.0.2.10/32 dev tunl0",
				"ip link set dev ip6tnl0 up", "ip addr add 2001:db8::10/128 dev ip6tnl0 preferred_lft 0 nodad"},
			[]string{"ip addr del 2001:db8::10/128 dev ip6tnl0", "ip link set dev ip6tnl0 down",
				"ip addr del 192.0.2.10/32 dev tunl0", "sysctl -w net.ipv4.conf.tunl0.rp_filter=0", "ip link set dev tunl0 down",
				"sysctl -w net.ipv4.conf.all.arp_announce=0", "sysctl -w net.ipv4.conf.all.arp_ignore=0"}},
		{"tunnels of type GUE", []string{"ip=192.0.2.10 2001:db8::10", "forward=gue", "port=5555"},
			[]string{"sysctl -w net.ipv4.conf.all.arp_ignore=1", "sysctl -w net.ipv4.conf.all.arp_announce=2",
				"ip link set dev tunl0 up", "sysctl -w net.ipv4.conf.tunl0.rp_filter=2", "modprobe fou && ip fou add port 5555 gue", "ip addr add 192.0.2.10/32 dev tunl0",
				"ip link set dev ip6tnl0 up", "modprobe fou && ip -6 fou add port 5555 gue", "ip addr add 2001:db8::10/128 dev ip6tnl0 preferred_lft 0 nodad"},
			[]string{"ip addr del 2001:db8::10/128 dev ip6tnl0", "ip -6 fou del port 5555", "ip link set dev ip6tnl0 down",
				"ip addr del 192.0.2.10/32 dev tunl0", "ip fou del port 5555", "sysctl -w net.ipv4.conf.tunl0.rp_filter=0", "ip link set dev tunl0 down",
				"sysctl -w net.ipv4.conf.all.arp_announce=0", "sysctl -w net.ipv4.conf.all.arp_ignore=0"}},
		{"NAT", []string{"forward=masq", "gateway=192.0.2.11 2001:db8::11"},
			[]string{"ip route prepend default via 192.0.2.11", "ip -6 route add default via 2001:db8::11 metric 1"},
			[]string{"ip -6 route del default via 2001:db8::11 metric 1", "ip route del default via 192.0.2.11"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			before := h.kernel.String()
			for _, step := range []struct {
				action   string
				code     ocf.Code
				commands []string
			}{
				{"probe", 7, nil}, {"stop", 0, nil}, {"monitor", 7, nil}, {"validate-all", 0, nil},
				{"start", 0, tt.started}, {"start", 0, nil}, {"monitor", 0, nil}, {"probe", 0, nil},
				{"stop", 0, tt.ended}, {"stop", 0, nil}, {"monitor", 7, nil}, {"start", 0, tt.started}, {"stop", 0, tt.ended},
			} {
				h.must(t, step.code, "web", step.action, tt.params...)
				if diff := cmp.Diff(step.commands, h.kernel.Commands()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", step.action, diff)
				}
			}
			h.want(t, before)
			h.nothingNoted(t)
		})
	}
}

// TestStopNeedsNoParameters checks that stop needs no parameters, because the ledger has the
// settings of the start.
func TestStopNeedsNoParameters(t *testing.T) {
	h := newHost(t)
	before := h.kernel.String()
	h.must(t, 0, "web", "start", "ip=192.0.2.10", "forward=ipip")
	h.must(t, 0, "web", "monitor", "ip=nonsense")
	h.must(t, 0, "web", "stop", "ip=nonsense", "method=none")
	h.want(t, before)
}

func TestFoundValuesComeBack(t *testing.T) {
	h := newHost(t)
	h.kernel.Put(setting(ignore), "2") // The value 2 hides the address as the value 1 does, so start keeps it.
	h.kernel.Put(setting(announce), "1")
	// The administrator's own script has added the address before start.
	h.kernel.Put(setting("address nic=lo ip=192.0.2.10 scope=global"), host.On)
	before := h.kernel.String()
	h.must(t, 0, "web", "start", "ip=192.0.2.10")
	if diff := cmp.Diff([]string{"sysctl -w net.ipv4.conf.all.arp_announce=2"}, h.kernel.Commands()); diff != "" {
		t.Error(diff)
	}
	h.must(t, 0, "web", "stop", "ip=192.0.2.10")
	h.want(t, before)
}

func TestChangedValueIsLeftAndSaid(t *testing.T) {
	h := newHost(t)
	h.must(t, 0, "web", "start", "ip=192.0.2.10")
	h.kernel.Put(setting(announce), "1")
	got := h.must(t, 1, "web", "monitor", "ip=192.0.2.10")
	if want := "sysctl name=net/ipv4/conf/all/arp_announce is 1 and not 2; sysctl -w net.ipv4.conf.all.arp_announce=2"; got.reason != want {
		t.Errorf("got  %s\nwant %s", got.reason, want)
	}
	got = h.must(t, 0, "web", "stop", "ip=192.0.2.10")
	if want := "WARNING: sysctl name=net/ipv4/conf/all/arp_announce is left as it is: its value is 1, but it was 0 before start and 2 since; another program has changed it\n"; !strings.Contains(got.log, want) {
		t.Errorf("log: %s", got.log)
	}
	if value, _ := h.kernel.Get(t.Context(), setting(announce)); value != "1" {
		t.Errorf("arp_announce is %s", value)
	}
	if value, _ := h.kernel.Get(t.Context(), setting(ignore)); value != "0" {
		t.Errorf("arp_ignore is %s", value)
	}
}

func TestStricterValueIsRunning(t *testing.T) {
	h := newHost(t)
	h.must(t, 0, "web", "start", "ip=192.0.2.10")
	h.kernel.Put(setting(ignore), "2")
	h.must(t, 0, "web", "monitor", "ip=192.0.2.10")
}

// TestInterfaceThatWentAway checks that stop succeeds if an interface was removed, because its
// settings cannot be restored.
func TestInterfaceThatWentAway(t *testing.T) {
	h := newHost(t)
	h.must(t, 0, "web", "start", "ip=192.0.2.10", "forward=ipip")
	h.kernel.Put(setting("link nic=tunl0"), "")
	h.kernel.Put(setting("sysctl name=net/ipv4/conf/tunl0/rp_filter"), "")
	got := h.must(t, 1, "web", "monitor", "ip=192.0.2.10")
	if want := "link nic=tunl0 is gone and not on; ip link set dev tunl0 up"; got.reason != want {
		t.Errorf("reason: %s", got.reason)
	}
	h.must(t, 0, "web", "stop")
	h.must(t, 7, "web", "monitor")
}

// TestInstancesShareSettings checks two resources with the same settings. It starts and stops them
// in every order.
func TestInstancesShareSettings(t *testing.T) {
	params := map[string]string{"web": "ip=192.0.2.10", "mail": "ip=192.0.2.9"}
	for _, first := range []string{"web", "mail"} {
		for _, last := range []string{"web", "mail"} {
			second := map[string]string{"web": "mail", "mail": "web"}
			h := newHost(t)
			h.kernel.Put(setting(announce), "1")
			before := h.kernel.String()
			h.must(t, 0, first, "start", params[first])
			h.must(t, 0, second[first], "start", params[second[first]])
			h.must(t, 0, second[last], "stop", params[second[last]])
			h.must(t, 7, second[last], "monitor", params[second[last]])
			h.must(t, 0, last, "monitor", params[last])
			h.must(t, 0, last, "stop", params[last])
			h.want(t, before)
			h.nothingNoted(t)
		}
	}
}

// TestFailureAtEveryOp checks that start and stop work after a start or stop that failed at any
// operation.
func TestFailureAtEveryOp(t *testing.T) {
	params := []string{"ip=192.0.2.10 2001:db8::10", "forward=ipip"}
	for _, action := range []string{"start", "stop"} {
		for _, next := range []string{"start", "stop"} {
			h := newHost(t)
			before := h.kernel.String()
			h.must(t, 0, "web", "start", params...)
			full := h.kernel.String()
			other := map[string]string{"start": "stop", "stop": "start"}[action]
			for n := range 7 {
				h.must(t, 0, "web", other, params...)
				h.kernel.FailAfter(n, syscall.ENOBUFS)
				got := h.must(t, 1, "web", action, params...)
				if !strings.HasSuffix(got.reason, ": no buffer space available") {
					t.Errorf("reason: %s", got.reason)
				}
				code := ocf.Generic
				if action == "start" && n == 0 { // A start that failed at its first operation has changed no setting.
					code = ocf.NotRunning
				}
				h.must(t, code, "web", "monitor", params...)
				h.must(t, 0, "web", next, params...)
				h.want(t, map[string]string{"start": full, "stop": before}[next])
			}
			h.must(t, 0, "web", "stop", params...)
			h.want(t, before)
			h.nothingNoted(t)
		}
	}
}

// TestParametersChangedWithoutAStop checks that start restores the settings that the new parameters
// do not need.
func TestParametersChangedWithoutAStop(t *testing.T) {
	h := newHost(t)
	before := h.kernel.String()
	h.must(t, 0, "web", "start", "ip=192.0.2.10 192.0.2.9")
	h.kernel.Commands()
	h.must(t, 0, "web", "start", "ip=192.0.2.10", "method=arptables")
	want := []string{
		"ip addr del 192.0.2.9/32 dev lo", "sysctl -w net.ipv4.conf.all.arp_announce=0", "sysctl -w net.ipv4.conf.all.arp_ignore=0",
		"arptables -I INPUT -d 192.0.2.10 -j DROP", "arptables -I OUTPUT -s 192.0.2.10 -j mangle --mangle-ip-s 192.0.2.21",
	}
	if diff := cmp.Diff(want, h.kernel.Commands()); diff != "" {
		t.Error(diff)
	}
	h.must(t, 0, "web", "stop")
	h.want(t, before)
}

func (h realHost) ledger(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(h.state + "/realserver-*[0-9]")
	if err != nil || len(files) != 1 {
		t.Fatalf("ledgers: %q %v", files, err)
	}
	return files[0]
}

func TestDamagedLedger(t *testing.T) {
	h := newHost(t)
	before := h.kernel.String()
	h.must(t, 0, "web", "start", "ip=192.0.2.10")
	text, err := os.ReadFile(h.ledger(t))
	if err != nil {
		t.Fatal(err)
	}
	cut := bytes.Index(text, []byte(`setting "address`)) + 20
	if err := os.WriteFile(h.ledger(t), text[:cut], 0o644); err != nil {
		t.Fatal(err)
	}
	got := h.must(t, 1, "web", "monitor", "ip=192.0.2.10")
	if !strings.Contains(got.reason, ": damaged record: it is not complete") || !strings.HasSuffix(got.reason, "; stop and start this resource") {
		t.Errorf("reason: %s", got.reason)
	}
	h.must(t, 0, "web", "stop", "ip=192.0.2.10")
	h.want(t, before)
	h.must(t, 7, "web", "monitor", "ip=192.0.2.10")
}

// TestLedgerOfAnotherBoot checks that the agent ignores a ledger from before a boot, because the
// kernel has lost all settings.
func TestLedgerOfAnotherBoot(t *testing.T) {
	h := newHost(t)
	h.must(t, 0, "web", "start", "ip=192.0.2.10")
	text, err := os.ReadFile(h.ledger(t))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "owner ")
	boot, _, _ := strings.Cut(rest, " ")
	if err := os.WriteFile(h.ledger(t), []byte(strings.Replace(string(text), boot, "another", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	h.kernel.Put(setting(ignore), "0") // The setting has the value that it has after a boot.
	h.kernel.Put(setting(announce), "1")
	h.kernel.Put(setting("address nic=lo ip=192.0.2.10 scope=global"), host.Off)
	before := h.kernel.String()
	h.must(t, 7, "web", "monitor", "ip=192.0.2.10")
	h.must(t, 0, "web", "stop", "ip=192.0.2.10")
	h.want(t, before)
	h.must(t, 0, "web", "start", "ip=192.0.2.10")
	h.must(t, 0, "web", "stop", "ip=192.0.2.10")
	h.want(t, before)
}

func TestRulesSilenceADirector(t *testing.T) {
	h := newHost(t)
	h.must(t, 0, "web", "start", "ip=192.0.2.10", "method=nftables")
	h.kernel.Have("eth0", "192.0.2.10/24")
	got := h.must(t, 1, "web", "monitor")
	if want := "192.0.2.10 is on eth0 too, and the rule of nftables keeps this host from replying to ARP requests for it; use method=sysctl on hosts that may be the director"; got.reason != want {
		t.Errorf("reason: %s", got.reason)
	}
	h.must(t, 0, "web", "start", "ip=192.0.2.10")
	h.must(t, 0, "web", "monitor")
}

func TestProofAtLevel10(t *testing.T) {
	h := newHost(t)
	h.prober.findings = []doctor.Finding{{What: "eth0 answers ARP for 192.0.2.10", Why: "net.ipv4.conf.eth0.arp_ignore is 3", Fix: "sysctl -w net.ipv4.conf.eth0.arp_ignore=0"}}
	h.must(t, 0, "web", "start", "ip=192.0.2.10", "OCF_CHECK_LEVEL=10")
	h.must(t, 0, "web", "monitor")
	got := h.must(t, 1, "web", "monitor", "OCF_CHECK_LEVEL=10")
	if want := "eth0 answers ARP for 192.0.2.10: net.ipv4.conf.eth0.arp_ignore is 3; sysctl -w net.ipv4.conf.eth0.arp_ignore=0"; got.reason != want {
		t.Errorf("reason: %s", got.reason)
	}
	h.prober.findings, h.prober.err = nil, errors.New("no packets today")
	if got := h.must(t, 1, "web", "monitor", "OCF_CHECK_LEVEL=10"); got.reason != "no packets today" {
		t.Errorf("reason: %s", got.reason)
	}
	h.prober.err = nil
	h.must(t, 0, "web", "monitor", "OCF_CHECK_LEVEL=10")
}

func TestBadParameters(t *testing.T) {
	tests := []struct {
		name   string
		params []string
		code   ocf.Code
		reason string
	}{
		{"no ip", nil, 6, "parameter ip is required with forward=gate"},
		{"bad ip", []string{"ip=192.0.2.10 192.0.2"}, 6, `parameter ip="192.0.2.10 192.0.2": "192.0.2" is not an IPv4 or IPv6 address`},
		{"ip twice", []string{"ip=192.0.2.10,192.0.2.10"}, 6, `parameter ip="192.0.2.10,192.0.2.10": "192.0.2.10" is there twice`},
		{"only a comma", []string{"ip=,"}, 6, `parameter ip=",": not an IPv4 or IPv6 address`},
		{"loopback", []string{"ip=127.0.0.1"}, 6, "parameter ip=127.0.0.1 cannot be a virtual address"},
		{"no gateway", []string{"forward=masq"}, 6, "parameter gateway is required with forward=masq; give the director's address on the network of the real servers"},
		{"gateway", []string{"ip=192.0.2.10", "gateway=192.0.2.11"}, 6, "parameter gateway has no meaning with forward=gate; remove it"},
		{"two gateways", []string{"forward=masq", "gateway=192.0.2.11 192.0.2.12"}, 6,
			"parameter gateway has two addresses of one family; give the one that moves with the director"},
		{"IPv6 source", []string{"ip=192.0.2.10", "source=2001:db8::21"}, 6, "parameter source=2001:db8::21 is not an IPv4 address; ARP has only IPv4 addresses"},
		{"virtual source", []string{"ip=192.0.2.10", "source=192.0.2.10"}, 6, "parameter source=192.0.2.10 is a virtual address; give an address of this host"},
		{"method", []string{"ip=192.0.2.10", "method=iptables"}, 6, `parameter method="iptables": unknown; did you mean "arptables"? (one of sysctl, arptables, nftables)`},
		{"nic with neighbours", []string{"ip=192.0.2.10", "nic=eth0"}, 1, "interface eth0: hosts on its network would get ARP replies for the address; use lo, a tunnel or a dummy interface"},
		{"no nic", []string{"ip=192.0.2.10", "nic=dummy0"}, 5, `network interface "dummy0" does not exist; create it or give one that ip link shows`},
		{"no source", []string{"ip=203.0.113.10", "method=arptables"}, 1,
			"no directly connected network of this host holds 203.0.113.10; give source, the address of this host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			before := h.kernel.String()
			if got := h.must(t, tt.code, "web", "start", tt.params...); got.reason != tt.reason {
				t.Errorf("got  %s\nwant %s", got.reason, tt.reason)
			}
			h.must(t, tt.code, "web", "validate-all", append(tt.params, "OCF_CHECK_LEVEL=10")...)
			h.must(t, 0, "web", "stop", tt.params...)
			h.must(t, 7, "web", "monitor", tt.params...)
			h.want(t, before)
		})
	}
}

func TestDeadlineOfAKernelThatDoesNotAnswer(t *testing.T) {
	h := newHost(t)
	h.must(t, 0, "web", "start", "ip=192.0.2.10")
	h.kernel.Stall = true
	for _, action := range []string{"start", "monitor", "stop"} {
		got := h.must(t, 1, "web", action, "ip=192.0.2.10", "OCF_RESKEY_CRM_meta_timeout=500")
		// On a busy host, package ocf can end the action before the agent returns.
		if !strings.Contains(got.reason, "deadline exceeded") && !strings.Contains(got.reason, "did not end within") {
			t.Errorf("%s: %s", action, got.reason)
		}
	}
}

func TestSettingTextIsReadBack(t *testing.T) {
	ip, source := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.21")
	for _, s := range []host.Setting{
		{Kind: host.Sysctl, Name: "net/ipv4/conf/eth0.100/arp_ignore"},
		{Kind: host.HostAddress, NIC: "lo", IP: ip, Scope: "host"},
		{Kind: host.HostAddress, NIC: "lo", IP: netip.MustParseAddr("2001:db8::10")},
		{Kind: host.LinkUp, NIC: "tunl0"},
		{Kind: host.DefaultRoute, IP: source},
		{Kind: host.ARPTables, Name: "arptables-legacy", IP: ip},
		{Kind: host.ARPTables, Name: "arptables", IP: ip, Source: source},
		{Kind: host.NFTables, IP: ip, Source: source},
	} {
		if got, err := host.ParseSetting(s.String()); err != nil || got != s {
			t.Errorf("%s: %+v %v", s, got, err)
		}
	}
	for text, want := range map[string]string{
		"sysctl name=kernel/panic":           `setting "sysctl name=kernel/panic": it is not complete`,
		"sysctl name=net/../kernel/panic":    `setting "sysctl name=net/../kernel/panic": it is not complete`,
		"arptables name=/bin/sh ip=10.0.0.1": `setting "arptables name=/bin/sh ip=10.0.0.1": it is not complete`,
		"address nic=lo ip=192.0.2":          `setting "address nic=lo ip=192.0.2": "ip=192.0.2" is not understood`,
		"link nic":                           `setting "link nic": "nic" is not understood`,
		"unknown":                            `setting "unknown": it is not complete`,
	} {
		if _, err := host.ParseSetting(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
