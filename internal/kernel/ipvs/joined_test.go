package ipvs

import (
	"net/netip"
	"testing"

	"lvs-agents/internal/kernel/kerneltest"
)

// TestJoined checks interfaces whose names are short and long, because the kernel writes both
// differently into /proc/net/igmp. Every interface that is up has joined the groups of all hosts.
func TestJoined(t *testing.T) {
	kerneltest.Namespace(t)
	kerneltest.Run(t, "ip link add eth0 type veth peer name enp129s0f0np0\nip link set eth0 up\nip link set enp129s0f0np0 up\n"+
		"ip link add enp129s0f0 type veth peer name cable\nip link set enp129s0f0 up")
	for nic, want := range map[string]bool{"eth0": true, "enp129s0f0": true, "enp129s0f0np0": true, "gone": false} {
		for _, group := range []string{"224.0.0.1", "ff02::1"} {
			if joined, err := (&Kernel{}).Joined(nic, netip.MustParseAddr(group)); err != nil || joined != want {
				t.Errorf("%s on %s: %v, %v", group, nic, joined, err)
			}
		}
	}
}
