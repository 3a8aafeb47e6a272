// Package kernel tests the agents as programs on a kernel with IPVS, without a cluster. The tests
// check what the agents change in the kernel, and that everything else in the kernel stays the
// same. They also check the state after an agent was killed.
package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/tests/lab"
)

// director is a host of the lab, with the built agents and a separate state directory.
type director struct {
	*lab.Host
	bin   string
	state string
}

func newDirector(t *testing.T) director {
	t.Helper()
	lab.Require(t, "ipvsadm", "ocf-tester", "iptables-legacy", "iptables-legacy-save", "strace")
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	d := director{lab.NewTopology(t).Host("director1"), bin, t.TempDir()}
	// The kernel would add link-local addresses some time later. Then two dumps of the same state
	// would differ.
	d.Script(t, "ip link set eth0 addrgenmode none; ip -6 addr flush dev eth0 scope link")
	return d
}

// agent runs an action of the agent in dir, and returns the exit code and the output. A word
// NAME=value with a name in lower case is a parameter, any other word an environment variable.
// agent starts no process except the agent, because each start takes tens of milliseconds in the
// guest.
func (d director) agent(t *testing.T, dir, agent, id, action string, words ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, agent), action)
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LVS_AGENTS_STATE_DIR=" + d.state + "/lvs-agents",
		"OCF_RESOURCE_INSTANCE=" + id, "OCF_RESKEY_CRM_meta_interval=10000"}
	for _, word := range words {
		if word[0] >= 'a' && word[0] <= 'z' {
			word = "OCF_RESKEY_" + word
		}
		cmd.Env = append(cmd.Env, word)
	}
	out, err := d.output(cmd)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out
}

// output runs a command in the host's network namespace. A child process inherits the namespace of
// the thread that starts it.
func (d director) output(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := d.Do(cmd.Start); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}

func (d director) must(t *testing.T, want int, agent, id, action string, words ...string) string {
	t.Helper()
	code, out := d.agent(t, d.bin, agent, id, action, words...)
	if code != want {
		t.Fatalf("%s %s %s: got %d, want %d\n%s\ntable:\n%s", agent, id, action, code, want, out, d.table(t))
	}
	return out
}

// table returns the IPVS table as ipvsadm prints it, with sorted lines.
func (d director) table(t *testing.T) string {
	t.Helper()
	out, err := d.output(exec.CommandContext(t.Context(), "ipvsadm", "-Sn"))
	if err != nil {
		t.Fatalf("ipvsadm -Sn: %v: %s", err, out)
	}
	return sorted(out)
}

// have returns what the agents ipvs, vip and sync set in the kernel: the IPVS table, the addresses,
// the synchronisation daemons, and sysctls. It leaves out the flag "tentative", which addresses
// lose on their own.
func (d director) have(t *testing.T) string {
	t.Helper()
	out, err := d.output(exec.CommandContext(t.Context(), "ip", "-o", "addr", "show"))
	if err != nil {
		t.Fatalf("ip addr: %v: %s", err, out)
	}
	return d.table(t) + strings.ReplaceAll(out, " tentative", "") + d.sync(t) + d.sysctls(t)
}

// dump returns the result of have, and routes, rules and more sysctls that an agent could change by
// mistake. Before that, it waits until duplicate address detection has ended on all interfaces.
func (d director) dump(t *testing.T) string {
	t.Helper()
	d.Script(t, "for i in $(seq 100); do ip -6 addr show tentative | grep -q . || break; sleep 0.1; done")
	return d.have(t) + d.Script(t, `
		ip route show table all | sort
		ip -6 route show table all | sed 's/expires [0-9]*sec//' | sort
		iptables-legacy-save | grep -v '^#' | sed 's/\[[0-9:]*\]//'
		arptables-legacy -L -n 2>/dev/null || true # a kernel without arp_tables has no rules
		ip rule
		ip fou show 2>/dev/null || true
		cd /proc/sys/net/ipv4 && grep . vs/* ip_forward conf/*/promote_secondaries conf/*/arp_* conf/*/rp_filter`)
}

