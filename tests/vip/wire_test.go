package vip

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/kernel/kerneltest"
)

const vip4, vip6 = "192.0.2.10", "2001:db8::10"

// link creates a host with the interface eth0 and the agent, and a neighbour at the other end of
// the cable.
func link(t *testing.T) (agent, *kerneltest.Peer) {
	t.Helper()
	kerneltest.Namespace(t)
	peer := kerneltest.NewPeer(t, "eth0")
	kerneltest.Run(t, `
ip link set eth0 address 02:00:00:00:00:01
ip addr add 192.0.2.11/24 dev eth0
ip addr add 2001:db8::11/64 dev eth0 nodad
`)
	peer.Do(func() {
		kerneltest.Run(t, `
ip link set eth0 address 02:00:00:00:00:02
ip addr add 192.0.2.254/24 dev eth0
ip addr add 2001:db8::fe/64 dev eth0 nodad
`)
	})
	return newAgent(t), peer
}

// announced receives at the neighbour the announcements of one address.
type announced struct {
	*kerneltest.Sniffer
	ip netip.Addr
}

func sniff(t *testing.T, peer *kerneltest.Peer, ip string) announced {
	t.Helper()
	s := announced{ip: netip.MustParseAddr(ip)}
	protocol := uint16(unix.ETH_P_ARP)
	if s.ip.Is6() {
		protocol = unix.ETH_P_IPV6
	}
	peer.Do(func() { s.Sniffer = kerneltest.NewSniffer(t, "eth0", protocol) })
	return s
}

// mine reports whether a frame announces the address. Announcements are gratuitous ARP packets and
// unsolicited neighbour advertisements.
func (s announced) mine(frame []byte) bool {
	if s.ip.Is4() {
		return len(frame) >= 42 && bytes.Equal(frame[28:32], s.ip.AsSlice())
	}
	const icmp = 14 + 40
	return len(frame) >= icmp+24 && frame[icmp] == 136 && frame[icmp+4]&0x40 == 0 && bytes.Equal(frame[icmp+8:icmp+24], s.ip.AsSlice())
}

// text receives n announcements. It describes each one in a line of text, and returns when each one
// arrived.
func (s announced) text(n int) (string, []time.Time) {
	var text strings.Builder
	var times []time.Time
	for _, frame := range s.Frames(n, s.mine) {
		times = append(times, frame.At)
		fmt.Fprintln(&text, s.describe(frame.Bytes))
	}
	return text.String(), times
}

func (s announced) describe(f []byte) string {
	if s.ip.Is6() {
		const icmp = 14 + 40
		return fmt.Sprintf("to %x from %x hops %d: NA flags %x option %x", f[:6], f[22:38], f[21], f[icmp+4:icmp+8], f[icmp+24:icmp+32])
	}
	spa, _ := netip.AddrFromSlice(f[28:32])
	tpa, _ := netip.AddrFromSlice(f[38:42])
	return fmt.Sprintf("to %x op %d sha %x spa %s tha %x tpa %s", f[:6], f[21], f[22:28], spa, f[32:38], tpa)
}

const (
	pair = "to ffffffffffff op 1 sha 020000000001 spa 192.0.2.10 tha 000000000000 tpa 192.0.2.10\n" +
		"to ffffffffffff op 2 sha 020000000001 spa 192.0.2.10 tha 020000000001 tpa 192.0.2.10\n"
	unsolicited = "to 333300000001 from 20010db8000000000000000000000010 hops 255: NA flags 20000000 option 0201020000000001\n"
)

// bursts lists, for each IP version, the announcements that start sends and the pause between two
// of them.
var bursts = map[string]struct {
	text  string
	pause time.Duration
}{
	vip4: {strings.Repeat(pair, 5), 100 * time.Millisecond},
	vip6: {strings.Repeat(unsolicited, 5), 200 * time.Millisecond},
}

