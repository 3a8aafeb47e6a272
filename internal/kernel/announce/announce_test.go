package announce

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/packet"
)

func TestPackets(t *testing.T) {
	link := &netlink.LinkAttrs{HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	v4, v6 := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")
	tests := []struct {
		name string
		got  [][]byte
		want string
	}{
		{"ARP", arp(link, v4), "" +
			"0001 0800 0604 0001 020000000001 c000020a 000000000000 c000020a\n" +
			"0001 0800 0604 0002 020000000001 c000020a 020000000001 c000020a\n"},
		{"neighbour advertisement", [][]byte{packet.Advertisement(v6, link.HardwareAddr)}, "" +
			"8800 0000 2000 0000 20010db8000000000000000000000010 0201 020000000001\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for _, p := range tt.got {
				got += dump(p)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// dump writes a packet in hex, with a blank between its fields.
func dump(p []byte) string {
	fields := []int{2, 2, 2, 2, 6, 4, 6, 4}
	if p[0] == 0x88 {
		fields = []int{2, 2, 2, 2, 16, 2, 6}
	}
	text := ""
	for i, n := range fields {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("%x", p[:n])
		p = p[n:]
	}
	return text + fmt.Sprintf("%x\n", p)
}

func TestBurst(t *testing.T) {
	errBroken := errors.New("broken")
	tests := []struct {
		name      string
		count     int
		still     int // still is how many calls of Still return true.
		fail      int // fail is the number of the packet that fails. 0 means none.
		deadline  time.Duration
		sent      string
		took      time.Duration
		wantError error
	}{
		{name: "all", count: 3, still: 9, deadline: time.Hour, sent: "010101", took: 5 * time.Second},
		{name: "none", count: 0, still: 9, deadline: time.Hour},
		{name: "not wanted", count: 5, still: 0, deadline: time.Hour},
		{name: "not wanted any more", count: 5, still: 3, deadline: time.Hour, sent: "010", took: 3 * time.Second},
		{name: "a failure does not end it", count: 2, still: 9, fail: 1, deadline: time.Hour, sent: "0101", took: 3 * time.Second, wantError: errBroken},
		{name: "deadline", count: 5, still: 9, deadline: 1500 * time.Millisecond, sent: "01", took: 1500 * time.Millisecond,
			wantError: context.DeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
				defer cancel()
				began, asked, sent := time.Now(), 0, ""
				b := Burst{Count: tt.count, Interval: 2 * time.Second, Still: func() bool { asked++; return asked <= tt.still }}
				err := b.each(ctx, 2, func(n int) error {
					sent += fmt.Sprint(n)
					if len(sent) == tt.fail {
						return errBroken
					}
					return nil
				})
				if sent != tt.sent || time.Since(began) != tt.took || !errors.Is(err, tt.wantError) {
					t.Errorf("sent %s in %s, %v; want %s in %s, %v", sent, time.Since(began), err, tt.sent, tt.took, tt.wantError)
				}
			})
		})
	}
}

func TestClaimant(t *testing.T) {
	own, second, other := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 3}, net.HardwareAddr{2, 0, 0, 0, 0, 9}
	ip, none, another := netip.MustParseAddr("192.0.2.10"), netip.IPv4Unspecified(), netip.MustParseAddr("192.0.2.11")
	form := func(sender net.HardwareAddr, operation byte, ip, target netip.Addr) []byte {
		return packet.ARP{Operation: operation, SenderMAC: sender, Sender: ip, Target: target}.Encode()
	}
	tests := []struct {
		name   string
		packet []byte
		want   string
	}{
		{"it has the address", form(other, packet.ARPReply, ip, none), "02:00:00:00:00:09"},
		{"it announces the address", form(other, packet.ARPRequest, ip, ip), "02:00:00:00:00:09"},
		{"it wants it too", form(other, packet.ARPRequest, none, ip), "02:00:00:00:00:09"},
		{"it asks for the address", form(other, packet.ARPRequest, another, ip), ""},
		{"our own probe", form(own, packet.ARPRequest, none, ip), ""},
		{"our own second interface", form(second, packet.ARPReply, ip, none), ""},
		{"about something else", form(other, packet.ARPReply, another, none), ""},
		{"too short", form(other, packet.ARPReply, ip, none)[:27], ""},
		{"not Ethernet", append([]byte{0, 32}, form(other, packet.ARPReply, ip, none)[2:]...), ""},
	}
	for _, tt := range tests {
		if got := claimant(tt.packet, []net.HardwareAddr{own, second}, ip).String(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestMissingInterface(t *testing.T) {
	err := Burst{Count: 1}.Send(t.Context(), "eth-none", netip.MustParseAddr("192.0.2.10"))
	const want = `network interface "eth-none" does not exist; create it or give one that ip link shows`
	if !errors.Is(err, host.ErrNotInstalled) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// FuzzClaimant checks that claimant returns nil or a link-layer address of 6 bytes for any packet.
func FuzzClaimant(f *testing.F) {
	ip := netip.MustParseAddr("192.0.2.10")
	link := &netlink.LinkAttrs{HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	for _, p := range arp(link, ip) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if mac := claimant(packet, []net.HardwareAddr{{2, 0, 0, 0, 0, 2}}, ip); mac != nil && len(mac) != 6 {
			t.Errorf("% x is claimed by %v", packet, mac)
		}
	})
}
