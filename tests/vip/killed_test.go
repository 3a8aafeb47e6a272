package vip

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/kernel/kerneltest"
)

// changing lists the agent's system calls that can change something. sendto sends messages to the
// kernel. mkdirat, renameat and unlinkat write or remove notes. clone starts the sender of
// announcements. exit_group ends the agent.
var changing = []string{"sendto", "mkdirat", "renameat", "unlinkat", "clone", "exit_group"}

// TestKilledAtEverySystemCall kills the agent with strace before each system call of start and of
// stop that changes something. Then monitor must report the real state, and start and stop must
// work.
func TestKilledAtEverySystemCall(t *testing.T) { killedAt(t, changing) }

// TestSoakKilledAnywhere makes the same checks as TestKilledAtEverySystemCall, for other system
// calls of the agent.
func TestSoakKilledAnywhere(t *testing.T) {
	killedAt(t, []string{"openat", "read", "write", "close", "socket", "recvfrom", "setsockopt", "fcntl", "mmap", "clone3", "readlinkat"})
}

func killedAt(t *testing.T, calls []string) {
	for _, tt := range []struct {
		name   string
		params []string
	}{
		{"IPv4", []string{"ip=" + vip4, "nic=eth0:web", "arp_count=1"}},
		{"IPv4 moved off lo", []string{"ip=" + vip4, "lvs_support=true", "arp_count=1"}},
		{"IPv6 moved off lo", []string{"ip=" + vip6, "lvs_support=true", "lvs_ipv6_addrlabel=true", "nodad=true", "arp_count=1"}},
	} {
		for _, action := range []string{"start", "stop"} {
			t.Run(tt.name+" "+action, func(t *testing.T) { killed(t, calls, action, tt.params) })
		}
	}
}

func killed(t *testing.T, calls []string, action string, params []string) {
	a, _ := link(t)
	// The kernel would add link-local addresses some time later. Then two dumps of the same state
	// would differ.
	kerneltest.Run(t, "ip link set eth0 addrgenmode none\nip -6 addr flush dev eth0 scope link")
	kerneltest.Run(t, "ip addr add "+vip4+"/32 dev lo label lo:vip scope host\nip addr add "+vip6+"/128 dev lo nodad preferred_lft 0")
	empty := dump(t)
	a.must(t, 0, "start", params...)
	full := dump(t)
	first := map[string]string{"start": "stop", "stop": "start"}[action]
	deaths := 0
	for _, call := range calls {
		for n := 1; ; n++ {
			a.must(t, 0, first, params...)
			code, out := a.strace(t, call, n).run(t, action, params...)
			if code == 0 {
				break // The action makes fewer than n of these calls, so the test has killed it at each of them.
			}
			if code != 137 && code != -1 {
				t.Fatalf("%s %d: %s gives %d\n%s", call, n, action, code, out)
			}
			deaths++
			truth(t, a, fmt.Sprintf("%s %d", call, n), params, empty, full)
			next, want := "stop", empty
			if n%2 == 0 {
				next, want = "start", full
			}
			a.must(t, 0, next, params...)
			if diff := cmp.Diff(want, dump(t)); diff != "" {
				t.Fatalf("killed before %s %d of %s: after %s (-want +got):\n%s", call, n, action, next, diff)
			}
		}
	}
	if deaths < 10 {
		t.Errorf("killed only %d times", deaths)
	}
	t.Logf("killed at %d system calls", deaths)
}

// truth checks that the exit code of monitor agrees with the host. Running requires the state full,
// stopped the state empty. It ignores an address label (RFC 6724) of a missing address, because
// this label has no effect.
func truth(t *testing.T, a agent, when string, params []string, empty, full string) {
	t.Helper()
	code, out := a.run(t, "monitor", params...)
	label := regexp.MustCompile(`(?m)^prefix ` + vip6 + `/128 .*\n`)
	have := dump(t)
	switch {
	case code == 0 && label.ReplaceAllString(have, "") != label.ReplaceAllString(full, ""):
		t.Errorf("%s: monitor reports running:\n%s", when, cmp.Diff(full, have))
	case code == 7 && label.ReplaceAllString(have, "") != empty:
		t.Errorf("%s: monitor reports stopped:\n%s", when, cmp.Diff(empty, have))
	case code != 0 && code != 7 && code != 1:
		t.Errorf("%s: monitor gives %d: %s", when, code, out)
	}
}

// dump returns the addresses, routes and address labels of the host. It leaves out numbers that the
// kernel chooses, for example the index of an interface.
func dump(t *testing.T) string {
	t.Helper()
	text := kerneltest.Run(t, "ip -o addr show\nip -4 route show table all\nip -6 route show\nip -6 addrlabel list")
	text = regexp.MustCompile(`(?m)^\d+: (eth0|lo) +|valid_lft.*`).ReplaceAllString(text, "$1 ")
	lines := strings.Split(text, "\n")
	return strings.Join(slices.Sorted(slices.Values(lines)), "\n")
}

// strace returns an agent that strace kills when the agent makes its n-th call of this system call.
func (a agent) strace(t *testing.T, call string, n int) agent {
	t.Helper()
	script := fmt.Sprintf("#!/bin/sh\nexec strace -f -qq -o /dev/null -e trace=%s -e inject=%s:signal=KILL:when=%d %s \"$@\"\n", call, call, n, a.path)
	path := filepath.Join(t.TempDir(), "vip")
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return agent{path, a.state}
}
