package lab

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Wait calls check until it returns nil. After the timeout it fails the test with the last error.
// what names the awaited event. The calls of check take at most a third of the time: the guest has
// one CPU, and the awaited process needs it. The timeout is for an idle machine, see slowTimeout.
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

// slowTimeout is a timeout that grows with the load of the machine. If the machine starts programs
// n times slower than an idle one, the timeout is n times longer.
type slowTimeout struct {
	timeout  time.Duration
	slowness func() float64 // called when a timeout has passed
	factor   float64        // the last result of slowness; 0 before the first
}

// slowest limits the factor, so that a failing test ends.
const slowest = 10

// ends reports whether a wait has taken too long.
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

// slowness returns how many times slower than an idle machine this machine starts a program. An
// idle machine takes 1 to 2 ms, a guest 12 to 46 ms.
func slowness() float64 {
	rest := 3 * time.Millisecond
	if cpu, err := os.ReadFile("/proc/cpuinfo"); err == nil && bytes.Contains(cpu, []byte("User Mode Linux")) {
		rest = 50 * time.Millisecond
	}
	const starts = 5
	began := time.Now()
	for range starts {
		_ = exec.Command("true").Run() // only its time counts
	}
	return float64(time.Since(began)) / float64(starts*rest)
}
