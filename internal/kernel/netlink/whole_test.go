package netlink

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vishvananda/netlink/nl"
)

func TestWholeDump(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name string
		// interrupted is the number of interrupted dumps. -1 means that all dumps are interrupted.
		interrupted int
		then        error
		// limit is the time until the deadline of the context. Zero means no deadline.
		limit time.Duration
		want  string
		calls int
		took  time.Duration
	}{
		{"at once", 0, nil, 0, "<nil>", 1, 0},
		{"the fourth", 3, nil, 0, "<nil>", 4, 7 * time.Millisecond},
		{"after many", 30, nil, 5 * time.Second, "<nil>", 31, 1263 * time.Millisecond},
		{"another error", 1, broken, 0, "broken", 2, time.Millisecond},
		{"never", -1, nil, 60 * time.Millisecond, "the list keeps changing and the kernel interrupted 6 dumps: context deadline exceeded", 6, 60 * time.Millisecond},
		{"never, without a deadline", -1, nil, 0, "the list keeps changing and the kernel interrupted 405 dumps: context deadline exceeded", 405, dumpLimit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.limit > 0 {
					limited, cancel := context.WithTimeout(ctx, tt.limit)
					defer cancel()
					ctx = limited
				}
				began, calls := time.Now(), 0
				err := Whole(ctx, func() error {
					if calls++; tt.interrupted < 0 || calls <= tt.interrupted {
						return fmt.Errorf("dump: %w", nl.ErrDumpInterrupted)
					}
					return tt.then
				})
				if got := fmt.Sprint(err); got != tt.want || calls != tt.calls || time.Since(began) != tt.took {
					t.Errorf("got %s after %d calls in %s, want %s after %d in %s", got, calls, time.Since(began), tt.want, tt.calls, tt.took)
				}
			})
		})
	}
}

func TestDeadlineDuringARepeatedDump(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := Whole(ctx, func() error {
		if calls++; calls == 1 {
			return ErrDumpInterrupted
		}
		cancel()
		return ctx.Err()
	})
	if want := "the list keeps changing and the kernel interrupted 1 dumps: context canceled"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
