package directord

import (
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/state/pidfile"
)

// TestReached checks that reached ends if configurations name each other in circles.
func TestReached(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name+".cf") }
	for name, names := range map[string][]string{"a": {"b", "c", "a"}, "b": {"a", "d"}, "c": {"d", "none"}, "d": {"b", "d"}} {
		text := "virtual=192.0.2.10:80\n"
		for _, other := range names {
			text = "execute=" + path(other) + "\n" + text
		}
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := new(disk.Reader)
	got := reached(t.Context(), files, path("a"), executes(t.Context(), files, path("a")))
	slices.Sort(got)
	if want := []string{path("b"), path("c"), path("d"), path("none")}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestStopThatWasHandedOn checks that a stop by another instance does not wait for a daemon that is
// ending. That daemon can be waiting for the caller.
func TestStopThatWasHandedOn(t *testing.T) {
	state := t.TempDir()
	// The test process locks the pid file, but opens no control socket, as a daemon that starts.
	held, err := pidfile.Acquire(control.PIDFile(state, "web"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Release() }()
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	defer signal.Stop(terminated)
	began := time.Now()
	sys := testSystem(state, state, io.Discard)
	sys.Environ = []string{handedOn + "=1"}
	code := Run(t.Context(), []string{"directord", state + "/web.cf", "stop"}, sys)
	if took := time.Since(began); code != compat.ExitOK || took > actionTimeout/2 {
		t.Errorf("code %d after %v", code, took)
	}
	<-terminated
}
