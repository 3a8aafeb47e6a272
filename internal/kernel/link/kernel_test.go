package link_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/kernel/link"
)

// newHost sets up the host that kerneltest.RunLinks needs.
func newHost(t *testing.T) *link.Kernel {
	t.Helper()
	kerneltest.Namespace(t)
	peer := kerneltest.NewPeer(t, "eth0")
	kerneltest.NewPeer(t, "eth1")
	peer.Do(func() { kerneltest.Run(t, "ip addr add 2001:db8::2/64 dev eth0 nodad") })
	kerneltest.Run(t, `
ip addr add 192.0.2.1/24 brd + dev eth0
ip addr add 192.0.2.129/25 brd + dev eth1
ip addr add 2001:db8::1/64 dev eth0 nodad
`)
	return link.New(t.TempDir())
}

func TestKernel(t *testing.T) {
	kerneltest.RunLinks(t, func(t *testing.T) kerneltest.LinkKernel { return newHost(t) })
}

func ops(verb host.AddressVerb, nic string, prefixes ...string) []host.AddressOp {
	var ops []host.AddressOp
	for _, p := range prefixes {
		ops = append(ops, host.AddressOp{Verb: verb, Address: host.Address{NIC: nic, Prefix: netip.MustParsePrefix(p)}})
	}
	return ops
}

const promote = "/proc/sys/net/ipv4/conf/eth0/promote_secondaries"

func sysctl(t *testing.T, want string) {
	t.Helper()
	got, err := os.ReadFile(promote)
	if err != nil || strings.TrimSpace(string(got)) != want {
		t.Errorf("promote_secondaries is %q, %v; want %s", got, err, want)
	}
}

func TestDeletingRestoresPromoteSecondaries(t *testing.T) {
	for _, found := range []string{"0", "1"} {
		t.Run(found, func(t *testing.T) {
			k := newHost(t)
			if err := os.WriteFile(promote, []byte(found), 0); err != nil {
				t.Fatal(err)
			}
			kerneltest.Run(t, "ip addr add 192.0.2.2/24 dev eth0\nip addr add 192.0.2.3/24 dev eth0")
			for _, ip := range []string{"192.0.2.1", "192.0.2.3"} {
				if _, err := k.Apply(t.Context(), ops(host.DeleteAddress, "eth0", ip+"/24")); err != nil {
					t.Fatal(err)
				}
				sysctl(t, found)
			}
			if got := kerneltest.Run(t, "ip -o -4 addr show dev eth0"); strings.Count(got, "\n") != 1 || !strings.Contains(got, " 192.0.2.2/24 ") {
				t.Errorf("left: %s", got)
			}
		})
	}
}

// TestPromotionThatAKilledProcessLeft checks that the next process in the same network namespace
// restores the sysctl promote_secondaries.
func TestPromotionThatAKilledProcessLeft(t *testing.T) {
	var here unix.Stat_t
	look := func(k *link.Kernel) error {
		_, err := k.Addresses(t.Context(), netip.MustParseAddr("192.0.2.1"))
		return err
	}
	remove := func(k *link.Kernel) error {
		_, err := k.Apply(t.Context(), ops(host.DeleteAddress, "eth0", "192.0.2.1/24"))
		return err
	}
	tests := []struct {
		name, note string // In note, %d is the inode number of the network namespace.
		next       func(*link.Kernel) error
		want, left string
	}{
		{"looked at", "%d eth0\n", look, "0", ""},
		{"changed", "%d eth0\n", remove, "0", ""},
		{"noted twice", "%d eth0\n%[1]d eth0\n", look, "0", ""},
		{"interface gone", "%d eth7\n", look, "1", ""},
		{"of another namespace", "1%d eth0\n", look, "1", "1%d eth0\n"},
		{"of both", "1%d eth0\n%[1]d eth0\n", look, "0", "1%d eth0\n"},
		{"cut short", "%d", look, "1", ""},
		{"not ours", "%d ../../../vs/eth0\n", look, "1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			newHost(t)
			if err := unix.Stat("/proc/thread-self/ns/net", &here); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			note := filepath.Join(dir, "promoting")
			if err := errors.Join(os.WriteFile(note, fmt.Appendf(nil, tt.note, here.Ino), 0o600), os.WriteFile(promote, []byte("1"), 0)); err != nil {
				t.Fatal(err)
			}
			if err := tt.next(link.New(dir)); err != nil {
				t.Fatal(err)
			}
			sysctl(t, tt.want)
			left, err := os.ReadFile(note)
			if want := fmt.Sprintf(tt.left, here.Ino); tt.left == "" && !errors.Is(err, fs.ErrNotExist) || tt.left != "" && string(left) != want {
				t.Errorf("note %q, %v; want %q", left, err, want)
			}
		})
	}
}

