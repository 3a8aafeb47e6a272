package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// External runs a program. Exit status 0 is good; another one, a signal or no
// end in time are not.
type External struct {
	Program string
	Args    []string
}

// maxOutput bounds what is kept of a program's output.
const maxOutput = 4 << 10

// Check runs the program in a process group of its own, all of which is killed
// when the time is over.
func (e External) Check(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, e.Program, e.Args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // a grandchild may hold the output
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay):
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", e.Program, errSilent)
	case len(out.last()) > 0:
		return fmt.Errorf("%s: %w: %s", e.Program, err, out.last())
	}
	return fmt.Errorf("%s: %w", e.Program, err)
}

// tail keeps the beginning of an output for its last line.
type tail struct{ bytes.Buffer }

// Write never fails: what is too much is dropped.
func (t *tail) Write(p []byte) (int, error) {
	if room := maxOutput - t.Len(); room > 0 {
		_, _ = t.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (t *tail) last() string {
	lines := bytes.Split(bytes.TrimSpace(t.Bytes()), []byte("\n"))
	line := bytes.TrimSpace(lines[len(lines)-1])
	return string(line[:min(len(line), 200)])
}
