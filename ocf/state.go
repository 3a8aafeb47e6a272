package ocf

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lvs-agents/internal/state"
)

// rootDir is the directory with the state of this host.
const rootDir = "/run/lvs-agents"

// StateDirVariable is the name of an environment variable with another state directory. It is for
// tests, and for containers that share /run. All commands for a resource must then have the same
// value of the variable.
const StateDirVariable = "LVS_AGENTS_STATE_DIR"

// StateDir returns the directory with the state of this network namespace, or the directory in
// StateDirVariable. An error is only a warning: files that an earlier version left in HA_RSCTMP, or
// in its usual directory, could not be moved.
func StateDir() (string, error) {
	if dir := os.Getenv(StateDirVariable); filepath.IsAbs(dir) {
		return dir, nil
	}
	here, err := state.Now()
	// Without /proc, an action that needs the directory fails later. --version needs no directory.
	if err != nil {
		return rootDir, nil
	}
	if os.Geteuid() == 0 {
		err = state.TakeIn(filepath.Join(usualTemporary, filepath.Base(rootDir)), rootDir)
		if tmp := os.Getenv("HA_RSCTMP"); filepath.IsAbs(tmp) && filepath.Clean(tmp) != usualTemporary {
			err = cmp.Or(takeIn(filepath.Join(tmp, filepath.Base(rootDir)), rootDir), err)
		}
	}
	return here.Dir(rootDir), err
}

// usualTemporary is the usual value of HA_RSCTMP. The directory is on a file system in memory, so
// StateDir can read it without a time limit.
const usualTemporary = "/run/resource-agents"

// takeInLimit is how long takeIn can take.
const takeInLimit = time.Second

// takeIn calls state.TakeIn, but waits at most takeInLimit. HA_RSCTMP can name a directory on a
// file system that hangs, and a stop must not wait for that file system.
func takeIn(old, dir string) error {
	ended := make(chan error, 1)
	go func() { ended <- state.TakeIn(old, dir) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(takeInLimit):
		return fmt.Errorf("state of an earlier version in %s: the file system does not answer; repair or unmount it", old)
	}
}
