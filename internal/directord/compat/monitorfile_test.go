package compat

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"lvs-agents/internal/config"
	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

func TestMonitorLine(t *testing.T) {
	real := health.Real{Destination: lvs.Destination{Addr: netip.MustParseAddrPort("10.0.0.2:80"), Forward: lvs.Route, Weight: 1}}
	probe := health.Probe{Check: config.Check{Type: config.Negotiate, Application: "http", Request: "index.html", Receive: `Test\s Page`}, Addr: real.Addr}
	s := health.Service{}
	s.ID = lvs.AddrService(lvs.TCP, netip.MustParseAddrPort("192.0.2.10:80"))
	if got, want := identityOf(s, real, probe), "negotiate http tcp 10.0.0.2 80 1 gate /index.html Tests Page"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	probe = health.Probe{Check: config.Check{Type: config.External, Command: "/bin/check"}, Addr: real.Addr}
	s.ID = lvs.MarkService(5, false)
	if got, want := identityOf(s, real, probe), "external /bin/check fwm 10.0.0.2 80 1 gate"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := outcome(errors.New(strings.Repeat("x", 299)+"ä")), "[down] "+strings.Repeat("x", 299); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := outcome(errors.New("100%|\r\nx")), "[down] 100%25%7c%0d%0ax"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