func TestWhatStartSends(t *testing.T) {
	for ip, want := range bursts {
		t.Run(ip, func(t *testing.T) {
			a, peer := link(t)
			wire := sniff(t, peer, ip)
			a.must(t, 0, "start", "ip="+ip)
			text, times := wire.text(strings.Count(want.text, "\n"))
			if diff := cmp.Diff(want.text, text); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			// The test accepts half of the pauses, because on a busy test host the first packet can
			// arrive late.
			if took, least := times[len(times)-1].Sub(times[0]), time.Duration(len(times)-1)*want.pause/2; took < least {
				t.Errorf("the burst took %s, not even %s", took, least)
			}
			if frame, more := wire.Next(2*want.pause, wire.mine); more {
				t.Errorf("an additional packet: %s", wire.describe(frame.Bytes))
			}
		})
	}
}

// TestSoakSpacing checks that no pause between two announcements is more than 30 ms too short or
// too long.
func TestSoakSpacing(t *testing.T) {
	for ip, want := range bursts {
		t.Run(ip, func(t *testing.T) {
			a, peer := link(t)
			wire := sniff(t, peer, ip)
			a.must(t, 0, "start", "ip="+ip)
			_, times := wire.text(strings.Count(want.text, "\n"))
			for i := range times[1:] {
				gap := times[i+1].Sub(times[i])
				t.Logf("%s", gap)
				if off := (gap - want.pause).Abs(); off > 30*time.Millisecond {
					t.Errorf("packet %d came %s after the last, instead of %s", i+2, gap, want.pause)
				}
			}
		})
	}
}

func TestNobodyAnnouncesWhatHasLeft(t *testing.T) {
	for _, ip := range []string{vip4, vip6} {
		t.Run(ip, func(t *testing.T) {
			a, peer := link(t)
			wire := sniff(t, peer, ip)
			a.must(t, 0, "start", "ip="+ip, "arp_count=1000", "arp_interval=40")
			wire.text(3)
			a.must(t, 0, "stop", "ip="+ip)
			gone, late := time.Now(), 0
			for {
				frame, more := wire.Next(400*time.Millisecond, wire.mine)
				if !more {
					return
				}
				if frame.At.After(gone) {
					late++
				}
				if late > 1 { // at the moment of the stop, one announcement can already be on its way
					t.Fatalf("announced after stop: %s", wire.describe(frame.Bytes))
				}
			}
		})
	}
}

