package sync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
	"lvs-agents/metadata/metadatatest"
	"lvs-agents/ocf"
	"lvs-agents/ocf/ocftest"
)

func TestGenerated(t *testing.T) {
	metadatatest.Run(t, func() ocf.Agent { return New(nil, nil, nil) })
}

// kernel is the fake kernel of a director.
type kernel struct {
	sysctls
	ipvs
}

type (
	sysctls = *kerneltest.Settings
	ipvs    = *kerneltest.IPVS
)

// fakeKernel returns a director with sysctls of IPVS and the interfaces eth0 and eth1.
func fakeKernel() kernel {
	k := kernel{kerneltest.NewSettings(), kerneltest.NewIPVS()}
	k.Have("eth1", "198.51.100.11/24")
	for name, value := range map[string]string{
		"sync_threshold": "3 50", "sync_refresh_period": "0", "sync_retries": "0", "sync_persist_mode": "0",
		"backup_only": "1", "sync_ports": "1", "sync_sock_size": "0", "sync_qlen_max": "7424",
	} {
		k.Put(host.Setting{Kind: host.Sysctl, Name: "net/ipv4/vs/" + name}, value)
	}
	return k
}

// String returns the sysctls of IPVS and the daemons.
func (k kernel) String() string {
	daemons, _ := k.SyncDaemons(context.Background())
	var lines []string
	for line := range strings.Lines(k.sysctls.String()) {
		if name, ok := strings.CutPrefix(line, "sysctl name=net/ipv4/vs/"); ok {
			lines = append(lines, name)
		}
	}
	for _, d := range daemons {
		lines = append(lines, d.String()+"\n")
	}
	return strings.Join(lines, "")
}

type node struct {
	kernel
	state      string
	work       *work
	attributes *attributes
}

func newNode(t *testing.T) node { return node{fakeKernel(), t.TempDir(), &work{}, &attributes{}} }

type result struct {
	code        ocf.Code
	reason, log string
}

func (n node) run(id, action string, words ...string) (r result) {
	r.code, r.reason, r.log = ocftest.Run(New(n.kernel, n.work, n.attributes), n.state, id, action, words...)
	return r
}

func (n node) must(t *testing.T, want ocf.Code, id, action string, words ...string) result {
	t.Helper()
	got := n.run(id, action, words...)
	if got.code != want {
		t.Fatalf("%s %s %q: got %d, want %d\nreason: %s\nlog: %s\nkernel:\n%s", id, action, words, got.code, want, got.reason, got.log, n.kernel)
	}
	return got
}

func (n node) want(t *testing.T, want string) {
	t.Helper()
	if diff := cmp.Diff(want, n.String()); diff != "" {
		t.Errorf("kernel (-want +got):\n%s", diff)
	}
}

// put sets a sysctl as another program would.
func (n node) put(name, value string) {
	n.Put(host.Setting{Kind: host.Sysctl, Name: "net/ipv4/vs/" + name}, value)
}

var pair = []string{"interface=eth1", "syncid=7"}

const (
	before = `backup_only 1
sync_persist_mode 0
sync_ports 1
sync_qlen_max 7424
sync_refresh_period 0
sync_retries 0
sync_sock_size 0
sync_threshold 3 50
`
	running = `backup_only 0
sync_persist_mode 0
sync_ports 1
sync_qlen_max 7424
sync_refresh_period 1
sync_retries 3
sync_sock_size 0
sync_threshold 0 0
master --mcast-interface eth1 --syncid 7 --sync-maxlen 1472
backup --mcast-interface eth1 --syncid 7 --sync-maxlen 1472
`
)

func TestEveryActionTwice(t *testing.T) {
	n := newNode(t)
	for _, step := range []struct {
		action string
		code   ocf.Code
		want   string
	}{
		{"probe", 7, before}, {"monitor", 7, before}, {"stop", 0, before}, {"stop", 0, before}, {"reload-agent", 7, before},
		{"start", 0, running}, {"start", 0, running}, {"monitor", 0, running}, {"probe", 0, running}, {"reload-agent", 0, running},
		{"validate-all", 0, running}, {"stop", 0, before}, {"stop", 0, before}, {"monitor", 7, before},
	} {
		n.must(t, step.code, "sync", step.action, pair...)
		n.want(t, step.want)
	}
}

