package directord

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/state/pidfile"
)

// firstReply is how long a daemon can be without a reply after its start. The daemon first looks up
// the names of its configuration.
const firstReply = 30 * time.Second

// status prints ldirectord's status lines for this instance and for the instances that execute=
// names. Scripts parse these lines.
func (c *command) status(ctx context.Context) int {
	code := c.ownStatus(ctx)
	if c.cfg == nil {
		return code
	}
	for _, name := range reached(ctx, c.sys.Files, c.Config, c.cfg.Execute) {
		other := command{Command: compat.Command{Config: name, Instance: filepath.Base(name), Action: "status"}, sys: c.sys}
		other.unusable = other.check(ctx)
		_ = other.ownStatus(ctx) // The exit code of status depends only on this instance, and not on the other instances.
	}
	return code
}

func (c *command) ownStatus(ctx context.Context) int {
	s, err := c.look()
	switch {
	case err != nil:
		return c.fail(compat.ExitFailed, err)
	case s.Running:
		return c.balances(ctx, s.PID)
	}
	if pid := compat.PerlDaemon(c.perlPIDFile()); pid != 0 {
		fmt.Fprintln(c.sys.Stderr, compat.Running(c.Config, pid))
		return compat.ExitOK
	}
	if stale := c.stale(s); stale != "" {
		fmt.Fprintln(c.sys.Stderr, compat.Stale(stale, c.Config))
		fmt.Fprintln(c.sys.Stdout, compat.Stopped(c.Config))
		return compat.ExitFailed
	}
	// The configuration file does not exist. The operator can have given a wrong name.
	if c.unusable == compat.ExitFailed {
		return compat.ExitFailed
	}
	fmt.Fprintln(c.sys.Stdout, compat.Stopped(c.Config))
	return compat.ExitStopped
}

// balances prints whether a running daemon balances. If it does not, the output does not
// have the word running, because heartbeat searches for this word.
func (c *command) balances(ctx context.Context, pid int) int {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	snapshot, err := control.Status(ctx, c.sys.StateDir, c.id())
	switch {
	case err == nil:
		err = snapshot.Alive()
	case pid == 0 || c.begins():
		err = nil
	default:
		err = control.Pulse(c.sys.StateDir, c.id(), pid)
	}
	if err != nil {
		fmt.Fprintf(c.sys.Stderr, "ldirectord for %s with pid %d does not balance: %v\n", c.Config, pid, err)
		return compat.ExitFailed
	}
	fmt.Fprintln(c.sys.Stderr, compat.Running(c.Config, pid))
	if snapshot.Trouble != "" {
		fmt.Fprintf(c.sys.Stderr, "trouble: %s\n", snapshot.Trouble)
	}
	return compat.ExitOK
}

// begins reports whether the daemon has started less than firstReply ago, so that a missing reply
// is not a fault.
func (c *command) begins() bool {
	info, err := os.Stat(c.identityFile())
	return err == nil && time.Since(info.ModTime()) < firstReply
}

// stale returns the pid file that a killed directord or Perl program has left. It returns an empty
// text if there is no such file.
func (c *command) stale(s pidfile.Status) string {
	if _, err := os.Stat(c.pidFile()); err == nil {
		return c.pidFile()
	}
	if s.PID != 0 {
		return c.identityFile()
	}
	return ""
}
