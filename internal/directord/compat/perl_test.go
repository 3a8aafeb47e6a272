package compat

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// pretender starts cat as a program with the given name and arguments. It returns the pid file of
// this process.
func pretender(t *testing.T, name string, args ...string) (pidFile string, cmd *exec.Cmd) {
	t.Helper()
	cat, err := os.ReadFile("/bin/cat")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(program, cat, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(program, append([]string{"-"}, args...)...)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // Kill only has an effect if the test failed before the process ended
	// Start can return before the kernel shows the arguments of the new program. So the test waits for
	// a reply of the program.
	if _, err := io.WriteString(input, "."); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(output, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	pidFile = filepath.Join(t.TempDir(), "ldirectord.web.cf.pid")
	if err := os.WriteFile(pidFile, fmt.Appendf(nil, "%d\n", cmd.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	return pidFile, cmd
}

func TestPerlDaemonIsKnownByItsProcess(t *testing.T) {
	for _, tt := range []struct {
		name, arg string
		isPerl    bool
	}{
		{"perl", "/usr/sbin/ldirectord", true},
		{"perl5.36.0", "ldirectord", true},
		{"perl", "/usr/bin/ack", false},
		{"directord", "ldirectord", false},
	} {
		pidFile, cmd := pretender(t, tt.name, tt.arg)
		pid := PerlDaemon(pidFile)
		if want := cmd.Process.Pid; tt.isPerl && pid != want || !tt.isPerl && pid != 0 {
			t.Errorf("%s %s, process %d: got %d", tt.name, tt.arg, want, pid)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
		if pid := PerlDaemon(pidFile); pid != 0 {
			t.Errorf("%s %s has ended: got %d", tt.name, tt.arg, pid)
		}
	}
	for name, text := range map[string]string{"text": "soon\n", "init": "1\n", "empty": ""} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid := PerlDaemon(path); pid != 0 {
			t.Errorf("%s: got %d", name, pid)
		}
	}
}

func TestStopPerl(t *testing.T) {
	pidFile, cmd := pretender(t, "perl", "ldirectord")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := StopPerl(ctx, pidFile); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil || err.Error() != "signal: terminated" {
		t.Errorf("it ended with %v", err)
	}
	if err := StopPerl(ctx, pidFile); err != nil {
		t.Errorf("without one: %v", err)
	}
}
