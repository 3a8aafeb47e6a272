// Package realserver tests the agent realserver and lvsctl doctor as programs, in network
// namespaces. It needs root, but no IPVS.
package realserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/kernel/kerneltest"
)

// host is a real server in a separate network namespace, with a neighbour on its network.
type host struct {
	bin, state string
	peer       *kerneltest.Peer
}

// newHost creates a host whose interface eth0 has the addresses 192.0.2.21 and 2001:db8::21. Its
// neighbour has 192.0.2.100 and 2001:db8::100. Forwarding and packet filters are off, and the ARP
// sysctls are 0.
func newHost(t *testing.T) host {
	t.Helper()
	kerneltest.Namespace(t)
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"ip", "nft", "arptables", "arptables-legacy"} {
		if _, err := exec.LookPath(tool); err != nil {
			kerneltest.Need(t, tool)
		}
	}
	clean := func() {
		for _, conf := range []string{"all", "default"} {
			for _, name := range []string{"arp_ignore", "arp_announce", "rp_filter"} {
				put(t, "net/ipv4/conf/"+conf+"/"+name, "0")
			}
		}
	}
	clean()
	h := host{bin, t.TempDir(), kerneltest.NewPeer(t, "eth0")}
	h.peer.Do(func() {
		clean()
		kerneltest.Run(t, "ip addr add 192.0.2.100/24 dev eth0\nip addr add 2001:db8::100/64 dev eth0 nodad")
	})
	// The kernel would add link-local addresses some time later. Then two dumps of the same state
	// would differ.
	kerneltest.Run(t, `ip link set eth0 addrgenmode none
		ip -6 addr flush dev eth0 scope link
		ip addr add 192.0.2.21/24 dev eth0
		ip addr add 2001:db8::21/64 dev eth0 nodad
		ip route add default via 192.0.2.100`)
	return h
}

