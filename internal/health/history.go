package health

import (
	"time"

	"lvs-agents/internal/check"
)

// kept is how many past checks of a probe the daemon remembers.
const kept = 5

// pastCheck is one check that has ended.
type pastCheck struct {
	at     time.Time // at is the end of the check.
	trace  check.Trace
	reason string // reason is the reason of a failure. It is empty after a success.
	hint   bool   // hint says that the check came from a hint.
}

// history has the last checks of a probe. The newest check is at index latest.
type history struct {
	checks []pastCheck
	latest int
}

// add stores the result of a check in place of the oldest check. A text that repeats the text of
// the check before uses no more memory.
func (h *history) add(r result) {
	c := pastCheck{at: r.at, trace: r.trace, hint: r.hint}
	if r.err != nil {
		c.reason = r.err.Error()
	}
	if h.checks == nil {
		h.checks = make([]pastCheck, 0, kept)
	}
	if len(h.checks) > 0 {
		before := h.checks[h.latest]
		c.reason = reused(c.reason, before.reason)
		c.trace.Reply = reused(c.trace.Reply, before.trace.Reply)
	}
	if len(h.checks) < kept {
		h.latest = len(h.checks)
		h.checks = append(h.checks, c)
		return
	}
	h.latest = (h.latest + 1) % kept
	h.checks[h.latest] = c
}

// newest returns the last n checks, the newest first.
func (h *history) newest(n int) []pastCheck {
	n = min(n, len(h.checks))
	last := make([]pastCheck, 0, n)
	for i := range n {
		last = append(last, h.checks[(h.latest-i+len(h.checks))%len(h.checks)])
	}
	return last
}

// reused returns before if both texts are equal, so that they use the same memory.
func reused(text, before string) string {
	if text == before {
		return before
	}
	return text
}
