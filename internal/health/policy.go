package health

import (
	"net/netip"
	"slices"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

// out is the weight of a real server that is not in the table.
const out = -1

// weight returns the weight of a real server that follows from its verdict, and whether it serves.
// found is its weight when the daemon started. Without a verdict, a server stays in the table or
// out of it. A server that was found with weight 0 keeps it and its connections, even with
// quiescent=no. With checktype=off no check runs, so a server that was out stays out, even with
// quiescent=yes.
func (s Service) weight(real Real, v Verdict, found int) (weight int, serving bool) {
	unasked := v == Unknown || slices.ContainsFunc(real.Probes, func(p Probe) bool { return p.Type == config.Off })
	switch {
	case v == Good || v == Unknown && found > 0:
		return real.Weight, true
	case unasked && found == out, v == Bad && !s.Quiescent:
		return out, false
	}
	return 0, false
}

// standing is the state of a service that follows from the verdicts on its real servers. A new
// verdict changes one seat, so that its cost does not depend on the number of real servers.
type standing struct {
	reals         []seat                 // in the order of the configuration
	index         map[netip.AddrPort]int // of reals
	good, unknown int                    // how many there are
	serving       int                    // real servers; with none the fallback serves
}

// seat is one real server.
type seat struct {
	verdict Verdict
	weight  int // out for none
	serving bool
	found   int // its weight in the table that the daemon found; out for none
}

// stand returns the standing of a service. found is the destinations that the daemon found.
func (s Service) stand(verdict func(Real) Verdict, found []lvs.Destination) *standing {
	weights := make(map[netip.AddrPort]int, len(found))
	for _, d := range found {
		weights[d.Addr] = d.Weight
	}
	st := &standing{reals: make([]seat, len(s.Reals)), index: make(map[netip.AddrPort]int, len(s.Reals))}
	for i, real := range s.Reals {
		st.index[real.Addr] = i
		st.reals[i].found = out
		if weight, present := weights[real.Addr]; present {
			st.reals[i].found = weight
		}
		st.unknown++ // set takes it off again
		st.set(s, i, verdict(real))
	}
	return st
}

// set applies a verdict on a real server.
func (st *standing) set(s Service, i int, v Verdict) {
	before := st.reals[i]
	after := seat{verdict: v, found: before.found}
	after.weight, after.serving = s.weight(s.Reals[i], v, before.found)
	st.reals[i] = after
	st.good += one(v == Good) - one(before.verdict == Good)
	st.unknown += one(v == Unknown) - one(before.verdict == Unknown)
	st.serving += one(after.serving) - one(before.serving)
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// wanted returns the service that follows from a standing, with all its real servers or with some
// of them.
func (s Service) wanted(st *standing, some ...int) lvs.VirtualService {
	v := lvs.VirtualService{Service: s.Service}
	add := func(i int) {
		if d := s.Reals[i].Destination; st.reals[i].weight != out {
			d.Weight = st.reals[i].weight
			v.Destinations = append(v.Destinations, d)
		}
	}
	for _, i := range some {
		add(i)
	}
	if some == nil {
		for i := range s.Reals {
			add(i)
		}
	}
	if st.serving == 0 {
		v.Destinations = append(v.Destinations, s.Fallbacks...)
	}
	return v
}
