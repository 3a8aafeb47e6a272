// Package ocf owns the protocol between a cluster resource manager and a
// resource agent (OCF Resource Agent API 1.1): actions, environment, deadline,
// exit codes, exit reason and logging. It knows nothing about what an agent
// manages.
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

	"lvs-agents/metadata"
)

// Agent is one kind of resource. All methods may be called in any order and any
// number of times; parameters have been loaded before Start, Stop and Monitor,
// leniently for the latter two: a parameter with a bad value has its default.
type Agent interface {
	// Metadata declares the agent. It must not look at the system.
	Metadata() metadata.Agent
	// Start returns nil when the resource is completely there, also when it
	// was before. It leaves nothing that a later Start or Stop cannot handle.
	Start(context.Context, Call) error
	// Stop returns nil when nothing of the resource is there any more.
	Stop(context.Context, Call) error
	// Monitor looks and changes nothing. The error is for being unable to look.
	Monitor(context.Context, Call) (Status, error)
}

// Reloader is an agent that can change reloadable parameters of a running
// resource. Having the method and advertising reload-agent go together.
type Reloader interface {
	ReloadAgent(context.Context, Call) error
}

// Validator is an agent that checks more than each parameter by itself. At
// level 0 it looks at nothing but parameters and files that they name; from
// level 10 on it may look at the node.
type Validator interface {
	Validate(ctx context.Context, call Call, level int) error
}

// Call is what the resource manager says about one action besides parameters.
type Call struct {
	Instance string // resource id; "default" when the caller gave none
	Probe    bool   // a monitor that asks whether the resource is here at all
	Level    int    // check level of a monitor, 0 unless the operation says more
	// Recurring monitors look after a resource that ought to run here. Neither a
	// probe nor the look after an action is one.
	Recurring bool
	CloneMax  int    // most copies that the cluster runs of this clone; zero for no clone
	StateDir  string // directory for files that must not survive a reboot
	Log       logrus.FieldLogger
}

// State is the judgement of a Monitor. The zero value is a programming error
// and never taken for stopped.
type State uint8

// The states of a resource.
const (
	Running  State = iota + 1
	Stopped        // nothing of it is there
	Failed         // some of it is there, or it is there and does not work
	Degraded       // running, but someone should look; shown by crm_mon, no recovery
)

// Status is a state and why, for an operator; the reason of Running is not used.
type Status struct {
	State  State
	Reason string
}

// Process is what the operating system gives to an agent. Tests make their own.
type Process struct {
	Args     []string // with the program's name
	Environ  []string
	Stdout   io.Writer
	Stderr   io.Writer
	Root     bool // effective user id 0
	Terminal bool // a person is looking: log to Stderr whatever the environment says
	StateDir string
	Warning  error // what to log before the action; nil for nothing
	// Supersede lets a start, stop or reload end what is left of earlier actions of
	// the same resource. Only for a program that runs one resource's action.
	Supersede bool

	refused error // why parameters could not be read at all: start fails with it
}

// Begin returns the arguments, environment and files of this program. If the program cannot
// open the files of an action, Begin ends it with exit code 1 and a reason. The main of an agent
// calls it first, once. Go's runtime ends a program that cannot open its poller with exit code 2,
// which the cluster takes for a wrong configuration. So Begin opens the poller.
func Begin() Process {
	if err := room(needed); err != nil {
		fmt.Fprintf(os.Stderr, "ocf-exit-reason:fewer than %d more files can be open at once: %v; raise LimitNOFILE of the cluster manager's unit\n", needed, err)
		os.Exit(int(Generic))
	}
	time.AfterFunc(time.Hour, func() {}).Stop() // a timer opens the poller
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
	logrus.SetOutput(io.Discard) // libraries log there
	if isScript(p.Args) {
		os.Exit(script(p, agent))
	}
	os.Exit(int(Run(p, agent)))
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
}

// Run executes one action and returns the exit code. A panic is code 1.
func Run(p Process, agent Agent) (code Code) {
	stderr := &lastWord{to: p.Stderr}
	defer stderr.end()
	p.Stderr = stderr
	s := &session{agent: agent, proc: p, env: newEnvironment(p.Environ)}
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
	}
	s.call.Recurring = (s.action == "monitor" || s.action == "status") && !s.env.probe()
	s.level = s.env.level()
	if s.action == "monitor" || s.action == "status" { // the look after start and stop is always the plain one
		s.call.Level = s.level
	}
	s.log = newLogger(p, s.env, s.name())
	s.call.Log = s.log
	return s.run()
}

// name is the resource type as the caller spells it.
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
	case "start", "stop", "monitor", "status", "reload-agent":
		if _, ok := s.agent.(Reloader); s.action != "reload-agent" || ok {
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

// act runs the actions that touch the system.
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
	actions := map[string]func(context.Context) Code{
		"start": s.start, "stop": s.stop, "monitor": s.monitor, "status": s.monitor, "reload-agent": s.reload,
	}
	return s.withDeadline(actions[s.action])
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

// confirm looks again after an action: the cluster is not told what a monitor
// would deny a second later.
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

// look is Monitor with a missing subsystem taken for stopped: what the kernel
// does not have cannot be running in it.
func (s *session) look(ctx context.Context) (Status, error) {
	status, err := s.agent.Monitor(ctx, s.call)
	if isNotInstalled(err) {
		return Status{State: Stopped, Reason: err.Error()}, nil
	}
	return status, err
}

// withDeadline gives an action a little less time than the cluster does, so
// that it can still say why it failed. An action that does not come back by
// then is left to die with the process.
func (s *session) withDeadline(action func(context.Context) Code) Code {
	timeout := s.env.timeout()
	margin := min(timeout/10, time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), timeout-margin)
	defer cancel()
	done := make(chan Code, 1)
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				fmt.Fprintf(s.proc.Stderr, "%s", debug.Stack())
				done <- s.fail(fmt.Errorf("bug in the agent, please report it: panic: %v", cause))
			}
		}()
		done <- action(ctx)
	}()
	stuck := time.NewTimer(timeout - margin/2)
	defer stuck.Stop()
	select {
	case code := <-done:
		return code
	case <-stuck.C:
	}
	said := make(chan Code, 1)
	go func() { said <- s.fail(fmt.Errorf("%s did not end within %s", s.action, timeout-margin/2)) }()
	select {
	case code := <-said:
		return code
	case <-time.After(max(margin/4, leastWord)): // not even stderr takes it
		return Generic
	}
}

// leastWord is how long the exit reason can take, however short the timeout is: a
// busy machine needs some milliseconds for one line.
const leastWord = 100 * time.Millisecond

// lastWord is stderr until Run returns. An action that did not listen to its
// deadline may go on for a moment; what it says then is lost, so that the exit
// reason stays the last line.
type lastWord struct {
	mu    sync.Mutex
	ended atomic.Bool
	to    io.Writer
}

// Write is part of io.Writer.
func (w *lastWord) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended.Load() {
		return len(p), nil
	}
	return w.to.Write(p)
}

// end does not wait: nobody may be reading what is being written.
func (w *lastWord) end() { w.ended.Store(true) }

// String is for exit reasons.
func (s Status) String() string {
	text := [...]string{"no state", "running", "stopped", "failed", "degraded"}[s.State]
	if s.Reason != "" && s.State != Running {
		text += ": " + s.Reason
	}
	return text
}