func TestRecurringMonitorAnnouncesAgain(t *testing.T) {
	for ip, want := range map[string]string{vip4: pair, vip6: unsolicited} {
		t.Run(ip, func(t *testing.T) {
			a, peer := link(t)
			a.must(t, 0, "start", "ip="+ip, "arp_count=1")
			wire := sniff(t, peer, ip)
			for wireIsBusy := true; wireIsBusy; {
				_, wireIsBusy = wire.Next(300*time.Millisecond, wire.mine)
			}
			a.must(t, 0, "monitor", "ip="+ip) // a probe
			a.must(t, 0, "monitor", "ip="+ip, "OCF_RESKEY_CRM_meta_interval=10000", "arp_count_refresh=0")
			a.must(t, 0, "monitor", "ip="+ip, "OCF_RESKEY_CRM_meta_interval=10000") // start has just announced
			if frame, sent := wire.Next(300*time.Millisecond, wire.mine); sent {
				t.Errorf("sent %s", wire.describe(frame.Bytes))
			}
			a.must(t, 0, "monitor", "ip="+ip, "OCF_RESKEY_CRM_meta_interval=10000", "arp_refresh_interval=0")
			text, _ := wire.text(strings.Count(want, "\n"))
			if diff := cmp.Diff(want, text); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// stale writes the MAC address of another director for the VIP into the neighbour table of the
// peer.
func stale(t *testing.T, peer *kerneltest.Peer, ip string) {
	t.Helper()
	peer.Do(func() {
		kerneltest.Run(t, "ip neigh replace "+ip+" lladdr 02:00:00:00:00:99 nud stale dev eth0")
	})
}

// knows waits until the peer's neighbour table has the MAC address of our eth0 for the VIP.
func knows(t *testing.T, peer *kerneltest.Peer, ip string) {
	t.Helper()
	var got string
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
		peer.Do(func() { got = kerneltest.Run(t, "ip neigh show to "+ip+" dev eth0") })
		if strings.Contains(got, "lladdr 02:00:00:00:00:01 ") {
			return
		}
	}
	t.Errorf("the neighbour has %q", got)
}

func TestNeighbourWithAnOldEntryLearns(t *testing.T) {
	for _, ip := range []string{vip4, vip6} {
		t.Run(ip, func(t *testing.T) {
			a, peer := link(t)
			stale(t, peer, ip)
			a.must(t, 0, "start", "ip="+ip)
			knows(t, peer, ip)
		})
	}
}

// TestNeighbourThatIgnoresAnnouncements checks start with a neighbour that ignores broadcasts. The
// neighbour learns the new MAC address of the VIP only from the unicast copy that start sends.
func TestNeighbourThatIgnoresAnnouncements(t *testing.T) {
	for ip, gateway := range map[string]string{vip4: "192.0.2.254", vip6: "2001:db8::fe"} {
		t.Run(ip, func(t *testing.T) {
			a, peer := link(t)
			kerneltest.Run(t, "ip route add default via "+gateway+" dev eth0")
			kerneltest.Run(t, "ip neigh replace "+gateway+" lladdr 02:00:00:00:00:02 nud reachable dev eth0")
			stale(t, peer, ip)
			peer.Do(func() {
				kerneltest.Run(t, "arptables -A INPUT --source-ip "+vip4+" --destination-ip "+vip4+" -j DROP\nip6tables -A INPUT -d ff02::1 -j DROP")
			})
			a.must(t, 0, "start", "ip="+ip, "nodad=true", "confirm="+gateway, "confirm_wait=10000", "confirm_policy=fail")
			knows(t, peer, ip)
			a.must(t, 0, "stop", "ip="+ip)
			a.must(t, 0, "start", "ip="+ip, "nodad=true", "confirm=gateway", "confirm_wait=10000", "confirm_policy=fail")
		})
	}
}

func TestNeighbourThatNeverLearns(t *testing.T) {
	a, peer := link(t)
	peer.Do(func() {
		kerneltest.Run(t, "ip neigh replace "+vip4+" lladdr 02:00:00:00:00:99 nud permanent dev eth0")
	})
	params := []string{"ip=" + vip4, "confirm=192.0.2.254", "confirm_wait=500"}
	out := a.must(t, 1, "start", append(params, "confirm_policy=fail")...)
	if want := "ocf-exit-reason:neighbour 192.0.2.254 does not reply to 192.0.2.10 on eth0; check the neighbour's ARP or neighbour table\n"; !strings.HasSuffix(out, want) {
		t.Errorf("got %s", out)
	}
	a.must(t, 7, "monitor", params...)
	a.must(t, 0, "start", params...)
	a.must(t, 0, "monitor", params...)
}

func TestAnotherHostHasTheAddress(t *testing.T) {
	for policy, code := range map[string]int{"duplicate=fail": 1, "duplicate=warn": 0, "duplicate=take": 0, "run_arping=true": 1, "duplicate=off": 0} {
		t.Run(policy, func(t *testing.T) {
			a, peer := link(t)
			peer.Do(func() { kerneltest.Run(t, "ip addr add "+vip4+"/24 dev eth0") })
			wire := sniff(t, peer, vip4)
			out := a.must(t, code, "start", "ip="+vip4, policy, "duplicate_wait=3000")
			const named = "192.0.2.10 belongs to the host with link-layer address 02:00:00:00:00:02 on eth0 already"
			if strings.Contains(out, named) != (policy != "duplicate=off") {
				t.Errorf("got %s", out)
			}
			if code == 0 {
				frame := wire.Frames(2, wire.mine)[1]
				if alone := bytes.HasPrefix(frame.Bytes, []byte{2, 0, 0, 0, 0, 2}); alone != (policy == "duplicate=take") {
					t.Errorf("the second packet is %s", wire.describe(frame.Bytes))
				}
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		a, _ := link(t)
		a.must(t, 0, "start", "ip="+vip4, "duplicate=fail", "duplicate_wait=60")
	})
}
