package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/disk"
)

// compatPIDFile is where ldirectord has the pid of an instance. Ours is written
// there too, for systemd and for scripts; nothing of ours reads it.
func (l *line) compatPIDFile() string {
	return filepath.Join(l.pidDir, "ldirectord."+l.instance+".pid")
}

// perlPIDFile is where the Perl program has the pid of an instance, in every network
// namespace.
func (l *line) perlPIDFile() string {
	return filepath.Join(l.perlDir, "ldirectord."+l.instance+".pid")
}

// perlDaemon is the pid of the Perl program whose place ours takes, 0 if it does
// not run in this network namespace.
func perlDaemon(pidFile string) int {
	_, text, err := config.Read(context.Background(), &disk.Reader{}, pidFile, ".")
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

// stopPerl ends it: the first stop after an upgrade finds it running.
func stopPerl(ctx context.Context, pidFile string) error {
	pid := perlDaemon(pidFile)
	if pid == 0 {
		return nil
	}
	_ = syscall.Kill(pid, syscall.SIGTERM) // gone meanwhile
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for perlDaemon(pidFile) == pid {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("the Perl program ldirectord, process %d, does not end: %w", pid, ctx.Err())
		}
	}
	return nil
}
