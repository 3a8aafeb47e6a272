package link

import (
	"context"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	files "lvs-agents/internal/state"
)

// lockWait is how long a change waits for the lock. After lockWait the change continues without the
// lock, because a race with another agent does less harm than a stop that fails.
const lockWait = 2 * time.Second

// locked runs f under the lock, or without the lock after lockWait. Without the lock, an agent
// could add an address to a subnet while remove deletes the first address of this subnet. The
// kernel would then delete both addresses. Before f, locked restores the sysctls that a killed
// process has left at 1, if it has the lock.
func (k *Kernel) locked(ctx context.Context, f func(promotion) error) error {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	release, held := k.lock(ctx)
	defer release()
	p := promotion{note: k.note(), alone: held}
	p.restore()
	return f(p)
}

// tidy restores the sysctls that a killed process has left at 1, unless another process has the
// lock.
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

// lock waits for the lock until ctx is done, and reports whether it has the lock. The caller must
// call release. The lock is on a file that only root can open. A sysctl is not used as the lock
// file, because every user who can read the sysctl could lock it.
func (k *Kernel) lock(ctx context.Context) (release func(), held bool) {
	release, err := files.Lock(ctx, filepath.Join(k.lockDir, "lock-addresses"), "a change of addresses", time.Time{})
	if err != nil {
		return func() {}, false
	}
	return release, true
}
