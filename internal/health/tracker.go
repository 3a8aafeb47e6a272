package health

import (
	"cmp"
	"time"

	"lvs-agents/internal/policy"
)

// Verdict is the result of the last checks of a real server.
type Verdict = policy.Verdict

// The verdicts. While the verdict is Unknown, the daemon does not add, remove or quiesce the
// server, unless the policy of the service decides otherwise.
const (
	Unknown = policy.Unknown
	Good    = policy.Good
	Bad     = policy.Bad
)

// tracker turns the results of one probe into a verdict. The first success makes an unknown server
// good. A bad server becomes good after rise successes in a row. A server becomes bad after fall
// failures in a row.
type tracker struct {
	fall     int
	rise     int // rise is how many successes in a row make a bad server good. 0 means 1.
	good     int // good is how many checks in a row have succeeded.
	failures int // failures is how many checks in a row have failed.
	verdict  Verdict
	since    time.Time     // since is the time when the present verdict began.
	lasted   time.Duration // lasted is how long the previous verdict lasted.
	// checked is the time of the last result. It is zero before the first result.
	checked time.Time
	reason  string // reason is the reason of the last failure. It is empty after a success.
	// steady, fast and down are the intervals between checks. fast applies while the last results
	// contradict the verdict, but are too few to change it.
	steady, fast, down time.Duration
	history            history
	says               policy.Says // says is what the server says about itself in replies to the probe.
}

func newTracker(p Probe) *tracker {
	t := &tracker{
		fall: max(1, p.Fall), rise: p.Rise, since: time.Now(),
		steady: p.Interval, fast: cmp.Or(p.FastInterval, p.Interval), down: cmp.Or(p.DownInterval, p.Interval),
	}
	if p.fixed() {
		t.verdict = Good
		if p.Type == "off" {
			t.verdict, t.reason = Bad, "checktype=off"
		}
	}
	return t
}

// interval returns the time until the next check.
func (t *tracker) interval() time.Duration {
	switch {
	case t.verdict == Bad && t.good == 0:
		return t.down
	case t.verdict == Bad, t.failures > 0:
		return t.fast
	}
	return t.steady
}

// record adds the result of a check, and reports whether the verdict changed.
func (t *tracker) record(now time.Time, err error) bool {
	before := t.verdict
	t.checked, t.reason = now, ""
	if err == nil {
		t.failures = 0
		t.good++
		if before != Bad || t.good >= t.rise {
			t.verdict = Good
		}
	} else {
		t.good = 0
		t.reason = err.Error()
		t.failures++
		if t.failures >= t.fall {
			t.verdict = Bad
		}
	}
	if t.verdict == before {
		return false
	}
	t.since, t.lasted = now, now.Sub(t.since)
	return true
}
