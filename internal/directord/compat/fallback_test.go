package compat

import (
	"net/netip"
	"strings"
	"testing"

	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

func TestFallbackCommand(t *testing.T) {
	six := netip.MustParseAddrPort("[2001:db8::10]:80")
	for _, tt := range []struct {
		id      lvs.ServiceID
		serving bool
		want    string
	}{
		{lvs.AddrService(lvs.TCP, netip.MustParseAddrPort("192.0.2.10:80")), false, "/bin/sorry -q start 192.0.2.10:80 tcp"},
		{lvs.AddrService(lvs.UDP, six), true, "/bin/sorry -q stop [2001:db8::10]:80 udp"},
		{lvs.MarkService(5, false), false, "/bin/sorry -q start :0 fwm"},
		{lvs.MarkService(5, true), true, "/bin/sorry -q stop :0 fwm6"},
	} {
		s := health.Service{FallbackCommand: []string{"/bin/sorry", "-q"}}
		s.ID = tt.id
		if got := strings.Join(FallbackCommand(s, tt.serving), " "); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
