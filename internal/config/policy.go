package config

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// MaxTier is the last tier that a real server can have.
const MaxTier = 15

// PolicyFaults returns the contradictions in the policy of a service. Without real servers, it
// returns only the contradictions that do not depend on them.
func (s Service) PolicyFaults() (found []fault.Fault) {
	p := s.Policy
	refuse := func(is bool, fix, format string, args ...any) {
		if is {
			found = append(found, fault.New(fmt.Sprintf(format, args...), fix))
		}
	}
	weights, servers, complete := s.sum()
	refuse(complete && p.Quorum > weights, "write a smaller quorum, or larger weights",
		"quorum %d is above %d, the sum of the weights of %s", p.Quorum, weights, s.Name())
	refuse(p.Hysteresis > 0 && p.Quorum == 0, "add quorum=NUMBER, or delete hysteresis", "hysteresis of %s has no effect without quorum", s.Name())
	refuse(p.Quorum > 0 && p.Hysteresis >= p.Quorum, "write a hysteresis below the quorum",
		"hysteresis %d of %s is not below quorum %d, so the quorum could not be lost", p.Hysteresis, s.Name(), p.Quorum)
	refuse(complete && p.Quorum <= weights && p.Hysteresis > 0 && p.Quorum+p.Hysteresis > weights, "write a smaller hysteresis",
		"quorum %d and hysteresis %d are together above %d, the sum of the weights of %s, so the quorum could not be gained again", p.Quorum, p.Hysteresis, weights, s.Name())
	refuse(complete && p.MinCount > servers, "write a smaller number", "minimum_healthy %d is above the number of real servers of %s, %d", p.MinCount, s.Name(), servers)
	refuse(p.SlowStart == 0 && p.Aggression+p.Floor > 0, "add slowstart=SECONDS", "slowstart_aggression and slowstart_minimum of %s have no effect without slowstart", s.Name())
	refuse(p.SlowStart > 0 && s.Scheduler == "mh", "delete slowstart, or choose another scheduler",
		"slowstart of %s with the scheduler mh would move open connections, because each weight has another hash table", s.Name())
	shortest := s.shortestInterval()
	refuse(shortest > 0 && p.SlowStart > 1000*shortest, "write a shorter slowstart", "slowstart %s of %s is longer than 1000 times checkinterval %s", p.SlowStart, s.Name(), shortest)
	c := s.uneven()
	refuse(c.FastInterval > c.Interval, "write a shorter fastinter", "fastinter %s of %s is longer than checkinterval %s", c.FastInterval, s.Name(), c.Interval)
	refuse(c.FastInterval > 0 && c.FastInterval <= c.Interval, "write a shorter fastinter or a longer downinter",
		"fastinter %s of %s is longer than downinter %s, so the first good check would delay the next one", c.FastInterval, s.Name(), c.DownInterval)
	refuse(s.Observe && s.ID.Protocol == lvs.UDP, "write observe=no", "observe=connections of %s has no effect: the kernel counts no active connections of UDP", s.Name())
	refuse(p.EjectPercent == 0 && (p.EjectWindow > 0 || p.EjectJitter > 0), "add max_ejection_percent=NUMBER", "ejection_window and ejection_jitter of %s have no effect without max_ejection_percent", s.Name())
	refuse(p.EjectWindow == 0 && p.EjectJitter > 0 && p.EjectPercent > 0, "add ejection_window=SECONDS", "ejection_jitter of %s has no effect without ejection_window", s.Name())
	for tier := range s.lastTier() {
		refuse(!slices.ContainsFunc(s.Reals, func(r Real) bool { return r.Tier == tier }), "number the tiers from 0 without a gap",
			"%s has real servers in tier %d, and none in tier %d", s.Name(), s.lastTier(), tier)
	}
	return append(found, s.markedDownFaults()...)
}

// markedDownFaults returns the contradictions between MarkedDown and the other settings.
func (s Service) markedDownFaults() (found []fault.Fault) {
	m := s.MarkedDown
	if m == "" {
		return nil
	}
	name := fmt.Sprintf("on_marked_down=%s", m)
	if s.Host != "" || s.ID != (lvs.ServiceID{}) { // The parameters of a resource are also validated without a service.
		name += " of " + s.Name()
	}
	if s.Quiescent != (m == Keep) {
		word := map[bool]string{true: "yes", false: "no"}[s.Quiescent]
		found = append(found, fault.New(name+" contradicts quiescent="+word, "delete the line quiescent"))
	}
	if m.Ends() && s.FallsBack() {
		found = append(found, fault.New(fmt.Sprintf("%s has no effect with %s-fallback, because real servers that are down stay in the hash table", name, s.Scheduler),
			"delete the line on_marked_down, or choose another scheduler"))
	}
	if m == Reset && (s.ID.Protocol == lvs.UDP || s.ID.Protocol == lvs.SCTP) {
		found = append(found, fault.New(name+" has no effect: only TCP has a reset", "write on_marked_down=expire"))
	}
	return found
}

// sum returns the sum of weights and the number of real servers. complete is false without real
// servers, and with a range of host names, whose number is unknown.
func (s Service) sum() (weights, servers int, complete bool) {
	for _, r := range s.Reals {
		if r.Last != "" {
			return weights, servers, false
		}
		weights, servers = weights+r.Weight, servers+1
	}
	return weights, servers, len(s.Reals) > 0
}

func (s Service) lastTier() (last int) {
	for _, r := range s.Reals {
		last = max(last, r.Tier)
	}
	return last
}

// uneven returns the first check whose FastInterval is longer than another interval, or no check.
func (s Service) uneven() Check {
	for _, r := range s.Reals {
		for _, c := range r.Checks {
			if c.FastInterval > min(c.Interval, cmp.Or(c.DownInterval, c.Interval)) {
				return c
			}
		}
	}
	return Check{}
}

// shortestInterval returns the shortest interval of the checks of a service, or 0 without a check.
func (s Service) shortestInterval() (shortest time.Duration) {
	for _, r := range s.Reals {
		for _, c := range r.Checks {
			if shortest == 0 || c.Interval > 0 && c.Interval < shortest {
				shortest = c.Interval
			}
		}
	}
	return shortest
}
