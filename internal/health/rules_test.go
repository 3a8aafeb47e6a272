package health

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/policy"
)

// TestEmptyPolicyDecidesAsTheVerdicts compares package policy with the rules for a service without
// a policy.
func TestEmptyPolicyDecidesAsTheVerdicts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Service{Quiescent: rapid.Bool().Draw(t, "quiescent")}
		s.Scheduler = lvs.Scheduler(rapid.SampledFrom([]string{"wrr", "mh"}).Draw(t, "scheduler"))
		s.Flags = s.Scheduler.Fallback()
		var found []lvs.Destination
		var seen []policy.Seen
		verdicts := map[string]Verdict{}
		for i := range rapid.IntRange(1, 4).Draw(t, "servers") {
			d := lvs.Destination{Addr: addrPort(i), Weight: rapid.IntRange(0, 2).Draw(t, "weight")}
			r := Real{Destination: d}
			if rapid.IntRange(0, 4).Draw(t, "off") == 0 {
				r.Probes = []Probe{{Check: config.Check{Type: config.Off}}}
			}
			s.Reals = append(s.Reals, r)
			was := rapid.IntRange(out, 2).Draw(t, "found")
			if was != out {
				found = append(found, lvs.Destination{Addr: d.Addr, Weight: was})
			}
			v := Verdict(rapid.IntRange(0, 2).Draw(t, "verdict"))
			verdicts[d.Addr.String()] = v
			seen = append(seen, policy.Seen{Verdict: v, Found: was})
		}
		st := s.stand(func(r Real) Verdict { return verdicts[r.Addr.String()] }, found)
		d, _ := s.rules().Decide(policy.Input{Servers: seen, Starting: rapid.Bool().Draw(t, "starting")}, policy.Memory{})
		for i, p := range d.Servers {
			if p.Weight != st.reals[i].weight || p.Serving != st.reals[i].serving {
				t.Fatalf("server %d: %d, serving %t, because %s; want %d, %t", i, p.Weight, p.Serving, p.Reason, st.reals[i].weight, st.reals[i].serving)
			}
		}
		if d.Fallback != (st.serving == 0) || slices.Contains(d.Alerts, policy.CapReached) {
			t.Fatalf("fallback %t, alerts %v", d.Fallback, d.Alerts)
		}
	})
}

func addrPort(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(21 + n)}), 80)
}
