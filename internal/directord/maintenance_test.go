package directord

import (
	"net/netip"
	"testing"
	"time"
)

func TestMaintenanceNames(t *testing.T) {
	real := netip.MustParseAddrPort("192.0.2.21:80")
	six := netip.MustParseAddrPort("[2001:db8::21]:80")
	m := maintenance{hosts: map[netip.Addr]hostname{
		real.Addr(): {"rs1.example.org", time.Now().Add(time.Hour)}, six.Addr(): {"", time.Now().Add(time.Hour)},
	}}
	tests := []struct {
		file string
		real netip.AddrPort
		want bool
	}{
		{"192.0.2.21", real, true}, {"192.0.2.21:80", real, true}, {"192.0.2.21:81", real, false}, {"192.0.2.2", real, false},
		{"rs1.example.org", real, true}, {"rs1.example.org:80", real, true}, {"rs1", real, true}, {"rs1:80", real, true}, {"rs1:8080", real, false}, {"rs2", real, false},
		{"[2001:db8::21]", six, true}, {"[2001:db8::21]:80", six, true}, {"2001:db8::21", six, true}, {"rs1", six, false},
	}
	for _, tt := range tests {
		if got := m.named(t.Context(), map[string]bool{tt.file: true}, tt.real); got != tt.want {
			t.Errorf("%s for %s: %t", tt.file, tt.real, got)
		}
	}
}

// TestMaintenanceByName checks that the daemon uses the cached host name of an address. It looks up
// no name if no file name can be a host name.
func TestMaintenanceByName(t *testing.T) {
	real := netip.MustParseAddrPort("192.0.2.21:80")
	h := hosts{"RS1.example.org": "192.0.2.21"}
	m := newMaintenance(silent(), h)
	if m.named(t.Context(), map[string]bool{"192.0.2.22": true}, real) || len(m.hosts) > 0 {
		t.Errorf("%v", m.hosts)
	}
	if !m.named(t.Context(), map[string]bool{"rs1": true}, real) {
		t.Error("the short name does not count")
	}
	delete(h, "RS1.example.org")
	if !m.named(t.Context(), map[string]bool{"rs1.example.org:80": true}, real) {
		t.Error("the name is looked up again")
	}
	m.hosts = map[netip.Addr]hostname{}
	if m.named(t.Context(), map[string]bool{"rs1": true}, real) {
		t.Error("a name without an address counts")
	}
}
