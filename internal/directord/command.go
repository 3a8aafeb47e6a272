package directord

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/control"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/process"
	"lvs-agents/internal/state/pidfile"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
)

// actionTimeout is how long each start and each stop can take.
const actionTimeout = 60 * time.Second

// reloadTimeout is how long the reload of a daemon can take if another instance has ordered it.
const reloadTimeout = 30 * time.Second

// command is one call of the program: an action for the daemon of one configuration.
type command struct {
	compat.Command
	sys System
	cfg *config.Config // cfg is the configuration. It is nil if the file cannot be used.
	// unusable is the exit code for a file that cannot be used. For a usable file it is ExitOK.
	unusable int
}

func (c command) run(ctx context.Context) int {
	actions := map[string]func(*command, context.Context) int{
		"start": (*command).start, "stop": (*command).stop, "restart": (*command).restart, "try-restart": (*command).tryRestart,
		"reload": (*command).reload, "force-reload": (*command).reload, "status": (*command).status, "test": (*command).tested,
	}
	action := actions[c.Action]
	if action == nil {
		fmt.Fprintln(c.sys.Stderr, compat.Program.Usage())
		return compat.ExitUsage
	}
	c.unusable = c.check(ctx)
	if c.unusable != compat.ExitOK && (c.Action == "start" || c.Action == "restart" || c.Test) {
		return c.unusable
	}
	return action(&c, ctx)
}

// check reads the configuration and prints its errors. With --test it also looks up host names, as
// start does.
func (c *command) check(ctx context.Context) (code int) {
	path, text, err := load.Read(ctx, c.sys.Files, c.Config, append(load.Dirs(), ".")...)
	if errors.Is(err, fs.ErrNotExist) {
		return c.fail(compat.ExitFailed, err)
	}
	if path != "" {
		absolute, failed := filepath.Abs(path)
		if failed != nil {
			return c.fail(compat.ExitFailed, failed)
		}
		c.Config = absolute
	}
	var problems []config.Problem
	if err == nil {
		file := load.Parse(c.Config, text)
		c.cfg, problems = file.Config, file.Problems
		if c.cfg != nil && c.Test {
			// The error of NewSetup is left out, because setup.Problems has it, too.
			setup, _ := health.NewSetup(ctx, c.cfg, config.NewNames(c.sys.Resolver))
			problems = append(problems, setup.Problems...)
		}
		err = config.Err(problems)
	}
	for _, p := range problems {
		switch {
		case c.Test:
			fmt.Fprintf(c.sys.Stderr, "%s: %s\n", p.Severity, p)
		case p.Severity == config.Refused && c.Action != "status" && c.Action != "stop":
			fmt.Fprintf(c.sys.Stderr, "directord: %s\n", p)
		}
	}
	switch refused := slices.ContainsFunc(problems, isRefused); {
	case c.Test && (refused || len(problems) > 0 && err != nil):
		return compat.ExitConfig
	case err != nil:
		return c.fail(compat.ExitConfig, err)
	}
	return compat.ExitOK
}

func isRefused(p config.Problem) bool { return p.Severity == config.Refused }

func (c *command) tested(context.Context) int {
	fmt.Fprintf(c.sys.Stdout, "%s can be used: %d virtual services\n", c.Config, len(c.cfg.Services))
	return compat.ExitOK
}

func (c *command) fail(code int, err error) int {
	fmt.Fprintf(c.sys.Stderr, "directord: %v\n", err)
	return code
}

// id returns the identity of the daemon. The identity is the same whether the command line names
// the default file or not. ldirectord starts a second daemon if the command line names the default
// file.
func (c *command) id() string { return idOf(c.Config) }

// idOf returns the identity of the daemon of a configuration: the name of the file without ".cf".
func idOf(file string) string { return strings.TrimSuffix(filepath.Base(file), ".cf") }

// identityFile returns the pid file that proves the identity of the daemon. pidFile returns the
// path where ldirectord would write its pid file. perlPIDFile returns the pid file of the Perl
// program.
func (c *command) identityFile() string { return control.PIDFile(c.sys.StateDir, c.id()) }
func (c *command) pidFile() string      { return compat.PIDFile(c.sys.PIDDir, c.Instance) }
func (c *command) perlPIDFile() string  { return compat.PIDFile(c.sys.PerlPIDDir, c.Instance) }

func (c *command) look() (pidfile.Status, error) { return pidfile.StatusOf(c.identityFile()) }

// logInvocation logs the command line, as ldirectord does. A cluster runs the action status often,
// so status does not call logInvocation. A daemon in the foreground logs its command line on its
// own.
func (c *command) logInvocation() {
	if c.Foreground {
		return
	}
	lines := compat.NewLog(c.Instance, c.sys.Stderr)
	if c.cfg != nil {
		lines.To(c.cfg.LogFile)
	}
	lines.Logger(false).Info(compat.InvokedLine(c.Words))
}

