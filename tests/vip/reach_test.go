package vip

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/kernel/kerneltest"
)

// TestUnreachable makes the VIP unreachable in several ways that the agent can detect on its host.
// monitor must fail. It also checks a start while the VIP cannot be reached.
func TestUnreachable(t *testing.T) {
	const route = "192.0.2.10 is on eth0, but this host does not accept packets for it: ip route get 192.0.2.10 gives %s instead of local; check ip rule and ip route show table local"
	tests := []struct {
		name, breaks string
		start        int // 0: start repairs it
		reason       string
	}{
		{"ARP off", "ip link set eth0 arp off", 5,
			"192.0.2.10 on eth0 cannot be reached: ARP is off on eth0, so no neighbour learns where the address is; ip link set dev eth0 arp on"},
		{"in a bridge", "ip link add br0 type bridge\nip link set eth0 master br0", 5,
			"192.0.2.10 on eth0 cannot be reached: eth0 is a port of bridge br0, which takes all its packets; give nic=br0, or ip link set dev eth0 nomaster"},
		{"local route gone", "ip route del table local 192.0.2.10", 0, fmt.Sprintf(route, "unicast dev eth0 table main")},
		{"local rule gone", "ip rule del pref 0 lookup local", 1, fmt.Sprintf(route, "unicast dev eth0 table main")},
		{"a rule before it", "ip route add unreachable 192.0.2.10 table 77\nip rule add pref 10 lookup local\nip rule del pref 0\nip rule add pref 5 lookup 77", 1, fmt.Sprintf(route, "no route")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, _ := link(t)
			params := []string{"ip=" + vip4, "nic=eth0", "cidr_netmask=24"}
			a.must(t, 0, "start", params...)
			kerneltest.Run(t, tt.breaks)
			if out := a.must(t, 1, "monitor", params...); !strings.Contains(out, "ocf-exit-reason:"+tt.reason+"\n") {
				t.Errorf("got %s\nwant %s", out, tt.reason)
			}
			a.must(t, 0, "stop", params...)
			a.must(t, tt.start, "start", params...)
			if there := kerneltest.Run(t, "ip -4 -o addr show to "+vip4); (there != "") != (tt.start == 0) {
				t.Errorf("start gave %d and left %q", tt.start, there)
			}
			a.must(t, 0, "stop", params...)
		})
	}
}

// TestWithoutRawSockets checks a start on a host where the agent must not open raw sockets, so it
// cannot send announcements.
func TestWithoutRawSockets(t *testing.T) {
	for _, ip := range []string{vip4, vip6} {
		a, _ := link(t)
		cmd := exec.Command("setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", a.path, "start")
		cmd.Env = []string{"OCF_RESOURCE_INSTANCE=web", "LVS_AGENTS_STATE_DIR=" + a.state + "/lvs-agents", "OCF_RESKEY_ip=" + ip, "OCF_RESKEY_nodad=true"}
		out, err := cmd.CombinedOutput()
		want := ip + " on eth0 cannot be announced, so neighbours keep sending to the previous director: "
		if cmd.ProcessState.ExitCode() != 4 || !strings.Contains(string(out), want) {
			t.Errorf("got %v: %s\nwant 4: %s", err, out, want)
		}
		a.must(t, 7, "monitor", "ip="+ip)
	}
}

// TestNamesOfNoNamespace checks a resource whose parameter network_namespace does not name a
// network namespace. The VIP cannot be there, and no action may wait for the file.
func TestNamesOfNoNamespace(t *testing.T) {
	kerneltest.Namespace(t)
	if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, "")); err != nil {
		kerneltest.Need(t, "mounts: "+err.Error())
	}
	a := newAgent(t)
	kerneltest.Run(t, "mkdir /run/netns\ntouch /run/netns/stale\nmkfifo /run/netns/pipe")
	for _, name := range []string{"stale", "pipe", "..", "gone"} {
		params := []string{"ip=" + vip4, "network_namespace=" + name, "OCF_RESKEY_CRM_meta_timeout=5000"}
		a.must(t, 0, "stop", params...)
		a.must(t, 7, "monitor", params...)
		a.must(t, 5, "start", params...)
	}
}

