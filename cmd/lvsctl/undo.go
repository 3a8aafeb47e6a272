package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lvs-agents/crm/cib"
	"lvs-agents/internal/process"
)

type confirmCommand struct{}

// Run keeps the last change.
func (confirmCommand) Run(ctx context.Context, sys system) error {
	last := cib.Last{Dir: sys.dataDir}
	unlock, err := last.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	change, err := last.Load()
	switch {
	case err != nil:
		return err
	case change.Undone:
		return errors.New("the former configuration is already back")
	case !change.Waits():
		return errors.New("no change waits for a confirmation")
	}
	change.Confirmed = true
	if err := last.Save(change); err != nil {
		return err
	}
	fmt.Fprintf(sys.stdout, "the change of %s stays\n", clock(change.Time))
	if err := release(ctx, sys, change.After.Name); err != nil {
		fmt.Fprintf(sys.stderr, "lvsctl: warning: until %s, lvsctl apply on the other directors still waits for this confirmation: %v\n", clock(change.Until), err)
	}
	return nil
}

// release removes the mark from the cluster that a setup needs a confirmation.
func release(ctx context.Context, sys system, setup string) error {
	for n := 0; ; n++ {
		from, err := sys.cluster.Read(ctx)
		if err != nil {
			return err
		}
		if _, waits := from.Waits(setup); !waits {
			return nil
		}
		if err = sys.cluster.Write(ctx, from, from.Confirmed(setup)); err == nil || n == attempts {
			return err
		}
	}
}

type undoCommand struct {
	Force   bool          `help:"Put the resources back even if they have changed since lvsctl apply."`
	WhenDue string        `hidden:"" placeholder:"TIME" help:"Wait until the change of this time is due for a confirmation, as a daemon."`
	Wait    time.Duration `placeholder:"TIME" default:"5m" help:"How long to wait until the cluster has run all actions."`
}

// Run puts the former configuration back.
func (c undoCommand) Run(ctx context.Context, sys system) error {
	if c.WhenDue != "" {
		return c.whenDue(ctx, sys)
	}
	last := cib.Last{Dir: sys.dataDir}
	unlock, err := last.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	change, err := last.Load()
	if err != nil {
		return err
	}
	if change.Undone {
		return errors.New("the former configuration is already back")
	}
	return c.undo(ctx, sys, last, change)
}

// again is how long the daemon waits before it tries again to reach the cluster.
const again = 5 * time.Second

// whenDue waits until a change is due, and puts the former configuration back unless the change was
// confirmed. While the cluster cannot be reached, it tries again.
func (c undoCommand) whenDue(ctx context.Context, sys system) error {
	last := cib.Last{Dir: sys.dataDir}
	change, err := last.Load()
	if err != nil || change.Time.Format(time.RFC3339Nano) != c.WhenDue {
		process.Fail(errors.Join(err, errors.New("the change is not the last one")))
		return errNo
	}
	process.Ready()
	for wait := change.Until.Sub(sys.now()); ; wait = again {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		if ended, err := c.due(ctx, sys, last); ended {
			return err
		}
	}
}

// due undoes the change if it still waits for a confirmation. ended reports whether the daemon can
// end.
func (c undoCommand) due(ctx context.Context, sys system, last cib.Last) (ended bool, err error) {
	unlock, err := last.Lock(ctx)
	if err != nil {
		return true, err
	}
	defer unlock()
	change, err := last.Load()
	if err != nil || change.Time.Format(time.RFC3339Nano) != c.WhenDue || !change.Waits() {
		return true, err
	}
	c.Force = true // Without an operator, the former configuration is the safe one.
	err = c.undo(ctx, sys, last, change)
	change, errLoad := last.Load()
	return errLoad == nil && change.Undone, err
}

func (c undoCommand) undo(ctx context.Context, sys system, last cib.Last, change cib.Change) error {
	from, err := sys.cluster.Read(ctx)
	if err != nil {
		return err
	}
	p, err := propose(from, change.Before)
	if err != nil {
		return err
	}
	now, err := propose(from, change.After)
	if err != nil {
		return err
	}
	if len(p.changes) > 0 && len(now.changes) > 0 && !c.Force {
		return fmt.Errorf("since lvsctl apply, the resources have changed: %s; to put them back anyway, give --force", strings.Join(now.changes, "; "))
	}
	for _, line := range p.changes {
		fmt.Fprintln(sys.stdout, line)
	}
	if len(p.changes) > 0 {
		err = write(ctx, sys, p)
	} else {
		fmt.Fprintln(sys.stdout, "the cluster already has the former configuration")
		err = release(ctx, sys, change.After.Name)
	}
	if err != nil {
		return err
	}
	change.Undone = true
	if err := last.Save(change); err != nil {
		return err
	}
	return settled(ctx, sys, c.Wait)
}
