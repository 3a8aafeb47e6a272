package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/lvs"
	"lvs-agents/internal/policy"
)

// TestWeightsThatTheSchedulerIgnores checks which weights cause a warning.
func TestWeightsThatTheSchedulerIgnores(t *testing.T) {
	const text, weights = "-t 192.0.2.10:80: scheduler rr ignores all weights except 0, so ", "the weights 1 and 5 have the same effect; use wrr or wlc, or the same weight for all"
	for _, tt := range []struct {
		scheduler lvs.Scheduler
		weights   []int
		policy    policy.Settings
		want      string
	}{
		{"rr", []int{5, 0, 1}, policy.Settings{}, text + weights},
		{"lc", []int{5, 1}, policy.Settings{}, strings.Replace(text, "rr", "lc", 1) + weights},
		{"dh", []int{5, 1}, policy.Settings{}, strings.Replace(text, "rr", "dh", 1) + weights},
		{"rr", []int{5, 0, 5}, policy.Settings{}, ""},
		{"rr", []int{0}, policy.Settings{}, ""},
		{"rr", nil, policy.Settings{}, ""},
		{"rr", []int{5, 1}, policy.Settings{Quorum: 5}, ""},
		{"rr", []int{5, 5}, policy.Settings{SlowStart: time.Minute}, text + "slowstart has no effect; use wrr or wlc, or delete slowstart"},
		{"wrr", []int{5, 1}, policy.Settings{SlowStart: time.Minute}, ""},
		{"wlc", []int{5, 1}, policy.Settings{}, ""},
		{"lblc", []int{5, 1}, policy.Settings{}, ""},
		{"lblcr", []int{5, 1}, policy.Settings{}, ""},
		{"sed", []int{5, 1}, policy.Settings{}, ""},
		{"nq", []int{5, 1}, policy.Settings{}, ""},
		{"fo", []int{5, 1}, policy.Settings{}, ""},
		{"ovf", []int{5, 1}, policy.Settings{}, ""},
		{"twos", []int{5, 1}, policy.Settings{}, ""},
	} {
		s := Service{Service: lvs.Service{ID: lvs.AddrService(lvs.TCP, netip.MustParseAddrPort("192.0.2.10:80")), Scheduler: tt.scheduler}, Policy: tt.policy}
		addr := netip.MustParseAddr("192.0.2.20")
		for _, weight := range tt.weights {
			addr = addr.Next()
			s.Reals = append(s.Reals, Real{Destination: lvs.Destination{Addr: netip.AddrPortFrom(addr, 80), Forward: lvs.Route, Weight: weight}})
		}
		got := ""
		for _, p := range (&Config{Services: []Service{s}}).Validate() {
			got += p.String()
		}
		if got != tt.want {
			t.Errorf("%s %v:\ngot  %s\nwant %s", tt.scheduler, tt.weights, got, tt.want)
		}
	}
}
