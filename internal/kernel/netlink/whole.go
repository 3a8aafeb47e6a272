package netlink

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The first and the longest pause between two attempts to read a dump.
const (
	firstPause   = time.Millisecond
	longestPause = 50 * time.Millisecond
)

// dumpLimit is how long all attempts to read a dump can take if the context has no deadline.
const dumpLimit = 20 * time.Second

// Whole calls the function dump until the kernel does not report the dump as interrupted, or until
// ctx ends. The pause between two calls grows. A dump is interrupted if the objects change between
// two of its datagrams. It can then miss objects, or have some objects twice
// (include/net/netlink.h, nl_dump_check_consistent). The function dump must drop earlier results at
// each call.
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

// wait returns nil after a pause, or the error of ctx if ctx ends first.
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
