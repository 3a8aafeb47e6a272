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

// longestReading is how long States reads the real servers of a daemon that has replied. On a busy
// machine, 10,000 real servers can take more than a second.
const longestReading = 5 * time.Second

// States reads the states of all daemons of IDs at the same time, in the order of IDs. A daemon
// that sends no Summary within limit has an error. The real servers of the others can take
// longestReading.
func States(ctx context.Context, stateDir string, limit time.Duration) ([]State, error) {
	return states(stateDir, func(id string) (Snapshot, error) {
		if snapshot, err := read(ctx, limit, Summary, stateDir, id); err != nil {
			return snapshot, err
		}
		return read(ctx, longestReading, Status, stateDir, id)
	})
}

// Summaries reads the Summary of all daemons of IDs at the same time, in the order of IDs. It waits
// at most for limit.
func Summaries(ctx context.Context, stateDir string, limit time.Duration) ([]State, error) {
	return states(stateDir, func(id string) (Snapshot, error) {
		return read(ctx, limit, Summary, stateDir, id)
	})
}

func read(ctx context.Context, limit time.Duration, query func(ctx context.Context, stateDir, id string) (Snapshot, error), stateDir, id string) (Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return query(ctx, stateDir, id)
}

func states(stateDir string, read func(id string) (Snapshot, error)) ([]State, error) {
	ids, err := IDs(stateDir)
	states := make([]State, len(ids))
	var queries sync.WaitGroup
	for i, id := range ids {
		queries.Go(func() {
			snapshot, err := read(id)
			states[i] = State{ID: id, Snapshot: snapshot, Err: err}
		})
	}
	queries.Wait()
	return states, err
}
