package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/daemon"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/health"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
)

// Exit codes of ldirectord.
const (
	exitOK      = 0
	exitFailed  = 1
	exitConfig  = 2
	exitStopped = 3   // status of a daemon that does not run
	exitUsage   = 255 // no or unknown action
)

// host is what the program may touch outside of itself.
type host struct {
	stdout, stderr io.Writer
	stateDir       string
	pidDir         string // of pid files in ldirectord's place
	perlDir        string // of pid files of the Perl program
	self           string // path of the program
	version        string
	files          *disk.Reader
	handedOn       bool // the action came from another instance
}

// line is a parsed command line.
type line struct {
	host
	invoked           []string // as given, with the name of the program
	instance          string   // what ldirectord calls the instance
	config            string
	cfg               *config.Config // nil if it cannot be used
	unusable          int            // the exit code for that, exitOK for a good one
	action            string
	debug, foreground bool
	test              bool
}

// daemonWords is how many words stand in front of serveVerb in the command line
// of a daemon that was started by this program: the program, the configuration
// and "start", since the agent ocf:heartbeat:ldirectord looks for these.
const daemonWords = 3

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, h host) int {
	if i := slices.Index(args, serveVerb); i == 1 || i == daemonWords {
		return serve(ctx, args[i+1:], h)
	}
	l := line{host: h, config: "ldirectord.cf", instance: "ldirectord", invoked: args}
	args = args[1:]
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		option := args[0]
		args = args[1:]
		if option == "--" {
			break
		}
		if code, done := l.option(option); done {
			return code
		}
	}
	switch {
	case l.test && len(args) < 2:
		args = append(args, "test")
	case l.test:
		args[1] = "test"
	}
	switch len(args) {
	case 0:
	case 1:
		l.action = args[0]
	default:
		l.config, l.action = args[0], args[1]
		l.instance = filepath.Base(l.config)
	}
	return l.act(ctx)
}

// option takes -d, --debug or several short ones as -df; done tells to end with
// the exit code.
func (l *line) option(option string) (code int, done bool) {
	letters := option[1:]
	if strings.HasPrefix(option, "--") {
		letters = cmp.Or(short(option[2:]), "-")
	}
	for _, letter := range letters {
		switch letter {
		case 'd':
			l.debug, l.foreground = true, true
		case 'f':
			l.foreground = true
		case 't':
			l.test = true
		case 'h', '?':
			fmt.Fprintln(l.stdout, program.Usage())
			return exitOK, true
		case 'v':
			fmt.Fprintln(l.stdout, "directord", l.version)
			return exitOK, true
		default:
			fmt.Fprintf(l.stderr, "directord: unknown option %s\n%s\n", option, program.Usage())
			return exitUsage, true
		}
	}
	return exitOK, false
}

func (l line) act(ctx context.Context) int {
	actions := map[string]func(*line, context.Context) int{
		"start": (*line).start, "stop": (*line).stop, "restart": (*line).restart, "try-restart": (*line).tryRestart,
		"reload": (*line).reload, "force-reload": (*line).reload, "status": (*line).status, "test": (*line).tested,
	}
	action := actions[l.action]
	if action == nil || l.action == "test" && !l.test {
		fmt.Fprintln(l.stderr, program.Usage())
		return exitUsage
	}
	l.unusable = l.check(ctx)
	if l.unusable != exitOK && (l.action == "start" || l.action == "restart" || l.test) {
		return l.unusable
	}
	return action(&l, ctx)
}

// check reads the configuration and prints its errors. A test looks up names, too,
// as start does.
func (l *line) check(ctx context.Context) (code int) {
	path, text, err := config.Read(ctx, l.files, l.config, append(config.Dirs(), ".")...)
	if errors.Is(err, fs.ErrNotExist) {
		return l.fail(exitFailed, err)
	}
	if path != "" {
		absolute, failed := filepath.Abs(path)
		if failed != nil {
			return l.fail(exitFailed, failed)
		}
		l.config = absolute
	}
	var problems []config.Problem
	if err == nil {
		l.cfg, problems = config.Parse(l.config, text)
		if l.cfg != nil && l.test {
			setup, _ := health.NewSetup(ctx, l.cfg, config.NewNames(resolver)) // its error is among the problems
			problems = append(problems, setup.Problems...)
		}
		err = config.Err(problems)
	}
	for _, p := range problems {
		switch {
		case l.test:
			fmt.Fprintf(l.stderr, "%s: %s\n", p.Severity, p)
		case p.Severity == config.Refused && l.action != "status" && l.action != "stop":
			fmt.Fprintf(l.stderr, "directord: %s\n", p)
		}
	}
	switch refused := slices.ContainsFunc(problems, isRefused); {
	case l.test && (refused || len(problems) > 0 && err != nil):
		return exitConfig
	case err != nil:
		return l.fail(exitConfig, err)
	}
	return exitOK
}

