// Package ocf owns the protocol between a cluster resource manager and a
// resource agent (OCF Resource Agent API 1.1): actions, environment, deadline,
// exit codes, exit reason and logging. It does not depend on the kind of resource.
package ocf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	_ "lvs-agents/internal/stack" // must initialize before most other packages
	"lvs-agents/metadata"
)

// Agent is one kind of resource. All methods can be called in any order and any number of times.
// The parameters are loaded before Start, Stop and Monitor. For Stop and Monitor a parameter with a
// bad value has its default.
type Agent interface {
	// Metadata returns the parameters and actions of the agent. It must not read the system.
	Metadata() metadata.Agent
	// Start returns nil when the resource runs completely, even if it ran before. It leaves
	// nothing that a later Start or Stop cannot handle.
	Start(context.Context, Call) error
	// Stop returns nil when no part of the resource is left.
	Stop(context.Context, Call) error
	// Monitor returns the state of the resource. It never starts or stops the resource. It returns
	// an error if it cannot find out the state.
	Monitor(context.Context, Call) (Status, error)
}

// Reloader is an agent that can change reloadable parameters of a running resource. Its metadata
// must have the action reload-agent.
type Reloader interface {
	ReloadAgent(context.Context, Call) error
}

// Validator is an agent whose check of its parameters is more than a check of each parameter alone.
// At level 0 it reads only parameters and the files that they name. From level 10 on it can also
// read the state of the node.
type Validator interface {
	Validate(ctx context.Context, call Call, level int) error
}

// Call is the data that the resource manager passes to an action, apart from parameters.
type Call struct {
	// Instance is the id of the resource, or "default" if the environment has no id.
	Instance string
	// Probe says that the action is a monitor that finds out whether the resource runs here at all.
	Probe bool
	// Level is the check level of a monitor. It is 0 unless the operation sets another level.
	Level int
	// Recurring says that the cluster monitors a resource that should run here. It is false for a
	// probe, and for the monitor that an agent runs after its start or stop.
	Recurring bool
	// CloneMax is the largest number of instances of a clone in the cluster. Zero means not a
	// clone.
	CloneMax int
	// Pacemaker says that Pacemaker runs the action: it gives crm_feature_set to every action.
	Pacemaker bool

	StateDir string // StateDir is the directory for files that must not survive a reboot.
	Log      logrus.FieldLogger
}

// Resource returns Instance without the number of the instance in a clone. So all instances have
// the same text.
func (c Call) Resource() string {
	id, _, _ := strings.Cut(c.Instance, ":")
	return id
}

// State is the result of a Monitor. The zero value is a programming error and does not count as
// stopped.
type State uint8

// The states of a resource.
const (
	Running State = iota + 1
	Stopped       // Stopped: no part of the resource is there.
	Failed        // Failed: only a part of the resource is there, or the resource does not work.
	// Degraded: the resource runs with a fault. crm_mon shows the fault, and the cluster does
	// nothing.
	Degraded
)

// Status is a state with its reason for an operator. The reason of Running is not used.
type Status struct {
	State  State
	Reason string
}

// Process has the arguments, the environment and the files of an agent process. Begin makes it in a
// program, and tests fill it in.
type Process struct {
	Args    []string // Args are the arguments. The first is the name of the program.
	Environ []string
	Stdout  io.Writer
	Stderr  io.Writer
	Root    bool // Root says that the effective user id is 0.
	// Terminal says that a person reads Stderr, as ha_log decides: standard input is a terminal.
	// The log then goes only to Stderr.
	Terminal bool
	StateDir string
	Warning  error // Warning is a warning to log before the action. Nil means none.
	// Supersede lets a start, stop or reload end earlier actions of the same resource that have
	// not ended. Set it only in a program that runs one action of one resource.
	Supersede bool

	refused error // refused is why no parameter could be read. It is the error of start.
}

// Begin returns the arguments, environment and files of this program. If the program cannot
// open the files of an action, Begin ends it with exit code 1 and a reason. The main of an agent
// calls it first, once. Go's runtime ends a program that cannot open its poller with exit code 2,
// which the cluster takes for a wrong configuration. The poller is one of the files of an action.
func Begin() Process {
	if err := room(needed); err != nil {
		fmt.Fprintf(os.Stderr, "ocf-exit-reason:fewer than %d more files can be open at once: %v; raise LimitNOFILE of the cluster manager's unit\n", needed, err)
		os.Exit(int(Generic))
	}
	dir, warning := StateDir()
	return Process{
		Args: os.Args, Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr,
		Root:     os.Geteuid() == 0,
		Terminal: isTerminal(syscall.Stdin), Supersede: true,
		StateDir: dir, Warning: warning,
	}
}

// Main runs the action that the process was called with and ends the process.
func Main(p Process, agent Agent) {
	// These two signals end a Go program in the middle of an action: SIGQUIT with status
	// 2, which means OCF_ERR_ARGS, and SIGPIPE when the reader of the output has ended. A
	// handler would double the time of a monitor (docs/adr/0068-start-up-of-an-agent.md).
	signal.Ignore(syscall.SIGPIPE, syscall.SIGQUIT)
	logrus.SetOutput(io.Discard) // Libraries log to the standard logger.
	if isScript(p.Args) {
		os.Exit(script(p, agent))
	}
	os.Exit(int(execute(p, agent, func(code Code) { os.Exit(int(code)) })))
}

