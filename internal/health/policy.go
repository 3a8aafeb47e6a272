package health

import (
	"net/netip"

	"lvs-agents/internal/lvs"
)

// Wanted is the table that verdicts ask for. adopted is the table that the
// daemon found: a server without a verdict stays in if it was in there, and out
// if it was not.
func Wanted(s Setup, verdict func(Probe) Verdict, adopted lvs.Table) lvs.Table {
	table := make(lvs.Table, 0, len(s.Services))
	for _, service := range s.Services {
		found, _ := adopted.Lookup(service.ID)
		table = append(table, service.wanted(verdict, found.Destinations))
	}
	return table
}

func (s Service) wanted(verdict func(Probe) Verdict, found []lvs.Destination) lvs.VirtualService {
	weights := make(map[netip.AddrPort]int, len(found))
	for _, d := range found {
		weights[d.Addr] = d.Weight
	}
	v := lvs.VirtualService{Service: s.Service}
	serving := false
	for _, real := range s.Reals {
		d := real.Destination
		weight, present := weights[d.Addr]
		in := verdict(real.Probe) == Good || verdict(real.Probe) == Unknown && weight > 0
		serving = serving || in
		// A server that was found with weight 0 keeps its connections until
		// there is a verdict, also with quiescent=no.
		if !in && !s.Quiescent && (verdict(real.Probe) != Unknown || !present) {
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
