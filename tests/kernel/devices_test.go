package kernel

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestVIPOnEveryKindOfDevice checks that vip can start an address on a VLAN, a bond and a bridge.
// After the start, a neighbour on the same network must have the MAC address of that device in its
// neighbour table.
func TestVIPOnEveryKindOfDevice(t *testing.T) {
	tests := []struct{ name, nic, near, far string }{
		{"VLAN", "eth7.7", `
link add link eth7 name eth7.7 type vlan id 7
link set eth7.7 up`, "link set far7 up\nlink add link far7 name seen type vlan id 7"},
		{"bond", "bond7", `
link add bond7 type bond mode active-backup
link set eth7 down
link set eth7 master bond7
link set bond7 up`, "link set far7 name seen"},
		{"bridge", "bridge7", `
link add bridge7 type bridge
link set eth7 master bridge7
link set bridge7 up`, "link set far7 name seen"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDirector(t)
			near, far := filepath.Base(d.Netns()), fmt.Sprintf("far-%d", os.Getpid())
			batch(t, "", "netns add "+far)
			t.Cleanup(func() { batch(t, "", "netns delete "+far) })
			batch(t, near, "link add eth7 type veth peer name far7 netns "+far+"\nlink set eth7 up")
			batch(t, near, tt.near+"\naddr add 198.51.100.11/24 dev "+tt.nic)
			batch(t, far, tt.far+`
link set seen up
addr add 198.51.100.254/24 dev seen
neigh add 198.51.100.10 lladdr 02:00:00:00:00:99 nud stale dev seen`)

			params := []string{"ip=198.51.100.10", "confirm=198.51.100.254", "confirm_wait=15000", "confirm_policy=fail"}
			d.must(t, 0, "vip", "web", "start", params...)
			d.must(t, 0, "vip", "web", "monitor", params...)
			link := strings.Fields(batch(t, near, "-o link show dev "+tt.nic))
			mac := ""
			for i, word := range link {
				if word == "link/ether" {
					mac = link[i+1]
				}
			}
			if knows := batch(t, far, "neigh show to 198.51.100.10"); mac == "" || !strings.Contains(knows, mac) {
				t.Errorf("the neighbour has %s, not %q", knows, mac)
			}
			d.must(t, 0, "vip", "web", "stop", params...)
			d.must(t, 7, "vip", "web", "monitor", params...)
		})
	}
}

// batch runs lines of the ip command in the named network namespace. If namespace is "", batch runs
// them in the namespace of the test.
func batch(t *testing.T, namespace, lines string) string {
	t.Helper()
	var all strings.Builder
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if namespace != "" {
			words = append([]string{"-n", namespace}, words...)
		}
		out, err := exec.Command("ip", words...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s: %v: %s", strings.Join(words, " "), err, out)
		}
		all.Write(out)
	}
	return all.String()
}
