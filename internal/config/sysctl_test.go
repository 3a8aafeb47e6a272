package config

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"lvs-agents/internal/lvs"
)

// TestDefaultsOfSysctls checks the defaults for some kinds of services, and that a given value
// replaces its default.
func TestDefaultsOfSysctls(t *testing.T) {
	server := func(method lvs.Forward) []Real { return []Real{{Destination: lvs.Destination{Forward: method}}} }
	service := func(p lvs.Protocol, change func(*Service)) Service {
		s := Service{Service: lvs.Service{ID: lvs.AddrService(p, netip.MustParseAddrPort("192.0.2.10:80")), Scheduler: "rr"}, Reals: server(lvs.Route)}
		change(&s)
		return s
	}
	removed := service(lvs.TCP, func(*Service) {})
	stays := service(lvs.TCP, func(s *Service) { s.Quiescent = true })
	hash := service(lvs.TCP, func(s *Service) { s.Scheduler, s.Flags = "mh", lvs.SchedOne })
	hashWithout := service(lvs.TCP, func(s *Service) { s.Scheduler = "mh" })
	no := new(bool)
	for _, tt := range []struct {
		name            string
		config          Config
		given, defaults string
	}{
		{"no service", Config{}, "[]", "[]"},
		{"removed", Config{Services: []Service{removed}}, "[]", "[{expire_nodest_conn 1}]"},
		{"removed, persistent", Config{Services: []Service{service(lvs.TCP, func(s *Service) { s.Persistence = time.Minute })}}, "[]", "[{expire_nodest_conn 1}]"},
		{"stays", Config{Services: []Service{stays}}, "[]", "[{conn_reuse_mode 3}]"},
		{"stays, tunnel", Config{Services: []Service{service(lvs.TCP, func(s *Service) { s.Quiescent, s.Reals = true, server(lvs.Tunnel) })}}, "[]", "[{conn_reuse_mode 3}]"},
		{"stays, masq", Config{Services: []Service{service(lvs.TCP, func(s *Service) { s.Quiescent, s.Reals = true, server(lvs.Masq) })}}, "[]", "[]"},
		{"stays, UDP", Config{Services: []Service{service(lvs.UDP, func(s *Service) { s.Quiescent = true })}}, "[]", "[]"},
		{"stays, persistent", Config{Services: []Service{service(lvs.UDP, func(s *Service) { s.Quiescent, s.Persistence = true, time.Minute })}},
			"[]", "[{expire_quiescent_template 1}]"},
		{"stays, with a fallback", Config{Services: []Service{service(lvs.UDP, func(s *Service) { s.Quiescent, s.Fallbacks = true, make([]Fallback, 1) })}},
			"[]", "[{expire_nodest_conn 1}]"},
		{"hash", Config{Services: []Service{hash}}, "[]", "[{conn_reuse_mode 3}]"},
		{"hash without its fallback flag", Config{Services: []Service{hashWithout}}, "[]", "[{expire_nodest_conn 1}]"},
		{"hash and removed", Config{Services: []Service{hash, removed}}, "[]", "[{conn_reuse_mode 3}]"},
		{"stays and removed", Config{Services: []Service{stays, removed}}, "[]", "[{expire_nodest_conn 1} {conn_reuse_mode 3}]"},
		{"expire", Config{Services: []Service{service(lvs.TCP, func(s *Service) { s.MarkedDown = Expire })}}, "[{expire_nodest_conn 1}]", "[]"},
		{"expire and hash", Config{Services: []Service{hash, service(lvs.TCP, func(s *Service) { s.MarkedDown = Reset })}}, "[{expire_nodest_conn 1}]", "[{conn_reuse_mode 3}]"},
		{"keep", Config{Services: []Service{service(lvs.UDP, func(s *Service) { s.MarkedDown, s.Quiescent = Keep, true })}}, "[]", "[]"},
		{"given", Config{Services: []Service{stays, removed}, ExpireNodestConn: no, ConnReuseMode: "0", SloppyTCP: no},
			"[{sloppy_tcp 0} {expire_nodest_conn 0} {conn_reuse_mode 0}]", "[]"},
	} {
		given, defaults := tt.config.Sysctls()
		if fmt.Sprint(given) != tt.given || fmt.Sprint(defaults) != tt.defaults {
			t.Errorf("%s: got %v and %v, want %s and %s", tt.name, given, defaults, tt.given, tt.defaults)
		}
	}
}
