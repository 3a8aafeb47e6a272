package control

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lvs-agents/internal/record"
)

// beatFile has the time since boot at which the loops of a daemon had turned,
// and the age that means trouble, both in seconds.
func beatFile(stateDir, id string) string { return filepath.Join(Dir(stateDir), Name(id)+".beat") }

// Beat writes down that the loops of a daemon turned an age ago, for the time
// when it answers nothing: it is stopped, or hangs.
func Beat(stateDir, id string, age, limit time.Duration) error {
	text := fmt.Sprintf("%.3f %.3f\n", (record.SinceBoot() - age).Seconds(), limit.Seconds())
	path := beatFile(stateDir, id)
	temporary := path + "~"
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// Pulse judges by its file a daemon that does not answer: nil while its loops are
// young, since a machine may be busy for a while.
func Pulse(stateDir, id string, pid int) error {
	text, err := os.ReadFile(beatFile(stateDir, id))
	if err != nil {
		return err
	}
	var beat, limit float64
	if _, err := fmt.Sscan(string(text), &beat, &limit); err != nil {
		return fmt.Errorf("%s: %w", beatFile(stateDir, id), err)
	}
	return Snapshot{PID: pid, LoopAge: record.SinceBoot().Seconds() - beat, Limit: limit}.Alive()
}
