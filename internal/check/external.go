package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// External runs a program. It is good when that ends with status 0; one that
// is killed, also by the time limit, is not.
type External struct {
	Program  string
	Args     []string
	Programs *Programs // nil leaves what has left the program's group
}

// Check implements Checker.
func (e External) Check(ctx context.Context) error {
	if err := run(ctx, program{argv: append([]string{e.Program}, e.Args...), programs: e.Programs}); err != nil {
		return fmt.Errorf("%s: %w", e.Program, err)
	}
	return nil
}

// program is what is run for a check.
type program struct {
	argv     []string
	input    string
	programs *Programs
}

// failure is how a program ended.
type failure struct {
	how    string
	output string // the first of what it said
	cause  error  // nil, or context.DeadlineExceeded
}

func (f failure) Error() string {
	if f.output == "" {
		return f.how
	}
	return f.how + ": " + f.output
}

// Unwrap serves errors.Is.
func (f failure) Unwrap() error { return f.cause }

// run runs a program in a session of its own and leaves nothing behind of
// the group, and of what has left that.
func run(ctx context.Context, p program) error {
	waitedLong, err := p.programs.enter(ctx)
	if err != nil {
		return err
	}
	defer p.programs.leave()
	said := &head{}
	mark := p.programs.mark()
	cmd, err := p.programs.Start(p.argv, func(argv []string) *exec.Cmd {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(p.input), said, said
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // nobody in it can join a group of ours
		cmd.WaitDelay = time.Second                          // for a child that has escaped and holds our pipe
		cmd.Env = p.programs.environment(mark)
		return cmd
	})
	if err != nil {
		return startError(err)
	}
	defer p.programs.Ended(cmd)
	group := &group{pid: cmd.Process.Pid}
	stop := context.AfterFunc(ctx, group.kill)
	await(cmd.Process.Pid)
	late := !stop()
	group.end()
	p.programs.killMarked(mark)
	err = cmd.Wait()
	switch {
	case late && waitedLong: // it did not have its whole time
		return p.programs.full()
	case late:
		return failure{"no end in time", said.String(), context.DeadlineExceeded}
	case errors.Is(err, exec.ErrWaitDelay):
		return nil // the program itself ended well
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return failure{exit.String(), said.String(), nil}
	}
	return err
}

// group is a process group.
type group struct {
	mu    sync.Mutex
	pid   int // of its leader, and its name
	ended bool
}

// kill ends whatever is left of it. Until its leader is waited for, nobody else
// gets its number.
func (g *group) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		_ = syscall.Kill(-g.pid, syscall.SIGKILL) // it may be gone already
	}
}

// end is the last kill.
func (g *group) end() {
	g.kill()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
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

var errMissing = errors.New("no such program")

// startError says what is wrong with a program that does not start.
func startError(err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return errMissing
	case errors.Is(err, os.ErrPermission):
		return errors.New("not executable; chmod +x")
	}
	return err
}

// head keeps the beginning of what is written to it.
type head struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer. It takes everything, so that nobody waits.
func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text.Write(p[:max(0, min(len(p), maxReason-h.text.Len()))])
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return printable(h.text.String())
}