func sorted(text string) string {
	lines := slices.Collect(strings.Lines(text))
	slices.Sort(lines)
	return strings.Join(lines, "")
}

var (
	web = []string{"virtual=192.0.2.10:80", "real=192.0.2.21 gate, 192.0.2.22 gate 2", "scheduler=rr"}
	vip = []string{"ip=192.0.2.10", "nic=eth0"}
)

const (
	webTable = `-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2
`
	foreign = `-A -f 9 -s sh
-A -t 192.0.2.99:80 -s wlc
-a -t 192.0.2.99:80 -r 192.0.2.21:80 -m -w 7
`
)

// addForeign adds virtual services, addresses, a route and a firewall rule to the kernel that no
// resource owns. The agents must not change them.
func (d director) addForeign(t *testing.T) {
	t.Helper()
	d.Script(t, `
		printf '%s' '`+foreign+`' | sort | ipvsadm -R
		ip addr add 192.0.2.98/24 dev eth0
		ip addr add 192.0.2.99/32 dev eth0 label eth0:x
		ip addr add 198.51.100.1/24 dev lo
		ip route add 203.0.113.0/24 via 192.0.2.254
		iptables-legacy -t mangle -A PREROUTING -d 192.0.2.99 -p tcp --dport 80 -j MARK --set-mark 9`)
}

func TestOCFTesterPassesIpvs(t *testing.T) {
	d := newDirector(t)
	out := d.Run(t, "env", "LVS_AGENTS_STATE_DIR="+d.state+"/lvs-agents", "ocf-tester", "-n", "web-ipvs",
		"-o", "virtual=192.0.2.10:80", "-o", "real=192.0.2.21 gate, 192.0.2.22 gate", lab.Public(t, d.bin+"/ipvs")+"/ipvs")
	if !strings.Contains(out, "passed all tests") {
		t.Error(out)
	}
	if left := d.table(t); left != "" {
		t.Errorf("left in the kernel:\n%s", left)
	}
}

func TestForeignThingsAreUntouchedByEveryAction(t *testing.T) {
	d := newDirector(t)
	d.addForeign(t)
	before := d.dump(t)
	d.must(t, 7, "ipvs", "web", "monitor", web...)
	d.must(t, 0, "ipvs", "web", "start", web...)
	d.must(t, 0, "vip", "web", "start", vip...)
	if diff := cmp.Diff(sorted(foreign+webTable), d.table(t)); diff != "" {
		t.Errorf("started (-want +got):\n%s", diff)
	}
	if out := d.Run(t, "ip", "-o", "addr", "show", "to", "192.0.2.10"); !strings.Contains(out, "192.0.2.10/24") {
		t.Errorf("address: %s", out)
	}
	d.must(t, 0, "ipvs", "web", "monitor", web...)
	d.must(t, 0, "vip", "web", "monitor", vip...)
	d.must(t, 0, "ipvs", "web", "reload-agent", "virtual=192.0.2.10:80", "real=192.0.2.21 gate 9", "scheduler=wrr")
	d.must(t, 0, "vip", "web", "stop", vip...)
	d.must(t, 0, "ipvs", "web", "stop", web...)
	d.must(t, 7, "vip", "web", "monitor", vip...)
	d.must(t, 7, "ipvs", "web", "monitor", web...)
	if diff := cmp.Diff(before, d.dump(t)); diff != "" {
		t.Errorf("something else changed (-before +after):\n%s", diff)
	}
}

