package health

import "time"

// Verdict is the result of the last checks of a real server.
type Verdict uint8

// The verdicts. Unknown leaves a server as it is.
const (
	Unknown Verdict = iota
	Good
	Bad
)

// String returns "unknown", "good" or "bad".
func (v Verdict) String() string { return [...]string{"unknown", "good", "bad"}[v] }

// tracker turns the results of one probe into a verdict. The first success
// makes an unknown server good. A bad server needs rise successes in a row. fall failures in a row
// make a server bad.
type tracker struct {
	fall     int
	rise     int // 0 is 1
	good     int // successes in a row
	failures int // in a row
	verdict  Verdict
	since    time.Time     // of the verdict
	lasted   time.Duration // how long the verdict before it lasted
	checked  time.Time     // of the last result; zero for none
	reason   string        // of the last failure; empty after a success
}

func newTracker(p Probe) *tracker {
	t := &tracker{fall: max(1, p.Fall), rise: p.Rise, since: time.Now()}
	if p.fixed() {
		t.verdict = Good
		if p.Type == "off" {
			t.verdict, t.reason = Bad, "checktype=off"
		}
	}
	return t
}

// record applies a result, and reports whether the verdict changed.
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
