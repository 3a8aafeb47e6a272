package resync

import (
	"net/netip"
	"testing"
)

// TestAddressesOnLoDoNotCount checks that the result of addresses has no address of lo, where a
// real server has its VIP.
func TestAddressesOnLoDoNotCount(t *testing.T) {
	own, err := addresses()
	if err != nil {
		t.Fatal(err)
	}
	if own[netip.MustParseAddr("127.0.0.1")] || own[netip.IPv6Loopback()] {
		t.Errorf("%v", own)
	}
}