// TestForeignAddressSurvivesOurPrimary checks the stop of a VIP that is the first address of its
// network on the interface. The kernel removes the network's other addresses together with the
// first address. vip must keep these other addresses.
func TestForeignAddressSurvivesOurPrimary(t *testing.T) {
	d := newDirector(t)
	d.must(t, 0, "vip", "web", "start", "ip=198.51.100.10", "nic=eth0", "cidr_netmask=24")
	d.Run(t, "ip", "addr", "add", "198.51.100.11/24", "dev", "eth0")
	before := d.Script(t, "grep . /proc/sys/net/ipv4/conf/*/promote_secondaries")
	d.must(t, 0, "vip", "web", "stop", "ip=198.51.100.10", "nic=eth0", "cidr_netmask=24")
	if out := d.Run(t, "ip", "-o", "addr", "show", "dev", "eth0", "to", "198.51.100.0/24"); !strings.Contains(out, "198.51.100.11/24") || strings.Contains(out, "198.51.100.10/24") {
		t.Errorf("addresses: %s", out)
	}
	if after := d.Script(t, "grep . /proc/sys/net/ipv4/conf/*/promote_secondaries"); after != before {
		t.Errorf("sysctl: before\n%safter\n%s", before, after)
	}
}

func TestEveryFormReachesTheKernel(t *testing.T) {
	tests := []struct {
		name, table string
		params      []string
	}{
		{"udp", "-A -u 192.0.2.10:53 -s wlc\n-a -u 192.0.2.10:53 -r 192.0.2.21:5353 -m -w 1\n",
			[]string{"virtual=192.0.2.10:53", "real=192.0.2.21:5353 masq", "scheduler=wlc"}},
		{"tunnel", "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 3 --tun-type ipip\n",
			[]string{"virtual=192.0.2.10:80", "real=192.0.2.21 ipip 3", "scheduler=rr"}},
		{"mark", "-A -f 5 -s wrr -p 60\n-a -f 5 -r 192.0.2.21:80 -g -w 1\n",
			[]string{"virtual=5", "real=192.0.2.21:80 gate", "persistent=60"}},
		{"netmask", "-A -t 192.0.2.10:80 -s rr -p 600 -M 255.255.255.0\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n",
			[]string{"virtual=192.0.2.10:80", "real=192.0.2.21 gate", "scheduler=rr", "persistent=600", "netmask=255.255.255.0"}},
		{"IPv6", "-A -t [2001:db8::10]:80 -s rr -p 600 -M 64\n-a -t [2001:db8::10]:80 -r [2001:db8::21]:80 -g -w 1\n",
			[]string{"virtual=[2001:db8::10]:80", "real=[2001:db8::21] gate", "scheduler=rr", "persistent=600", "netmask=64"}},
		{"tunnels", "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1 --tun-type gue --tun-port 6081 --tun-csum\n" +
			"-a -t 192.0.2.10:80 -r 192.0.2.22:80 -i -w 1 --tun-type gre --tun-nocsum\n-a -t 192.0.2.10:80 -r [2001:db8::23]:80 -i -w 2 --tun-type ipip\n",
			[]string{"virtual=192.0.2.10:80", "real=192.0.2.21 gue port:6081 csum, 192.0.2.22 gre, [2001:db8::23] ipip 2", "scheduler=rr"}},
		{"engine and one packet", "-A -u 192.0.2.10:5060 -s mh -p 60 --pe sip -o -b mh-port\n-a -u 192.0.2.10:5060 -r 192.0.2.21:5060 -g -w 1\n",
			[]string{"virtual=192.0.2.10:5060/udp", "real=192.0.2.21 gate", "scheduler=mh", "schedflags=mh-port", "persistent=60", "persistence_engine=sip", "ops=yes"}},
		{"several kinds", "-A --sctp-service 192.0.2.10:80 -s rr\n-A -f 5 -s rr\n-A -f 5 -6 -s rr\n-A -t 192.0.2.10:80 -s rr\n-A -t 192.0.2.10:81 -s rr\n" +
			"-a --sctp-service 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1 --tun-type ipip\n-a -f 5 -r 192.0.2.21:0 -i -w 1 --tun-type ipip\n-a -f 5 -6 -r 192.0.2.21:0 -i -w 1 --tun-type ipip\n" +
			"-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1 --tun-type ipip\n-a -t 192.0.2.10:81 -r 192.0.2.21:81 -i -w 1 --tun-type ipip\n",
			[]string{"virtual=192.0.2.10:80-81 192.0.2.10:80/sctp 5/fwm4 5/fwm6", "real=192.0.2.21 ipip", "scheduler=rr"}},
		{"two services", "-A -t 192.0.2.10:443 -s rr\n-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:443 -r 192.0.2.21:443 -g -w 1\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n",
			[]string{"virtual=192.0.2.10:80 192.0.2.10:443", "real=192.0.2.21 gate", "scheduler=rr"}},
	}
	d := newDirector(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d.must(t, 0, "ipvs", "web", "start", tt.params...)
			if diff := cmp.Diff(sorted(tt.table), d.table(t)); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
			d.must(t, 0, "ipvs", "web", "monitor", tt.params...)
			d.must(t, 0, "ipvs", "web", "stop", tt.params...)
			if left := d.table(t); left != "" {
				t.Errorf("left in the kernel:\n%s", left)
			}
		})
	}
}

