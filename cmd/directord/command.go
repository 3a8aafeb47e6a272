package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/daemon"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/record"
)

// Exit codes of ldirectord.
const (
	exitOK      = 0
	exitFailed  = 1
	exitConfig  = 2
	exitStopped = 3   // status of a daemon that does not run
	exitUsage   = 255 // no or unknown action
)

const usage = `usage: directord [-d] [CONFIG] {start|stop|restart|try-restart|reload|force-reload|status}
Checks real servers and lets only good ones have new connections.
CONFIG is looked up in /etc/ha.d and is ldirectord.cf when left out.
  -d, --debug    stay in the foreground and log everything to stderr
  -v, --version  print the version
  -h, --help     print this`

// host is what the program may touch outside of itself.
type host struct {
	stdout, stderr io.Writer
	stateDir       string
	self           string // path of the program
	version        string
}

// line is a parsed command line.
type line struct {
	host
	config string
	action string
	debug  bool
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, h host) int {
	if len(args) > 0 && args[0] == serveVerb {
		return serve(ctx, args[1:], h)
	}
	l := line{host: h, config: "ldirectord.cf"}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		option := args[0]
		args = args[1:]
		switch option {
		case "-d", "--debug":
			l.debug = true
		case "-h", "-?", "--help":
			fmt.Fprintln(h.stdout, usage)
			return exitOK
		case "-v", "--version":
			fmt.Fprintln(h.stdout, "directord", h.version)
			return exitOK
		case "--":
		default:
			fmt.Fprintf(h.stderr, "directord: unknown option %s\n%s\n", option, usage)
			return exitUsage
		}
	}
	switch len(args) {
	case 1:
		l.action = args[0]
	case 2:
		l.config, l.action = args[0], args[1]
	}
	return l.act(ctx)
}

func (l line) act(ctx context.Context) int {
	actions := map[string]func(context.Context) int{
		"start": l.start, "stop": l.stop, "restart": l.restart, "try-restart": l.tryRestart,
		"reload": l.reload, "force-reload": l.reload, "status": l.status,
	}
	action := actions[l.action]
	if action == nil {
		fmt.Fprintln(l.stderr, usage)
		return exitUsage
	}
	path, code := l.check()
	if code != exitOK && (l.action == "start" || l.action == "restart") {
		return code
	}
	if path != "" {
		l.config = path
	}
	return action(ctx)
}

// check reads the configuration and prints its errors.
func (l line) check() (path string, code int) {
	path, text, err := config.Read(l.config, append(config.Dirs(), ".")...)
	if errors.Is(err, fs.ErrNotExist) {
		return "", l.fail(exitFailed, err)
	}
	if err == nil {
		_, problems := config.Parse(path, text)
		err = config.Err(problems)
	}
	if err != nil {
		return path, l.fail(exitConfig, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return path, l.fail(exitFailed, err)
	}
	return path, exitOK
}

func (l line) fail(code int, err error) int {
	fmt.Fprintf(l.stderr, "directord: %v\n", err)
	return code
}

// id is what ldirectord calls the instance: the name of the file.
func (l line) id() string { return strings.TrimSuffix(filepath.Base(l.config), ".cf") }

func (l line) pidFile() string { return control.PIDFile(l.stateDir, l.id()) }

// patience bounds every action; ldirectord's restart has no bound.
const patience = 60 * time.Second

func (l line) start(ctx context.Context) int {
	args := []string{serveVerb, "--state-dir=" + l.stateDir, "--id=" + l.id(), "--config=" + l.config, "--purge"}
	if l.debug {
		return serve(ctx, append(args[1:], "--debug"), l.host)
	}
	s, err := daemon.Look(l.pidFile())
	if err != nil {
		return l.fail(exitFailed, err)
	}
	if s.Running {
		return exitOK
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := daemon.Spawn(ctx, l.self, append(args, "--notify"), []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}); err != nil {
		return l.fail(exitFailed, err)
	}
	return exitOK
}

// stop ends the daemon and what a killed one has left.
func (l line) stop(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := daemon.Stop(ctx, l.pidFile()); err != nil {
		return l.fail(exitFailed, err)
	}
	store, err := record.In(l.stateDir)
	if err != nil {
		return l.fail(exitFailed, err)
	}
	kernel := ipvs.New()
	defer func() { _ = kernel.Close() }()
	if _, err := store.Release(ctx, kernel, l.id()); err != nil {
		return l.fail(exitFailed, err)
	}
	return exitOK
}

func (l line) restart(ctx context.Context) int {
	if code := l.stop(ctx); code != exitOK {
		return code
	}
	return l.start(ctx)
}

func (l line) tryRestart(ctx context.Context) int {
	if s, err := daemon.Look(l.pidFile()); err == nil && !s.Running {
		return exitOK
	}
	if _, code := l.check(); code != exitOK {
		return code
	}
	return l.restart(ctx)
}

func (l line) reload(context.Context) int {
	s, err := daemon.Look(l.pidFile())
	switch {
	case err != nil:
		return l.fail(exitFailed, err)
	case !s.Running:
		return l.fail(exitFailed, fmt.Errorf("ldirectord is stopped for %s", l.config))
	}
	if err := syscall.Kill(s.PID, syscall.SIGHUP); err != nil {
		return l.fail(exitFailed, err)
	}
	return exitOK
}

// status speaks ldirectord's words: scripts read them.
func (l line) status(context.Context) int {
	s, err := daemon.Look(l.pidFile())
	switch {
	case err != nil:
		return l.fail(exitFailed, err)
	case s.Running:
		fmt.Fprintf(l.stderr, "ldirectord for %s is running with pid: %d\n", l.config, s.PID)
		return exitOK
	case s.PID != 0:
		fmt.Fprintf(l.stderr, "ldirectord stale pid file %s for %s\n", l.pidFile(), l.config)
		fmt.Fprintf(l.stdout, "ldirectord is stopped for %s\n", l.config)
		return exitFailed
	}
	fmt.Fprintf(l.stdout, "ldirectord is stopped for %s\n", l.config)
	return exitStopped
}

var resolver = net.DefaultResolver
