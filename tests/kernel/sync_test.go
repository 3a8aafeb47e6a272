package kernel

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/tests/lab"
)

var pair = []string{"interface=eth0", "syncid=7"}

// sync returns the sysctls of the synchronisation daemons, and the running daemons as ipvsadm
// prints them.
func (d director) sync(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	if err := d.Do(func() error {
		for _, name := range []string{"threshold", "refresh_period", "retries", "persist_mode", "ports", "sock_size", "qlen_max"} {
			value, err := os.ReadFile("/proc/thread-self/root/proc/sys/net/ipv4/vs/sync_" + name)
			if err != nil {
				return err
			}
			fmt.Fprintf(&text, "%s %s\n", name, strings.Join(strings.Fields(string(value)), " "))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return text.String() + d.daemons(t)
}

// daemons returns the synchronisation daemons as ipvsadm prints them.
func (d director) daemons(t *testing.T) string {
	t.Helper()
	out, err := d.output(exec.CommandContext(t.Context(), "ipvsadm", "-L", "--daemon"))
	if err != nil {
		t.Fatalf("ipvsadm -L --daemon: %v: %s", err, out)
	}
	return out
}

func TestOCFTesterPassesSync(t *testing.T) {
	d := newDirector(t)
	before := d.dump(t)
	out := d.Run(t, "env", "LVS_AGENTS_STATE_DIR="+d.state+"/lvs-agents", "ocf-tester", "-n", "lvs-sync",
		"-o", "interface=eth0", "-o", "syncid=7", lab.Public(t, d.bin+"/sync")+"/sync")
	if !strings.Contains(out, "passed all tests") {
		t.Error(out)
	}
	if diff := cmp.Diff(before, d.dump(t)); diff != "" {
		t.Errorf("something is left (-before +after):\n%s", diff)
	}
}

func TestSyncOfADirector(t *testing.T) {
	d := newDirector(t)
	d.addForeign(t)
	before := d.dump(t)
	d.must(t, 7, "sync", "s", "monitor", pair...)
	for range 2 {
		d.must(t, 0, "sync", "s", "start", pair...)
		d.must(t, 0, "sync", "s", "monitor", pair...)
	}
	const want = `threshold 0 0
refresh_period 1
retries 3
persist_mode 0
ports 1
sock_size 0
`
	if got := d.sync(t); !strings.HasPrefix(got, want) || !strings.Contains(got, "master sync daemon (mcast=eth0, syncid=7") || !strings.Contains(got, "backup sync daemon (mcast=eth0, syncid=7") {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	daemons := d.daemons(t)
	d.must(t, 0, "sync", "s", "reload-agent", append(pair, "sync_period=50", "sync_threshold=3", "sync_retries=1")...)
	if got := d.sync(t); !strings.HasPrefix(got, "threshold 3 50\nrefresh_period 1\nretries 1\n") || d.daemons(t) != daemons {
		t.Errorf("after reload-agent:\n%s", got)
	}
	if out := d.must(t, 1, "sync", "other", "start", pair...); !strings.Contains(out, `the backup synchronisation daemon belongs to resource "s", and a network namespace has only one; stop that resource, with its agent if the cluster no longer has it`) {
		t.Error(out)
	}
	d.must(t, 0, "sync", "other", "stop", pair...)
	d.must(t, 0, "sync", "s", "monitor", pair...)
	for range 2 {
		d.must(t, 0, "sync", "s", "stop")
		d.must(t, 7, "sync", "s", "monitor", pair...)
		if diff := cmp.Diff(before, d.dump(t)); diff != "" {
			t.Errorf("something else changed (-before +after):\n%s", diff)
		}
	}
}

// TestEveryOptionOfASyncDaemon starts daemons with all options over IPv4, and with two groups of
// IPv6.
func TestEveryOptionOfASyncDaemon(t *testing.T) {
	for name, params := range map[string][]string{
		"IPv4": {"group=224.0.0.82", "port=9000", "ttl=3", "maxlen=1400", "sync_ports=4", "sync_sock_size=100000", "sync_qlen_max=5000", "sync_persist_mode=yes"},
		"IPv6": {"group=ff05::81"}, "one link": {"group=ff02::81"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDirector(t)
			before := d.dump(t)
			params := append(params, pair...)
			d.must(t, 0, "sync", "s", "start", params...)
			d.must(t, 0, "sync", "s", "start", params...)
			d.must(t, 0, "sync", "s", "monitor", params...)
			t.Log(d.sync(t))
			d.must(t, 0, "sync", "s", "stop", params...)
			if diff := cmp.Diff(before, d.dump(t)); diff != "" {
				t.Errorf("something else changed (-before +after):\n%s", diff)
			}
		})
	}
}

// TestForeignSyncDaemons starts a synchronisation daemon as another program does. start must name
// this daemon, and no action may change it.
func TestForeignSyncDaemons(t *testing.T) {
	for role, other := range map[string]string{"master": "backup", "backup": "master"} {
		d := newDirector(t)
		d.Script(t, "ipvsadm --start-daemon "+role+" --mcast-interface eth0 --syncid 1")
		before := d.dump(t)
		d.must(t, 7, "sync", "s", "monitor", pair...)
		out := d.must(t, 1, "sync", "s", "start", pair...)
		if want := "already, and no resource has started it; ipvsadm --stop-daemon " + role; !strings.Contains(out, want) {
			t.Errorf("got %s\nwant %s", out, want)
		}
		d.must(t, 0, "sync", "s", "stop", pair...)
		if diff := cmp.Diff(before, d.dump(t)); diff != "" {
			t.Errorf("something else changed (-before +after):\n%s", diff)
		}
		d.Script(t, "ipvsadm --stop-daemon "+role)
		d.must(t, 0, "sync", "s", "start", pair...)
		d.Script(t, "ipvsadm --stop-daemon "+other+"; ipvsadm --start-daemon "+other+" --mcast-interface eth0 --syncid 2")
		out = d.must(t, 1, "sync", "s", "monitor", pair...)
		if want := "the " + other + " synchronisation daemon is --mcast-interface eth0 --syncid 2"; !strings.Contains(out, want) {
			t.Errorf("got %s\nwant %s", out, want)
		}
		d.must(t, 0, "sync", "s", "stop", pair...)
		d.must(t, 7, "sync", "s", "monitor", pair...)
		if got := d.daemons(t); !strings.Contains(got, other+" sync daemon (mcast=eth0, syncid=2") || strings.Contains(got, role) {
			t.Errorf("got %s", got)
		}
		d.Script(t, "ipvsadm --stop-daemon "+other)
	}
}

// TestInterfaceOfTheSyncDaemons checks start, monitor and stop of sync while its interface is
// missing, down, removed, or removed and created again.
func TestInterfaceOfTheSyncDaemons(t *testing.T) {
	const create = "ip link add d0 type dummy; ip link set d0 up; ip addr add 198.51.100.11/24 dev d0"
	d := newDirector(t)
	before := d.sync(t)
	params := []string{"interface=d0", "syncid=7"}
	step := func(script string, code int, action, want string) {
		t.Helper()
		d.Script(t, script)
		if out := d.must(t, code, "sync", "s", action, params...); !strings.Contains(out, want) {
			t.Errorf("%s: got %s\nwant %s", script, out, want)
		}
	}
	step("true", 5, "start", `network interface "d0" does not exist; create it or give one that ip link shows`)
	step("ip link add d0 type dummy", 1, "start", "interface d0 is down; ip link set dev d0 up")
	step("true", 0, "stop", "")
	step("true", 7, "monitor", "")
	step("ip link del d0; "+create, 0, "start", "")
	step("ip link set d0 down", 1, "monitor", "interface d0 of the master daemon is down; ip link set dev d0 up")
	step("ip link set d0 up", 0, "monitor", "")
	step("ip link del d0", 1, "monitor", "interface d0 of the master daemon is gone; create it, then restart this resource")
	t.Logf("the kernel keeps the daemons: %s", d.daemons(t))
	step(create, 1, "monitor", "the backup daemon does not receive from d0 any more, because the interface was removed and created again; restart this resource")
	step("true", 0, "stop", "")
	step("true", 0, "start", "")
	step("true", 0, "monitor", "")
	step("ip link del d0", 0, "stop", "")
	step("true", 7, "monitor", "")
	if diff := cmp.Diff(before, d.sync(t)); diff != "" {
		t.Errorf("something is left (-before +after):\n%s", diff)
	}
}

// TestSyncKilledAtEveryKernelOperation makes two of the four checks of
// TestKilledAtEveryKernelOperation with the agent sync.
func TestSyncKilledAtEveryKernelOperation(t *testing.T) {
	for action, next := range map[string]string{"start": "stop", "stop": "start"} {
		t.Run(action+" then "+next, func(t *testing.T) { killedThen(t, "sync", pair, action, next) })
	}
}

// TestHostileSyncDatagrams sends damaged and arbitrary datagrams to a backup daemon. The resource
// must continue, and the daemon must receive a correct datagram afterwards. That datagram comes
// from a client: nothing in the protocol prevents that.
func TestHostileSyncDatagrams(t *testing.T) {
	d := newDirector(t)
	topology := lab.NewTopology(t)
	d.Host = topology.Host("director1")
	d.must(t, 0, "sync", "s", "start", pair...)
	client := topology.Host("client")
	client.Run(t, "ip", "route", "add", "224.0.0.0/4", "dev", "eth0")
	garbage := hostile()
	send(t, client, garbage...)
	d.must(t, 0, "sync", "s", "monitor", pair...)
	connections := func() string { return d.Run(t, "cat", "/proc/net/ip_vs_conn_sync") }
	t.Logf("%d datagrams; connections: %d", len(garbage), strings.Count(connections(), "\n")-1)
	lab.Wait(t, 5*time.Second, "a connection of a correct datagram", func() error {
		send(t, client, datagram(7, connection(nil)))
		if have := connections(); !strings.Contains(have, "CB00710A 9C40 C0000263 0050 C0000215 0050 ESTABLISHED") {
			return fmt.Errorf("the kernel has\n%s", have)
		}
		return nil
	})
	d.Script(t, "ipvsadm -A -t 192.0.2.10:80 -s rr")
	const what = "connections of 192.0.2.99 arrive, but this director has no virtual service with that address"
	if _, out := d.agent(t, d.bin, "lvsctl", "s", "doctor"); !strings.Contains(out, what) {
		t.Errorf("got %s\nwant %s", out, what)
	}
	d.must(t, 0, "sync", "s", "stop", pair...)
}

// TestDoctorOnALinkWithOtherHosts checks that lvsctl doctor names a host on the link that can send
// datagrams to the daemons of a running resource.
func TestDoctorOnALinkWithOtherHosts(t *testing.T) {
	d := newDirector(t)
	d.Script(t, "ipvsadm -A -t 192.0.2.10:80 -s rr; ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21 -g")
	const why = "why: the synchronisation daemons use eth0, which also leads to the real server 192.0.2.21, and their datagrams are not authenticated"
	for action, want := range map[string]bool{"start": true, "stop": false} {
		d.must(t, 0, "sync", "s", action, pair...)
		if code, out := d.agent(t, d.bin, "lvsctl", "s", "doctor"); strings.Contains(out, why) != want || want && code != 1 {
			t.Errorf("after %s: %d\n%s", action, code, out)
		}
	}
	d.must(t, 0, "sync", "s", "stop", pair...)
}

// send sends datagrams to the group of the synchronisation daemons.
func send(t *testing.T, from *lab.Host, datagrams ...[]byte) {
	t.Helper()
	conn, err := from.Dial(t.Context(), "udp4", "224.0.0.81:8848")
	if err != nil {
		t.Fatal(err)
	}
	for _, datagram := range datagrams {
		if _, err := conn.Write(datagram); err != nil {
			t.Error(err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

// connection returns a connection of a version 1 datagram (struct ip_vs_sync_v4 in
// net/netfilter/ipvs/ip_vs_sync.c): 203.0.113.10:40000 to 192.0.2.99:80 on 192.0.2.21:80.
func connection(options []byte) []byte {
	c := []byte{0, 6}                                             // IPv4, TCP
	c = binary.BigEndian.AppendUint16(c, uint16(36+len(options))) // version 0 and length
	c = append(c, 0, 0, 0, 3, 0, 1)                               // direct routing, ESTABLISHED
	c = append(c, 0x9c, 0x40, 0, 80, 0, 80)                       // ports
	c = append(c, 0, 0, 0, 0, 0, 0, 3, 132)                       // mark, seconds
	c = append(c, 203, 0, 113, 10, 192, 0, 2, 99, 192, 0, 2, 21)  // client, service, real server
	return append(c, options...)
}

// datagram returns a version 1 datagram (struct ip_vs_sync_mesg) with one connection.
func datagram(id byte, connection []byte) []byte {
	m := []byte{0, id}
	m = binary.BigEndian.AppendUint16(m, uint16(8+len(connection)))
	m = append(m, 1, 1, 0, 0)
	return append(m, connection...)
}

// hostile returns datagrams that are cut, contradict themselves, have another value in one byte, or
// are arbitrary. Some of them are correct datagrams with arbitrary addresses.
func hostile() [][]byte {
	good := datagram(7, connection([]byte{4, 4, 't', 'e', 's', 't'}))
	list := [][]byte{{}, datagram(8, connection(nil)), append(slices.Clone(good), good...)}
	for n := range good {
		list = append(list, good[:n])
		for _, value := range []byte{0, 1, 2, 0x7f, 0x80, 0xff} {
			changed := slices.Clone(good)
			changed[n] = value
			list = append(list, changed)
		}
	}
	random := rand.New(rand.NewPCG(8848, 7))
	for range 2000 {
		body := make([]byte, random.IntN(1400))
		for i := range body {
			body[i] = byte(random.Uint32())
		}
		list = append(list, body, datagram(7, body))
	}
	return list
}