func TestSecondResourceWithTheSameServiceFailsAndNamesTheFirst(t *testing.T) {
	d := newDirector(t)
	d.must(t, 0, "ipvs", "web", "start", web...)
	out := d.must(t, 1, "ipvs", "other", "start", web...)
	if want := "ocf-exit-reason:virtual service -t 192.0.2.10:80 already belongs to resource web; stop resource web, or delete the stale record "; !strings.Contains(out, want) {
		t.Error(out)
	}
	d.must(t, 0, "ipvs", "other", "stop", web...)
	d.must(t, 0, "ipvs", "web", "monitor", web...)
}

func TestNotRootIsPermissionDenied(t *testing.T) {
	d := newDirector(t)
	for _, agent := range []string{"ipvs", "vip"} {
		script := fmt.Sprintf("cp %s/%s %s/; chmod 755 %s %s/%s; env %s OCF_RESKEY_ip=192.0.2.10 OCF_RESKEY_virtual=5 setpriv --reuid=nobody --clear-groups %s/%s start || echo $?",
			d.bin, agent, d.state, d.state, d.state, agent, "PATH=/usr/bin:/bin", d.state, agent)
		if out := d.Script(t, script); !strings.HasSuffix(out, "ocf-exit-reason:start needs root\n4\n") {
			t.Errorf("%s: %s", agent, out)
		}
	}
}

