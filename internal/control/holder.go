package control

import (
	"context"
	"time"

	"lvs-agents/internal/state"
	"lvs-agents/internal/state/pidfile"
)

// Memory is how long the verdicts and claims of a health daemon count after the daemon has ended.
// After this time, the next monitor of an ipvs resource sets the weights of its real servers again.
const Memory = time.Minute

// Presence is the condition of the daemon that has claimed services.
type Presence uint8

// The conditions that a daemon with a claim can be in.
const (
	// Gone means that the daemon never ran, or that its verdicts do not count any more. They can be
	// older than Memory, from before a reboot, or not readable.
	Gone Presence = iota
	// Ended means that the daemon does not run any more, but its verdicts still count.
	Ended
	// Present means that the process of the daemon exists. The process can hang.
	Present
)

// PresenceOf returns the presence of a daemon.
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
	return Gone, nil // If the verdicts of a daemon cannot be read, the daemon counts as gone.
}

// Lives reports whether the process of a daemon exists. The process can hang.
func Lives(stateDir, id string) (bool, error) {
	s, err := pidfile.StatusOf(PIDFile(stateDir, id))
	return s.Running, err
}

// Pulse judges a daemon that does not reply by the age of its verdict file. It returns nil while
// this age is at most the limit in the file, because a busy host can delay a reply. It returns an
// error if it cannot read the file.
func Pulse(stateDir, id string, pid int) error {
	last, err := state.LoadVerdicts(stateDir, id)
	if err != nil {
		return err
	}
	return Snapshot{PID: pid, LoopAge: last.Age.Seconds(), Limit: last.Limit.Seconds()}.Alive()
}

// Daemons are the requests that an agent can send to the health daemons of a node.
type Daemons interface {
	Status(ctx context.Context, stateDir, id string) (Snapshot, error)
	Resync(ctx context.Context, stateDir, id string) error
	Reload(ctx context.Context, stateDir, id string) error
}

// Sockets sends the requests to the control sockets of the daemons.
type Sockets struct{}

// Status reads the state of a daemon.
func (Sockets) Status(ctx context.Context, stateDir, id string) (Snapshot, error) {
	return Status(ctx, stateDir, id)
}

// Resync makes a daemon compare and repair the whole IPVS table now.
func (Sockets) Resync(ctx context.Context, stateDir, id string) error {
	return Resync(ctx, stateDir, id)
}

// Reload makes a daemon read its configuration again.
func (Sockets) Reload(ctx context.Context, stateDir, id string) error {
	return Reload(ctx, stateDir, id)
}
