package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// VIP and VIP6 are the addresses of virtual services. When a test begins, no host has them. Tests
// can use the addresses .1 to .9 of the network as further VIPs.
const (
	VIP  = "192.0.2.10"
	VIP6 = "2001:db8::10"
)

// hosts lists the hosts of every topology. octet is the end of a host's addresses: 192.0.2.11 and
// 2001:db8::11 belong to director1.
var hosts = []struct {
	name  string
	octet int
}{
	{"director1", 11},
	{"director2", 12},
	{"rs1", 21},
	{"rs2", 22},
	{"client", 100},
}

var topologies atomic.Int64

// Topology is one bridge and the hosts that are connected to it. The bridge and each host are in
// network namespaces of one test.
type Topology struct {
	prefix string
	hosts  map[string]*Host
}

// Host is a network namespace with the interfaces lo and eth0.
type Host struct {
	Shell

	Addr, Addr6 string

	topology *Topology
	netns    string
	mac      string
	docRoot  string
	gets     atomic.Uint32
}

// NewTopology builds the network, and removes it when the test ends. On every interface forwarding
// is off and rp_filter is 0.
func NewTopology(tb testing.TB) *Topology {
	tb.Helper()
	t := &Topology{
		prefix: fmt.Sprintf("lab%d-%d-", os.Getpid(), topologies.Add(1)),
		hosts:  map[string]*Host{},
	}
	tb.Cleanup(func() {
		for _, host := range t.hosts {
			_ = host.remove()
		}
		_ = ip("", "netns del "+t.bridge())
	})
	err := ip("", "netns add "+t.bridge())
	if err == nil {
		err = ip(t.bridge(), "link set lo up",
			"link add br0 type bridge forward_delay 0 mcast_snooping 0", "link set br0 up")
	}
	for _, h := range hosts {
		if err != nil {
			break
		}
		host := t.newHost(h.name, h.octet)
		t.hosts[h.name] = host
		err = host.create()
	}
	if err != nil {
		tb.Fatalf("lab network: %v", err)
	}
	return t
}

// Host returns director1, director2, rs1, rs2 or client.
func (t *Topology) Host(name string) *Host {
	host, ok := t.hosts[name]
	if !ok {
		panic(fmt.Sprintf("lab: no host %q", name))
	}
	return host
}

func (t *Topology) bridge() string { return t.prefix + "bridge" }

func (t *Topology) newHost(name string, octet int) *Host {
	netns := t.prefix + name
	return &Host{
		Shell:    Shell{Name: name, enter: []string{"ip", "netns", "exec", netns}},
		Addr:     fmt.Sprintf("192.0.2.%d", octet),
		Addr6:    fmt.Sprintf("2001:db8::%d", octet),
		topology: t,
		netns:    netns,
		mac:      fmt.Sprintf("02:00:5e:00:53:%02x", octet),
	}
}

// Netns returns the path of the host's network namespace. After a restart of a node, the same path
// is another namespace with another inode.
func (h *Host) Netns() string { return "/run/netns/" + h.netns }

// Cut disconnects the host's cable at the bridge. All packets to and from the host are lost, but
// its link stays up.
func (h *Host) Cut(tb testing.TB) { h.plug(tb, "down") }

// Heal connects the host's cable to the bridge again, after Cut.
func (h *Host) Heal(tb testing.TB) { h.plug(tb, "up") }

func (h *Host) plug(tb testing.TB, state string) {
	tb.Helper()
	// If the port were set down, the host's eth0 would lose its carrier. So the port stays up, and
	// plug removes it from the bridge.
	line := "link set " + h.Name + " master br0"
	if state == "down" {
		line = "link set " + h.Name + " nomaster"
	}
	if err := ip(h.topology.bridge(), line); err != nil {
		tb.Fatal(err)
	}
}

// create creates the host's network namespace, in the state of a host after its boot. Each call
// gives the host the same MAC address, because a restart does not change a network card.
func (h *Host) create() error {
	if err := ip("", "netns add "+h.netns); err != nil {
		return err
	}
	bridge := h.topology.bridge()
	if err := ip(bridge,
		"link add "+h.Name+" type veth peer name eth0 address "+h.mac+" netns "+h.netns,
		"link set "+h.Name+" master br0 up"); err != nil {
		return err
	}
	// The kernel copies IPv4 sysctls of the test host into a new namespace, so these commands set
	// them to known values.
	const sysctls = `cd /proc/sys/net
		for dir in ipv4/conf/all ipv4/conf/default; do
			for name in rp_filter arp_ignore arp_announce forwarding; do echo 0 >$dir/$name; done
		done
		for dir in ipv6/conf/all ipv6/conf/default; do echo 0 >$dir/accept_ra; done
		echo 0 >ipv4/ip_forward`
	if _, err := h.Exec(context.Background(), "sh", "-ec", sysctls); err != nil {
		return err
	}
	return ip(h.netns, "link set lo up",
		"addr add "+h.Addr+"/24 dev eth0", "addr add "+h.Addr6+"/64 dev eth0 nodad", "link set eth0 up")
}

// remove deletes the host's cable, and then its network namespace. Without the first step, the
// kernel would delete the cable only some time after the end of the namespace.
func (h *Host) remove() error {
	cable := ip(h.topology.bridge(), "link del "+h.Name)
	return errors.Join(cable, ip("", "netns del "+h.netns))
}

// ip runs lines of the ip command in a namespace, in one process. If netns is "", it uses the
// namespace of the test.
func ip(netns string, lines ...string) error {
	args := []string{"-batch", "-"}
	if netns != "" {
		args = append([]string{"-n", netns}, args...)
	}
	cmd := exec.Command("ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
