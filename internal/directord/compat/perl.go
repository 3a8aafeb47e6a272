package compat

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lvs-agents/internal/disk"
)

// PerlDaemon returns the pid of the Perl program, which it reads from the pid file. It returns 0 if
// the Perl program does not run in this network namespace.
func PerlDaemon(pidFile string) int {
	text, err := new(disk.Reader).Read(context.Background(), pidFile)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		return 0
	}
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil || !strings.HasPrefix(filepath.Base(program), "perl") {
		return 0
	}
	words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(words), "ldirectord") {
		return 0
	}
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", pid))
	ours, errOurs := os.Stat("/proc/self/ns/net")
	if err != nil || errOurs != nil || !os.SameFile(theirs, ours) {
		return 0
	}
	return pid
}

// StopPerl sends SIGTERM to the Perl program and waits until the Perl program has ended, or until
// ctx ends. After an upgrade, the first "directord stop" can find the Perl program running.
func StopPerl(ctx context.Context, pidFile string) error {
	pid := PerlDaemon(pidFile)
	if pid == 0 {
		return nil
	}
	_ = syscall.Kill(pid, syscall.SIGTERM) // An error of Kill is ignored: the loop below finds out whether the process has ended.
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for PerlDaemon(pidFile) == pid {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("the Perl program ldirectord, process %d, does not end: %w", pid, ctx.Err())
		}
	}
	return nil
}
