package realserver

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/kernel/kerneltest"
)

// shared is the beginning of a shell script that mounts a private /run. Its function "act NAMESPACE
// ACTION" runs an action of the agent in a network namespace, and prints the exit code.
const shared = `
	mount -t tmpfs -o mode=755,size=32m run /run
	mkdir /run/netns
	act() {
		env -i PATH="$PATH" OCF_RESOURCE_INSTANCE=web OCF_RESKEY_ip=192.0.2.10 OCF_RESKEY_CRM_meta_interval=10000 \
			ip netns exec "$1" "$BIN/realserver" "$2" >/dev/null 2>&1
		echo "$1 $2 $?"
	}
	lo() { echo "$1 has $(ip -n "$1" -o addr show dev lo | grep -c 192.0.2.10) address, arp_ignore $(ip netns exec "$1" sysctl -n net.ipv4.conf.all.arp_ignore)"; }
`

// TestNamespacesThatShareRun runs the agent in two network namespaces that share /run. The agent
// must not use the state of one namespace in the other. In one case, the kernel can give a new
// namespace the inode number of a namespace that has ended.
func TestNamespacesThatShareRun(t *testing.T) {
	for name, tt := range map[string]struct{ script, want string }{
		"at the same time": {`
			ip netns add one; ip netns add two
			act one start; act two monitor; act two start; act one stop; lo one; lo two
			act one monitor; act two monitor; act two stop; lo two`, `one start 0
two monitor 7
two start 0
one stop 0
one has 0 address, arp_ignore 0
two has 1 address, arp_ignore 1
one monitor 7
two monitor 0
two stop 0
two has 0 address, arp_ignore 0
`},
		"one after the other": {`
			ip netns add one; act one start; ip netns del one; sleep 0.5
			ip netns add two; ip netns exec two sysctl -qw net.ipv4.conf.all.arp_ignore=1
			act two monitor; act two stop; lo two`, `one start 0
two monitor 7
two stop 0
two has 0 address, arp_ignore 1
`},
		"caller with HA_RSCTMP": {`
			ip netns add one
			HA_RSCTMP=/run/resource-agents; export HA_RSCTMP
			act() { env PATH="$PATH" OCF_RESOURCE_INSTANCE=web OCF_RESKEY_ip=192.0.2.10 OCF_RESKEY_CRM_meta_interval=10000 ip netns exec "$1" "$BIN/realserver" "$2" >/dev/null 2>&1; echo "$1 $2 $?"; }
			act one start; unset HA_RSCTMP; act one monitor; act one stop; lo one; ls /run`, `one start 0
one monitor 0
one stop 0
one has 0 address, arp_ignore 0
lvs-agents
netns
`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath("unshare"); err != nil {
				kerneltest.Need(t, "unshare")
			}
			kerneltest.Namespace(t)
			bin, err := filepath.Abs("../../bin")
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("unshare", "-m", "env", "BIN="+bin, "sh", "-c", shared+tt.script).CombinedOutput()
			if diff := cmp.Diff(tt.want, string(out)); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}
