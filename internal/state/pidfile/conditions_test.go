package pidfile

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/state/statetest"
)

// TestStopInEveryConditionOfThePIDFile checks that Stop ends the daemon and succeeds in every
// condition of the pid file. While the daemon runs, the file system cannot be read-only.
func TestStopInEveryConditionOfThePIDFile(t *testing.T) {
	for _, condition := range statetest.Conditions() {
		for _, runs := range []bool{true, false} {
			if runs && strings.HasSuffix(condition.Name, "read-only") {
				// the kernel does not remount read-only while the daemon has its file open for
				// writing
				continue
			}
			t.Run(condition.Name+map[bool]string{true: ", running", false: ", not running"}[runs], func(t *testing.T) {
				stopInCondition(t, condition, runs)
			})
		}
	}
}

func stopInCondition(t *testing.T, condition statetest.Condition, runs bool) {
	dir := statetest.Dir(t, condition.Root)
	file := filepath.Join(dir, "directord", "web.pid")
	if err := spawn(t, "be-good", file); err != nil {
		t.Fatal(err)
	}
	p, found := find(file)
	if !found {
		t.Fatal("the daemon does not run")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if !runs {
		if err := Stop(ctx, file); err != nil {
			t.Fatal(err)
		}
	}
	condition.Apply(t, filepath.Dir(file), file)
	if err := Stop(ctx, file); err != nil || !p.Gone() {
		t.Errorf("stop: %v; the daemon has ended: %t", err, p.Gone())
	}
	if s, err := StatusOf(file); err != nil || s.Running {
		t.Errorf("a look: %+v, %v", s, err)
	}
}
