package packet

import (
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"reflect"
	"testing"
)

var (
	mac    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	other  = net.HardwareAddr{2, 0, 0, 0, 0, 9}
	vip    = netip.MustParseAddr("192.0.2.10")
	target = netip.MustParseAddr("2001:db8::10")
)

func TestPacketsOnTheWire(t *testing.T) {
	solicitation, to := Solicitation(target, netip.MustParseAddr("fe80::1"), mac)
	tests := []struct {
		name, want string
		packet     []byte
	}{
		{"ARP probe", "0001080006040001" + "020000000001" + "00000000" + "000000000000" + "c000020a",
			ARP{Operation: ARPRequest, SenderMAC: mac, Target: vip}.Encode()},
		{"ARP reply", "0001080006040002" + "020000000001" + "c000020a" + "020000000009" + "c000020b",
			ARP{ARPReply, mac, vip, other, netip.MustParseAddr("192.0.2.11")}.Encode()},
		{"frame", "ffffffffffff" + "020000000001" + "0806" + "6162", Ethernet(Broadcast, mac, 0x0806, []byte("ab"))},
		{"neighbour advertisement", "88000000" + "20000000" + "20010db8000000000000000000000010" + "0201" + "020000000001", Advertisement(target, mac)},
		// The checksum is verified after this loop.
		{"neighbour solicitation", "60000000" + "0020" + "3aff" + "fe800000000000000000000000000001" + "ff0200000000000000000001ff000010" +
			"8700" + hex.EncodeToString(solicitation[42:44]) + "00000000" + "20010db8000000000000000000000010" + "0101" + "020000000001", solicitation},
		{"its link-layer address", "3333ff000010", to},
		{"echo request", "0800" + "f2f9" + "0102" + "0304" + "01", Echo{0x0102, 0x0304, []byte{1}}.EncodeRequest(false)},
		{"echo request for IPv6", "8000" + "0000" + "0102" + "0304", Echo{ID: 0x0102, Sequence: 0x0304}.EncodeRequest(true)},
	}
	tests = append(tests, struct {
		name, want string
		packet     []byte
	}{"TCP segment", "00509c41" + "80000000" + "00000001" + "5010ffff" + "0ed3" + "0000", ACK(netip.AddrPortFrom(vip, 80), netip.MustParseAddrPort("192.0.2.100:40001"), 1<<31, 1)})
	if got := hex.EncodeToString(binary.NativeEndian.AppendUint16(nil, NetworkOrder(0x0806))); got != "0806" {
		t.Errorf("the protocol of a packet socket is %s in memory, want 0806", got)
	}
	for _, tt := range tests {
		if got := hex.EncodeToString(tt.packet); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
	}
	// The sum over the message with its checksum is zero if the checksum is correct.
	from, group := [16]byte(solicitation[8:24]), [16]byte(solicitation[24:40])
	if sum := Checksum(append(pseudoHeader(from, group, len(solicitation)-40), solicitation[40:]...)); sum != 0 {
		t.Errorf("the checksum of the solicitation is off by %#x", sum)
	}
}

func TestDecoding(t *testing.T) {
	want := ARP{ARPReply, mac, vip, other, netip.MustParseAddr("192.0.2.11")}
	if got, ok := DecodeARP(append(want.Encode(), make([]byte, 18)...)); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, ok)
	}
	for _, bad := range [][]byte{nil, want.Encode()[:27], append([]byte{0, 32}, want.Encode()[2:]...)} {
		if got, ok := DecodeARP(bad); ok {
			t.Errorf("%x: got %+v", bad, got)
		}
	}
	frame := Ethernet(Broadcast, mac, 0x86dd, []byte("ab"))
	if got := Payload(frame, 0x86dd); string(got) != "ab" {
		t.Errorf("got %q", got)
	}
	if got := Payload(frame, 0x0806); got != nil {
		t.Errorf("got %q of a frame of another kind", got)
	}
	advertisement := append(make([]byte, ipv6Header), Advertisement(target, mac)...)
	advertisement[6] = icmpv6
	if got, ok := Advertised(advertisement); !ok || got != target {
		t.Errorf("got %v, %v", got, ok)
	}
	for _, ipv6 := range []bool{false, true} {
		reply := Echo{7, 9, []byte("x")}.EncodeRequest(ipv6)
		if _, ok := DecodeReply(reply, ipv6); ok {
			t.Error("a request passes for a reply")
		}
		reply[0] = map[bool]byte{false: EchoReply4, true: EchoReply6}[ipv6]
		if got, ok := DecodeReply(reply, ipv6); !ok || got.ID != 7 || got.Sequence != 9 || string(got.Data) != "x" {
			t.Errorf("got %+v, %v", got, ok)
		}
	}
	header := append([]byte{0x46, 11: 0}, append(vip.AsSlice(), 0, 0, 0, 0, 1, 2, 3, 4, 'x')...)
	if from, payload, ok := IPv4(header); !ok || from != vip || string(payload) != "x" {
		t.Errorf("got %v, %q, %v", from, payload, ok)
	}
}

// FuzzDecode checks that the decoders accept any packet that a host on the link can send.
func FuzzDecode(f *testing.F) {
	f.Add(ARP{Operation: ARPRequest, SenderMAC: mac, Target: vip}.Encode())
	f.Add(append(make([]byte, ipv6Header), Advertisement(target, mac)...))
	f.Fuzz(func(t *testing.T, p []byte) {
		if a, ok := DecodeARP(p); ok && len(a.SenderMAC) != 6 {
			t.Errorf("%+v", a)
		}
		Payload(p, 0x0806)
		Advertised(p)
		DecodeReply(p, true)
		IPv4(p)
		Checksum(p)
	})
}
