package pidfile

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/process"
)

// TestMain runs the tests. If the first argument begins with "be-", TestMain is the daemon that a
// test starts. The first argument then says how the daemon behaves, and the second argument is its
// pid file.
func TestMain(m *testing.M) {
	if len(os.Args) < 3 || !strings.HasPrefix(os.Args[1], "be-") {
		os.Exit(m.Run())
	}
	if os.Args[1] == "be-deaf" {
		signal.Ignore(syscall.SIGTERM)
	}
	identity, err := Acquire(os.Args[2])
	if err != nil {
		process.Fail(err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	if os.Args[1] == "be-good" {
		ctx, stop = signal.NotifyContext(context.Background(), syscall.SIGTERM)
	}
	process.Ready()
	<-ctx.Done()
	stop()
	_ = identity.Release()
	os.Exit(0)
}

func spawn(t *testing.T, behaviour, pidFile string) error {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = Stop(ctx, pidFile) // Stop ends a daemon that the test has left. If it fails, the test has nothing to do.
	})
	return process.Spawn(ctx, self, []string{self, behaviour, pidFile}, nil)
}

func TestLifeOfADaemon(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x", "web.pid")
	if s, err := StatusOf(file); err != nil || s != (Status{}) {
		t.Errorf("before: %+v, %v", s, err)
	}
	if err := spawn(t, "be-good", file); err != nil {
		t.Fatal(err)
	}
	s, err := StatusOf(file)
	if err != nil || !s.Running || s.PID < 2 {
		t.Fatalf("running: %+v, %v", s, err)
	}
	if sid, err := unix.Getsid(s.PID); err != nil || sid != s.PID {
		t.Errorf("session %d, %v", sid, err)
	}
	if err := spawn(t, "be-good", file); err == nil || err.Error() != "running already" {
		t.Errorf("a second one: %v", err)
	}
	for range 2 {
		if err := Stop(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		if s, err := StatusOf(file); err != nil || s != (Status{}) {
			t.Errorf("after: %+v, %v", s, err)
		}
	}
}

// TestStartsAtOnce checks that only the first of several simultaneous starts makes the daemon.
func TestStartsAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x", "web.pid")
	var starts sync.WaitGroup
	var made atomic.Int32
	for range 4 {
		starts.Go(func() {
			end, err := Turn(t.Context(), file)
			if err != nil {
				t.Error(err)
				return
			}
			defer end()
			s, err := StatusOf(file)
			if err == nil && !s.Running {
				made.Add(1)
				err = spawn(t, "be-good", file)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	if made.Load() != 1 {
		t.Errorf("%d daemons were made", made.Load())
	}
	end, err := Turn(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	ctx, cancel := context.WithTimeout(t.Context(), 3*poll)
	defer cancel()
	if _, err := Turn(ctx, file); err == nil || err.Error() != "another start has not ended: context deadline exceeded" {
		t.Errorf("got %v", err)
	}
}

func TestDeafDaemonIsKilled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.pid")
	if err := spawn(t, "be-deaf", file); err != nil {
		t.Fatal(err)
	}
	s, err := StatusOf(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
	defer cancel()
	if err := Stop(ctx, file); err != nil {
		t.Error(err)
	}
	if after, err := StatusOf(file); err != nil || after.Running || after.PID != s.PID {
		t.Errorf("a stale file is expected: %+v, %v", after, err)
	}
}

func TestStoppedDaemonEndsInOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.pid")
	if err := spawn(t, "be-good", file); err != nil {
		t.Fatal(err)
	}
	s, err := StatusOf(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := Stop(ctx, file); err != nil {
		t.Error(err)
	}
	if after, err := StatusOf(file); err != nil || after != (Status{}) {
		t.Errorf("an empty file is expected: %+v, %v", after, err)
	}
}
