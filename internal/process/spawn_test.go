package process_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/process"
	"lvs-agents/internal/state/pidfile"
)

// TestMain also runs the daemon that the tests start. The first argument chooses what the daemon
// does. The second argument is its pid file.
func TestMain(m *testing.M) {
	if len(os.Args) < 3 || !strings.HasPrefix(os.Args[1], "be-") {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case "be-broken":
		process.Fail(errors.New("web.cf:1: no"))
	case "be-asked":
		fmt.Print(process.Awaited())
		os.Exit(0)
	case "be-slow":
		if _, err := pidfile.Acquire(os.Args[2]); err == nil {
			<-time.After(time.Minute)
		}
	}
	os.Exit(1)
}

func TestSpawnReportsWhatWentWrong(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for behaviour, want := range map[string]string{
		"be-broken": "web.cf:1: no", "be-mute": "process.test exited without a message", "be-slow": "process.test was not ready in time",
	} {
		file := filepath.Join(t.TempDir(), "web.pid")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if behaviour == "be-slow" {
			ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
		}
		err := process.Spawn(ctx, self, []string{self, behaviour, file}, nil)
		cancel()
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", behaviour, err, want)
		}
		if s, err := pidfile.StatusOf(file); err != nil || s.Running {
			t.Errorf("%s: left running: %+v, %v", behaviour, s, err)
		}
	}
}

// TestAwaited checks the result of Awaited in a child whose parent waits, and in a child whose
// parent has closed its end of the pipe.
func TestAwaited(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, waits := range []bool{true, false} {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		child := exec.Command(self, "be-asked", "x")
		child.ExtraFiles = []*os.File{writer}
		if !waits {
			_ = reader.Close()
		}
		out, err := child.Output()
		if want := fmt.Sprint(waits); err != nil || string(out) != want {
			t.Errorf("got %s, %v; want %s", out, err, want)
		}
		_ = writer.Close()
		_ = reader.Close()
	}
}

func TestBesideFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "sbin", "directord")
	if err := os.Mkdir(filepath.Dir(program), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "ldirectord")
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{program, link} {
		if got, want := process.Beside(path, "directord-oracle"), program+"-oracle"; got != want {
			t.Errorf("beside %s: got %s, want %s", path, got, want)
		}
	}
	if got, want := process.Beside(dir+"/none", "x"), dir+"/x"; got != want {
		t.Errorf("beside a program that is gone: got %s, want %s", got, want)
	}
}
