package wire

import (
	"net"
	"net/netip"
	"testing"
)

// FuzzPacket checks that the decoders accept arbitrary packets.
func FuzzPacket(f *testing.F) {
	for _, ip := range []string{"192.0.2.10", "2001:db8::10"} {
		f.Add(question(netip.MustParseAddr(ip), net.HardwareAddr{2, 0, 0, 0, 0, 1}))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		for _, take := range []func([]byte) (netip.Addr, bool){answered, asked} {
			if ip, ok := take(packet); ok && !ip.IsValid() {
				t.Errorf("% x has no address", packet)
			}
		}
	})
}
