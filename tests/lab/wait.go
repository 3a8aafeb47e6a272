package lab

import (
	"testing"
	"time"
)

// slowest is how much longer than its timeout Wait waits on a busy machine.
const slowest = 5

// Wait calls check until it returns nil; after the timeout it fails the test with the last error. what
// names the thing that is waited for. Polling takes at most a third of the time: the guest has one CPU,
// and what is waited for needs it.
//
// On a busy machine each poll takes longer, as does what is waited for. So Wait makes at least one
// poll for each second of the timeout before it fails, in at most five times the timeout.
func Wait(tb testing.TB, timeout time.Duration, what string, check func() error) {
	tb.Helper()
	began := time.Now()
	for polls := 1; ; polls++ {
		asked := time.Now()
		err := check()
		if err == nil {
			return
		}
		if expired(timeout, time.Since(began), polls) {
			tb.Fatalf("%s: not within %v, %d polls in %v: %v", what, timeout, polls, time.Since(began).Round(time.Second), err)
		}
		<-time.After(max(100*time.Millisecond, 2*time.Since(asked)))
	}
}

// expired reports whether so many polls in so long are enough.
func expired(timeout, took time.Duration, polls int) bool {
	return took > slowest*timeout || took > timeout && polls >= int(timeout/time.Second)
}
