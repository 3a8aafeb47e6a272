package link

import (
	"context"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	files "lvs-agents/internal/state"
)

// lockWait is how long a change waits for the lock. It then continues without the lock: a
// race with another agent does less harm than a stop that fails.
const lockWait = 2 * time.Second

// locked runs f while no other agent adds or deletes addresses. An address that came
// between the list and the deletion of the first one of its subnet would be deleted too.
// Before, it repairs what a killed process left.
func (k *Kernel) locked(ctx context.Context, f func(promotion) error) error {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	release, held := k.lock(ctx)
	defer release()
	p := promotion{note: k.note(), alone: held}
	p.restore()
	return f(p)
}

// tidy repairs what a killed process left, unless another process has the lock.
func (k *Kernel) tidy() {
	if unix.Access(k.note(), unix.F_OK) != nil {
		return
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	release, held := k.lock(now)
	defer release()
	promotion{note: k.note(), alone: held}.restore()
}

func (k *Kernel) note() string { return filepath.Join(k.lockDir, "promoting") }

// lock waits for the lock until ctx is done and reports whether it is held. The
// returned function gives it back. The file is root's: the sysctl itself can be
// locked by every user who can read it.
func (k *Kernel) lock(ctx context.Context) (release func(), held bool) {
	release, err := files.Lock(ctx, filepath.Join(k.lockDir, "lock-addresses"), "a change of addresses", time.Time{})
	if err != nil {
		return func() {}, false
	}
	return release, true
}
