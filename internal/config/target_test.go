package config_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

// TestTargets checks the targets of checks. It also checks which check replaces a check that is not
// possible.
func TestTargets(t *testing.T) {
	negotiate := func(application config.Application) config.Check {
		return config.Check{Type: config.Negotiate, Application: application}
	}
	elsewhere := func(host string) config.Check {
		c := negotiate("http")
		c.Host, c.Port = host, 81
		return c
	}
	port := negotiate("http")
	port.Port = 8080
	combined := config.Check{Type: config.Combined, Application: config.NoApplication, Timeout: time.Minute, ConnectTimeout: time.Second}
	const where = "warning: web:3: real server 192.0.2.21:80 of -t 192.0.2.10:80: request: lookup nowhere: no such host, so "
	tests := []struct {
		name     string
		protocol lvs.Protocol
		checks   []config.Check
		want     string // want has the expected type, target and fault.
		problems string
	}{
		{"none", lvs.TCP, nil, "", ""},
		{"the real server", lvs.TCP, []config.Check{negotiate("http")}, "negotiate 192.0.2.21:80", ""},
		{"several", lvs.TCP, []config.Check{port, {Type: config.Ping}}, "negotiate 192.0.2.21:8080, ping 192.0.2.21:80", ""},
		{"another address", lvs.TCP, []config.Check{elsewhere("192.0.2.9")}, "negotiate 192.0.2.9:81", ""},
		{"another host", lvs.TCP, []config.Check{elsewhere("page")}, "negotiate 192.0.2.99:81", ""},
		{"an unknown host", lvs.TCP, []config.Check{elsewhere("nowhere"), elsewhere("nowhere")},
			"negotiate 192.0.2.21:81 request: lookup nowhere: no such host, negotiate 192.0.2.21:81 request: lookup nowhere: no such host", where + "it is never up\n"},
		{"connect over UDP", lvs.UDP, []config.Check{{Type: config.Connect}}, "ping 192.0.2.21:80", ""},
		{"combined without an application", lvs.TCP, []config.Check{combined}, "connect 192.0.2.21:80", ""},
		{"negotiate without an application", lvs.TCP, []config.Check{negotiate(config.NoApplication)}, "on 192.0.2.21:80",
			"warning: web:2: -t 192.0.2.10:80: service=none has no query: its real servers count as good without a check; use checktype=connect\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := config.Service{Line: 2, Service: lvs.Service{ID: lvs.AddrService(tt.protocol, netip.MustParseAddrPort("192.0.2.10:80")), Scheduler: "rr"}}
			s.Reals = []config.Real{{Line: 3, Destination: lvs.Destination{Addr: netip.MustParseAddrPort("192.0.2.21:80"), Forward: lvs.Route, Weight: 1}, Checks: tt.checks}}
			cfg := &config.Config{File: "web", Services: []config.Service{s}}
			resolved, problems := cfg.Resolve(t.Context(), config.NewNames(names{"ip4 page": "192.0.2.99"}))
			var got []string
			for _, c := range resolved.Services[0].Reals[0].Checks {
				got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Type, c.Target, c.Unusable)))
			}
			if got := strings.Join(got, ", "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if got := lines(problems); got != tt.problems {
				t.Errorf("got  %s\nwant %s", got, tt.problems)
			}
			for _, c := range cfg.Services[0].Reals[0].Checks {
				if c.Target.IsValid() {
					t.Error("the configuration was changed")
				}
			}
		})
	}
}

// TestFallbacks checks that Resolve leaves out a fallback that has no address or is a real server,
// and keeps the other fallbacks.
func TestFallbacks(t *testing.T) {
	s := config.Service{Service: lvs.Service{ID: lvs.AddrService(lvs.TCP, netip.MustParseAddrPort("192.0.2.10:80")), Scheduler: "rr"}}
	s.Reals = []config.Real{{Destination: lvs.Destination{Addr: netip.MustParseAddrPort("192.0.2.21:80"), Forward: lvs.Route, Weight: 1}}}
	for i, host := range []string{"sorry", "192.0.2.98", "nowhere", "same"} {
		s.Fallbacks = append(s.Fallbacks, config.Fallback{Host: host, Port: 80, Forward: lvs.Route, Line: i + 1})
	}
	cfg := &config.Config{File: "web", Services: []config.Service{s}}
	if problems := cfg.Validate(); len(problems) > 0 {
		t.Error(lines(problems))
	}
	resolved, problems := cfg.Resolve(t.Context(), config.NewNames(names{"ip4 sorry": "192.0.2.99", "ip4 same": "192.0.2.21"}))
	const want = "warning: web:3: fallback nowhere: lookup nowhere: no such host, so it is left out\n" +
		"warning: web:4: fallback same: it is also a real server of -t 192.0.2.10:80, in line 0, so it is left out; choose another server: the fallback serves when no real server does\n"
	if got := lines(problems); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var got []string
	for _, f := range resolved.Services[0].Fallbacks {
		got = append(got, f.Destination().Addr.String())
	}
	if got := strings.Join(got, " "); got != "192.0.2.99:80 192.0.2.98:80" {
		t.Error(got)
	}
}