func TestEveryParameterReachesTheKernel(t *testing.T) {
	n := newNode(t)
	n.must(t, 0, "sync", "start", "interface=eth1", "syncid=255", "group=224.0.0.82", "port=9000", "ttl=3", "maxlen=1400",
		"sync_threshold=1", "sync_period=5", "sync_refresh_period=2", "sync_retries=0", "sync_persist_mode=yes",
		"sync_ports=4", "sync_sock_size=1000000", "sync_qlen_max=20000")
	n.want(t, `backup_only 0
sync_persist_mode 1
sync_ports 4
sync_qlen_max 20000
sync_refresh_period 2
sync_retries 0
sync_sock_size 1000000
sync_threshold 1 5
master --mcast-interface eth1 --syncid 255 --sync-maxlen 1400 --mcast-group 224.0.0.82 --mcast-port 9000 --mcast-ttl 3
backup --mcast-interface eth1 --syncid 255 --sync-maxlen 1400 --mcast-group 224.0.0.82 --mcast-port 9000 --mcast-ttl 3
`)
	n.must(t, 0, "sync", "stop") // As the cluster can do, the test runs stop without parameters.
	n.want(t, before)
}

// TestReloadKeepsTheDaemons checks that reload-agent changes sysctls and no daemon, and that stop
// puts back the values from before start.
func TestReloadKeepsTheDaemons(t *testing.T) {
	n := newNode(t)
	n.must(t, 0, "sync", "start", pair...)
	n.ipvs.FailAfter(0, errors.New("a daemon is changed"))
	n.must(t, 0, "sync", "reload-agent", append(pair, "sync_refresh_period=3", "sync_period=9")...)
	n.ipvs.FailAfter(0, nil)
	n.want(t, strings.Replace(strings.Replace(running, "refresh_period 1", "refresh_period 3", 1), "threshold 0 0", "threshold 0 9", 1))
	n.must(t, 0, "sync", "monitor", pair...)
	n.must(t, 0, "sync", "stop", pair...)
	n.want(t, before)
}

// TestReloadableParametersAreSysctls checks that each reloadable parameter can change without a
// restart of the daemons: the options of the daemons stay.
func TestReloadableParametersAreSysctls(t *testing.T) {
	values := map[string]string{"peers": "192.0.2.12", "sync_threshold": "1", "sync_period": "9", "sync_refresh_period": "3",
		"sync_retries": "1", "sync_persist_mode": "yes", "sync_qlen_max": "9"}
	for _, p := range New(nil, nil, nil).Metadata().Params {
		value, known := values[p.Name]
		if known != p.Reloadable {
			t.Errorf("%s: reloadable %v", p.Name, p.Reloadable)
		}
		if !known {
			continue
		}
		a := New(nil, nil, nil)
		if errs := a.Metadata().Load([]string{"OCF_RESKEY_interface=eth1", "OCF_RESKEY_syncid=7", "OCF_RESKEY_" + p.Name + "=" + value}); len(errs) > 0 {
			t.Error(errs)
		}
		if got := options(a.daemon(lvs.SyncMaster)); got != "--mcast-interface eth1 --syncid 7" {
			t.Errorf("%s changes a daemon: %s", p.Name, got)
		}
	}
}

