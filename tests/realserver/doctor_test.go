package realserver

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/kernel/kerneltest"
)

// doctor runs "lvsctl doctor" on the host and returns its exit code and its output.
func (h host) doctor(t *testing.T, words ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(h.bin, "lvsctl"), append([]string{"doctor"}, words...)...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LVS_AGENTS_STATE_DIR=" + h.state + "/lvs-agents"}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestDoctorNamesTheCause starts a resource correctly, and then makes a fault. "lvsctl doctor" must
// report that fault. doctor checks the addresses in the ledger of the resource. If no resource
// runs, doctor checks the addresses on its command line.
func TestDoctorNamesTheCause(t *testing.T) {
	sysctl, arptables, nftables, masq := setups()["sysctl"], setups()["arptables"], setups()["nftables"], setups()["masq"]
	tests := []struct {
		name   string
		params []string // parameters of the resource; nil means that the host has no resource
		fault  string   // commands
		want   string   // the whole output; "fine" if the host has no fault
	}{
		{"right, sysctl", sysctl, "", "fine\n"},
		{"right, arptables", arptables, "", "fine\n"},
		{"right, nftables", nftables, "", "fine\n"},
		{"right, masq", masq, "", "fine\n"},
		{"right, by hand", nil, `sysctl -q -w net.ipv4.conf.all.arp_ignore=1
			sysctl -q -w net.ipv4.conf.all.arp_announce=2
			ip addr add 192.0.2.10/32 dev lo
			ip addr add 2001:db8::10/128 dev lo`, "fine\n"},
		{"as strict", sysctl, "sysctl -q -w net.ipv4.conf.all.arp_ignore=2", "fine\n"},
		{"arp_ignore", sysctl, "sysctl -q -w net.ipv4.conf.all.arp_ignore=0", `eth0 answers ARP for 192.0.2.10, so client packets bypass the director
    why: net.ipv4.conf.all.arp_ignore is 0
    fix: sysctl -w net.ipv4.conf.all.arp_ignore=1
`},
		{"arp_ignore of the interface", sysctl, "sysctl -q -w net.ipv4.conf.eth0.arp_ignore=3", `eth0 answers ARP for 192.0.2.10, so client packets bypass the director
    why: net.ipv4.conf.eth0.arp_ignore is 3, which overrides the lower net.ipv4.conf.all.arp_ignore
    fix: sysctl -w net.ipv4.conf.eth0.arp_ignore=0; sysctl -w net.ipv4.conf.all.arp_ignore=1
`},
		{"arp_announce", sysctl, "sysctl -q -w net.ipv4.conf.all.arp_announce=0", `eth0 announces 192.0.2.10 in its own ARP requests, so neighbours learn it
    why: net.ipv4.conf.all.arp_announce is 0
    fix: sysctl -w net.ipv4.conf.all.arp_announce=2
`},
		{"too silent", sysctl, "sysctl -q -w net.ipv4.conf.eth0.arp_ignore=8", `eth0 answers no ARP request, not even from the director
    why: net.ipv4.conf.eth0.arp_ignore is 8
    fix: sysctl -w net.ipv4.conf.eth0.arp_ignore=1
`},
		{"no address", sysctl, "ip addr del 192.0.2.10/32 dev lo", `packets for 192.0.2.10 are not accepted
    why: it is not on lo
    fix: ip addr add 192.0.2.10/32 dev lo
`},
		{"address on eth0", sysctl, "ip addr add 192.0.2.10/24 dev eth0", `eth0 answers ARP for 192.0.2.10, so client packets bypass the director
    why: 192.0.2.10/24 is on eth0
    fix: ip addr del 192.0.2.10/24 dev eth0
`},
		{"IPv6 address on eth0", sysctl, "ip addr add 2001:db8::10/64 dev eth0 nodad", `eth0 answers neighbour solicitations for 2001:db8::10, so client packets bypass the director
    why: 2001:db8::10/64 is on eth0
    fix: ip addr del 2001:db8::10/64 dev eth0
`},
		{"a whole network on lo", sysctl, "ip addr add 192.0.2.10/28 dev lo", `the host accepts packets for every address in 192.0.2.0/28
    why: 192.0.2.10 is on lo with prefix length 28
    fix: ip addr del 192.0.2.10/28 dev lo; ip addr add 192.0.2.10/32 dev lo
`},
		{"lo is down", sysctl, "ip link set lo down", `packets for 192.0.2.10 are not accepted
    why: lo is down
    fix: ip link set dev lo up
packets for 2001:db8::10 are not accepted
    why: it is not on lo
    fix: ip addr add 2001:db8::10/128 dev lo preferred_lft 0 nodad
`},
		{"arptables input", arptables, "arptables -D INPUT -d 192.0.2.10 -j DROP", `ARP packets with 192.0.2.10 are not blocked
    why: a rule of arptables is missing
    fix: arptables -I INPUT -d 192.0.2.10 -j DROP
`},
		{"arptables output", arptables, "arptables -F OUTPUT", `ARP packets with 192.0.2.10 are not blocked
    why: a rule of arptables is missing
    fix: arptables -I OUTPUT -s 192.0.2.10 -j mangle --mangle-ip-s 192.0.2.21
eth0 announces 192.0.2.10 in its own ARP requests, so neighbours learn it
    why: an ARP rule is missing
    fix: add the rule with the command of the finding that names it
`},
		{"arptables order", arptables, "arptables -I INPUT -j ACCEPT\narptables -I OUTPUT -j ACCEPT", `eth0 answers ARP for 192.0.2.10, so client packets bypass the director
    why: the ARP rules exist, but an earlier rule matches first
    fix: check the order of the ARP rules
eth0 announces 192.0.2.10 in its own ARP requests, so neighbours learn it
    why: the ARP rules exist, but an earlier rule matches first
    fix: check the order of the ARP rules
`},
		{"nftables", nftables, "nft flush chain arp lvs-192.0.2.10 input", `ARP packets with 192.0.2.10 are not blocked
    why: a rule of nftables is missing
    fix: nft 'table arp lvs-192.0.2.10 { chain input { type filter hook input priority 0; arp daddr ip 192.0.2.10 drop; }; chain output { type filter hook output priority 0; arp saddr ip 192.0.2.10 arp saddr ip set 192.0.2.21; }; }'
`},
		{"no route", masq, "ip route del default via 192.0.2.11", `replies do not go through the director
    why: there is no default route via 192.0.2.11
    fix: ip route prepend default via 192.0.2.11
`},
		{"nothing done, by hand", nil, "ip addr add 192.0.2.10/32 dev lo", `packets for 2001:db8::10 are not accepted
    why: it is not on lo
    fix: ip addr add 2001:db8::10/128 dev lo preferred_lft 0 nodad
eth0 answers ARP for 192.0.2.10, so client packets bypass the director
    why: net.ipv4.conf.all.arp_ignore is 0
    fix: sysctl -w net.ipv4.conf.all.arp_ignore=1
eth0 announces 192.0.2.10 in its own ARP requests, so neighbours learn it
    why: net.ipv4.conf.all.arp_announce is 0
    fix: sysctl -w net.ipv4.conf.all.arp_announce=2
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			words := []string{"192.0.2.10", "2001:db8::10"}
			if tt.params != nil {
				h.must(t, 0, "web", "start", tt.params...)
				h.must(t, 0, "web", "monitor", "OCF_CHECK_LEVEL=10")
				words = nil
			}
			kerneltest.Run(t, tt.fault)
			before := dump(t)
			code, out := h.doctor(t, words...)
			if out != tt.want || (code == 0) != (tt.want == "fine\n") {
				t.Errorf("exit %d\ngot:\n%swant:\n%s", code, out, tt.want)
			}
			same(t, "the doctor leaves nothing", before)
			if tt.params == nil {
				return
			}
			code, out = h.agent(t, h.bin, "web", "monitor", "OCF_CHECK_LEVEL=10")
			if (code == 0) != (tt.want == "fine\n") {
				t.Errorf("monitor at level 10: %d %s", code, out)
			}
			h.must(t, 0, "web", "stop")
		})
	}
}

func TestDoctorWithoutARealServer(t *testing.T) {
	h := newHost(t)
	for words, want := range map[string]string{
		"":            "lvsctl: no realserver resource runs on this host, and it is not a director; start one, or give the virtual addresses\n",
		"192.0.2.300": "lvsctl: \"192.0.2.300\" is not an IPv4 or IPv6 address\n",
	} {
		if code, out := h.doctor(t, strings.Fields(words)...); code != 1 || out != want {
			t.Errorf("%q: %d %s", words, code, out)
		}
	}
}
