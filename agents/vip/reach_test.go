package vip

import (
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/ocf"
)

// TestAnAddressThatNoNeighbourReaches checks an address that neighbours cannot reach. Monitor
// reports it as failed, start refuses it, and stop removes it.
func TestAnAddressThatNoNeighbourReaches(t *testing.T) {
	diverted := func(ip, where string) func(*kerneltest.Links) {
		return func(k *kerneltest.Links) {
			k.Diverted = map[netip.Addr]string{netip.MustParseAddr(ip): where}
		}
	}
	tests := []struct {
		name, ip string
		happens  func(*kerneltest.Links)
		reason   string // reason is the exit reason of monitor.
		start    ocf.Code
		refused  string // refused is the exit reason of a start that fails.
	}{
		{"ARP off", "192.0.2.10", func(k *kerneltest.Links) { k.Becomes("eth0", host.Interface{Silent: true, ARPOff: true}) },
			"192.0.2.10 on eth0 cannot be reached: ARP is off on eth0, so no neighbour learns where the address is; ip link set dev eth0 arp on",
			5, "192.0.2.10 cannot be reached: ARP is off on eth0, so no neighbour learns where the address is; ip link set dev eth0 arp on"},
		{"port of a bridge", "2001:db8::10", func(k *kerneltest.Links) { k.Becomes("eth0", host.Interface{Master: "bridge br0"}) },
			"2001:db8::10 on eth0 cannot be reached: eth0 is a port of bridge br0, which takes all its packets; give nic=br0, or ip link set dev eth0 nomaster",
			5, "2001:db8::10 cannot be reached: eth0 is a port of bridge br0, which takes all its packets; give nic=br0, or ip link set dev eth0 nomaster"},
		{"no local route", "192.0.2.10", diverted("192.0.2.10", "unicast dev eth0 table main"),
			"192.0.2.10 is on eth0, but this host does not accept packets for it: ip route get 192.0.2.10 gives unicast dev eth0 table main instead of local; check ip rule and ip route show table local",
			1, "192.0.2.10 is on eth0, but this host does not accept packets for it: ip route get 192.0.2.10 gives unicast dev eth0 table main instead of local; check ip rule and ip route show table local"},
		{"a rule that refuses IPv6", "2001:db8::10", diverted("2001:db8::10", "no route"),
			"2001:db8::10 is on eth0, but this host does not accept packets for it: ip route get 2001:db8::10 gives no route instead of local; check ip -6 rule and ip -6 route show table local",
			1, "2001:db8::10 is on eth0, but this host does not accept packets for it: ip route get 2001:db8::10 gives no route instead of local; check ip -6 rule and ip -6 route show table local"},
	}
	for _, tt := range tests {
		for _, nic := range []string{"", "nic=eth0"} {
			synctest.Test(t, func(t *testing.T) {
				n, params := newNode(t), []string{"ip=" + tt.ip}
				if nic != "" {
					params = append(params, nic)
				}
				n.mustRun(t, 0, "start", params...)
				tt.happens(n.links)
				if got := n.mustRun(t, 1, "monitor", params...); got.reason != tt.reason {
					t.Errorf("%s\ngot  %s\nwant %s", tt.name, got.reason, tt.reason)
				}
				n.mustRun(t, tt.start, "start", params...)
				n.mustRun(t, 0, "stop", params...)
				n.wantAddresses(t, own)
				if got := n.mustRun(t, tt.start, "start", params...); got.reason != tt.refused {
					t.Errorf("%s\ngot  %s\nwant %s", tt.name, got.reason, tt.refused)
				}
				n.wantAddresses(t, own)
				n.mustRun(t, 7, "probe", params...)
			})
		}
	}
}

func TestARPOffWhereThereIsNone(t *testing.T) {
	n := newNode(t)
	n.links.Have("dummy0")
	n.links.Becomes("dummy0", host.Interface{Silent: true})
	for _, action := range []string{"start", "monitor", "stop"} {
		n.mustRun(t, 0, action, "ip=203.0.113.10", "nic=dummy0", "cidr_netmask=32")
	}
}

// TestAnnouncementsThatNeverLeave checks that start fails if the host can never send announcements.
// A neighbour that has learnt the other director would keep sending to that director.
func TestAnnouncementsThatNeverLeave(t *testing.T) {
	for _, tt := range []struct {
		err    error
		code   ocf.Code
		reason string
	}{
		{fmt.Errorf("socket: %w", fs.ErrPermission), 4, "192.0.2.10 on eth0 cannot be announced, so neighbours keep sending to the previous director: socket: permission denied; start the cluster manager with CAP_NET_RAW"},
		{host.NotInstalled("no packet sockets; modprobe af_packet"), 5, "192.0.2.10 on eth0 cannot be announced, so neighbours keep sending to the previous director: no packet sockets; modprobe af_packet"},
	} {
		n := newNode(t)
		n.announced.err = tt.err
		if got := n.mustRun(t, tt.code, "start", "ip=192.0.2.10"); got.reason != tt.reason {
			t.Errorf("got  %s\nwant %s", got.reason, tt.reason)
		}
		n.wantAddresses(t, own)
		n.mustRun(t, 7, "probe", "ip=192.0.2.10")
	}
}

