package link

import (
	"context"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	files "lvs-agents/internal/state"
)

// patience is how long a lock is waited for. Going on without it is a small risk
// to others, failing a stop is none to take.
const patience = 2 * time.Second

// locked runs f while others are kept from adding and deleting addresses: one
// that comes between the look and the deletion of the first of its subnet would
// be deleted too. What a killed process left is put right before.
func (k *Kernel) locked(ctx context.Context, f func(promotion) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	release, held := k.lock(ctx)
	defer release()
	p := promotion{note: k.note(), alone: held}
	p.restore()
	return f(p)
}

// tidy puts right what a killed process left, unless another is at work.
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
