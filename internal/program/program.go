// Package program runs other programs: checks, mailers, fallback commands and tools of the cluster.
// It limits their running time, and how many sessions (the programs of checks) run at once. It
// starts programs as execvp(3) does.
package program

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Set starts programs. New makes a Set. A nil Set also starts programs, but it does not limit the
// number of sessions and does not find orphans.
type Set struct {
	// environ is the environment of the sessions, without the mark of a session.
	environ []string
	count   atomic.Uint64 // count is the number of marks that the Set has made.
	room    chan struct{} // room has one element for each session that runs.

	mu  sync.Mutex
	own map[int]bool // own has the pids of the programs that the Set must still wait for.
}

// New makes a Set. It also makes this process a subreaper (prctl(2)): the kernel makes the orphans
// of its programs children of this process. Environ is the environment of sessions. At most limit
// sessions run at once. The function Limit returns a limit that suits this host.
func New(environ []string, limit int) (*Set, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("prctl: %w", err)
	}
	return &Set{environ: environ, room: make(chan struct{}, limit), own: map[int]bool{}}, nil
}

// Command is a program with its arguments, environment and files. A nil file is /dev/null.
type Command struct {
	Argv []string
	// Environ is the environment of the program. Nil means the environment of this process. Sessions
	// ignore Environ: they have the environment of the Set.
	Environ []string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
}

// CloseTimeout is how long the output of a program can stay open after the program has ended. A
// process that the program has started can keep the output open.
const CloseTimeout = time.Second

// prepare sets the environment, the files, the attributes and the close timeout of cmd, and returns
// cmd.
func (c Command) prepare(cmd *exec.Cmd, attributes *syscall.SysProcAttr) *exec.Cmd {
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Environ, c.Stdin, c.Stdout, c.Stderr
	cmd.SysProcAttr, cmd.WaitDelay = attributes, CloseTimeout
	return cmd
}

// Run runs a program in a new process group and waits until the program ends. If ctx ends first,
// Run kills the process group. If the program ends first, the processes that it has started
// continue, because a fallback command can start a server. Run returns the command, even if the
// command did not start. The error is exec.ErrWaitDelay if the program ended with status 0, but a
// process that it has started keeps its output open.
func (s *Set) Run(ctx context.Context, c Command) (*exec.Cmd, error) {
	cmd, err := s.start(c.Argv, func(argv []string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		return c.prepare(cmd, &syscall.SysProcAttr{Setpgid: true})
	})
	if err != nil {
		return cmd, err
	}
	defer s.ended(cmd)
	return cmd, cmd.Wait()
}

// start starts a program as execvp(3) does. Until the caller calls ended, the search for orphans
// ignores the process of the program.
func (s *Set) start(argv []string, build func(argv []string) *exec.Cmd) (*exec.Cmd, error) {
	if s == nil {
		return execvp(argv, build, (*exec.Cmd).Start)
	}
	return execvp(argv, build, func(cmd *exec.Cmd) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		err := cmd.Start()
		if err == nil {
			s.own[cmd.Process.Pid] = true
		}
		return err
	})
}

// ended removes the process of a command from own. The caller has waited for the process before.
func (s *Set) ended(cmd *exec.Cmd) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.own, cmd.Process.Pid)
}