func put(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// agent runs an action of the agent in dir, in the network namespace of the calling goroutine. It
// returns the exit code and the output.
func (h host) agent(t *testing.T, dir, id, action string, words ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "realserver"), action)
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LVS_AGENTS_STATE_DIR=" + h.state + "/lvs-agents", "OCF_RESOURCE_INSTANCE=" + id, "OCF_RESKEY_CRM_meta_interval=10000"}
	for _, word := range words {
		if word[0] >= 'a' && word[0] <= 'z' {
			word = "OCF_RESKEY_" + word
		}
		cmd.Env = append(cmd.Env, word)
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func (h host) must(t *testing.T, want int, id, action string, words ...string) string {
	t.Helper()
	code, out := h.agent(t, h.bin, id, action, words...)
	if code != want {
		t.Fatalf("%s %s %q: got %d, want %d\n%s", id, action, words, code, want, out)
	}
	return out
}

// dump returns every sysctl, address, link, rule and route that the agent can change. It leaves out
// lifetimes of addresses, because they change every second. Before that, it waits until the kernel
// has completed new IPv6 addresses and their local routes.
func dump(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", `
		for i in $(seq 100); do ip -6 addr show tentative | grep -q . || [ $(ip -6 -o addr show up | wc -l) != $(ip -6 route show table local type local | wc -l) ] || break; sleep 0.1; done
		cd /proc/sys/net
		grep -r . ipv4/conf ipv6/conf ipv4/ip_forward 2>/dev/null | grep -v -e stable_secret -e /use_optimistic | sort
		ip -o addr show | sed 's/ *valid_lft.*//' | sort
		ip -o link show | sed 's/ state [A-Z]*//'
		ip route show table all | sort
		ip -6 route show table all | sed 's/ expires [0-9]*sec//' | sort
		ip rule; ip -6 rule
		nft list ruleset | sed 's/counter packets [0-9]* bytes [0-9]* //'
		arptables-legacy -L -n`).CombinedOutput()
	if err != nil {
		t.Fatalf("dump: %v\n%s", err, out)
	}
	return string(out)
}

func same(t *testing.T, what, want string) {
	t.Helper()
	if diff := difference(t, want); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// difference compares a new dump with want, and returns the differences, or "". It repeats the
// comparison for a short time, because the kernel completes a new IPv6 address some time after the
// request of the agent.
func difference(t *testing.T, want string) (diff string) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for range 100 {
		if diff = cmp.Diff(want, dump(t)); diff == "" {
			break
		}
		<-again.C
	}
	return diff
}

// setups returns the sets of parameters that the tests use, by name.
func setups() map[string][]string {
	return map[string][]string{
		"sysctl":    {"ip=192.0.2.10 2001:db8::10"},
		"arptables": {"ip=192.0.2.10", "method=arptables"},
		"nftables":  {"ip=192.0.2.10", "method=nftables", "scope=host"},
		"masq":      {"forward=masq", "gateway=192.0.2.11 2001:db8::11"},
	}
}

// settle calls arptables (the version for nftables) once, which creates an empty table that
// arptables never removes. So every later dump contains this table.
func settle(t *testing.T) {
	t.Helper()
	kerneltest.Run(t, `arptables -I INPUT -d 192.0.2.77 -j DROP
		arptables -D INPUT -d 192.0.2.77 -j DROP
		arptables -I OUTPUT -s 192.0.2.77 -j DROP
		arptables -D OUTPUT -s 192.0.2.77 -j DROP`)
}

func TestStopPutsBackEverything(t *testing.T) {
	for name, params := range setups() {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			settle(t)
			put(t, "net/ipv4/conf/all/arp_announce", "1")
			before := dump(t)
			h.must(t, 7, "web", "monitor", params...)
			h.must(t, 0, "web", "start", params...)
			h.must(t, 0, "web", "monitor", params...)
			full := dump(t)
			if full == before {
				t.Fatal("start changed nothing")
			}
			h.must(t, 0, "web", "start", params...)
			same(t, "after a second start", full)
			h.must(t, 0, "web", "stop", params...)
			same(t, "after stop", before)
			h.must(t, 0, "web", "stop", params...)
			h.must(t, 7, "web", "monitor", params...)
			same(t, "after a second stop", before)
		})
	}
}

// TestKilledAtEveryOperation kills start and stop before and after each operation on the kernel, in
// turn. After each kill, monitor must report the real state, and start and stop must work.
func TestKilledAtEveryOperation(t *testing.T) {
	for name, params := range setups() {
		for _, action := range []string{"start", "stop"} {
			for _, next := range []string{"start", "stop"} {
				t.Run(name+" "+action+" then "+next, func(t *testing.T) { killedThen(t, params, action, next) })
			}
		}
	}
}

func killedThen(t *testing.T, params []string, action, next string) {
	h := newHost(t)
	settle(t)
	killed := t.TempDir()
	if err := os.Symlink(filepath.Join(h.bin, "tests", "killed"), filepath.Join(killed, "realserver")); err != nil {
		t.Fatal(err)
	}
	put(t, "net/ipv4/conf/all/arp_announce", "1")
	before := dump(t)
	h.must(t, 0, "web", "start", params...)
	full := dump(t)
	want := map[string]string{"start": full, "stop": before}
	first := map[string]string{"start": "stop", "stop": "start"}[action]
	moment := 0
	for code := -1; code != 0; moment++ {
		h.must(t, 0, "web", first, params...)
		var out string
		if code, out = h.agent(t, killed, "web", action, append(params, fmt.Sprintf("KILL_AT=%d", moment))...); code > 0 {
			t.Fatalf("moment %d: %s gave %d\n%s", moment, action, code, out)
		}
		truth, out := h.agent(t, h.bin, "web", "monitor", params...)
		switch said, known := map[int]string{0: full, 7: before}[truth]; {
		case known && difference(t, said) != "":
			t.Errorf("moment %d: monitor gives %d: %s\n%s", moment, truth, out, difference(t, said))
		case !known && truth != 1:
			t.Errorf("moment %d: monitor gives %d: %s", moment, truth, out)
		}
		h.must(t, 0, "web", next, params...)
		same(t, fmt.Sprintf("killed at moment %d of %s, then %s", moment, action, next), want[next])
	}
	if moment < 4 {
		t.Errorf("only %d moments: the agent was not killed", moment)
	}
	t.Logf("killed at %d moments", moment-1)
	h.must(t, 0, "web", "stop", params...)
	same(t, "in the end", before)
}

// TestTwoInstances starts and stops two realserver resources in every order. An address that both
// resources use must stay until both resources are stopped.
func TestTwoInstances(t *testing.T) {
	for _, method := range []string{"sysctl", "arptables", "nftables"} {
		for _, order := range []string{"web mail web mail", "web mail mail web", "mail web web mail", "mail web mail web"} {
			t.Run(method+" "+order, func(t *testing.T) {
				h := newHost(t)
				settle(t)
				ids := strings.Fields(order)
				params := map[string][]string{
					"web": {"ip=192.0.2.10 192.0.2.8", "method=" + method},
					// The last address also belongs to the other resource.
					"mail": {"ip=192.0.2.9 2001:db8::9 192.0.2.8", "method=" + method},
				}
				before := dump(t)
				h.must(t, 0, ids[0], "start", params[ids[0]]...)
				alone := map[string]string{ids[0]: dump(t)}
				h.must(t, 0, ids[1], "start", params[ids[1]]...)
				h.must(t, 0, ids[0], "monitor")
				h.must(t, 0, ids[2], "stop")
				h.must(t, 7, ids[2], "monitor")
				h.must(t, 0, ids[3], "monitor")
				if ids[3] == ids[0] {
					same(t, "only the first is left", alone[ids[0]])
				}
				h.must(t, 0, ids[3], "stop")
				same(t, "both stopped", before)
			})
		}
	}
}

func TestChangedValueIsLeftAlone(t *testing.T) {
	h := newHost(t)
	before := dump(t)
	h.must(t, 0, "web", "start", "ip=192.0.2.10")
	put(t, "net/ipv4/conf/all/arp_announce", "1")
	kerneltest.Run(t, "ip addr del 192.0.2.10/32 dev lo")
	h.must(t, 1, "web", "monitor")
	if out := h.must(t, 0, "web", "stop"); !strings.Contains(out, "net/ipv4/conf/all/arp_announce is left as it is: its value is 1") {
		t.Error(out)
	}
	same(t, "after stop", strings.Replace(before, "ipv4/conf/all/arp_announce:0", "ipv4/conf/all/arp_announce:1", 1))
}

// TestKilledAtEverySystemCall kills the built agent with strace, at each system call that locks a
// file, writes the ledger, or changes the kernel. After each kill, monitor must report the real
// state, and start and stop must work.
func TestKilledAtEverySystemCall(t *testing.T) {
	h := newHost(t)
	params := setups()["sysctl"]
	put(t, "net/ipv4/conf/all/arp_announce", "1")
	before := dump(t)
	h.must(t, 0, "web", "start", params...)
	full := dump(t)
	killed := 0
	for _, action := range []string{"start", "stop"} {
		for _, call := range []string{"flock", "write", "renameat", "unlinkat", "sendto"} {
			for n, done := 1, false; !done; n++ {
				h.must(t, 0, "web", map[string]string{"start": "stop", "stop": "start"}[action], params...)
				dir := t.TempDir()
				script := fmt.Sprintf("#!/bin/sh\nexec strace -f -qq -o /dev/null -e trace=%[1]s -e inject=%[1]s:signal=KILL:when=%[2]d %[3]s/realserver \"$@\"\n", call, n, h.bin)
				if err := os.WriteFile(filepath.Join(dir, "realserver"), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
				switch code, out := h.agent(t, dir, "web", action, params...); code {
				case -1, 137:
					killed++
				case 0: // the action succeeded, because it makes fewer than n of these calls
					done = true
				default:
					t.Fatalf("%s under strace at %s %d: %d\n%s", action, call, n, code, out)
				}
				at := fmt.Sprintf("%s killed at %s %d", action, call, n)
				truth, out := h.agent(t, h.bin, "web", "monitor", params...)
				if said, known := map[int]string{0: full, 7: before}[truth]; known && difference(t, said) != "" || !known && truth != 1 {
					t.Errorf("%s: monitor gives %d: %s", at, truth, out)
				}
				h.must(t, 0, "web", "stop", params...)
				same(t, at+", then stopped", before)
			}
		}
	}
	t.Logf("killed %d times", killed)
	if killed < 20 {
		t.Error("the test must kill the agent more often")
	}
}
