package process

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// waiting starts a process that has a lock on byte 7 of a file. The process runs at most until the
// test ends.
func waiting(t *testing.T, path string) (*exec.Cmd, Process) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	byte7 := unix.Flock_t{Type: unix.F_WRLCK, Start: 7, Len: 1}
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &byte7); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cat", "-")
	cmd.Env = []string{"NAME=value"}
	cmd.ExtraFiles = []*os.File{file}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	// cmd.Start can return before the kernel shows the arguments of the new program. The program
	// shows that it runs when it sends the byte back.
	if _, err := io.WriteString(in, "."); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return cmd, Of(cmd.Process.Pid)
}

func TestWhatIsKnownOfAProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "open")
	_, p := waiting(t, path)
	if !slices.Contains(p.Environ(), "NAME=value") || !slices.Equal(p.Args(), []string{"cat", "-"}) {
		t.Errorf("args %q, environment %q", p.Args(), p.Environ())
	}
	if p.Owner() != os.Geteuid() || p.Namespace() != Self().Namespace() || !p.In(p.Namespace()) || p.In("net:[1]") || p.Gone() || p.Stopped() {
		t.Errorf("%+v: owner %d, namespace %s", p, p.Owner(), p.Namespace())
	}
	if !Self().Before(p) || p.Before(Self()) || p.Age() > Self().Age() {
		t.Error("the child seems older than its parent")
	}
	if !slices.ContainsFunc(All(), func(other Process) bool { return other.PID == p.PID && other.Start == p.Start }) {
		t.Error("it is not among all processes")
	}
	same := func(args []string) bool { return slices.Equal(args, p.Args()) }
	if found := Running(same); !slices.Contains(found, Of(p.PID)) || slices.Contains(found, Self()) {
		t.Errorf("running with these arguments: %+v", found)
	}
	if !Locked(7) || !p.Locks(path, 7) || p.Locks(path, 0) || p.Locks(path+"x", 7) {
		t.Error("the locks are not known")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !p.Locks(path, 7) {
		t.Error("the lock is not known after the file was removed")
	}
}

func TestSignalEndsOnlyTheProcessThatWasSeen(t *testing.T) {
	cmd, p := waiting(t, filepath.Join(t.TempDir(), "open"))
	another := p
	another.Start--
	another.Signal(unix.SIGKILL)
	if !another.Gone() || p.Gone() {
		t.Fatal("a process with another start time was taken for this one")
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return Of(p.PID).Stopped() })
	p.Signal(unix.SIGKILL)
	wait(t, p.Gone) // the process is a zombie, because the test has not waited for it
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it ended with %v", err)
	}
}

func wait(t *testing.T, done func() bool) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for range 1000 {
		if done() {
			return
		}
		<-again.C
	}
	t.Fatal("it did not happen within 5 seconds")
}
