package program

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Session is a program in a session, which cannot join a process group of this process. At its
// end, no process of it stays. End must be called.
type Session struct {
	set    *Set
	cmd    *exec.Cmd
	marked string
	long   bool // it had to wait for room

	mu    sync.Mutex
	ended bool
	err   error // of the end
}

// StartSession starts a program in a session, in the root directory. Before that it waits for room.
func (s *Set) StartSession(ctx context.Context, c Command) (*Session, error) {
	long, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	session := &Session{set: s, marked: s.mark(), long: long}
	c.Environ = s.environment(session.marked)
	session.cmd, err = s.start(c.Argv, func(argv []string) *exec.Cmd {
		cmd := c.prepare(exec.Command(argv[0], argv[1:]...), &syscall.SysProcAttr{Setsid: true})
		cmd.Dir = "/"
		return cmd
	})
	if err != nil {
		s.leave()
		return nil, startError(err)
	}
	return session, nil
}

// Crowded returns an error of this host if the session did not have its whole time, because it had
// to wait for room.
func (s *Session) Crowded() error {
	if s.long {
		return s.set.full()
	}
	return nil
}

// Kill ends the program and its process group. No other process gets the number of the program
// before End has waited for it.
func (s *Session) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	}
}

// End kills the program and all processes that it has left. It returns the error of exec.Cmd.Wait.
// Only the first call does something.
func (s *Session) End() error {
	s.Kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return s.err
	}
	s.ended = true
	s.set.killMarked(s.marked)
	s.err = s.cmd.Wait()
	s.set.ended(s.cmd)
	s.set.leave()
	return s.err
}

// Failure is how a program ended.
type Failure struct {
	How    string
	Output string // its beginning
	cause  error  // nil, or context.DeadlineExceeded
}

func (f Failure) Error() string {
	if f.Output == "" {
		return f.How
	}
	return f.How + ": " + f.Output
}

// Unwrap serves errors.Is.
func (f Failure) Unwrap() error { return f.cause }

// RunSession runs a program with an input in a session. It fails with a Failure unless the program
// ends with status 0 before ctx does.
func (s *Set) RunSession(ctx context.Context, c Command) error {
	output := &Head{Max: maxOutput}
	c.Stdout, c.Stderr = output, output
	session, err := s.StartSession(ctx, c)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, session.Kill)
	await(session.cmd.Process.Pid)
	late := !stop()
	err = session.End()
	switch {
	case late && session.long:
		return session.Crowded()
	case late:
		return Failure{"no end in time", output.String(), context.DeadlineExceeded}
	case errors.Is(err, exec.ErrWaitDelay): // the program ended well, and an escaped child holds its output
		return nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return Failure{exit.String(), output.String(), nil}
	}
	return err
}

// await waits for the end of a process and leaves it for Wait. It takes no thread
// where the kernel has pidfd_open (5.3).
func await(pid int) {
	if fd, err := unix.PidfdOpen(pid, 0); err == nil && polled(fd) == nil {
		return
	}
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		continue
	}
}

// polled waits in Go's poller until a pidfd is readable, and closes it.
func polled(fd int) error {
	_ = unix.SetNonblock(fd, true) // else os.NewFile does not poll it, which is an error below
	file := os.NewFile(uintptr(fd), "pidfd")
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		ended := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(ended, 0) // interrupted only while it has not ended
		return n > 0
	})
}

// ErrMissing is the error of a program that does not exist.
var ErrMissing = errors.New("no such program")

// startError explains why a program does not start.
func startError(err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return ErrMissing
	case errors.Is(err, os.ErrPermission):
		return errors.New("not executable; chmod +x")
	}
	return err
}

// maxOutput bounds the output of a session in bytes.
const maxOutput = 300

// Head keeps the first Max bytes that are written to it, and takes all others, so that no program
// waits.
type Head struct {
	Max int

	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (h *Head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text.Write(p[:max(0, min(len(p), h.Max-h.text.Len()))])
	return len(p), nil
}

// String returns the bytes that are kept.
func (h *Head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}
