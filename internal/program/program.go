// Package program runs the programs of administrators: checks, mailers, fallback commands. It
// bounds their time, their output and their number, and starts them as execvp(3) does.
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

// Set is the programs that this process has started. New makes a Set. A nil Set starts programs,
// too, but neither bounds their number nor finds their orphans.
type Set struct {
	environ []string      // of this process
	count   atomic.Uint64 // of the marks
	room    chan struct{} // holds one element for each session

	mu  sync.Mutex
	own map[int]bool // processes that their starter waits for
}

// New makes this process the one that orphans of its programs go to. Environ is the environment of
// sessions. At most limit sessions run at once; Limit returns a limit that this process can bear.
func New(environ []string, limit int) (*Set, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("prctl: %w", err)
	}
	return &Set{environ: environ, room: make(chan struct{}, limit), own: map[int]bool{}}, nil
}

// Command is a program with its arguments and files. Nil files are /dev/null.
type Command struct {
	Argv    []string
	Environ []string // nil for the environment of this process; a session has the environment of its Set
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
}

// CloseTimeout is how long the files of a program that has ended can stay open: a process that has
// left its group may have them.
const CloseTimeout = time.Second

// prepare gives a command its files and its attributes.
func (c Command) prepare(cmd *exec.Cmd, attributes *syscall.SysProcAttr) *exec.Cmd {
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Environ, c.Stdin, c.Stdout, c.Stderr
	cmd.SysProcAttr, cmd.WaitDelay = attributes, CloseTimeout
	return cmd
}

// Run runs a program in a process group and waits for its end. If ctx ends first, it kills the
// group. Processes that the program has started stay after its end: a fallback command can start a
// server. Run returns the command as it was started.
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

// start starts a program as execvp(3) does. No search for orphans touches its process until ended.
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

// ended is called after the process of a command was waited for.
func (s *Set) ended(cmd *exec.Cmd) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.own, cmd.Process.Pid)
}
