package link_test

import (
	"net/netip"
	"testing"

	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/kernel/link"
)

// TestPathFault takes away a link, a carrier, a route and a gateway.
func TestPathFault(t *testing.T) {
	newHost(t)
	kerneltest.Run(t, "ip route add 198.51.100.0/24 via 192.0.2.3\nip -6 route add 2001:db8:1::/64 via 2001:db8::9")
	for _, tt := range []struct{ change, ip, want string }{
		{"", "192.0.2.2", ""},
		{"", "192.0.2.1", ""},
		{"", "2001:db8::2", ""},
		{"", "198.51.100.1", ""},
		{"", "203.0.113.1", "no route to 203.0.113.1"},
		{"ip neigh replace 192.0.2.3 dev eth0 nud failed", "198.51.100.1", "gateway 192.0.2.3 on eth0 does not reply"},
		{"ip neigh replace 2001:db8::9 dev eth0 nud failed", "2001:db8:1::1", "gateway 2001:db8::9 on eth0 does not reply"},
		{"ip neigh replace 192.0.2.2 dev eth0 nud failed", "192.0.2.2", ""}, // a neighbour that is dead is not a fault of this host
		{"ip addr del 192.0.2.129/25 dev eth1\nip addr del 192.0.2.1/24 dev eth0", "192.0.2.2", "no route to 192.0.2.2"},
		{"ip link set eth0 down", "2001:db8::2", "no route to 2001:db8::2"},
	} {
		if tt.change != "" {
			kerneltest.Run(t, tt.change)
		}
		got, err := link.PathFault(t.Context(), netip.MustParseAddr(tt.ip))
		if err != nil || got != tt.want {
			t.Errorf("%s: path to %s: got %q, %v; want %q", tt.change, tt.ip, got, err, tt.want)
		}
	}
}

// TestPathFaultWithoutCarrier sets the other end of the link down.
func TestPathFaultWithoutCarrier(t *testing.T) {
	kerneltest.Namespace(t)
	peer := kerneltest.NewPeer(t, "eth0")
	kerneltest.Run(t, "ip addr add 192.0.2.1/24 dev eth0")
	peer.Do(func() { kerneltest.Run(t, "ip link set eth0 down") })
	got, err := link.PathFault(t.Context(), netip.MustParseAddr("192.0.2.2"))
	if want := "eth0 has no carrier"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}
