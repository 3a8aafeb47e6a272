package control

import (
	"context"
	"time"

	"lvs-agents/internal/state"
	"lvs-agents/internal/state/pidfile"
)

// Memory is how long the verdicts and claims of a health daemon count after it has ended. After
// that the destinations belong to their resource again.
const Memory = time.Minute

// Presence is the condition of a daemon that has claimed services.
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

// PresenceOf returns the condition of a daemon.
func PresenceOf(stateDir, id string) (Presence, error) {
	lives, err := Lives(stateDir, id)
	switch {
	case err != nil:
		return Gone, err
	case lives:
		return Present, nil
	}
	last, err := state.LoadVerdicts(stateDir, id)
	if err == nil && last.Age >= 0 && last.Age <= Memory {
		return Ended, nil
	}
	return Gone, nil // even if the verdicts cannot be read
}

// Lives reports whether the process of a daemon is there. It may hang.
func Lives(stateDir, id string) (bool, error) {
	s, err := pidfile.StatusOf(PIDFile(stateDir, id))
	return s.Running, err
}

// Pulse judges a daemon that does not reply by the age of its verdict file. It returns nil up to
// the limit in the file, because a machine can be busy for a while.
func Pulse(stateDir, id string, pid int) error {
	last, err := state.LoadVerdicts(stateDir, id)
	if err != nil {
		return err
	}
	return Snapshot{PID: pid, LoopAge: last.Age.Seconds(), Limit: last.Limit.Seconds()}.Alive()
}

// Daemons is the connection of agents to the health daemons of a node.
type Daemons interface {
	Status(ctx context.Context, stateDir, id string) (Snapshot, error)
	Resync(ctx context.Context, stateDir, id string) error
	Reload(ctx context.Context, stateDir, id string) error
}

// Sockets connects to daemons over their sockets.
type Sockets struct{}

// Status reads the state of a daemon.
func (Sockets) Status(ctx context.Context, stateDir, id string) (Snapshot, error) {
	return Status(ctx, stateDir, id)
}

// Resync makes a daemon compare the whole table now.
func (Sockets) Resync(ctx context.Context, stateDir, id string) error {
	return Resync(ctx, stateDir, id)
}

// Reload makes a daemon read its configuration again.
func (Sockets) Reload(ctx context.Context, stateDir, id string) error {
	return Reload(ctx, stateDir, id)
}
