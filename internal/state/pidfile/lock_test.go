package pidfile

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// stale makes a pid file that a killed daemon has left. The pid in the file now belongs to another
// process, which stale also returns.
func stale(t *testing.T) (file string, other *exec.Cmd) {
	t.Helper()
	other = exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	})
	file = filepath.Join(t.TempDir(), "web.pid")
	if err := os.WriteFile(file, fmt.Appendf(nil, "%d\n", other.Process.Pid), 0o644); err != nil {
		t.Fatal(err)
	}
	return file, other
}

func TestNobodyWhoLooksIsTakenForADaemon(t *testing.T) {
	file, other := stale(t)
	var lookers sync.WaitGroup
	for range 4 {
		lookers.Go(func() {
			for range 2000 {
				if s, err := StatusOf(file); err != nil || s != (Status{PID: other.Process.Pid}) {
					t.Errorf("%+v, %v", s, err)
					return
				}
			}
		})
	}
	lookers.Wait()
	for range 200 {
		stop := make(chan struct{})
		lookers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = StatusOf(file) // The loop above has tested the result, so this loop ignores it.
				}
			}
		})
		identity, err := Acquire(file)
		close(stop)
		if err != nil {
			t.Fatal(err)
		}
		if err := identity.Release(); err != nil {
			t.Fatal(err)
		}
	}
	lookers.Wait()
}

// TestLockOfAStrangerEndsNobody checks that Stop ends no process because of a stranger's lock on
// the pid file. Each user who can read a file can lock it with flock.
func TestLockOfAStrangerEndsNobody(t *testing.T) {
	file, other := stale(t)
	stranger, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if err := unix.Flock(int(stranger.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := Stop(t.Context(), file); err != nil {
		t.Error(err)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error("the process that has the pid now was ended")
	}
	identity, err := Acquire(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = identity.Release() }()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info.Mode(), err)
	}
}

// TestDaemonThatBeginsHasNoPIDYet checks the status of a daemon that has the lock, while the file
// still has the pid of the previous daemon.
func TestDaemonThatBeginsHasNoPIDYet(t *testing.T) {
	file, _ := stale(t)
	begins, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer begins.Close()
	if err := lock(begins, byteRuns); err != nil {
		t.Fatal(err)
	}
	if s, err := StatusOf(file); err != nil || s != (Status{Running: true}) {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := Acquire(file); !errors.Is(err, ErrRunning) {
		t.Errorf("a second one: %v", err)
	}
}

func TestLookWherePIDFileCannotBe(t *testing.T) {
	dir := t.TempDir()
	directory, pipe, file := filepath.Join(dir, "directory"), filepath.Join(dir, "pipe"), filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(directory, 0o755), syscall.Mkfifo(pipe, 0o600), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{directory, pipe, filepath.Join(file, "web.pid")} {
		if s, err := StatusOf(path); err != nil || s != (Status{}) {
			t.Errorf("%s: %+v, %v", path, s, err)
		}
		if err := Stop(t.Context(), path); err != nil {
			t.Error(err)
		}
		if _, err := Acquire(path); err == nil {
			t.Errorf("%s: acquired", path)
		}
	}
}

func TestHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.pid")
	identity, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = identity.Release() }()
	if !identity.Held() {
		t.Error("it is")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if identity.Held() {
		t.Error("the file has gone")
	}
	another, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = another.Release() }()
	if identity.Held() || !another.Held() {
		t.Error("the file is another's")
	}
}