func TestWrongParameters(t *testing.T) {
	tests := []struct {
		params []string
		code   ocf.Code
		reason string
	}{
		{nil, 6, "parameter interface is required; parameter syncid is required"},
		{[]string{"interface=eth1", "syncid=0"}, 6, `parameter syncid="0": not a whole number from 1 to 255`},
		{append(pair, "group=192.0.2.1"), 6, `parameter group="192.0.2.1": not a multicast address; give 224.0.0.81 or ff05::81, for example`},
		{append(pair, "sync_threshold=5", "sync_period=5"), 6, "parameter sync_threshold=5: not smaller than sync_period=5"},
		{append(pair, "sync_ports=3"), 6, "parameter sync_ports=3: not a power of 2"},
		{append(pair, "sync_ports=64", "port=65500"), 6, "parameter port=65500: sync_ports=64 needs 64 ports from there"},
		{append(pair, "peers=2001:db8::12"), 6, "parameter peers: 2001:db8::12 is not an address that can send to group 224.0.0.81"},
		{append(pair, "maxlen=1000"), 6, `parameter maxlen="1000": not a whole number from 1024 to 65487`},
	}
	for _, tt := range tests {
		n := newNode(t)
		for _, action := range []string{"start", "validate-all"} {
			if got := n.must(t, tt.code, "sync", action, tt.params...); got.reason != tt.reason {
				t.Errorf("%s %v:\ngot  %s\nwant %s", action, tt.params, got.reason, tt.reason)
			}
		}
		n.must(t, 7, "sync", "monitor", tt.params...)
		n.must(t, 0, "sync", "stop", tt.params...)
		n.want(t, before)
	}
}

// TestWhatTheHostLacks checks the exit codes without IPVS and without a usable interface.
func TestWhatTheHostLacks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		lacks  func(node)
		code   ocf.Code
		reason string
	}{
		{"IPVS", func(n node) { n.Missing = true }, 5, "ipvsadm -L --daemon: IPVS is not in this kernel; modprobe ip_vs"},
		{"interface", func(n node) { n.Rename("eth1", "") }, 5, `network interface "eth1" does not exist; create it or give one that ip link shows`},
		{"up", func(n node) { n.Becomes("eth1", host.Interface{Down: true}) }, 1, "interface eth1 is down; ip link set dev eth1 up"},
		{"sysctl", func(n node) { n.put("sync_ports", "") }, 5, "sysctl net.ipv4.vs.sync_ports does not exist here; lvsctl doctor --kernel shows what this kernel has"},
	} {
		n := newNode(t)
		tt.lacks(n)
		had := n.String()
		if got := n.must(t, tt.code, "sync", "start", pair...); got.reason != tt.reason {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got.reason, tt.reason)
		}
		n.must(t, 7, "sync", "probe", pair...)
		n.must(t, 0, "sync", "stop", pair...)
		n.want(t, had)
	}
}

// TestFaultsOfARunningResource checks that monitor finds each fault, and that stop then succeeds.
func TestFaultsOfARunningResource(t *testing.T) {
	for _, tt := range []struct {
		name   string
		breaks func(node)
		reason string
	}{
		{"a daemon is stopped", func(n node) { _ = n.StopSync(context.Background(), lvs.SyncMaster) },
			"the master synchronisation daemon is off and not --mcast-interface eth1 --syncid 7; ipvsadm --start-daemon master --mcast-interface eth1 --syncid 7"},
		{"a daemon has another id", func(n node) {
			_ = n.StopSync(context.Background(), lvs.SyncBackup)
			_ = n.StartSync(context.Background(), lvs.SyncDaemon{Role: lvs.SyncBackup, Interface: "eth1", ID: 8})
		}, "the backup synchronisation daemon is --mcast-interface eth1 --syncid 8 --sync-maxlen 1472 and not --mcast-interface eth1 --syncid 7; " +
			"ipvsadm --stop-daemon backup && ipvsadm --start-daemon backup --mcast-interface eth1 --syncid 7"},
		{"a sysctl has another value", func(n node) { n.put("sync_threshold", "3 50") },
			"sysctl name=net/ipv4/vs/sync_threshold is 3 50 and not 0 0; sysctl -w net.ipv4.vs.sync_threshold=0 0"},
		{"the interface is gone", func(n node) { n.Rename("eth1", "") },
			"interface eth1 of the master daemon is gone; create it, then restart this resource"},
		{"the interface is down", func(n node) { n.Becomes("eth1", host.Interface{Down: true}) },
			"interface eth1 of the master daemon is down; ip link set dev eth1 up"},
		{"the interface is another one", func(n node) { n.Replaced = true },
			"the backup daemon does not receive from eth1 any more, because the interface was removed and created again; restart this resource"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.must(t, 0, "sync", "start", pair...)
			tt.breaks(n)
			if got := n.must(t, 1, "sync", "monitor", pair...); got.reason != tt.reason {
				t.Errorf("got  %s\nwant %s", got.reason, tt.reason)
			}
			n.must(t, 0, "sync", "stop", pair...)
			n.must(t, 7, "sync", "monitor", pair...)
			if daemons, _ := n.SyncDaemons(t.Context()); len(daemons) > 0 && !strings.Contains(tt.name, "another id") {
				t.Errorf("left: %v", daemons)
			}
		})
	}
	n := newNode(t)
	n.must(t, 0, "sync", "start", pair...)
	n.Becomes("eth1", host.Interface{NoCarrier: true})
	n.must(t, 0, "sync", "monitor", pair...) // Monitor succeeds although the other director is off.
}

