package control

import (
	"context"
	"sync"
	"time"
)

// State is the state of one daemon, or why it could not be read.
type State struct {
	ID       string
	Snapshot Snapshot // Snapshot is empty if Err is not nil.
	Err      error    // Err is why the daemon did not reply in time, or nil.
}

// States reads the states of all daemons of IDs at the same time, in the order of IDs. It waits at
// most for limit.
func States(ctx context.Context, stateDir string, limit time.Duration) ([]State, error) {
	return states(ctx, stateDir, limit, Status)
}

// Summaries is like States, but without the real servers, see Summary.
func Summaries(ctx context.Context, stateDir string, limit time.Duration) ([]State, error) {
	return states(ctx, stateDir, limit, Summary)
}

func states(ctx context.Context, stateDir string, limit time.Duration, read func(ctx context.Context, stateDir, id string) (Snapshot, error)) ([]State, error) {
	ids, err := IDs(stateDir)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	states := make([]State, len(ids))
	var queries sync.WaitGroup
	for i, id := range ids {
		queries.Go(func() {
			snapshot, err := read(ctx, stateDir, id)
			states[i] = State{ID: id, Snapshot: snapshot, Err: err}
		})
	}
	queries.Wait()
	return states, err
}