// isTerminal reports whether a descriptor is open on a terminal, as isatty(3) does.
func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// session is one action of one agent.
type session struct {
	agent  Agent
	decl   metadata.Agent
	env    environment
	proc   Process
	action string
	log    *logrus.Logger
	call   Call
	level  int
	end    func(Code) // end gets the exit code of an action that has not returned in time.
}

// Run executes one action and returns the exit code. A panic is code 1. If the action does not end,
// Run returns after the deadline.
func Run(p Process, agent Agent) Code {
	codes := make(chan Code, 2)
	go func() { codes <- execute(p, agent, func(code Code) { codes <- code }) }()
	return <-codes
}

// execute executes one action on the calling goroutine. If the action has not returned after the
// deadline, another goroutine calls end with the exit code.
func execute(p Process, agent Agent, end func(Code)) (code Code) {
	stderr := &lastWord{to: p.Stderr}
	defer stderr.end()
	p.Stderr = stderr
	s := &session{agent: agent, proc: p, env: newEnvironment(p.Environ), end: func(code Code) { stderr.end(); end(code) }}
	defer func() {
		if cause := recover(); cause != nil {
			fmt.Fprintf(p.Stderr, "%s", debug.Stack())
			code = s.fail(fmt.Errorf("bug in the agent, please report it: panic: %v", cause))
		}
	}()
	s.decl = agent.Metadata()
	if len(p.Args) > 1 {
		s.action = p.Args[1]
	}
	s.call = Call{
		Instance: s.env.instance(),
		Probe:    s.action == "monitor" && s.env.probe(),
		StateDir: p.StateDir,
		CloneMax: s.env.cloneMax(),

		Pacemaker: s.env["OCF_RESKEY_crm_feature_set"] != "",
	}
	s.call.Recurring = (s.action == "monitor" || s.action == "status") && !s.env.probe()
	s.level = s.env.level()
	// Start and stop also run a monitor, always with check level 0. Only the actions monitor and
	// status have their own level.
	if s.action == "monitor" || s.action == "status" {
		s.call.Level = s.level
	}
	s.log = newLogger(p, s.env, s.name())
	s.call.Log = s.log
	return s.run()
}

// name returns the resource type as the caller spells it.
func (s *session) name() string {
	if len(s.proc.Args) == 0 {
		return s.decl.Name
	}
	return filepath.Base(s.proc.Args[0])
}

func (s *session) run() Code {
	switch s.action {
	case "meta-data":
		return s.metadata()
	case "usage", "help", "--help", "-h":
		fmt.Fprintln(s.proc.Stdout, s.usage())
		return Success
	case "validate-all":
		return s.validate()
	case "start", "stop", "monitor", "status":
		return s.act()
	case "reload-agent":
		if _, ok := s.agent.(Reloader); ok {
			return s.act()
		}
	case "notify":
		if _, ok := s.agent.(Notifier); ok {
			return s.act()
		}
	}
	fmt.Fprintln(s.proc.Stderr, s.usage())
	return s.fail(coded(Unimplemented, fmt.Errorf("action %q does not exist", s.action)))
}

func (s *session) metadata() Code {
	document, err := metadata.Document(s.decl.Name)
	if err == nil {
		_, err = s.proc.Stdout.Write(document)
	}
	if err != nil {
		return s.fail(err)
	}
	return Success
}

func (s *session) usage() string {
	actions := []string{}
	for _, a := range s.decl.Actions {
		actions = append(actions, a.Name)
	}
	return fmt.Sprintf("usage: %s {%s}\n%s. An OCF resource agent: parameters are environment variables OCF_RESKEY_<name>.\nThe action meta-data lists them.",
		s.name(), strings.Join(append(actions, "usage"), "|"), s.decl.Short)
}

func (s *session) validate() Code {
	if errs := s.decl.Load(s.proc.Environ); len(errs) > 0 {
		return s.fail(paramErrors(errs))
	}
	validator, ok := s.agent.(Validator)
	if !ok {
		return Success
	}
	return s.withDeadline(func(ctx context.Context) Code {
		if err := validator.Validate(ctx, s.call, s.level); err != nil {
			return s.fail(err)
		}
		return Success
	})
}

// act runs the actions that read or change the system.
func (s *session) act() Code {
	if !s.proc.Root {
		return s.fail(coded(Permission, fmt.Errorf("%s needs root", s.action)))
	}
	if s.proc.Warning != nil {
		s.log.Warn(s.proc.Warning)
	}
	errs := s.decl.Load(s.proc.Environ)
	lenient := s.action == "stop" || s.action == "monitor" || s.action == "status"
	if s.proc.refused != nil && !lenient {
		return s.fail(WrongEverywhere(s.proc.refused))
	}
	if len(errs) > 0 && !lenient {
		return s.fail(paramErrors(errs))
	}
	for _, err := range errs {
		s.log.Debugf("%s: %v; its default is used", s.action, err)
	}
	return s.withDeadline(s.perform)
}