// TestStartOfARunningResourceRepairs checks a start while the resource runs. If another program has
// replaced a daemon, start replaces the daemon of that program. If the parameters name another
// interface, start moves the daemons to it.
func TestStartOfARunningResourceRepairs(t *testing.T) {
	n := newNode(t)
	n.must(t, 0, "sync", "start", pair...)
	if err := errors.Join(n.StopSync(t.Context(), lvs.SyncMaster),
		n.StartSync(t.Context(), lvs.SyncDaemon{Role: lvs.SyncMaster, Interface: "eth0", ID: 8})); err != nil {
		t.Fatal(err)
	}
	n.must(t, 0, "sync", "start", pair...)
	n.want(t, running)
	n.must(t, 0, "sync", "start", "interface=eth0", "syncid=7")
	n.want(t, strings.ReplaceAll(running, "eth1", "eth0"))
	n.must(t, 0, "sync", "stop")
	n.want(t, before)
}

// TestDaemonsOfOtherPrograms checks that start, monitor and stop leave a daemon alone that no
// resource has started.
func TestDaemonsOfOtherPrograms(t *testing.T) {
	n := newNode(t)
	if err := n.StartSync(t.Context(), lvs.SyncDaemon{Role: lvs.SyncMaster, Interface: "eth0", ID: 1}); err != nil {
		t.Fatal(err)
	}
	had := n.String()
	n.must(t, 7, "sync", "probe", pair...)
	const want = "the master synchronisation daemon is --mcast-interface eth0 --syncid 1 --sync-maxlen 1472 already, and no resource has started it; ipvsadm --stop-daemon master"
	if got := n.must(t, 1, "sync", "start", pair...); got.reason != want {
		t.Errorf("got  %s\nwant %s", got.reason, want)
	}
	n.must(t, 0, "sync", "stop", pair...)
	n.want(t, had)
}

func TestSecondResourceIsRefused(t *testing.T) {
	n := newNode(t)
	n.must(t, 0, "sync", "start", pair...)
	for _, params := range [][]string{pair, {"interface=eth0", "syncid=8", "sync_retries=1"}} {
		const want = `the backup synchronisation daemon belongs to resource "sync", and a network namespace has only one; stop that resource, with its agent if the cluster no longer has it`
		if got := n.must(t, 1, "other", "start", params...); got.reason != want {
			t.Errorf("got  %s\nwant %s", got.reason, want)
		}
		n.must(t, 7, "other", "monitor", params...)
		n.must(t, 0, "other", "stop", params...)
		n.want(t, running)
		n.must(t, 0, "sync", "monitor", pair...)
	}
}

// TestFailureAtEveryOperation checks a start that cannot make one of its changes. After the failed
// start, another start must succeed, and stop must restore all settings.
func TestFailureAtEveryOperation(t *testing.T) {
	for _, fails := range []func(node, int){
		func(n node, at int) { n.sysctls.FailAfter(at, errors.New("no")) },
		func(n node, at int) { n.ipvs.FailAfter(at, errors.New("no")) },
	} {
		for at := 0; ; at++ {
			n := newNode(t)
			fails(n, at)
			failed := n.run("sync", "start", pair...).code != 0
			for _, next := range []string{"start", "stop"} {
				fails(n, 1000)
				n.must(t, 0, "sync", next, pair...)
				n.want(t, map[string]string{"start": running, "stop": before}[next])
			}
			if !failed {
				if at < 2 {
					t.Errorf("only %d operations", at)
				}
				break
			}
		}
	}
}

