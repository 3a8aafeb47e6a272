package realserver

import (
	"context"
	"errors"

	"lvs-agents/internal/ledger"
	"lvs-agents/internal/state"
	"lvs-agents/ocf"
)

// book is the ledger of the host under its lock.
type book struct {
	ledger.Ledger

	damage error // why a part of it could not be read
	store  ledger.Store
	close  func()
}

func open(ctx context.Context, c ocf.Call) (*book, error) {
	store, err := ledger.In(c.StateDir)
	if err != nil {
		return nil, err
	}
	until, _ := ctx.Deadline()
	unlock, err := store.Lock(ctx, c.Instance, until)
	if err != nil {
		return nil, err
	}
	return load(store, unlock)
}

// openToStop goes on without the lock after half of the time: what could be put back
// then is better put back than left.
func openToStop(ctx context.Context, c ocf.Call) (*book, error) {
	store, err := ledger.In(c.StateDir)
	if err != nil {
		return nil, err
	}
	unlock, err := store.LockInHalf(ctx, c.Instance)
	if err != nil {
		c.Log.Warnf("stopping without the lock: %v", err)
	}
	return load(store, unlock)
}

func load(store ledger.Store, unlock func()) (*book, error) {
	l, err := store.Load()
	if err != nil && !errors.Is(err, state.ErrDamaged) {
		unlock()
		return nil, err
	}
	return &book{l, err, store, unlock}, nil
}

func (b *book) save() error { return b.store.Save(b.Ledger) }
