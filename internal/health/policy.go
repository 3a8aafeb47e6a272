package health

import (
	"net/netip"
	"slices"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/policy"
)

// out is the weight that the daemon uses for a real server that the IPVS table does not have.
const out = policy.Out

// weight returns the weight that a real server must have because of its verdict, and whether the
// server serves. found is the weight that the real server had when the daemon adopted the service,
// or out. While the verdict is unknown, the daemon does not add the server to the table and does
// not remove it. In this time, a server that was found with weight 0 keeps this weight and its
// connections, even with quiescent=no. With checktype=off no check runs. So a server that was not
// in the table stays out of it, even with quiescent=yes.
//
// If the scheduler can choose another server for the clients of a bad server, the bad server stays
// in the table even with quiescent=no. An exception is a hash table without slots for all servers.
// Its removal would change the hash table, so that open connections break when another director
// takes over.
func (s Service) weight(real Real, v Verdict, found int) (weight int, serving bool) {
	unasked := v == Unknown || slices.ContainsFunc(real.Probes, func(p Probe) bool { return p.Type == config.Off })
	switch {
	case v == Good || v == Unknown && found > 0:
		return real.Weight, true
	case unasked && found == out, v == Bad && !s.stays():
		return out, false
	}
	return 0, false
}

// stays reports whether a real server that is down stays in the table with weight 0.
func (s Service) stays() bool { return s.Quiescent || s.FallsBack() && s.allHaveSlots() }

// allHaveSlots reports whether the hash table has a slot for every real server and fallback. Only
// sh can lack slots: it has 256, and a bad server occupies one. If bad servers occupied all of
// them, the kernel would refuse every client.
func (s Service) allHaveSlots() bool {
	const slots = 256
	return s.Scheduler != "sh" || len(s.Reals)+len(s.Fallbacks) <= slots
}

// standing is the state of a service that follows from the verdicts on its real servers. A new
// verdict changes one seat. So the cost of a verdict does not depend on the number of real servers.
type standing struct {
	// reals has one seat for each real server, in the order of the configuration.
	reals []seat
	index map[netip.AddrPort]int // index has the index in reals by the address of the real server.
	// good and unknown are the numbers of real servers with these verdicts.
	good, unknown int
	// serving is the number of real servers that serve. If it is 0, the fallbacks serve.
	serving int

	// rules are the rules of a service with more policy than the verdicts. Nil means none. Then
	// places, short and next are not set.
	rules  *policy.Service
	places []policy.Place // places has the last decision for each real server.
	short  bool           // short says that the last decision found too few good real servers.
	next   time.Time      // next is when the decision can change without a verdict. Zero means never.
}

// seat is the state of one real server in a standing.
type seat struct {
	verdict Verdict
	// weight is the wanted weight in the IPVS table, or out if the table must not have the server.
	weight  int
	serving bool
	// found is the weight in the table that the daemon found, or out if the server was not there.
	found int
}

// stand returns the standing of a service. found is the destinations of the service in the table
// that the daemon found.
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
		st.unknown++ // The function set subtracts 1 again, because the seat begins as unknown.
		st.set(s, i, verdict(real))
	}
	return st
}

// set stores a verdict on the real server with index i, and updates the counts.
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

// wanted returns the service that the kernel must have because of a standing. It contains all real
// servers, or only those with the indexes in some.
func (s Service) wanted(st *standing, some ...int) lvs.VirtualService {
	v := lvs.VirtualService{Service: s.Service}
	add := func(i int) {
		if d := s.Reals[i].Destination; st.reals[i].weight != out {
			d.Weight, d.HashWeight = st.reals[i].weight, d.Weight
			if i < len(st.places) {
				lower(&d, st.places[i].MaxConn)
			}
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

// lower lowers the thresholds of a destination to the number of connections that the server wants
// at most. The kernel refuses a lower threshold above the upper one.
func lower(d *lvs.Destination, most int) {
	if most == 0 || d.Upper != 0 && int(d.Upper) <= most {
		return
	}
	d.Upper = uint32(min(most, lvs.MaxThreshold))
	d.Lower = min(d.Lower, d.Upper)
}
