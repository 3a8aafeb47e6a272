package directord

import (
	"context"
	"sync"
	"time"
)

// lastAlertTimeout is how long the daemon can send the last mail and the last posts after it has
// ended.
const lastAlertTimeout = 5 * time.Second

// deliver starts goroutines that send alerts. The returned function makes them send the alerts that
// still wait, and returns when they have ended, or when the time limit has passed.
func deliver(senders ...func(ctx context.Context, last time.Duration)) (stop func()) {
	ctx, finish := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, send := range senders {
		all.Go(func() { send(ctx, lastAlertTimeout) })
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		all.Wait()
	}()
	return func() {
		finish()
		select {
		case <-ended:
		// A goroutine has not ended in time, although its context has ended.
		case <-time.After(lastAlertTimeout + 2*time.Second):
		}
	}
}
