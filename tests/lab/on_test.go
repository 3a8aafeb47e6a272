package lab

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOnFailsWithoutALab checks that tests/lab/on waits for the answer of a lab only while the lab
// runs.
func TestOnFailsWithoutALab(t *testing.T) {
	dir := t.TempDir()
	on := func() (string, int) {
		cmd := exec.CommandContext(t.Context(), "./on", dir, "rs1", "uname", "-n")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	fails := func(when string) {
		t.Helper()
		if out, code := on(); code != 125 || !strings.Contains(out, "no lab runs in "+dir+"; start tests/lab/play "+dir) {
			t.Errorf("%s: %d %s", when, code, out)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*.request")); err != nil || len(left) > 0 {
			t.Errorf("%s: %v %v", when, left, err)
		}
	}
	fails("a directory without a lab")
	lock, err := os.Create(filepath.Join(dir, "running"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- answer(dir, "rs1\nuname -n\n", "rs1\n", "7\n") }()
	if out, code := on(); code != 7 || out != "rs1\n" {
		t.Errorf("a running lab: %d %s", code, out)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	fails("a lab that has ended")
}

// answer waits for a request, and answers it after a second.
func answer(dir, request, output, status string) error {
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for range 600 {
		<-look.C
		found, err := filepath.Glob(filepath.Join(dir, "*.request"))
		if err != nil || len(found) == 0 {
			continue
		}
		if text, err := os.ReadFile(found[0]); err != nil || string(text) != request {
			return errors.Join(err, errors.New("wrong request "+string(text)))
		}
		<-time.After(time.Second)
		path := strings.TrimSuffix(found[0], ".request")
		return errors.Join(os.WriteFile(path+".output", []byte(output), 0o600), os.Remove(found[0]), os.WriteFile(path+".status", []byte(status), 0o600))
	}
	return errors.New("no request")
}
