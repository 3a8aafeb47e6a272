package config

import (
	"net/netip"
	"testing"

	"lvs-agents/internal/lvs"
)

// TestWeightsThatMhCannotKeep checks which weights cause a warning. A change of a weight by at most
// a twentieth causes no warning.
func TestWeightsThatMhCannotKeep(t *testing.T) {
	const text = "-t 192.0.2.10:80: scheduler mh gives real server "
	for _, tt := range []struct {
		weights []int
		want    string
	}{
		{[]int{1, 2, 63}, ""},
		{[]int{100, 200, 6300}, ""}, // 1, 2, 63
		{[]int{1000, 999}, ""},      // 15, 15
		{[]int{0, 0}, ""},
		{[]int{0, 1000}, ""},
		{[]int{100, 1}, text + "192.0.2.22:80 the weight 2, not 1: it keeps the 6 highest bits of weights; use weights from 1 to 63"},
		{[]int{65535, 1000}, text + "192.0.2.22:80 the weight 1280, not 1000: it keeps the 6 highest bits of weights; use weights from 1 to 63"},
	} {
		s := Service{Service: lvs.Service{
			ID: lvs.AddrService(lvs.TCP, netip.MustParseAddrPort("192.0.2.10:80")), Scheduler: "mh", Flags: lvs.SchedOne | lvs.SchedTwo,
		}}
		addr := netip.MustParseAddr("192.0.2.20")
		for _, weight := range tt.weights {
			addr = addr.Next()
			s.Reals = append(s.Reals, Real{Destination: lvs.Destination{Addr: netip.AddrPortFrom(addr, 80), Forward: lvs.Route, Weight: weight}})
		}
		got := ""
		for _, p := range (&Config{Services: []Service{s}, SloppyTCP: new(bool)}).HashWarnings() {
			got += p.String()
		}
		if got != tt.want {
			t.Errorf("%v:\ngot  %s\nwant %s", tt.weights, got, tt.want)
		}
	}
}

// TestWeightsOfSh checks that a warning names weights above 1. With such weights, a bad server
// moves the slots of others.
func TestWeightsOfSh(t *testing.T) {
	for _, tt := range []struct {
		weights []int
		want    int
	}{
		{[]int{1, 1, 0}, 0},
		{[]int{1, 2}, 1},
		{[]int{3, 3}, 1},
	} {
		s := Service{Service: lvs.Service{
			ID: lvs.AddrService(lvs.UDP, netip.MustParseAddrPort("192.0.2.10:53")), Scheduler: "sh", Flags: lvs.SchedOne,
		}}
		for _, weight := range tt.weights {
			s.Reals = append(s.Reals, Real{Destination: lvs.Destination{Weight: weight}})
		}
		got := (&Config{Services: []Service{s}}).HashWarnings()
		const text = "-u 192.0.2.10:53: scheduler sh gives a server with weight 0 one slot: when a real server is down, clients of other real servers move; use weight 1 for all, or mh"
		if len(got) != tt.want || tt.want == 1 && got[0].String() != text {
			t.Errorf("%v: %v", tt.weights, got)
		}
	}
}
