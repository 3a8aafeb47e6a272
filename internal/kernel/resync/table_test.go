package resync

import (
	"net/netip"
	"testing"
)

// TestAddressesOnLoDoNotCount checks that a real server with a VIP on lo does not count as the
// director that serves it.
func TestAddressesOnLoDoNotCount(t *testing.T) {
	own, err := addresses()
	if err != nil {
		t.Fatal(err)
	}
	if own[netip.MustParseAddr("127.0.0.1")] || own[netip.IPv6Loopback()] {
		t.Errorf("%v", own)
	}
}