func isRefused(p config.Problem) bool { return p.Severity == config.Refused }

func (l *line) tested(context.Context) int {
	fmt.Fprintf(l.stdout, "%s can be used: %d virtual services\n", l.config, len(l.cfg.Services))
	return exitOK
}

func (l *line) fail(code int, err error) int {
	fmt.Fprintf(l.stderr, "directord: %v\n", err)
	return code
}

// id is the identity of the daemon: the name of the file, whether it was given
// or not. ldirectord starts a second daemon when it was given.
func (l *line) id() string { return idOf(l.config) }

func (l *line) pidFile() string { return control.PIDFile(l.stateDir, l.id()) }

func (l *line) look() (daemon.Status, error) { return daemon.Look(l.pidFile()) }

// invocation logs what was called, as ldirectord does; status is asked too often
// for that.
func (l *line) invocation() {
	if l.foreground {
		return // the daemon does it
	}
	sink := newLogSink(l.instance, l.stderr)
	if l.cfg != nil {
		sink.to(l.cfg.LogFile)
	}
	newLogger(sink, false).Info(invocation(l.invoked))
}

// invocation has a blank at its end, as in ldirectord's log.
func invocation(words []string) string {
	return "Invoking ldirectord invoked as: " + strings.Join(words, " ") + " "
}

// patience bounds every action; ldirectord's restart has no bound.
const patience = 60 * time.Second

func (l *line) start(ctx context.Context) int {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	end, err := daemon.Turn(limited, l.pidFile())
	if err != nil {
		return l.fail(exitFailed, err)
	}
	defer end()
	s, err := l.look()
	if err != nil {
		return l.fail(exitFailed, err)
	}
	if s.Running {
		return l.started(ctx)
	}
	if pid := perlDaemon(l.perlPIDFile()); pid != 0 {
		return l.fail(exitFailed, fmt.Errorf("the Perl program ldirectord runs for %s with pid %d; stop it first", l.config, pid))
	}
	l.invocation()
	args := []string{"--state-dir=" + l.stateDir, "--id=" + l.id(), "--config=" + l.config, "--purge",
		"--instance=" + l.instance, "--pid-file=" + l.compatPIDFile()}
	if l.foreground || l.cfg.Supervised {
		args = append(args, "--invoked="+strings.Join(l.invoked, " "), "--foreground")
		if l.debug {
			args = append(args, "--debug")
		}
		end()
		return serve(ctx, args, l.host)
	}
	argv := append([]string{l.invoked[0], l.config, "start", serveVerb, "--notify"}, args...)
	environ := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if dir := os.Getenv(ocf.StateDirVariable); dir != "" { // for the instances that execute= names
		environ = append(environ, ocf.StateDirVariable+"="+dir)
	}
	if err := daemon.Spawn(limited, l.self, argv, environ); err != nil {
		return l.fail(exitFailed, err)
	}
	return exitOK
}

// started refuses to take the daemon of another file with the same name for ours.
func (l *line) started(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	snapshot, err := control.Status(ctx, l.stateDir, l.id())
	if err == nil && snapshot.Config != l.config {
		return l.fail(exitFailed, fmt.Errorf("a daemon with the name %s runs with %s; give the file another name", l.id(), snapshot.Config))
	}
	return exitOK
}

// stop ends the daemon and what a killed one has left.
func (l *line) stop(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := l.look()
	if err != nil {
		return l.fail(exitFailed, err)
	}
	if s.Running {
		l.invocation()
	}
	if s.Running && s.PID > 1 && l.handedOn && l.ends() { // perhaps it waits for the instance that called this one
		_ = syscall.Kill(s.PID, syscall.SIGTERM) // gone meanwhile
		return exitOK
	}
	if err := daemon.Stop(ctx, l.pidFile()); err != nil {
		return l.fail(exitFailed, err)
	}
	if err := stopPerl(ctx, l.perlPIDFile()); err != nil {
		return l.fail(exitFailed, err)
	}
	_ = os.Remove(l.compatPIDFile()) // of a daemon that was killed; others remove theirs
	store, err := record.In(l.stateDir)
	if err != nil {
		return l.fail(exitFailed, err)
	}
	kernel := ipvs.New()
	defer func() { _ = kernel.Close() }()
	_, err = store.Release(ctx, kernel, l.id(), l.kept()...)
	switch {
	case errors.Is(err, record.ErrClaimStays): // the services are gone
		return l.fail(exitOK, err)
	case err != nil:
		return l.fail(exitFailed, err)
	}
	return exitOK
}