func (c *command) start(ctx context.Context) int {
	limited, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	end, err := pidfile.Turn(limited, c.identityFile())
	if err != nil {
		return c.fail(compat.ExitFailed, err)
	}
	defer end()
	s, err := c.look()
	if err != nil {
		return c.fail(compat.ExitFailed, err)
	}
	if s.Running {
		return c.started(ctx)
	}
	if pid := compat.PerlDaemon(c.perlPIDFile()); pid != 0 {
		return c.fail(compat.ExitFailed, fmt.Errorf("the Perl program ldirectord runs for %s with pid %d; stop it first", c.Config, pid))
	}
	c.logInvocation()
	if c.Foreground || c.cfg.Supervised {
		end()
		return serve(ctx, c.foregroundArgs(), c.sys)
	}
	argv := append([]string{c.Words[0], c.Config, "start", serveVerb, "--notify"}, c.daemonArgs()...)
	environ := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	// The instances that execute= names must use the same state directory as this one.
	if dir := c.sys.getenv(ocf.StateDirVariable); dir != "" {
		environ = append(environ, ocf.StateDirVariable+"="+dir)
	}
	if err := process.Spawn(limited, c.sys.Self, argv, environ); err != nil {
		return c.fail(compat.ExitFailed, err)
	}
	return compat.ExitOK
}

// daemonArgs returns the flags that the daemon is started with.
func (c *command) daemonArgs() []string {
	return []string{"--state-dir=" + c.sys.StateDir, "--id=" + c.id(), "--config=" + c.Config, "--purge",
		"--instance=" + c.Instance, "--pid-file=" + c.pidFile()}
}

// foregroundArgs returns the flags of a daemon that runs in the foreground.
func (c *command) foregroundArgs() []string {
	args := append(c.daemonArgs(), "--invoked="+strings.Join(c.Words, " "), "--foreground")
	if c.Debug {
		args = append(args, "--debug")
	}
	return args
}

// started returns an error code if the running daemon uses another file with the same name.
func (c *command) started(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	snapshot, err := control.Status(ctx, c.sys.StateDir, c.id())
	if err == nil && snapshot.Config != c.Config {
		return c.fail(compat.ExitFailed, fmt.Errorf("a daemon with the name %s runs with %s; give the file another name", c.id(), snapshot.Config))
	}
	return compat.ExitOK
}

// stop ends the daemon or the Perl program, and removes the files and services that a killed daemon
// has left.
func (c *command) stop(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	s, err := c.look()
	if err != nil {
		return c.fail(compat.ExitFailed, err)
	}
	if s.Running {
		c.logInvocation()
	}
	if s.Running && s.PID > 1 && c.handedOn() && !c.listens() {
		// The daemon can be waiting for the instance that has started this action.
		_ = syscall.Kill(s.PID, syscall.SIGTERM) // An error of Kill means that the daemon has ended meanwhile.
		return compat.ExitOK
	}
	if err := pidfile.Stop(ctx, c.identityFile()); err != nil {
		return c.fail(compat.ExitFailed, err)
	}
	if err := compat.StopPerl(ctx, c.perlPIDFile()); err != nil {
		return c.fail(compat.ExitFailed, err)
	}
	_ = os.Remove(c.pidFile()) // A daemon that was not killed has removed this file itself.
	return c.release(ctx)
}

// release removes the services that a killed daemon has left in the kernel.
func (c *command) release(ctx context.Context) int {
	store, err := record.In(c.sys.StateDir)
	if err != nil {
		return c.fail(compat.ExitFailed, err)
	}
	_, err = store.Release(ctx, c.sys.Kernel, c.id(), c.kept()...)
	switch {
	case errors.Is(err, record.ErrClaimStays):
		// The kernel no longer has the services. Only the record still has the claim.
		return c.fail(compat.ExitOK, err)
	case err != nil:
		return c.fail(compat.ExitFailed, err)
	}
	return compat.ExitOK
}

// kept returns the services that stay in the kernel when the daemon ends.
func (c *command) kept() []lvs.ServiceID {
	if c.cfg == nil {
		return nil
	}
	var ids []lvs.ServiceID
	for _, s := range c.cfg.Services {
		if s.KeepAtEnd {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

func (c *command) restart(ctx context.Context) int {
	if code := c.stop(ctx); code != compat.ExitOK {
		return code
	}
	return c.start(ctx)
}

func (c *command) tryRestart(ctx context.Context) int {
	if s, err := c.look(); err == nil && !s.Running {
		return compat.ExitOK
	}
	if c.unusable != compat.ExitOK {
		return c.unusable
	}
	return c.restart(ctx)
}

func (c *command) reload(ctx context.Context) int {
	s, err := c.look()
	switch {
	case err != nil:
		return c.fail(compat.ExitFailed, err)
	case !s.Running:
		return c.fail(compat.ExitFailed, errors.New(compat.Stopped(c.Config)))
	case c.unusable != compat.ExitOK:
		// The daemon would refuse the file. c.check has already printed the reasons.
		return c.unusable
	}
	c.logInvocation()
	if c.handedOn() { // A reload through the control socket reloads only this instance, and not the instances in execute=.
		ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
		defer cancel()
		if err := control.Reload(ctx, c.sys.StateDir, c.id()); err != nil {
			return c.fail(compat.ExitFailed, err)
		}
		return compat.ExitOK
	}
	if err := syscall.Kill(s.PID, syscall.SIGHUP); err != nil {
		return c.fail(compat.ExitFailed, err)
	}
	return compat.ExitOK
}