// TestPromotionOfAnotherAtWork checks that a process does not restore a sysctl while another
// process still needs it.
func TestPromotionOfAnotherAtWork(t *testing.T) {
	newHost(t)
	var here unix.Stat_t
	dir := t.TempDir()
	lock, err := os.Create(filepath.Join(dir, "lock-addresses"))
	if err := errors.Join(err, unix.Flock(int(lock.Fd()), unix.LOCK_EX), unix.Stat("/proc/thread-self/ns/net", &here),
		os.WriteFile(filepath.Join(dir, "promoting"), fmt.Appendf(nil, "%d eth0\n", here.Ino), 0o600),
		os.WriteFile(promote, []byte("1"), 0)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if _, err := link.New(dir).Addresses(t.Context(), netip.MustParseAddr("192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	sysctl(t, "1")
}

func TestDeletingAtOnceSparesTheOthers(t *testing.T) {
	k := newHost(t)
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = here.Close() }()
	all := []string{"198.51.100.1/24", "198.51.100.2/24", "198.51.100.3/24", "198.51.100.4/24", "198.51.100.5/24"}
	for range 20 {
		if _, err := k.Apply(t.Context(), ops(host.AddAddress, "eth0", all...)); err != nil {
			t.Fatal(err)
		}
		errs := make(chan error)
		for _, victim := range all[:4] {
			go func() {
				runtime.LockOSThread() // The thread is never unlocked, so it ends with the goroutine.
				err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET)
				if err == nil {
					_, err = k.Apply(t.Context(), ops(host.DeleteAddress, "eth0", victim))
				}
				errs <- err
			}()
		}
		for range all[:4] {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if _, err := k.Apply(t.Context(), ops(host.DeleteAddress, "eth0", all[4])); err != nil {
			t.Fatal(err)
		}
	}
	sysctl(t, "0")
}

// TestLockThatNobodyGivesBack checks that a deletion waits only for a limited time if another
// process keeps the lock.
func TestLockThatNobodyGivesBack(t *testing.T) {
	newHost(t)
	dir := t.TempDir()
	k := link.New(dir)
	file, err := os.Create(filepath.Join(dir, "lock-addresses"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Apply(t.Context(), ops(host.DeleteAddress, "eth0", "192.0.2.1/24")); err != nil {
		t.Error(err)
	}
	if found, err := k.Addresses(t.Context(), netip.MustParseAddr("192.0.2.1")); err != nil || len(found) != 0 {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestDeletingAnAddressWithAPeer(t *testing.T) {
	k := newHost(t)
	kerneltest.Run(t, "ip addr add 203.0.113.1 peer 203.0.113.2/32 dev eth0")
	found, err := k.Addresses(t.Context(), netip.MustParseAddr("203.0.113.1"))
	if err != nil || len(found) != 1 {
		t.Fatalf("got %v, %v", found, err)
	}
	if _, err := k.Apply(t.Context(), []host.AddressOp{{Verb: host.DeleteAddress, Address: found[0]}}); err != nil {
		t.Error(err)
	}
}

func TestAddressesOfIPv6OnAnInterfaceWithoutIt(t *testing.T) {
	k := newHost(t)
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	_, err := k.Apply(t.Context(), ops(host.AddAddress, "eth0", "2001:db8::10/64"))
	const want = "ip addr add 2001:db8::10/64 dev eth0: IPv6 is disabled on eth0; sysctl net.ipv6.conf.eth0.disable_ipv6=0"
	if !errors.Is(err, host.ErrNotInstalled) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestInterfaceByAnotherName(t *testing.T) {
	k := newHost(t)
	const long = "the-uplink-of-this-director-to-the-first-switch"
	kerneltest.Run(t, "ip link property add dev eth0 altname uplink altname "+long+"\nip addr add 192.0.2.10/24 dev eth0")
	for _, nic := range []string{"uplink", long, "eth0@if7"} {
		state, err := k.Interface(t.Context(), nic)
		name, found, err2 := k.On(t.Context(), nic, netip.MustParseAddr("192.0.2.10"))
		if err != nil || err2 != nil || state.Name != "eth0" || name != "eth0" || len(found) != 1 || found[0].NIC != "eth0" {
			t.Errorf("%s: got %+v, %v; %s %v, %v", nic, state, err, name, found, err2)
		}
		if network, err := k.Network(t.Context(), host.Search{IP: netip.MustParseAddr("192.0.2.10"), NIC: nic}); err != nil || network.NIC != "eth0" {
			t.Errorf("%s: got %+v, %v", nic, network, err)
		}
	}
}

func TestInterfaceWhoseNameHasAnAt(t *testing.T) {
	k := newHost(t)
	kerneltest.Run(t, "ip link add eth0@x type veth peer name other")
	if state, err := k.Interface(t.Context(), "eth0@x"); err != nil || state.Name != "eth0@x" {
		t.Errorf("got %+v, %v", state, err)
	}
}

// TestUnreachable checks that Addresses returns the reason why an existing address does not receive
// packets.
func TestUnreachable(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.10")
	tests := []struct {
		name, commands, ip string
		arpOff             bool
		master, diverted   string
	}{
		{name: "fine"},
		{name: "ARP off", commands: "ip link set eth0 arp off", arpOff: true},
		{name: "in a bridge", commands: "ip link add br0 type bridge\nip link set eth0 master br0", master: "bridge br0"},
		{name: "local route gone", commands: "ip route del table local 192.0.2.10", diverted: "unicast dev eth0 table main"},
		{name: "local route gone, IPv6", ip: "2001:db8::10", commands: "ip -6 route del table local 2001:db8::10", diverted: "unicast dev eth0 table main"},
		{name: "rule of the local table gone", commands: "ip rule del pref 0 lookup local", diverted: "unicast dev eth0 table main"},
		{name: "another host's route first", commands: "ip route add 192.0.2.10/32 via 198.51.100.2 dev eth1 onlink table 77\nip rule add pref 10 lookup local\nip rule del pref 0\nip rule add pref 5 to 192.0.2.10 lookup 77",
			diverted: "unicast dev eth1 table 77"},
		{name: "a rule that refuses", commands: "ip rule add pref 10 lookup local\nip rule del pref 0\nip rule add pref 5 to 192.0.2.10 unreachable", diverted: "no route"},
		{name: "a rule for others", commands: "ip rule add pref 5 to 198.51.100.0/24 lookup 77"},
		{name: "broadcast of the network", ip: "192.0.2.255", diverted: "broadcast dev eth0"},
		{name: "first of the network", ip: "192.0.2.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, ip := newHost(t), vip
			if tt.ip != "" {
				ip = netip.MustParseAddr(tt.ip)
			}
			prefix, nodad := "/24", ""
			if ip.Is6() {
				prefix, nodad = "/64", " nodad"
			}
			kerneltest.Run(t, "ip addr add "+ip.String()+prefix+" dev eth0"+nodad)
			for until := time.Now().Add(10 * time.Second); ip.Is6() && time.Now().Before(until) && kerneltest.Run(t, "ip -6 route show table local "+ip.String()) == ""; {
				continue // The kernel adds the route later, in a work queue.
			}
			kerneltest.Run(t, tt.commands)
			found, err := k.Addresses(t.Context(), ip)
			if err != nil || len(found) != 1 {
				t.Fatalf("got %v, %v", found, err)
			}
			seen := found[0].Observed
			if seen.ARPOff != tt.arpOff || seen.Master != tt.master || seen.Diverted != tt.diverted {
				t.Errorf("got %+v", seen)
			}
		})
	}
}

// TestNamesThatAreNoNamespace checks the errors of Enter for names that are not network namespaces.
// It mounts a new file system over /run.
func TestNamesThatAreNoNamespace(t *testing.T) {
	kerneltest.Namespace(t)
	if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, "")); err != nil {
		kerneltest.Need(t, "mounts: "+err.Error())
	}
	k := link.New(t.TempDir())
	err := k.Enter("red")
	if want := `network namespace "red" does not exist; ip netns add red`; !errors.Is(err, host.ErrNotInstalled) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	kerneltest.Run(t, "ip netns add good\nln -s good /run/netns/link\ntouch /run/netns/stale\nmkfifo /run/netns/pipe\nmkdir /run/netns/folder\nln -s loop /run/netns/loop\nln -s /proc/self/ns/uts /run/netns/uts\nmknod /run/netns/device c 1 3")
	for _, name := range []string{"stale", "pipe", "folder", "loop", "uts", "device"} {
		err := k.Enter(name)
		want := fmt.Sprintf("/run/netns/%[1]s is not a network namespace; ip netns del %[1]s, then ip netns add %[1]s", name)
		if !errors.Is(err, host.ErrNotInstalled) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	for _, name := range []string{"..", ".", "a/b", "../netns/good", ""} {
		err := k.Enter(name)
		if want := fmt.Sprintf("network namespace %q: not a name that ip netns list shows", name); !errors.Is(err, host.ErrNotInstalled) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	for _, name := range []string{"good", "link"} {
		if err := k.Enter(name); err != nil {
			t.Error(err)
		}
	}
}

func TestWithoutPermission(t *testing.T) {
	k := newHost(t)
	kerneltest.DropCapability(t, unix.CAP_NET_ADMIN)
	_, err := k.Apply(t.Context(), ops(host.AddAddress, "eth0", "192.0.2.10/24"))
	if want := "ip addr add 192.0.2.10/24 dev eth0: permission denied"; !errors.Is(err, fs.ErrPermission) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestNetworkSkipsRoutesThatAreNotConnected(t *testing.T) {
	k := newHost(t)
	kerneltest.Run(t, `
ip route add default via 192.0.2.254
ip route add 198.51.100.0/24 via 192.0.2.254
ip route add 203.0.113.9/32 dev eth0
ip route add unreachable 203.0.113.0/24
ip -6 route add 2001:db8:1::/48 via 2001:db8::fe
`)
	for _, ip := range []string{"198.51.100.10", "203.0.113.9", "203.0.113.10", "8.8.8.8", "2001:db8:1::1", "::1"} {
		if network, err := k.Network(t.Context(), host.Search{IP: netip.MustParseAddr(ip)}); !errors.Is(err, host.ErrNoNetwork) {
			t.Errorf("%s: got %v, %v", ip, network, err)
		}
	}
	got, err := k.Network(t.Context(), host.Search{IP: netip.MustParseAddr("fe80::1234"), NIC: "eth0"})
	if err != nil || got.NIC != "eth0" || got.Bits != 64 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestSettleEndsWithTheDeadline(t *testing.T) {
	k := newHost(t)
	kerneltest.Run(t, "ip link set eth0 down")
	kerneltest.Run(t, "ip addr add 2001:db8::10/64 dev eth0")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := k.Settle(ctx, ops(host.AddAddress, "eth0", "2001:db8::10/64")[0].Address)
	const want = "2001:db8::10/64 on eth0: duplicate address detection has not finished: context deadline exceeded"
	if !errors.Is(err, context.DeadlineExceeded) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestSettleSeesAnAddressGo(t *testing.T) {
	k := newHost(t)
	kerneltest.Run(t, "ip link set eth0 down")
	kerneltest.Run(t, "ip addr add 2001:db8::10/64 dev eth0")
	// The delay keeps the address tentative until the test deletes it.
	if err := os.WriteFile("/proc/sys/net/ipv6/neigh/eth0/retrans_time_ms", []byte("60000"), 0); err != nil {
		t.Fatal(err)
	}
	kerneltest.Run(t, "ip link set eth0 up")
	del, err := kerneltest.Start(t, "ip", "-batch", "-")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = del("addr del 2001:db8::10/64 dev eth0\n") }()
	err = k.Settle(t.Context(), ops(host.AddAddress, "eth0", "2001:db8::10/64")[0].Address)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestGatewaysAreThoseOfTheDefaultRoutes(t *testing.T) {
	k := newHost(t)
	kerneltest.Run(t, `
ip route add default via 192.0.2.100
ip route add default metric 5 nexthop via 192.0.2.101 dev eth0 nexthop via 192.0.2.130 dev eth1
ip route add default metric 6 via 192.0.2.100
ip route add 198.51.100.0/24 via 192.0.2.252
ip -6 route add default via 2001:db8::fe dev eth0
`)
	for _, tt := range []struct {
		nic  string
		v6   bool
		want string
	}{{"eth0", false, "[192.0.2.100 192.0.2.101]"}, {"eth0", true, "[2001:db8::fe]"}, {"eth1", false, "[192.0.2.130]"}, {"eth1", true, "[]"}, {"lo", false, "[]"}} {
		got, err := k.Gateways(t.Context(), tt.nic, tt.v6)
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%s: got %v, %v; want %s", tt.nic, got, err, tt.want)
		}
	}
}

func TestNetworkWithoutAnyRoute(t *testing.T) {
	kerneltest.Namespace(t)
	for _, ip := range []string{"192.0.2.10", "2001:db8::10"} {
		if network, err := link.New(t.TempDir()).Network(t.Context(), host.Search{IP: netip.MustParseAddr(ip)}); !errors.Is(err, host.ErrNoNetwork) {
			t.Errorf("%s: got %v, %v", ip, network, err)
		}
	}
}