// kept is the services that shall stay.
func (l *line) kept() []lvs.ServiceID {
	if l.cfg == nil {
		return nil
	}
	var ids []lvs.ServiceID
	for _, s := range l.cfg.Services {
		if s.KeepAtEnd {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

func (l *line) restart(ctx context.Context) int {
	if code := l.stop(ctx); code != exitOK {
		return code
	}
	return l.start(ctx)
}

func (l *line) tryRestart(ctx context.Context) int {
	if s, err := l.look(); err == nil && !s.Running {
		return exitOK
	}
	if l.unusable != exitOK {
		return l.unusable
	}
	return l.restart(ctx)
}

func (l *line) reload(ctx context.Context) int {
	s, err := l.look()
	switch {
	case err != nil:
		return l.fail(exitFailed, err)
	case !s.Running:
		return l.fail(exitFailed, fmt.Errorf("ldirectord is stopped for %s", l.config))
	case l.unusable != exitOK: // said already; the daemon would only say so, too
		return l.unusable
	}
	l.invocation()
	if l.handedOn { // the socket's reload is not handed on
		ctx, cancel := context.WithTimeout(ctx, patience/2)
		defer cancel()
		if err := control.Reload(ctx, l.stateDir, l.id()); err != nil {
			return l.fail(exitFailed, err)
		}
		return exitOK
	}
	if err := syscall.Kill(s.PID, syscall.SIGHUP); err != nil {
		return l.fail(exitFailed, err)
	}
	return exitOK
}

// status speaks ldirectord's words: scripts read them. Those of the instances
// that execute= names come along.
func (l *line) status(ctx context.Context) int {
	code := l.ownStatus(ctx)
	if l.cfg == nil {
		return code
	}
	for _, name := range reached(ctx, l.files, l.config, l.cfg.Execute) {
		other := line{host: l.host, config: name, instance: filepath.Base(name), action: "status"}
		other.unusable = other.check(ctx)
		_ = other.ownStatus(ctx) // it is printed; ours decides
	}
	return code
}

func (l *line) ownStatus(ctx context.Context) int {
	s, err := l.look()
	switch {
	case err != nil:
		return l.fail(exitFailed, err)
	case s.Running:
		return l.works(ctx, s.PID)
	}
	if pid := perlDaemon(l.perlPIDFile()); pid != 0 {
		fmt.Fprintf(l.stderr, "ldirectord for %s is running with pid: %d\n", l.config, pid)
		return exitOK
	}
	if stale := l.stale(s); stale != "" {
		fmt.Fprintf(l.stderr, "ldirectord stale pid file %s for %s\n", stale, l.config)
		fmt.Fprintf(l.stdout, "ldirectord is stopped for %s\n", l.config)
		return exitFailed
	}
	if l.unusable == exitFailed { // there is no such file: perhaps the name is wrong
		return exitFailed
	}
	fmt.Fprintf(l.stdout, "ldirectord is stopped for %s\n", l.config)
	return exitStopped
}

// works says whether a daemon that is there balances. Where it does not, the word
// running, for which heartbeat looks, is not said.
func (l *line) works(ctx context.Context, pid int) int {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	snapshot, err := control.Status(ctx, l.stateDir, l.id())
	switch {
	case err == nil:
		err = snapshot.Alive()
	case pid == 0 || l.begins():
		err = nil
	default:
		err = control.Pulse(l.stateDir, l.id(), pid)
	}
	if err != nil {
		fmt.Fprintf(l.stderr, "ldirectord for %s with pid %d does not balance: %v\n", l.config, pid, err)
		return exitFailed
	}
	fmt.Fprintf(l.stderr, "ldirectord for %s is running with pid: %d\n", l.config, pid)
	if snapshot.Trouble != "" {
		fmt.Fprintf(l.stderr, "trouble: %s\n", snapshot.Trouble)
	}
	return exitOK
}

// begins reports whether the daemon is so young that it may not answer yet: looking
// up the names of its configuration takes time.
func (l *line) begins() bool {
	info, err := os.Stat(l.pidFile())
	return err == nil && time.Since(info.ModTime()) < patience/2
}

// stale is the pid file that a daemon has left, ours or the Perl program, empty
// for none.
func (l *line) stale(s daemon.Status) string {
	if _, err := os.Stat(l.compatPIDFile()); err == nil {
		return l.compatPIDFile()
	}
	if s.PID != 0 {
		return l.pidFile()
	}
	return ""
}

var resolver = net.DefaultResolver
