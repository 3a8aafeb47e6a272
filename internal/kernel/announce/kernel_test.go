package announce_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/kernel/announce"
	"lvs-agents/internal/kernel/kerneltest"
)

var (
	vip4 = netip.MustParseAddr("192.0.2.10")
	vip6 = netip.MustParseAddr("2001:db8::10")
)

// hosts returns a peer on the link of eth0, which has the addresses to announce.
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

// sniff returns a socket that takes frames of a protocol on eth0.
func sniff(t *testing.T, protocol uint16) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	order := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, protocol))
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: order, Ifindex: eth0.Index}); err != nil {
		t.Fatal(err)
	}
	timeout := unix.NsecToTimeval(int64(5 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	return fd
}

// frames reads n frames that wanted holds for, in hex.
func frames(t *testing.T, fd, n int, wanted func([]byte) bool) string {
	t.Helper()
	var all strings.Builder
	for n > 0 {
		buffer := make([]byte, 2048)
		size, _, err := unix.Recvfrom(fd, buffer, 0)
		if err != nil {
			t.Fatalf("%d frames are missing: %v; got\n%s", n, err, &all)
		}
		if wanted(buffer[:size]) {
			fmt.Fprintf(&all, "%x\n", buffer[:size])
			n--
		}
	}
	return all.String()
}

func fromVIP(frame []byte) bool { return strings.Contains(string(frame[14:]), string(vip4.AsSlice())) }

func TestGratuitousARPOnTheWire(t *testing.T) {
	peer := hosts(t)
	var fd int
	peer.Do(func() { fd = sniff(t, unix.ETH_P_ARP) })
	if err := announce.Send("eth0", vip4); err != nil {
		t.Fatal(err)
	}
	const header = "ffffffffffff" + "020000000001" + "0806" + "0001" + "0800" + "06" + "04"
	want := header + "0001" + "020000000001" + "c000020a" + "000000000000" + "c000020a\n" +
		header + "0002" + "020000000001" + "c000020a" + "020000000001" + "c000020a\n"
	if diff := cmp.Diff(want, frames(t, fd, 2, fromVIP)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBurstOnTheWire(t *testing.T) {
	peer := hosts(t)
	var fd int
	peer.Do(func() { fd = sniff(t, unix.ETH_P_ARP) })
	five := announce.Burst{Count: 5, Interval: time.Millisecond, Still: always}
	if err := five.Send(t.Context(), "eth0", vip4); err != nil {
		t.Fatal(err)
	}
	frames(t, fd, 10, fromVIP)
}

func TestNeighbourAdvertisementOnTheWire(t *testing.T) {
	peer := hosts(t)
	var fd int
	peer.Do(func() { fd = sniff(t, unix.ETH_P_IPV6) })
	if err := announce.Send("eth0", vip6); err != nil {
		t.Fatal(err)
	}
	const icmpType = 14 + 40
	got := frames(t, fd, 1, func(frame []byte) bool {
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

// TestNeighboursLearn moves an address away from the link-layer address that the
// peer knows it by.
func TestNeighboursLearn(t *testing.T) {
	for _, ip := range []netip.Addr{vip4, vip6} {
		t.Run(ip.String(), func(t *testing.T) {
			peer := hosts(t)
			peer.Do(func() {
				kerneltest.Run(t, fmt.Sprintf("ip neigh replace %s lladdr 02:00:00:00:00:99 nud stale dev eth0", ip))
			})
			if err := announce.Send("eth0", ip); err != nil {
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
		if err := announce.Send("lo", ip); err != nil {
			t.Errorf("%s: %v", ip, err)
		}
	}
}

func TestAnnounceErrors(t *testing.T) {
	hosts(t)
	if err := announce.Send("eth0", netip.MustParseAddr("2001:db8::99")); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("an address that is not there: %v", err)
	}
	kerneltest.Run(t, "ip link set eth0 down")
	err := announce.Send("eth0", vip4)
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
		err := announce.Send("eth0", ip)
		want := fmt.Sprintf("announce %s on eth0: socket: operation not permitted", ip)
		if !errors.Is(err, fs.ErrPermission) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func always() bool { return true }
