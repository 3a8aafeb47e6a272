package check

import (
	"context"
	"sync"
)

// Combined runs one full check, then Times cheap ones, and a full one
// again after each that failed.
type Combined struct {
	Full, Cheap Checker
	Times       int

	mu   sync.Mutex
	left int // cheap checks until the next full one
}

// Check implements Checker.
func (c *Combined) Check(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	checker, left := c.Full, c.Times
	if c.left > 0 {
		checker, left = c.Cheap, c.left-1
	}
	err := checker.Check(ctx)
	if err != nil {
		left = 0
	}
	c.left = left
	return err
}
