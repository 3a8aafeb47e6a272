package check

import "context"

// Combined asks with Full once and then Times times with Cheap. A failed Cheap
// makes the next check a Full one; a failed Full is repeated. It must not be run
// by two goroutines at once.
type Combined struct {
	Full, Cheap Checker
	Times       int

	left int // cheap checks until the next full one
}

// Check runs the check whose turn it is.
func (c *Combined) Check(ctx context.Context) error {
	if c.left > 0 {
		c.left--
		err := c.Cheap.Check(ctx)
		if err != nil {
			c.left = 0
		}
		return err
	}
	err := c.Full.Check(ctx)
	if err == nil {
		c.left = c.Times
	}
	return err
}
