package kernel

import (
	"strings"
	"testing"
)

// TestVIPOnEveryKindOfDevice puts the address on a VLAN, a bond and a bridge, which
// a neighbour at the other end of the cable learns of.
func TestVIPOnEveryKindOfDevice(t *testing.T) {
	d := newDirector(t)
	for _, tt := range []struct{ name, nic, setup string }{
		{"VLAN", "eth7.7", `
ip link add link eth7 name eth7.7 type vlan id 7
ip link set eth7.7 up
ip -n far link add link far7 name seen type vlan id 7
`},
		{"bond", "bond7", `
ip link add bond7 type bond mode active-backup
ip link set eth7 down
ip link set eth7 master bond7
ip link set bond7 up
ip -n far link set far7 name seen
`},
		{"bridge", "bridge7", `
ip link add bridge7 type bridge
ip link set eth7 master bridge7
ip link set bridge7 up
ip -n far link set far7 name seen
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d.Script(t, `
set -e
ip netns add far
ip link add eth7 type veth peer name far7 netns far
ip link set eth7 up
ip -n far link set far7 up`+tt.setup+`
ip -n far link set seen up
ip addr add 198.51.100.11/24 dev `+tt.nic+`
ip -n far addr add 198.51.100.254/24 dev seen
ip -n far neigh add 198.51.100.10 lladdr 02:00:00:00:00:99 nud stale dev seen
`)
			params := []string{"ip=198.51.100.10", "confirm=198.51.100.254", "confirm_wait=15000", "confirm_policy=fail"}
			d.must(t, 0, "vip", "web", "start", params...)
			d.must(t, 0, "vip", "web", "monitor", params...)
			mac := strings.TrimSpace(d.Script(t, "ip -o link show dev "+tt.nic+" | sed 's/.*link.ether \\([^ ]*\\).*/\\1/'"))
			if knows := d.Script(t, "ip -n far neigh show to 198.51.100.10"); !strings.Contains(knows, mac) {
				t.Errorf("the neighbour has %s, not %s", knows, mac)
			}
			d.must(t, 0, "vip", "web", "stop", params...)
			d.must(t, 7, "vip", "web", "monitor", params...)
			d.Script(t, "ip netns delete far; ip link delete "+tt.nic+" 2>/dev/null; ip link delete eth7 2>/dev/null; true")
		})
	}
}
