package lvs

import (
	"net/netip"
	"slices"
	"testing"
)

func TestHashTables(t *testing.T) {
	id := ServiceID{Protocol: TCP, Addr: netip.MustParseAddrPort("192.0.2.10:80")}
	rs1 := Destination{Addr: netip.MustParseAddrPort("192.0.2.21:80"), Weight: 1, HashWeight: 1}
	rs2 := Destination{Addr: netip.MustParseAddrPort("192.0.2.22:80"), Weight: 1, HashWeight: 1}
	service := func(flags Flags, destinations ...Destination) Table {
		return Table{{Service: Service{ID: id, Scheduler: "mh", Flags: flags}, Destinations: destinations}}
	}
	changed := func(d Destination, f func(*Destination)) Destination { f(&d); return d }
	down := changed(rs2, func(d *Destination) { d.Weight = 0 })
	heavy := changed(rs2, func(d *Destination) { d.Weight, d.HashWeight = 3, 3 })
	sorry := Destination{Addr: netip.MustParseAddrPort("127.0.0.1:80"), Weight: 1, Last: true}
	table := service(SchedOne, rs1, rs2)
	for _, tt := range []struct {
		name  string
		other Table
		equal bool
	}{
		{"another order in the file", service(SchedOne, rs2, rs1), true},
		{"a server that is down", service(SchedOne, rs1, down), true},
		{"a fallback", service(SchedOne, rs1, rs2, sorry), true},
		{"another weight", service(SchedOne, rs1, heavy), false},
		{"a missing server", service(SchedOne, rs1), false},
		{"other flags", service(SchedOne|SchedTwo, rs1, rs2), false},
		{"no service", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			unequal := UnequalHashTables(table.HashTables(), tt.other.HashTables())
			if want := []string{id.String()}; tt.equal && unequal != nil || !tt.equal && !slices.Equal(unequal, want) {
				t.Errorf("unequal: %q", unequal)
			}
		})
	}
	sh := func(d Destination) string {
		sh := service(SchedOne, rs1, d)
		sh[0].Scheduler = "sh"
		return sh.HashTables()
	}
	if sh(rs2) != sh(down) {
		t.Error("sh: a server with weight 1 that is down has the same slot")
	}
	if sh(heavy) == sh(changed(heavy, func(d *Destination) { d.Weight = 0 })) {
		t.Error("sh: a server with weight 3 that is down has one slot")
	}
	if text := service(SchedTwo, rs1, rs2).HashTables(); text != "" {
		t.Errorf("a service without a fallback flag has %q: its table depends on the state of servers", text)
	}
	if ids := UnequalHashTables("text of another version", "-t 192.0.2.10:80 12345678"); len(ids) != 2 {
		t.Errorf("got %q", ids)
	}
}
