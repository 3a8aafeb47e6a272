package netlink

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pauses between two attempts at a dump: the first and the longest.
const (
	firstPause   = time.Millisecond
	longestPause = 50 * time.Millisecond
)

// dumpLimit bounds the attempts at a dump for a context without a deadline.
const dumpLimit = 20 * time.Second

// Whole calls dump until the kernel does not call the dump interrupted, with a
// pause that grows, until ctx ends. A dump is interrupted when the objects change
// between two datagrams of it; some can be missing then, or be there twice (Linux,
// include/net/netlink.h, nl_dump_check_consistent). dump must begin again each time.
func Whole(ctx context.Context, dump func() error) error {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, dumpLimit)
		defer cancel()
	}
	pause := firstPause
	for interrupted := 0; ; {
		err := dump()
		if errors.Is(err, ErrDumpInterrupted) {
			interrupted++
			err = wait(ctx, pause)
			pause = min(2*pause, longestPause)
			if err == nil {
				continue
			}
		}
		if err != nil && interrupted > 0 && ctx.Err() != nil {
			return fmt.Errorf("the list keeps changing and the kernel interrupted %d dumps: %w", interrupted, ctx.Err())
		}
		return err
	}
}

// wait returns after a pause, and with the error of ctx when that ends.
func wait(ctx context.Context, pause time.Duration) error {
	end := time.NewTimer(pause)
	defer end.Stop()
	select {
	case <-end.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
