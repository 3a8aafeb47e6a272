package announce_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/announce"
	"lvs-agents/internal/kernel/kerneltest"
)

var (
	vip4 = netip.MustParseAddr("192.0.2.10")
	vip6 = netip.MustParseAddr("2001:db8::10")
)

// hosts gives eth0 the addresses that the tests announce. It returns the peer, another host on the
// link of eth0.
func hosts(t *testing.T) *kerneltest.Peer {
	t.Helper()
	kerneltest.Namespace(t)
	peer := kerneltest.NewPeer(t, "eth0")
	kerneltest.Run(t, `
ip link set eth0 address 02:00:00:00:00:01
ip addr add 192.0.2.10/24 dev eth0
ip addr add 2001:db8::10/64 dev eth0 nodad
`)
	peer.Do(func() {
		kerneltest.Run(t, "ip addr add 192.0.2.20/24 dev eth0\nip addr add 2001:db8::20/64 dev eth0 nodad")
	})
	return peer
}

// listen starts to receive frames at the peer. The returned function returns, in hex, the next n
// frames that the function wanted accepts.
func listen(t *testing.T, peer *kerneltest.Peer, protocol uint16) func(n int, wanted func([]byte) bool) string {
	t.Helper()
	var sniffer *kerneltest.Sniffer
	peer.Do(func() { sniffer = kerneltest.NewSniffer(t, "eth0", protocol) })
	return func(n int, wanted func([]byte) bool) string {
		var all strings.Builder
		for _, frame := range sniffer.Frames(n, wanted) {
			fmt.Fprintf(&all, "%x\n", frame.Bytes)
		}
		return all.String()
	}
}

func fromVIP(frame []byte) bool { return strings.Contains(string(frame[14:]), string(vip4.AsSlice())) }