// TestFewFiles checks the exit codes of the agents under a low limit of open files. If the Go
// runtime cannot start, it exits with 2, which OCF reads as wrong arguments.
func TestFewFiles(t *testing.T) {
	kerneltest.Namespace(t)
	for _, agent := range []string{"vip", "ipvs", "health", "realserver"} {
		for limit := 4; limit <= 16; limit++ {
			script := fmt.Sprintf("ulimit -n %d; exec ../../bin/%s monitor", limit, agent)
			cmd := exec.Command("sh", "-c", script)
			cmd.Env = []string{"OCF_RESOURCE_INSTANCE=web", "LVS_AGENTS_STATE_DIR=" + t.TempDir() + "/lvs-agents", "OCF_RESKEY_ip=" + vip4, "OCF_RESKEY_virtual=" + vip4 + ":80"}
			out, _ := cmd.CombinedOutput()
			code := cmd.ProcessState.ExitCode()
			if code != 1 && code != 7 || code == 1 && !strings.Contains(string(out), "ocf-exit-reason:") || limit == 16 && code != 7 {
				t.Errorf("%s with %d files: got %d\n%s", agent, limit, code, out)
			}
		}
	}
}

// TestFullRoutingTable checks that the agent needs little memory on a host with many routes.
func TestFullRoutingTable(t *testing.T) {
	a, _ := link(t)
	load, err := kerneltest.Start(t, "ip", "-batch", "-")
	if err != nil {
		t.Fatal(err)
	}
	var batch strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&batch, "route add %d.%d.%d.0/24 via 192.0.2.254 dev eth0 proto bird\n", 20+i/65536, i/256%256, i%256)
	}
	if err := load(batch.String()); err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"start", "monitor", "stop"} {
		cmd := exec.Command(a.path, action)
		cmd.Env = []string{"OCF_RESOURCE_INSTANCE=web", "LVS_AGENTS_STATE_DIR=" + a.state + "/lvs-agents", "OCF_RESKEY_ip=" + vip4, "OCF_RESKEY_arp_count=1"}
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v", action, err)
		}
		const most = 40 << 10 // in KiB; an agent that stores all routes would need 150 MiB
		if kib := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss; kib > most {
			t.Errorf("%s took %d KiB", action, kib)
		}
	}
}

// TestAddressesThatComeAndGo runs the agent while addresses of another interface change all the
// time. Each change interrupts the agent's read of all addresses (a netlink dump).
func TestAddressesThatComeAndGo(t *testing.T) {
	a, _ := link(t)
	kerneltest.NewPeer(t, "eth1")
	var there, change strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&there, "addr add 10.%d.%d.1/32 dev eth1\n", i/250, i%250)
	}
	for i := range 100_000 {
		fmt.Fprintf(&change, "addr add 172.16.%d.1/32 dev eth1\naddr del 172.16.%[1]d.1/32 dev eth1\n", i%50)
	}
	load, err := kerneltest.Start(t, "ip", "-batch", "-")
	if err := errors.Join(err, load(there.String())); err != nil {
		t.Fatal(err)
	}
	churn, err := kerneltest.Start(t, "timeout", "20", "ip", "-batch", "-")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() { defer close(over); _ = churn(change.String()) }()
	for _, nic := range []string{"arp_count=1", "nic=eth0"} { // without and with nic
		for range 10 {
			a.must(t, 0, "start", "ip="+vip4, nic)
			for range 3 {
				a.must(t, 0, "monitor", "ip="+vip4, nic)
			}
			a.must(t, 0, "stop", "ip="+vip4, nic)
		}
	}
	select {
	case <-over:
		t.Log("the addresses did not change until the end")
	default:
	}
	<-over
}
