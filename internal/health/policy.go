package health

import (
	"net/netip"

	"lvs-agents/internal/lvs"
)

// wanted is the service that verdicts ask for. found is its destinations as the
// daemon found them: a server without a verdict stays in if it was in there, and
// out if it was not.
func (s Service) wanted(verdict func(Real) Verdict, found []lvs.Destination) lvs.VirtualService {
	weights := make(map[netip.AddrPort]int, len(found))
	for _, d := range found {
		weights[d.Addr] = d.Weight
	}
	v := lvs.VirtualService{Service: s.Service}
	serving := false
	for _, real := range s.Reals {
		d := real.Destination
		weight, present := weights[d.Addr]
		in := verdict(real) == Good || verdict(real) == Unknown && weight > 0
		serving = serving || in
		// Without a verdict a server stays as it was found: one with weight 0
		// keeps its connections, also with quiescent=no.
		if !in && (!present && verdict(real) == Unknown || !s.Quiescent && verdict(real) == Bad) {
			continue
		}
		if !in {
			d.Weight = 0
		}
		v.Destinations = append(v.Destinations, d)
	}
	if s.Fallback != nil && !serving {
		v.Destinations = append(v.Destinations, *s.Fallback)
	}
	return v
}
