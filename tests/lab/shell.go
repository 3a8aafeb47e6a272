package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Shell runs commands in one part of the lab: a host's network namespace or a cluster node.
type Shell struct {
	Name  string
	enter []string
}

// Command returns a command that runs in the network namespace or node of the Shell. When ctx ends,
// all processes of the command's process group are killed.
func (s *Shell) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	argv := append(append([]string{}, s.enter...), name)
	argv = append(argv, args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// Exec runs a command in the network namespace or node of the Shell. It returns the command's
// standard output and standard error as one text. If the command fails, the error of Exec also
// contains this text. If a child process keeps the outputs open after the command has ended, Exec
// returns an error.
func (s *Shell) Exec(ctx context.Context, name string, args ...string) (string, error) {
	out, err := s.Command(ctx, name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %s: %w: %s", s.Name,
			strings.Join(append([]string{name}, args...), " "), err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

// Run calls Exec with a time limit of one minute, and fails the test on an error.
func (s *Shell) Run(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := s.Exec(ctx, name, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// Script runs a shell script (sh -ec) as Run runs a command. One call of Script takes less time
// than a call of Run for each line of the script.
func (s *Shell) Script(tb testing.TB, script string) string {
	tb.Helper()
	return s.Run(tb, "sh", "-ec", script)
}

// Process is a running command that Shell.Start has started.
type Process struct {
	cmd  *exec.Cmd
	out  lockedBuffer
	done chan struct{}
	err  error
}

// Start starts a command in the network namespace or node of the Shell, and does not wait until it
// ends. When the test ends, the command is killed.
func (s *Shell) Start(tb testing.TB, name string, args ...string) *Process {
	tb.Helper()
	p := &Process{cmd: s.Command(context.Background(), name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		tb.Fatalf("%s: %s: %v", s.Name, name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	tb.Cleanup(p.Kill)
	return p
}

// Output returns the text that the process has written to standard output and standard error.
func (p *Process) Output() string { return p.out.String() }

// Done returns a channel that is closed when the process has ended and its output is complete.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the end of the process and returns its error as exec.Cmd.Wait does.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Signal sends a signal to the process group of the process, unless the process has ended.
func (p *Process) Signal(signal syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, signal)
	}
}

// Kill kills the process group of the process and waits until the process has ended.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Public copies programs to a directory that every user can read, and returns the directory.
// ocf-tester needs it: it runs meta-data as an unprivileged user, who cannot enter the directory of
// the repository.
func Public(tb testing.TB, programs ...string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "public")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	for _, program := range programs {
		text, err := os.ReadFile(program)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(program)), text, 0o755)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}
