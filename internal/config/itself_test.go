package config

import (
	"net/netip"
	"testing"
	"time"

	"lvs-agents/internal/lvs"
)

// TestRealServerWithTheAddressOfItsService checks that a file with this real server gets a warning,
// and that an operator cannot add it.
func TestRealServerWithTheAddressOfItsService(t *testing.T) {
	const what = "real server 192.0.2.10:80 has the address of its service -t 192.0.2.10:80, so its checks would reach the service and not one server; for a server on the director itself, use 127.0.0.1 or ::1"
	port := func(text string) lvs.Service {
		return lvs.Service{ID: lvs.AddrService(lvs.TCP, netip.MustParseAddrPort(text)), Scheduler: "wlc", Persistence: time.Minute}
	}
	for _, tt := range []struct {
		service lvs.Service
		real    string
		forward lvs.Forward
		want    string
	}{
		{port("192.0.2.10:80"), "192.0.2.10:80", lvs.Route, what},
		{port("192.0.2.10:80"), "192.0.2.10:80", lvs.Masq, what},
		{port("192.0.2.10:0"), "192.0.2.10:80", lvs.Masq, "real server 192.0.2.10:80 has the address of its service -t 192.0.2.10:0, so its checks would reach the service and not one server; for a server on the director itself, use 127.0.0.1 or ::1"},
		{port("[2001:db8::10]:80"), "[2001:db8::10]:80", lvs.Route, "real server [2001:db8::10]:80 has the address of its service -t [2001:db8::10]:80, so its checks would reach the service and not one server; for a server on the director itself, use 127.0.0.1 or ::1"},
		{port("192.0.2.10:80"), "192.0.2.10:8080", lvs.Masq, ""}, // a server on the director at another port
		{port("192.0.2.10:80"), "127.0.0.1:80", lvs.Route, ""},
		{port("192.0.2.10:80"), "192.0.2.11:80", lvs.Route, ""},
		{lvs.Service{ID: lvs.MarkService(7, false), Scheduler: "wlc"}, "192.0.2.10:80", lvs.Route, ""},
	} {
		s := Service{Service: tt.service, IPv6: tt.service.ID.Is6()}
		d := lvs.Destination{Addr: netip.MustParseAddrPort(tt.real), Forward: tt.forward, Weight: 1}
		added := ""
		if _, err := s.Added(d); err != nil {
			added = err.Error()
		}
		s.Reals = []Real{{Destination: d}}
		file := ""
		for _, p := range (&Config{Services: []Service{s}}).Validate() {
			if p.Severity != Warning {
				t.Errorf("%s: %s is not a warning", s.Name(), p)
			}
			file += p.String()
		}
		if added != tt.want || file != tt.want {
			t.Errorf("%s %s:\nadded %s\nfile  %s\nwant  %s", s.Name(), tt.real, added, file, tt.want)
		}
	}
}
