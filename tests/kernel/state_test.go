package kernel

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/tests/lab"
)

// sharedRun is the beginning of a shell script. It mounts a private /run and creates the network
// namespaces one and two, which share this /run. Its function "act NAMESPACE AGENT ACTION" runs an
// action of an agent. act prints the exit code, and how many lines the namespace's IPVS table has.
const sharedRun = `
	mount -t tmpfs -o mode=755,size=32m run /run
	mkdir -p /run/netns /run/lvs-agents
	for n in one two; do
		ip netns add $n; ip -n $n link add d0 type dummy; ip -n $n addr add 192.0.2.1/24 dev d0; ip -n $n link set d0 up
	done
	file=$(mktemp /tmp/state-XXXXXX.cf)
	printf 'virtual=192.0.2.10:80\n\treal=192.0.2.21:80 gate\n\tchecktype=on\n' >$file
	table() { ip netns exec $1 ipvsadm -Sn | wc -l; }
	act() {
		case $2 in
		ipvs) set -- "$@" OCF_RESKEY_virtual=192.0.2.10:80 "OCF_RESKEY_real=192.0.2.21 gate, 192.0.2.22 gate" ;;
		health) set -- "$@" OCF_RESKEY_config=$file ;;
		esac
		n=$1 agent=$2 action=$3; shift 3
		env -i PATH="$PATH" OCF_RESOURCE_INSTANCE=web OCF_RESKEY_CRM_meta_interval=10000 "$@" ip netns exec $n $BIN/$agent $action >/dev/null 2>&1
		echo "$n $agent $action $?, table $(table $n)"
	}
`

func script(t *testing.T, text, want string) {
	t.Helper()
	lab.Require(t, "ipvsadm", "unshare", "ip")
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("unshare", "-m", "-n", "env", "BIN="+bin, "sh", "-c", sharedRun+text).CombinedOutput()
	if diff := cmp.Diff(want, string(out)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestNamespacesThatShareRun(t *testing.T) {
	script(t, `
		act one ipvs start; act two ipvs start; act one ipvs monitor; act one ipvs stop; act two ipvs monitor
		ip netns exec two ipvsadm -C; act two ipvs monitor; act two ipvs stop
		act one health start; act two health monitor; act two health start; act two health stop
		act one health monitor; act one health stop; rm $file`, `one ipvs start 0, table 3
two ipvs start 0, table 3
one ipvs monitor 0, table 3
one ipvs stop 0, table 0
two ipvs monitor 0, table 3
two ipvs monitor 7, table 0
two ipvs stop 0, table 0
one health start 0, table 2
two health monitor 7, table 0
two health start 0, table 2
two health stop 0, table 0
one health monitor 0, table 2
one health stop 0, table 0
`)
}

func TestStopWithADamagedRecordAndReadOnlyRun(t *testing.T) {
	script(t, `
		record() { echo /run/lvs-agents/netns-*/ipvs/web; }
		act one ipvs start; sed -i '$d' $(record); mount -o remount,ro /run; act one ipvs stop; act one ipvs stop
		mount -o remount,rw /run; act one ipvs stop
		act one ipvs start; r=$(record); rm $r; mkdir -p $r/x; act one ipvs stop; act one ipvs monitor; rm -r $r
		ln -s web $r; act one ipvs stop; rm -f $r
		act one ipvs start; cp $r $r.bak; act one ipvs stop; act one ipvs start; act one ipvs stop; rm $file`, `one ipvs start 0, table 3
one ipvs stop 0, table 0
one ipvs stop 0, table 0
one ipvs stop 0, table 0
one ipvs start 0, table 3
one ipvs stop 0, table 0
one ipvs monitor 7, table 0
one ipvs stop 0, table 0
one ipvs start 0, table 3
one ipvs stop 0, table 0
one ipvs start 0, table 3
one ipvs stop 0, table 0
`)
}

// TestStalledStartAddsNothingAfterAStop suspends a start at a system call that opens a file or
// sends a message to the kernel, and then runs a stop. The stop must succeed. The start, when it
// continues, must not add anything to the kernel.
func TestStalledStartAddsNothingAfterAStop(t *testing.T) {
	script(t, `
		for call in openat sendto; do
			for n in 1 4; do
				env -i PATH="$PATH" OCF_RESOURCE_INSTANCE=web OCF_RESKEY_virtual=192.0.2.10:80 "OCF_RESKEY_real=192.0.2.21 gate" \
					ip netns exec one setsid strace -f -qq -o /dev/null -e trace=$call -e inject=$call:signal=STOP:when=$n $BIN/ipvs start >/dev/null 2>&1 &
				tracer=$!
				for i in $(seq 30); do
					pid=$(pgrep -f "^$BIN/ipvs start" | head -n 1)
					[ -z "$pid" ] || ! grep -qs '^State:.*[tT] ' /proc/$pid/status || break
					sleep 0.02
				done
				act one ipvs stop >/dev/null
				for i in $(seq 20); do pkill -CONT -f "^$BIN/ipvs start" || break; sleep 0.05; done
				kill $tracer 2>/dev/null; wait
				[ $(table one) = 0 ] || echo "stopped before $call $n: the table has $(table one) lines"
				act one ipvs stop >/dev/null
			done
		done
		rm $file`, "")
}
