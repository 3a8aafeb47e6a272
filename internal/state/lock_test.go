package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"lvs-agents/internal/process"
)

// TestMain runs the tests. If a test starts this binary with STATE_TEST_LOCK, TestMain takes a lock
// and holds it.
func TestMain(m *testing.M) {
	if dir := os.Getenv("STATE_TEST_LOCK"); dir != "" {
		os.Exit(helper(dir, os.Getenv("STATE_TEST_LIMIT")))
	}
	os.Exit(m.Run())
}

func lockFile(dir string) string { return filepath.Join(dir, "lock-1") }

func helper(dir, limit string) int {
	d, err1 := time.ParseDuration(limit)
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	until, _ := ctx.Deadline()
	_, err2 := Lock(ctx, lockFile(dir), "web", until)
	if err := errors.Join(err1, err2); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("locked")
	// wait until the test kills this process or closes its standard input
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return 0
}

func holdLock(t *testing.T, dir string, limit time.Duration) *exec.Cmd {
	t.Helper()
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), "STATE_TEST_LOCK="+dir, "STATE_TEST_LIMIT="+limit.String())
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = holder.Process.Kill()
		_ = holder.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("helper: %q %v", line, err)
	}
	return holder
}

func TestLockNamesItsHolder(t *testing.T) {
	dir := t.TempDir()
	holder := holdLock(t, dir, time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := Lock(ctx, lockFile(dir), "dns", time.Time{})
	want := fmt.Sprintf("web (process %d) has the lock: context deadline exceeded", holder.Process.Pid)
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLockOfADeadProcessIsFree(t *testing.T) {
	dir := t.TempDir()
	holder := holdLock(t, dir, time.Hour)
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	unlock, err := Lock(t.Context(), lockFile(dir), "dns", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestHolderPastItsDeadlineIsKilled(t *testing.T) {
	dir := t.TempDir()
	holder := holdLock(t, dir, 10*time.Millisecond)
	// a suspended process ends only with KILL
	if err := holder.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	unlock, err := Lock(t.Context(), lockFile(dir), "dns", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := holder.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("holder: %v", err)
	}
}

func TestHolderIsNotKilledWhenItsPidBelongsToAnother(t *testing.T) {
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	holder{process: process.Process{PID: other.Process.Pid, Start: 1}, deadline: 1}.kill()
	if err := other.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("it was killed: %v", err)
	}
	if err := other.Wait(); err == nil || err.Error() != "signal: terminated" {
		t.Errorf("it was killed: %v", err)
	}
}
