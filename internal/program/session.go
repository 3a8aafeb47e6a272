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

// Session is a program that runs in a new session (setsid(2)), so it cannot join a process group of
// this process. The caller must call End.
type Session struct {
	set    *Set
	cmd    *exec.Cmd
	marked string
	// long says that the session waited for more than a tenth of its time before it started.
	long bool

	mu    sync.Mutex
	ended bool
	err   error // err is the result of the first call of End.
}

// StartSession starts a program in a new session, in the root directory. Before that, it waits
// until fewer sessions run than the limit of the Set. If ctx ends first, the error is unix.EAGAIN.
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

// Crowded returns an error that blames this host if the session lost much of its time because too
// many sessions were running. Otherwise, it returns nil.
func (s *Session) Crowded() error {
	if s.long {
		return s.set.full()
	}
	return nil
}

// Kill kills the program and its process group. The kernel gives the pid of the program to no other
// process before End has waited for the program.
func (s *Session) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // An error of Kill is normal: the program can have ended already.
	}
}

// End kills the program, its process group, and the orphans that killMarked finds. It returns the
// error of exec.Cmd.Wait. A second call does nothing and returns the same error.
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

// Failure is the error of a program that did not end with status 0 in time. How is its exit status,
// the signal that killed it, or "no end in time".
type Failure struct {
	How    string
	Output string // Output is the beginning of the output of the program.
	// cause is context.DeadlineExceeded if the program did not end in time, and nil otherwise.
	cause error
}

func (f Failure) Error() string {
	if f.Output == "" {
		return f.How
	}
	return f.How + ": " + f.Output
}

// Unwrap lets errors.Is find context.DeadlineExceeded.
func (f Failure) Unwrap() error { return f.cause }

// RunSession runs a program in a session and waits until the program ends. If ctx ends first,
// RunSession kills the program. If the program does not end with status 0 in time, the error is a
// Failure. If too many other sessions took the time, the error is unix.EAGAIN instead. If the
// program does not start, the error is ErrMissing or the reason.
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
	case errors.Is(err, exec.ErrWaitDelay):
		// The program succeeded, but another process still has its output open.
		return nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return Failure{exit.String(), output.String(), nil}
	}
	return err
}

// await waits until a process ends. It leaves the exit status of the process for Wait. It does not
// block a thread if the kernel has pidfd_open (Linux 5.3).
func await(pid int) {
	if fd, err := unix.PidfdOpen(pid, 0); err == nil && polled(fd) == nil {
		return
	}
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		continue
	}
}

// polled waits in Go's poller until a pidfd is readable, which means that the process has ended.
// Then it closes the pidfd.
func polled(fd int) error {
	// os.NewFile polls only nonblocking files. For other files, raw.Read fails.
	_ = unix.SetNonblock(fd, true)
	file := os.NewFile(uintptr(fd), "pidfd")
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		ended := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(ended, 0) // a signal interrupts the call only while the process runs
		return n > 0
	})
}

// ErrMissing is the error of a program that does not exist, or of a script whose interpreter does
// not exist.
var ErrMissing = errors.New("no such program or interpreter")

// startError returns an error that explains why a program does not start.
func startError(err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return ErrMissing
	case errors.Is(err, os.ErrPermission):
		return errors.New("not executable; chmod +x, or mount its file system without noexec")
	}
	return err
}

// maxOutput is how many bytes a session keeps of the output of its program.
const maxOutput = 300

// Head is a writer that keeps the first Max bytes and discards the rest. It accepts all bytes, so
// that no program waits when it writes.
type Head struct {
	Max int

	mu   sync.Mutex
	text bytes.Buffer
}

// Write keeps bytes of p until h has Max bytes. Its error is always nil.
func (h *Head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text.Write(p[:max(0, min(len(p), h.Max-h.text.Len()))])
	return len(p), nil
}

// String returns the bytes that h has kept.
func (h *Head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}
