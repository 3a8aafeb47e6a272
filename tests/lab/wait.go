package lab

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Wait calls check until check returns nil. If the timeout passes before that, Wait fails the test
// with the last error of check. what names the event in that message. Wait pauses between two calls
// of check, so that the calls use at most a third of the time. The guest has only one CPU, and the
// event usually needs it. The timeout is for an idle test host. On a busy test host, slowTimeout
// makes it longer.
func Wait(tb testing.TB, timeout time.Duration, what string, check func() error) {
	tb.Helper()
	began, p := time.Now(), slowTimeout{timeout: timeout, slowness: slowness}
	for {
		asked := time.Now()
		err := check()
		if err == nil {
			return
		}
		if p.ends(time.Since(began)) {
			tb.Fatalf("%s: not within %v: %v", what, p, err)
		}
		<-time.After(max(100*time.Millisecond, 2*time.Since(asked)))
	}
}

// slowTimeout is a timeout that grows with the load of the test host. If the test host starts a
// program n times slower than an idle host does, the timeout is n times longer.
type slowTimeout struct {
	timeout  time.Duration
	slowness func() float64 // measures the load of the test host; called only after the timeout has passed
	factor   float64        // last result of slowness; 0 before the first call of slowness
}

// slowest is the largest factor of a slowTimeout. The limit makes sure that a failing test ends.
const slowest = 10

// ends reports whether a wait that began took ago must end, because the timeout has passed.
func (p *slowTimeout) ends(took time.Duration) bool {
	if took <= p.limit() {
		return false
	}
	p.factor = max(p.factor, min(p.slowness(), slowest))
	return took > p.limit()
}

func (p *slowTimeout) limit() time.Duration {
	return time.Duration(float64(p.timeout) * max(1, p.factor))
}

// String returns the length of the timeout.
func (p slowTimeout) String() string {
	text := p.limit().Round(time.Second / 10).String()
	if p.factor > 1 {
		text += " on a busy machine, at rest " + p.timeout.String()
	}
	return text
}

// slowness measures how long the test host takes to start a program, and returns the ratio to an
// idle host. An idle host takes 1 to 2 ms, a guest 12 to 46 ms.
func slowness() float64 {
	rest := 3 * time.Millisecond
	if cpu, err := os.ReadFile("/proc/cpuinfo"); err == nil && bytes.Contains(cpu, []byte("User Mode Linux")) {
		rest = 50 * time.Millisecond
	}
	const starts = 5
	began := time.Now()
	for range starts {
		_ = exec.Command("true").Run() // only the duration matters
	}
	return float64(time.Since(began)) / float64(starts*rest)
}