// mortal is a kernel that ends its caller at one operation, as if the process were killed.
type mortal struct {
	Kernel
	kerneltest.Death
}

func (m *mortal) Set(ctx context.Context, s host.Setting, value string) (err error) {
	m.Do(func() { err = m.Kernel.Set(ctx, s, value) })
	return err
}

func (m *mortal) StartSync(ctx context.Context, d lvs.SyncDaemon) (err error) {
	m.Do(func() { err = m.Kernel.StartSync(ctx, d) })
	return err
}

func (m *mortal) StopSync(ctx context.Context, r lvs.SyncRole) (err error) {
	m.Do(func() { err = m.Kernel.StopSync(ctx, r) })
	return err
}

// TestKilledAtEveryOperation checks an action that is killed before or after a change of the
// kernel: start, stop, and a start with other parameters. After that, monitor must agree with the
// kernel, and the next stop or start must work.
func TestKilledAtEveryOperation(t *testing.T) {
	moved := append(pair[1:], "interface=eth0", "sync_retries=1")
	for _, victim := range []struct {
		action string
		params []string
	}{{"start", pair}, {"start", moved}, {"stop", nil}} {
		for _, next := range []string{"start", "stop"} {
			for _, after := range []bool{false, true} {
				at := 0
				for killedAt(t, victim.action, victim.params, next, at, after) {
					at++
				}
				if at < 4 {
					t.Errorf("%s %v: only %d operations", victim.action, victim.params, at)
				}
			}
		}
	}
}

func killedAt(t *testing.T, action string, params []string, next string, at int, after bool) bool {
	n := newNode(t)
	if action == "stop" || params[0] == "syncid=7" {
		n.must(t, 0, "sync", "start", pair...)
	}
	m := &mortal{Kernel: n.kernel, Death: kerneltest.Death{Left: at, After: after}}
	done := make(chan bool)
	go func() {
		defer close(done)
		agent := New(m, &work{}, &attributes{})
		environ := []string{}
		for _, p := range params {
			environ = append(environ, "OCF_RESKEY_"+p)
		}
		agent.Metadata().Load(environ)
		call := ocf.Call{Instance: "sync", StateDir: n.state, Log: quiet()}
		if action == "start" {
			_ = agent.Start(t.Context(), call)
			return
		}
		_ = agent.Stop(t.Context(), call)
	}()
	<-done
	code := n.run("sync", "monitor", pair...).code
	if have := n.String(); code == 0 && !strings.Contains(have, "master") || code == 7 && have != before {
		t.Errorf("%s killed at %d (after it: %t): monitor gives %d\n%s", action, at, after, code, have)
	}
	n.must(t, 0, "sync", next, pair...)
	n.want(t, map[string]string{"start": running, "stop": before}[next])
	n.must(t, 0, "sync", "stop")
	n.want(t, before)
	if t.Failed() {
		t.Fatalf("%s %v, killed at operation %d (after it: %t), then %s", action, params, at, after, next)
	}
	return m.Died
}

// TestPeersAreOfferedAsARule checks that start logs a rule for the peers.
func TestPeersAreOfferedAsARule(t *testing.T) {
	n := newNode(t)
	got := n.must(t, 0, "sync", "start", append(pair, "peers=198.51.100.12, 198.51.100.13", "sync_ports=2")...)
	const want = "this rule admits only the peers: nft 'table ip lvs-sync { chain input { type filter hook input priority 0; " +
		"iifname eth1 ip daddr 224.0.0.81 udp dport 8848-8849 ip saddr != { 198.51.100.12, 198.51.100.13 } drop; }; }'"
	if !strings.Contains(got.log, want) {
		t.Errorf("log:\n%s\nwant %s", got.log, want)
	}
}

// ledgerFile returns the path of the ledger.
func (n node) ledgerFile(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(n.state + "/director-*[0-9]")
	if err != nil || len(files) != 1 {
		t.Fatal(fmt.Errorf("%v %w", files, err))
	}
	if _, err := os.Stat(files[0]); err != nil {
		t.Fatal(err)
	}
	return files[0]
}
