package policy

import "time"

// Pool has the counts of one service. A director judges itself by them.
type Pool struct {
	Servers int // Servers is the number of servers that were good at the begin of the window.
	Failed  int // Failed is the number of servers that failed since then.
}

// most reports whether most servers of the pool failed.
func (p Pool) most() bool { return 2*p.Failed > p.Servers }

// OwnFault reports whether a director must suspect itself: most services, and at least two, lost
// most of their servers at the same moment. One service alone proves nothing, because its
// servers can have a common fault.
func OwnFault(pools []Pool) bool {
	services, failed := 0, 0
	for _, p := range pools {
		services += one(p.Servers > 0)
		failed += one(p.most())
	}
	return failed >= 2 && 2*failed > services
}

// Window returns the begin of the window. Failures after it count as the same moment. Failures
// during an earlier suspicion do not count again.
func (s Suspicion) Window(now time.Time, reaction time.Duration) time.Time {
	if begin := now.Add(-reaction); begin.After(s.Until) {
		return begin
	}
	return s.Until
}
