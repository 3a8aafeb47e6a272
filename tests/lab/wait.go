package lab

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Wait calls check until it returns nil; after the timeout it fails the test with the last error. what
// names the thing that is waited for. Polling takes at most a third of the time: the guest has one CPU,
// and what is waited for needs it. The timeout is that of a machine at rest, see patience.
func Wait(tb testing.TB, timeout time.Duration, what string, check func() error) {
	tb.Helper()
	began, p := time.Now(), patience{timeout: timeout, slowness: slowness}
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

// patience is a timeout that follows the machine: where that starts programs so many times slower than at
// rest, what is waited for has so many times the timeout.
type patience struct {
	timeout  time.Duration
	slowness func() float64 // measured when a timeout has passed
	factor   float64        // measured last; 0 for not yet
}

// slowest bounds the factor: a test that fails ends at some time.
const slowest = 10

// ends reports whether a wait has taken too long.
func (p *patience) ends(took time.Duration) bool {
	if took <= p.limit() {
		return false
	}
	p.factor = max(p.factor, min(p.slowness(), slowest))
	return took > p.limit()
}

func (p *patience) limit() time.Duration { return time.Duration(float64(p.timeout) * max(1, p.factor)) }

// String says how long it was.
func (p patience) String() string {
	text := p.limit().Round(time.Second / 10).String()
	if p.factor > 1 {
		text += " on a busy machine, at rest " + p.timeout.String()
	}
	return text
}

// slowness is how many times slower than at rest this machine starts a program. A start takes 1 to 2 ms at
// rest, in a guest 12 to 46 ms.
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
