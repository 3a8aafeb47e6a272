package lab

import (
	"testing"
	"time"
)

// Wait calls check until it returns nil; after the timeout it fails the test with the last error. what
// names the thing that is waited for. Polling takes at most a third of the time: the guest has one CPU,
// and what is waited for needs it.
func Wait(tb testing.TB, timeout time.Duration, what string, check func() error) {
	tb.Helper()
	began := time.Now()
	for {
		asked := time.Now()
		err := check()
		if err == nil {
			return
		}
		if time.Since(began) > timeout {
			tb.Fatalf("%s: not within %v: %v", what, timeout, err)
		}
		<-time.After(max(100*time.Millisecond, 2*time.Since(asked)))
	}
}
