package control

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"lvs-agents/internal/daemon"
)

// Memory is how long the verdicts of a health daemon count after it has ended. Its
// claims count as long: then the destinations belong to their resource again.
const Memory = time.Minute

// Presence is what has become of the daemon that has claimed services.
type Presence uint8

// The presences.
const (
	// Gone is a daemon that ended longer ago than its verdicts count, or never was.
	Gone Presence = iota
	// Ended is a daemon that does not run any more, and whose verdicts count.
	Ended
	// Present is a daemon whose process is there. It may hang.
	Present
)

// Look reports what has become of a daemon.
func Look(stateDir, id string) (Presence, error) {
	lives, err := Lives(stateDir, id)
	switch {
	case err != nil:
		return Gone, err
	case lives:
		return Present, nil
	}
	beat, err := readBeat(beatFile(stateDir, id))
	if err == nil && beat.Age >= 0 && beat.Age <= Memory {
		return Ended, nil
	}
	return Gone, nil // also with a beat that says nothing
}

// Lives reports whether the process of a daemon is there. It may hang.
func Lives(stateDir, id string) (bool, error) {
	s, err := daemon.Look(PIDFile(stateDir, id))
	return s.Running, err
}

// Bad returns the real servers that one daemon found bad when it last looked, as
// record.Server calls them. Without a beat of this daemon there are none.
func Bad(stateDir, id string) (map[string]bool, error) {
	beat, err := readBeat(beatFile(stateDir, id))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	bad := map[string]bool{}
	for _, server := range beat.Bad {
		bad[server] = true
	}
	return bad, nil
}

// Daemons is how agents speak with the health daemons of a node.
type Daemons interface {
	Status(ctx context.Context, stateDir, id string) (Snapshot, error)
	Resync(ctx context.Context, stateDir, id string) error
	Reload(ctx context.Context, stateDir, id string) error
}

// Sockets speaks with daemons over their sockets.
type Sockets struct{}

// Status asks a daemon for its state.
func (Sockets) Status(ctx context.Context, stateDir, id string) (Snapshot, error) {
	return Status(ctx, stateDir, id)
}

// Resync lets a daemon compare the whole table now.
func (Sockets) Resync(ctx context.Context, stateDir, id string) error {
	return Resync(ctx, stateDir, id)
}

// Reload lets a daemon read its configuration again.
func (Sockets) Reload(ctx context.Context, stateDir, id string) error {
	return Reload(ctx, stateDir, id)
}