// perform calls the method of the action.
func (s *session) perform(ctx context.Context) Code {
	switch s.action {
	case "start":
		return s.start(ctx)
	case "stop":
		return s.stop(ctx)
	case "reload-agent":
		return s.reload(ctx)
	case "notify":
		return s.notify(ctx)
	}
	return s.monitor(ctx)
}

func (s *session) start(ctx context.Context) Code {
	s.supersede(ctx)
	for _, warning := range s.decl.Unknown(s.proc.Environ) {
		s.log.Warn(warning)
	}
	if err := s.agent.Start(ctx, s.call); err != nil {
		return s.fail(err)
	}
	return s.confirm(ctx, Running)
}

func (s *session) stop(ctx context.Context) Code {
	s.supersede(ctx)
	if err := s.agent.Stop(ctx, s.call); err != nil && !isNotInstalled(err) {
		return s.fail(err)
	}
	return s.confirm(ctx, Stopped)
}

func (s *session) reload(ctx context.Context) Code {
	s.supersede(ctx)
	if err := s.agent.(Reloader).ReloadAgent(ctx, s.call); err != nil {
		return s.fail(err)
	}
	return s.confirm(ctx, Running)
}

// confirm runs a monitor after an action, and returns an error code if the monitor contradicts the
// action. Otherwise, the cluster could get a success, and the next monitor would report another
// state.
func (s *session) confirm(ctx context.Context, want State) Code {
	status, err := s.look(ctx)
	switch {
	case err != nil:
		return s.fail(fmt.Errorf("the monitor after %s: %w", s.action, err))
	case status.State == want || want == Running && status.State == Degraded:
		return Success
	}
	return s.fail(fmt.Errorf("%s was done, but the monitor after it reports %s", s.action, status))
}

func (s *session) monitor(ctx context.Context) Code {
	status, err := s.look(ctx)
	if err != nil {
		return s.fail(err)
	}
	switch status.State {
	case Running:
		return Success
	case Stopped:
		if status.Reason != "" && !s.call.Probe {
			s.reason(status.Reason)
		}
		return NotRunning
	case Degraded:
		s.reason(status.Reason)
		return DegradedCode
	case Failed:
		return s.fail(errors.New(status.Reason))
	}
	return s.fail(errors.New("bug in the agent, please report it: monitor came to no state"))
}

// look runs the method Monitor of the agent. If a program or a part of the kernel is missing, look
// returns Stopped, because the resource cannot run without it.
func (s *session) look(ctx context.Context) (Status, error) {
	status, err := s.agent.Monitor(ctx, s.call)
	if isNotInstalled(err) {
		return Status{State: Stopped, Reason: err.Error()}, nil
	}
	return status, err
}

// withDeadline gives an action a little less time than the cluster does, so that the agent can
// still report why the action failed. The action runs on the calling goroutine, because a second
// goroutine needs a second stack (docs/adr/0068-start-up-of-an-agent.md).
func (s *session) withDeadline(action func(context.Context) Code) Code {
	timeout := s.env.timeout()
	margin := min(timeout/10, time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), timeout-margin)
	defer cancel()
	defer time.AfterFunc(timeout-margin/2, func() { s.giveUp(timeout-margin/2, margin/4) }).Stop()
	return action(ctx)
}

// giveUp ends the process of an action that has not returned. The parameter after is the time that
// the action had. giveUp writes the exit reason, and waits at most the time word for that write, or
// leastWord if that is longer.
func (s *session) giveUp(after, word time.Duration) {
	said := make(chan Code, 1)
	go func() { said <- s.fail(fmt.Errorf("%s did not end within %s", s.action, after)) }()
	select {
	case code := <-said:
		s.end(code)
	case <-time.After(max(word, leastWord)): // The write to stderr is blocked.
		s.end(Generic)
	}
}

// leastWord is the least time for the exit reason, even if the timeout is shorter: a busy host
// needs some milliseconds for one line.
const leastWord = 100 * time.Millisecond

// lastWord is stderr until Run returns. An action that is past its deadline can continue for a
// moment. lastWord drops the text that this action writes then, so that the exit reason stays the
// last line.
type lastWord struct {
	mu    sync.Mutex
	ended atomic.Bool
	to    io.Writer
}

// Write writes to stderr, but drops the bytes after the call of end.
func (w *lastWord) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended.Load() {
		return len(p), nil
	}
	return w.to.Write(p)
}

// end makes Write drop all later bytes. It does not wait for a write, because the reader of stderr
// can hang.
func (w *lastWord) end() { w.ended.Store(true) }

// String returns the text for exit reasons.
func (s Status) String() string {
	text := [...]string{"no state", "running", "stopped", "failed", "degraded"}[s.State]
	if s.Reason != "" && s.State != Running {
		text += ": " + s.Reason
	}
	return text
}
