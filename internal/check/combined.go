package check

import (
	"context"
	"sync"
	"time"
)

// Combined runs one full check, then Times cheap checks, and then starts again with a full check.
// After a failure, the next check is a full check. Full and cheap checks have separate time limits.
type Combined struct {
	Full, Cheap               Checker
	Times                     int
	FullTimeout, CheapTimeout time.Duration

	mu   sync.Mutex
	left int // left is the number of cheap checks before the next full check.
}

// Check runs the full check or the cheap check, with the time limit of that check.
func (c *Combined) Check(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	checker, timeout, left := c.Full, c.FullTimeout, c.Times
	if c.left > 0 {
		checker, timeout, left = c.Cheap, c.CheapTimeout, c.left-1
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := checker.Check(limited)
	if err != nil {
		left = 0
	}
	c.left = left
	return err
}