func TestBroadcastAddresses(t *testing.T) {
	const alone = ", so no host sends to it alone; give another address"
	for _, tt := range []struct {
		params string
		code   ocf.Code
		reason string
	}{
		{"ip=192.0.2.255", 1, "192.0.2.255 is the broadcast address of the network 192.0.2.0/24 on eth0" + alone},
		{"ip=192.0.2.255 nic=eth0 cidr_netmask=32", 1, "192.0.2.255 is the broadcast address of the network 192.0.2.0/24 on eth0" + alone},
		{"ip=192.0.2.255 nic=eth0 cidr_netmask=24", 6, "parameter ip=192.0.2.255 is the broadcast address of its network 192.0.2.0/24" + alone},
		{"ip=192.0.2.15 cidr_netmask=28", 6, "parameter ip=192.0.2.15 is the broadcast address of its network 192.0.2.0/28" + alone},
		{"ip=192.0.2.255 nic=eth1 cidr_netmask=31", 0, ""},
		{"ip=192.0.2.255 nic=eth1 cidr_netmask=32", 0, ""},
		{"ip=192.0.2.127", 0, ""},
		{"ip=2001:db8::ffff:ffff:ffff:ffff", 0, ""},
	} {
		n, params := newNode(t), strings.Fields(tt.params)
		if got := n.mustRun(t, tt.code, "start", params...); got.reason != tt.reason {
			t.Errorf("%s\ngot  %s\nwant %s", tt.params, got.reason, tt.reason)
		}
		if tt.code != 0 {
			n.wantAddresses(t, own)
		}
		n.mustRun(t, 0, "stop", params...)
		n.wantAddresses(t, own)
	}
}

func TestNamesOfTheInterface(t *testing.T) {
	const long = "the-uplink-of-this-director-to-the-first-switch"
	for _, nic := range []string{long, "uplink", "eth0@if7", " eth0 ", "eth0\t", long + ":web", "eth0@if7:web"} {
		n, params := newNode(t), []string{"ip= 192.0.2.10 ", "nic=" + nic, "cidr_netmask=24 ", "nodad= no"}
		n.links.Names = map[string]string{long: "eth0", "uplink": "eth0"}
		label := ""
		if strings.HasSuffix(nic, ":web") {
			label = " label eth0:web"
		}
		n.mustRun(t, 0, "validate-all at level 10", params...)
		n.mustRun(t, 7, "probe", params...)
		n.mustRun(t, 0, "start", params...)
		n.wantAddresses(t, own+"ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0"+label+"\n")
		n.mustRun(t, 0, "start", params...)
		n.mustRun(t, 0, "monitor", params...)
		n.mustRun(t, 0, "stop", params...)
		n.wantAddresses(t, own)
	}
}

func TestAttributesOfAnAddressThatIsThere(t *testing.T) {
	const fix = "; stop and start the resource to change that\n"
	tests := []struct {
		name, there string
		params      []string
		start       string // start is the log of start.
		probe       string
	}{
		{"the same", "192.0.2.10/24 brd 192.0.2.255 dev eth0 label eth0:web noprefixroute", []string{"ip=192.0.2.10", "iflabel=web", "broadcast=192.0.2.255", "noprefixroute=true"}, "", ""},
		{"what no parameter wants", "192.0.2.10/24 brd 192.0.2.127 dev eth0 label eth0:web", []string{"ip=192.0.2.10"}, "", ""},
		{"no label", "192.0.2.10/24 dev eth0", []string{"ip=192.0.2.10", "iflabel=web"},
			"WARNING: 192.0.2.10 is on eth0 already, with no label instead of the label eth0:web" + fix, "same"},
		{"another label", "192.0.2.10/24 dev eth0 label eth0:1", []string{"ip=192.0.2.10", "nic=eth0:web"},
			"WARNING: 192.0.2.10 is on eth0 already, with the label eth0:1 instead of the label eth0:web" + fix, "same"},
		{"no broadcast address", "192.0.2.10/28 dev eth0", []string{"ip=192.0.2.10", "broadcast=+"},
			"WARNING: 192.0.2.10 is on eth0 already, with no broadcast address instead of the broadcast address 192.0.2.15" + fix, "same"},
		{"a route", "192.0.2.10/24 dev eth0", []string{"ip=192.0.2.10", "noprefixroute=true"},
			"WARNING: 192.0.2.10 is on eth0 already, with a route to its network although noprefixroute=true" + fix, "same"},
		{"no route", "2001:db8::10/64 dev eth0 preferred_lft 0 noprefixroute", []string{"ip=2001:db8::10"},
			"WARNING: 2001:db8::10 is on eth0 already, without a route to its network although noprefixroute=false" + fix, "same"},
		{"preferred", "2001:db8::10/64 dev eth0", []string{"ip=2001:db8::10"},
			"INFO: ip addr change 2001:db8::10/64 dev eth0 preferred_lft 0\n",
			"WARNING: 2001:db8::10 is on eth0 already, with another preferred lifetime than preferred_lft=0; ip addr change 2001:db8::10/64 dev eth0 preferred_lft 0\n"},
		{"deprecated", "2001:db8::10/64 dev eth0 preferred_lft 0", []string{"ip=2001:db8::10", "preferred_lft=forever"},
			"INFO: ip addr change 2001:db8::10/64 dev eth0 preferred_lft forever\n",
			"WARNING: 2001:db8::10 is on eth0 already, with another preferred lifetime than preferred_lft=forever; ip addr change 2001:db8::10/64 dev eth0 preferred_lft forever\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			there, err := host.ParseAddress(tt.there)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := n.links.Apply(t.Context(), []host.AddressOp{{Verb: host.AddAddress, Address: there}}); err != nil {
				t.Fatal(err)
			}
			if err := n.links.Settle(t.Context(), there); err != nil {
				t.Fatal(err)
			}
			probe := strings.Replace(tt.probe, "same", tt.start, 1)
			if got := n.mustRun(t, 0, "probe", tt.params...); got.log != probe {
				t.Errorf("probe\ngot  %s\nwant %s", got.log, probe)
			}
			if got := n.mustRun(t, 0, "start", tt.params...); got.log != tt.start {
				t.Errorf("start\ngot  %s\nwant %s", got.log, tt.start)
			}
		})
	}
}