func TestGratuitousARPOnTheWire(t *testing.T) {
	peer := hosts(t)
	frames := listen(t, peer, unix.ETH_P_ARP)
	if err := once(t.Context(), "eth0", vip4); err != nil {
		t.Fatal(err)
	}
	const header = "ffffffffffff" + "020000000001" + "0806" + "0001" + "0800" + "06" + "04"
	want := header + "0001" + "020000000001" + "c000020a" + "000000000000" + "c000020a\n" +
		header + "0002" + "020000000001" + "c000020a" + "020000000001" + "c000020a\n"
	if diff := cmp.Diff(want, frames(2, fromVIP)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBurstOnTheWire(t *testing.T) {
	peer := hosts(t)
	frames := listen(t, peer, unix.ETH_P_ARP)
	former := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	three := announce.Burst{Count: 3, Interval: time.Millisecond, Still: always, Also: former}
	if err := three.Send(t.Context(), "eth0", vip4); err != nil {
		t.Fatal(err)
	}
	operations := ""
	for line := range strings.Lines(frames(12, fromVIP)) {
		// Add the destination address and the ARP operation.
		operations += line[:12] + " " + line[40:44] + "\n"
	}
	round := "ffffffffffff 0001\n020000000009 0001\nffffffffffff 0002\n020000000009 0002\n"
	if diff := cmp.Diff(strings.Repeat(round, 3), operations); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// owner returns the link-layer address of the host that has ip, or an empty text.
func owner(t *testing.T, ip netip.Addr) string {
	t.Helper()
	mac, err := announce.Neighbours{}.Owner(t.Context(), "eth0", ip, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	return mac
}

func TestOwner(t *testing.T) {
	peer := hosts(t)
	peer.Do(func() {
		kerneltest.Run(t, "ip link set eth0 address 02:00:00:00:00:02\nip addr add 192.0.2.11/24 dev eth0")
	})
	if got := owner(t, netip.MustParseAddr("192.0.2.11")); got != "02:00:00:00:00:02" {
		t.Errorf("got %q", got)
	}
	for _, ip := range []string{"192.0.2.12", "2001:db8::20"} {
		if got := owner(t, netip.MustParseAddr(ip)); got != "" {
			t.Errorf("%s: got %q", ip, got)
		}
	}
	peer.Do(func() {
		if got := kerneltest.Run(t, "ip neigh show to 192.0.2.11"); got != "" {
			t.Errorf("the probe claimed something: %s", got)
		}
	})
}

// TestOwnerIsNotThisHost checks that Owner ignores the replies of this host. Two interfaces of this
// host are in one LAN, and the second interface replies for an address on lo.
func TestOwnerIsNotThisHost(t *testing.T) {
	kerneltest.Namespace(t)
	kerneltest.Run(t, `
ip link add lan type bridge
ip link set lan up
ip link add eth0 type veth peer name port0
ip link add eth1 type veth peer name port1
ip link set port0 master lan up
ip link set port1 master lan up
ip link set eth0 up
ip link set eth1 up
ip addr add 192.0.2.1/24 dev eth0
ip addr add 192.0.2.2/24 dev eth1
ip addr add 192.0.2.10/32 dev lo
`)
	if got := owner(t, netip.MustParseAddr("192.0.2.10")); got != "" {
		t.Errorf("got %q", got)
	}
}

// stale gives the peer a wrong link-layer address for ip, and makes it ignore broadcast and
// multicast packets about ip.
func stale(t *testing.T, peer *kerneltest.Peer, ip netip.Addr) {
	t.Helper()
	for _, program := range []string{"arptables", "ip6tables"} {
		if _, err := exec.LookPath(program); err != nil {
			kerneltest.Need(t, program)
		}
	}
	peer.Do(func() {
		kerneltest.Run(t, fmt.Sprintf("ip neigh replace %s lladdr 02:00:00:00:00:99 nud stale dev eth0", ip))
		kerneltest.Run(t, "arptables -A INPUT --source-ip 192.0.2.10 --destination-ip 192.0.2.10 -j DROP\nip6tables -A INPUT -d ff02::1 -j DROP")
	})
}

// TestNeighbourThatIgnoresWhatIsSentToEverybody checks that unicast announcements reach a neighbour
// that ignores broadcast and multicast packets.
func TestNeighbourThatIgnoresWhatIsSentToEverybody(t *testing.T) {
	for ip, neighbour := range map[netip.Addr]netip.Addr{
		vip4: netip.MustParseAddr("192.0.2.20"), vip6: netip.MustParseAddr("2001:db8::20"),
	} {
		t.Run(ip.String(), func(t *testing.T) {
			peer := hosts(t)
			peer.Do(func() { kerneltest.Run(t, "ip link set eth0 address 02:00:00:00:00:02") })
			kerneltest.Run(t, fmt.Sprintf("ip neigh replace %s lladdr 02:00:00:00:00:02 nud reachable dev eth0", neighbour))
			stale(t, peer, ip)
			if err := once(t.Context(), "eth0", ip); err != nil {
				t.Fatal(err)
			}
			if answered, err := (announce.Neighbours{}).Answers(t.Context(), "eth0", ip, neighbour, 100*time.Millisecond); err != nil || answered {
				t.Errorf("before: %v, %v", answered, err)
			}
			if err := (announce.Neighbours{}).AnnounceTo(t.Context(), "eth0", ip, neighbour); err != nil {
				t.Fatal(err)
			}
			if answered, err := (announce.Neighbours{}).Answers(t.Context(), "eth0", ip, neighbour, 5*time.Second); err != nil || !answered {
				t.Errorf("after: %v, %v", answered, err)
			}
			peer.Do(func() {
				if got := kerneltest.Run(t, fmt.Sprintf("ip neigh show to %s dev eth0", ip)); !strings.Contains(got, "02:00:00:00:00:01") {
					t.Errorf("the peer has %s", got)
				}
			})
		})
	}
}

func TestNobodyThere(t *testing.T) {
	hosts(t)
	absent := netip.MustParseAddr("192.0.2.30")
	if answered, err := (announce.Neighbours{}).Answers(t.Context(), "eth0", vip4, absent, 20*time.Millisecond); err != nil || answered {
		t.Errorf("got %v, %v", answered, err)
	}
	if err := (announce.Neighbours{}).AnnounceTo(t.Context(), "eth0", vip4, absent); err != nil {
		t.Error(err)
	}
}

func TestNeighbourAdvertisementOnTheWire(t *testing.T) {
	peer := hosts(t)
	frames := listen(t, peer, unix.ETH_P_IPV6)
	if err := once(t.Context(), "eth0", vip6); err != nil {
		t.Fatal(err)
	}
	const icmpType = 14 + 40
	got := frames(1, func(frame []byte) bool {
		return len(frame) > icmpType && frame[icmpType] == 136 && frame[icmpType+4] == 0x20
	})
	const (
		vip      = "20010db8000000000000000000000010"
		ethernet = "333300000001" + "020000000001" + "86dd"
		before   = "0020" + "3a" + "ff" + vip + "ff020000000000000000000000000001" + "8800"
		after    = "20000000" + vip + "0201" + "020000000001\n"
	)
	if !strings.HasPrefix(got, ethernet) || !strings.Contains(got, before) || !strings.HasSuffix(got, after) {
		t.Errorf("got %s", got)
	}
}

// TestNeighboursLearn checks that an announcement replaces a wrong link-layer address in the
// neighbour table of the peer.
func TestNeighboursLearn(t *testing.T) {
	for _, ip := range []netip.Addr{vip4, vip6} {
		t.Run(ip.String(), func(t *testing.T) {
			peer := hosts(t)
			peer.Do(func() {
				kerneltest.Run(t, fmt.Sprintf("ip neigh replace %s lladdr 02:00:00:00:00:99 nud stale dev eth0", ip))
			})
			if err := once(t.Context(), "eth0", ip); err != nil {
				t.Fatal(err)
			}
			peer.Do(func() {
				if got := kerneltest.Run(t, fmt.Sprintf("ip neigh show to %s dev eth0", ip)); !strings.Contains(got, "02:00:00:00:00:01") {
					t.Errorf("the peer has %s", got)
				}
			})
		})
	}
}

func TestNothingToAnnounceOn(t *testing.T) {
	hosts(t)
	for _, ip := range []netip.Addr{vip4, vip6} {
		if err := once(t.Context(), "lo", ip); err != nil {
			t.Errorf("%s: %v", ip, err)
		}
	}
}

func TestAnnounceErrors(t *testing.T) {
	hosts(t)
	if err := once(t.Context(), "eth0", netip.MustParseAddr("2001:db8::99")); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("an address that is not there: %v", err)
	}
	kerneltest.Run(t, "ip link set eth0 down")
	err := once(t.Context(), "eth0", vip4)
	if want := "announce 192.0.2.10 on eth0: sendto: network is down"; !errors.Is(err, unix.ENETDOWN) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = announce.Burst{Count: 2, Interval: time.Hour, Still: always}.Send(ctx, "eth0", vip4)
	if want := "announce 192.0.2.10 on eth0: context canceled"; !errors.Is(err, context.Canceled) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestAnnounceWithoutPermission(t *testing.T) {
	hosts(t)
	kerneltest.DropCapability(t, unix.CAP_NET_RAW)
	for _, ip := range []netip.Addr{vip4, vip6} {
		err := once(t.Context(), "eth0", ip)
		want := fmt.Sprintf("announce %s on eth0: socket: operation not permitted", ip)
		if !errors.Is(err, fs.ErrPermission) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func always() bool { return true }

// once sends one announcement of an address.
func once(ctx context.Context, nic string, ip netip.Addr) error {
	return announce.Burst{Count: 1, Still: always}.Send(ctx, nic, ip)
}

// TestSenderAnnouncesOnItsOwn checks that Announce starts a sender process, which sends the
// announcements. The sender is this test binary.
func TestSenderAnnouncesOnItsOwn(t *testing.T) {
	peer := hosts(t)
	frames := listen(t, peer, unix.ETH_P_ARP)
	a := host.Announcement{NIC: "eth0", IP: vip4, Count: 2, Interval: time.Millisecond, Also: "02:00:00:00:00:09", Wait: true}
	if err := (announce.Neighbours{}).Announce(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(frames(8, fromVIP), "\n"); got != 8 {
		t.Errorf("got %d packets", got)
	}
	a.Wait = false
	if err := (announce.Neighbours{}).Announce(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(frames(8, fromVIP), "\n"); got != 8 {
		t.Errorf("got %d packets in the background", got)
	}
}
