package ldirectord

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// TestExecuteInACircle checks two configurations, a and b, whose directive execute names the other
// file. A reload must reach each daemon once. A stop must end both daemons, without a daemon that
// waits for the other.
func TestExecuteInACircle(t *testing.T) {
	w := ours(t)
	path := func(name string) string { return filepath.Join(w.dir, name+".cf") }
	for name, other := range map[string]string{"a": "b", "b": "a"} {
		text := fmt.Sprintf("checkinterval=5\nlogfile=%q\nexecute=%s\nvirtual=192.0.2.10:%d\n\treal=192.0.2.21:80 gate\n\tchecktype=on\n",
			path(name)+".log", path(other), 80+int(name[0]-'a'))
		if err := os.WriteFile(path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stop := func() {
		w.run(t, 0, program(t), path("a"), "stop")
		w.run(t, 0, program(t), path("b"), "stop")
	}
	t.Cleanup(stop)
	running := func(file string) error {
		if code, out := w.exec(t, program(t), file, "status"); code != 0 {
			return fmt.Errorf("%d: %s", code, out)
		}
		return nil
	}
	w.run(t, 0, program(t), path("a"), "start")
	lab.Wait(t, time.Minute, "start of b", func() error { return running(path("b")) })
	reloads := func(name string) int {
		text, err := os.ReadFile(path(name) + ".log")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "Reloading Linux Director Daemon config")
	}
	// The daemon of b receives a signal, and sends the reload on to the daemon of a over a's
	// socket. Only a reload by signal is in the log.
	w.run(t, 0, program(t), path("b"), "reload")
	lab.Wait(t, time.Minute, "a reload of b", func() error {
		if reloads("b") == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	<-time.After(5 * time.Second)
	if a, b := reloads("a"), reloads("b"); a != 0 || b != 1 {
		t.Errorf("%d reloads by signal of a, %d of b", a, b)
	}
	if err := os.WriteFile(path("a")+".log", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.run(t, 0, program(t), path("a"), "stop")
	t.Logf("stop took %v", time.Since(began))
	if text, err := os.ReadFile(path("a") + ".log"); err != nil || !strings.Contains(string(text), "terminated on signal: TERM") {
		t.Errorf("a was killed: %s, %v", text, err)
	}
	lab.Wait(t, time.Minute, "end of b", func() error {
		if code, out := w.exec(t, program(t), path("b"), "status"); code != 3 {
			return fmt.Errorf("%d: %s", code, out)
		}
		return nil
	})
	w.expect(t, "stopped", "")
}