// killed returns the directory of the test agents that kill their own process
// (tests/programs/killed). "make build" has built them.
func (d director) killed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, agent := range []string{"ipvs", "sync"} {
		if err := os.Symlink(filepath.Join(d.bin, "tests", "killed"), filepath.Join(dir, agent)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestKilledAtEveryKernelOperation kills start and stop before and after each operation on the
// kernel, in turn. After each kill, monitor must report the real state, and start and stop must
// work.
func TestKilledAtEveryKernelOperation(t *testing.T) {
	for _, action := range []string{"start", "stop"} {
		for _, next := range []string{"start", "stop"} {
			t.Run(action+" then "+next, func(t *testing.T) { killedThen(t, "ipvs", web, action, next) })
		}
	}
}

func killedThen(t *testing.T, agent string, params []string, action, next string) {
	d := newDirector(t)
	d.addForeign(t)
	killed := d.killed(t)
	before, empty := d.dump(t), d.have(t)
	d.must(t, 0, agent, "web", "start", params...)
	full := d.have(t)
	moment := 0
	for code := -1; code != 0; moment++ {
		first := map[string]string{"start": "stop", "stop": "start"}[action]
		d.must(t, 0, agent, "web", first, params...)
		var out string
		code, out = d.agent(t, killed, agent, "web", action, append(params, fmt.Sprintf("KILL_AT=%d", moment))...)
		if code > 0 {
			t.Fatalf("moment %d: %s gave %d\n%s", moment, action, code, out)
		}
		truth(t, d, agent, params, empty, full, moment)
		d.must(t, 0, agent, "web", next, params...)
		want := map[string]string{"start": full, "stop": empty}[next]
		if diff := cmp.Diff(want, d.have(t)); diff != "" {
			t.Fatalf("moment %d: after %s (-want +got):\n%s", moment, next, diff)
		}
	}
	if moment < 4 {
		t.Errorf("only %d moments: the agent was not killed", moment)
	}
	t.Logf("killed at %d moments", moment-1)
	d.must(t, 0, agent, "web", "stop", params...)
	if diff := cmp.Diff(before, d.dump(t)); diff != "" {
		t.Errorf("something else changed (-before +after):\n%s", diff)
	}
}

// truth checks that the exit code of monitor agrees with the kernel. Running requires the state
// full, stopped the state empty. An error (1) is correct for every state. A stopped resource may
// leave the default of a sysctl: monitor cannot tell a killed start from a start whose services
// another program has deleted (agents/ipvs, withSettings).
func truth(t *testing.T, d director, agent string, params []string, empty, full string, moment int) {
	t.Helper()
	code, out := d.agent(t, d.bin, agent, "web", "monitor", params...)
	have := d.have(t)
	switch {
	case code == 0 && have != full:
		t.Errorf("moment %d: monitor reports running:\n%s", moment, cmp.Diff(full, have))
	case code == 7 && withoutDefault(have) != withoutDefault(empty):
		t.Errorf("moment %d: monitor reports stopped:\n%s", moment, cmp.Diff(empty, have))
	case code != 0 && code != 7 && code != 1:
		t.Errorf("moment %d: monitor gives %d: %s", moment, code, out)
	}
}

// withoutDefault returns the state of the kernel without the only sysctl whose default the test
// resource sets.
func withoutDefault(have string) string {
	return regexp.MustCompile(`conn_reuse_mode \d\n`).ReplaceAllString(have, "")
}

// TestKilledAtEveryStepOfTheRecord kills the agent with strace at system calls that lock, write,
// replace or remove the record. After each kill, monitor must report the real state, and start and
// stop must work.
func TestKilledAtEveryStepOfTheRecord(t *testing.T) {
	d := newDirector(t)
	killed := 0
	for _, action := range []string{"start", "stop"} {
		for _, at := range []string{"flock 1", "write 1", "write 2", "pwrite64 1", "renameat 1", "renameat 2", "unlinkat 1"} {
			first := map[string]string{"start": "stop", "stop": "start"}[action]
			d.must(t, 0, "ipvs", "web", first, web...)
			call, n, _ := strings.Cut(at, " ")
			strace := d.strace(t, "ipvs", call, n)
			code, out := d.agent(t, strace, "ipvs", "web", action, web...)
			if code == -1 || code == 137 {
				killed++
			} else if code != 0 {
				t.Fatalf("%s under strace: %d\n%s", action, code, out)
			}
			code, out = d.agent(t, d.bin, "ipvs", "web", "monitor", web...)
			have := d.table(t)
			if code == 0 && have != sorted(webTable) || code == 7 && have != "" || code != 0 && code != 7 && code != 1 {
				t.Errorf("%s killed at %s: monitor gives %d\n%s\n%s", action, at, code, out, have)
			}
			for _, next := range []string{"stop", "start"} {
				d.must(t, 0, "ipvs", "web", next, web...)
			}
		}
	}
	d.must(t, 0, "ipvs", "web", "stop", web...)
	if left := d.table(t); left != "" {
		t.Errorf("left in the kernel:\n%s", left)
	}
	if killed < 6 {
		t.Errorf("strace killed the agent only %d times", killed)
	}
	t.Logf("killed %d times", killed)
}

// TestKilledWhileTheNetworkHasOtherAddresses kills a stop of vip with strace, at each system call
// that locks, writes, deletes a file or sends to the kernel. In two more cases, it kills the stop
// during the write to the sysctl promote_secondaries. The VIP is the first address of its network.
// With promote_secondaries off, the kernel would remove the other address together with the VIP.
func TestKilledWhileTheNetworkHasOtherAddresses(t *testing.T) {
	const sysctl = "/proc/sys/net/ipv4/conf/eth0/promote_secondaries"
	d := newDirector(t)
	params := []string{"ip=198.51.100.10", "nic=eth0", "cidr_netmask=24"}
	addresses := func() string { return d.Run(t, "ip", "-o", "-4", "addr", "show", "dev", "eth0") }
	before := addresses()
	raised := func() string { return strings.TrimSpace(d.Run(t, "cat", sysctl)) }
	begin := func() {
		d.must(t, 0, "vip", "web", "start", params...)
		d.Run(t, "ip", "addr", "add", "198.51.100.11/24", "dev", "eth0")
	}
	end := func(at string) {
		code, _ := d.agent(t, d.bin, "vip", "web", "monitor", params...)
		if there := strings.Contains(addresses(), "198.51.100.10/24"); code != 0 && code != 7 || there != (code == 0) {
			t.Errorf("killed at %s: monitor gives %d\n%s", at, code, addresses())
		}
		if raised() != "0" {
			t.Errorf("killed at %s: promote_secondaries stays on", at)
		}
		d.must(t, 0, "vip", "web", "stop", params...)
		d.Run(t, "ip", "addr", "del", "198.51.100.11/24", "dev", "eth0")
		if diff := cmp.Diff(before, addresses()); diff != "" {
			t.Errorf("killed at %s, then stopped (-before +after):\n%s", at, diff)
		}
	}

	var killed []string
	for _, call := range []string{"flock", "sendto", "write", "unlinkat"} {
		for n, done := 1, false; !done; n++ {
			at := fmt.Sprintf("%s %d", call, n)
			begin()
			code, out := d.agent(t, d.strace(t, "vip", call, strconv.Itoa(n)), "vip", "web", "stop", params...)
			switch code {
			case -1, 137:
				killed = append(killed, at)
			case 0: // the stop succeeded, because it makes fewer than n of these calls
				done = true
			default:
				t.Fatalf("stop under strace at %s: %d\n%s", at, code, out)
			}
			end(at)
		}
	}
	t.Logf("killed at %v", killed)
	if len(killed) < 6 {
		t.Error("the test must kill the agent more often")
	}

	for delay, present := range map[string]string{"delay_exit": "198.51.100.10", "delay_enter": "198.51.100.11"} {
		begin()
		d.Script(t, fmt.Sprintf(`
			env LVS_AGENTS_STATE_DIR=%s/lvs-agents OCF_RESKEY_ip=198.51.100.10 OCF_RESKEY_nic=eth0 OCF_RESKEY_cidr_netmask=24 \
				strace -f -qq -o /dev/null -P %[2]s -e trace=write -e inject=write:%s=5000000 %s/vip stop &
			until grep -q 1 %[2]s && ip -o addr show dev eth0 | grep -v secondary | grep -q %[5]s/24; do sleep 0.05; done
			pkill -9 -x vip
			wait`, d.state, sysctl, delay, d.bin, present))
		if raised() != "1" {
			t.Errorf("%s: promote_secondaries was not raised when the agent was killed", delay)
		}
		end(delay)
	}
}

// strace returns a directory with an agent that strace kills when the agent makes its n-th call of
// this system call.
func (d director) strace(t *testing.T, agent, call, n string) string {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nexec strace -f -qq -o /dev/null -e trace=%s -e inject=%s:signal=KILL:when=%s %s/%s \"$@\"\n", call, call, n, d.bin, agent)
	if err := os.WriteFile(filepath.Join(dir, agent), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
