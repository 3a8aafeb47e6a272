package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// script writes an executable shell script and returns its path.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "check")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// newSet makes a Set. Its limit is the number of sessions that this process can run at once.
func newSet(t *testing.T) *Set {
	t.Helper()
	set, err := New(os.Environ(), Limit())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// run runs a program in a session.
func run(ctx context.Context, set *Set, argv ...string) error {
	return set.RunSession(ctx, Command{Argv: argv, Stdin: strings.NewReader("")})
}

func TestSessionObeysItsTimeLimit(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	path := script(t, fmt.Sprintf("echo $$ >%s; sleep 1000 & echo $! >>%s; trap '' TERM INT; wait", pids, pids))
	ctx, cancel := context.WithCancel(t.Context())
	limited, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- run(limited, nil, path) }()
	var started []string
	for len(started) < 2 {
		text, err := os.ReadFile(pids)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		started = strings.Fields(string(text))
	}
	cancel()
	if err := <-ended; err == nil || !strings.HasSuffix(err.Error(), "no end in time") || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	for i, text := range started {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		// RunSession has waited for the program. It has killed the child of the program, but another
		// process waits for the child. So the child can stay a zombie for a time.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		for deadline := time.Now().Add(30 * time.Second); i == 1 && err == nil && !strings.Contains(string(stat), ") Z ") && time.Now().Before(deadline); {
			stat, err = os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		}
		if i == 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			t.Errorf("the program %d is still there", pid)
		}
		if i == 1 && err == nil && !strings.Contains(string(stat), ") Z ") {
			t.Errorf("its child %d is still there: %s", pid, stat)
		}
	}
}

// TestSessionLeavesNoProcess checks that no process of a session stays, not even a process that has
// made a new session. Each process of a script writes its pid to the file PIDS.
func TestSessionLeavesNoProcess(t *testing.T) {
	programs := newSet(t)
	const await = "until [ -s PIDS ] && [ $(wc -l <PIDS) = %d ]; do sleep 0.01; done\n"
	const restless = `printf '#!/bin/sh\nexec "$0"\n' >PIDS.sh; chmod +x PIDS.sh; setsid sh -c 'echo $$ >>PIDS; exec PIDS.sh' &` + "\n"
	const session = "setsid sh -c 'echo $$ >>PIDS; exec sleep 100' &\n"
	const joining = `perl -e 'setpgrp(0, getpgrp('$PPID')); open(F, ">>PIDS"); print F "$$\n"; close(F); sleep 100'`
	tests := []struct {
		name, text, want string
		processes        int
	}{
		{"two sessions", session + session + fmt.Sprintf(await, 2), "", 2},
		{"an orphan", "(" + session + ")\n" + fmt.Sprintf(await, 1), "", 1},
		{"a session with a child", "setsid sh -c 'echo $$ >>PIDS; sleep 100 & echo $! >>PIDS; wait' &\n" + fmt.Sprintf(await, 2), "", 2},
		{"a session that is another program all the time", restless + fmt.Sprintf(await, 1), "", 1},
		{"a signal", session + fmt.Sprintf(await, 1) + "kill $$", "signal: terminated", 1},
		{"no end", session + "sleep 100", "no end in time", 1},
		{"no end, in our own group", "exec " + joining, "no end in time", 1},
		{"a child in our own group", joining + " &\n" + fmt.Sprintf(await, 1), "", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pids := filepath.Join(t.TempDir(), "pids")
			path := script(t, strings.ReplaceAll(tt.text, "PIDS", pids))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- run(ctx, programs, path) }()
			var started []string
			for len(started) < tt.processes && ctx.Err() == nil {
				text, _ := os.ReadFile(pids) // text is empty until the script has written the file
				started = strings.Fields(string(text))
			}
			if tt.want == "no end in time" {
				cancel()
			}
			got := ""
			if err := <-ended; err != nil {
				got = err.Error()
			}
			if got != tt.want || len(started) != tt.processes {
				t.Errorf("got %q, want %q; processes %v", got, tt.want, started)
			}
			for _, pid := range started {
				// The process has ended. If it is still a zombie, the next call of Reap waits for
				// it.
				if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
					t.Errorf("%s is there: %s", pid, stat)
				}
			}
			noneLeft(t, programs)
		})
	}
}

// noneLeft fails the test if orphans stay that do not end. It calls Reap, which waits for an orphan
// that has ended in the meantime.
func noneLeft(t *testing.T, programs *Set) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); len(programs.strays()) > 0; programs.Reap() {
		if time.Now().After(deadline) {
			t.Fatalf("children %v are left", programs.strays())
		}
	}
}

// TestSessionEndsInTime checks that a session succeeds if its program ends before the test cancels
// the context. The program leaves a child that still holds its output then.
func TestSessionEndsInTime(t *testing.T) {
	programs := newSet(t)
	pids := filepath.Join(t.TempDir(), "pids")
	path := script(t, strings.ReplaceAll(`env -i setsid sh -c 'echo $$ >>PIDS; exec sleep 100' &
until [ -s PIDS ]; do sleep 0.01; done
echo $$ >>PIDS`, "PIDS", pids))
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan []string, 1)
	go func() {
		for {
			text, _ := os.ReadFile(pids) // text is empty until the script has written the file
			if pids := strings.Fields(string(text)); len(pids) == 2 {
				stat, err := os.ReadFile("/proc/" + pids[1] + "/stat")
				if err != nil || strings.Contains(string(stat), ") Z ") {
					// The program has ended. RunSession now waits for CloseTimeout, because the child holds
					// the output. The test cancels the context in this time.
					time.AfterFunc(200*time.Millisecond, cancel)
					started <- pids
					return
				}
			}
		}
	}()
	if err := run(ctx, programs, path); err != nil {
		t.Error(err)
	}
	child, err := strconv.Atoi((<-started)[0])
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(child, syscall.SIGKILL)
}

func TestOutputOfASessionIsBounded(t *testing.T) {
	path := script(t, "head -c 50000000 /dev/zero | tr '\\0' x; exit 1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := run(ctx, nil, path)
	if err == nil || len(err.Error()) > 2*maxOutput || !strings.Contains(err.Error(), "exit status 1: xxxx") {
		t.Errorf("%.400v", err)
	}
}

func TestWaitingForSessionsTakesNoThreads(t *testing.T) {
	const many = 50
	threads := func() int {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(tasks)
	}
	before := threads()
	pids := filepath.Join(t.TempDir(), "pids")
	path := script(t, "echo >>"+pids+"; exec sleep 100")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	for range many {
		// The error is "no end in time". This test does not check it.
		all.Go(func() { _ = run(ctx, nil, path) })
	}
	for started := 0; started < many; {
		text, _ := os.ReadFile(pids) // text is empty until the script has written the file
		started = len(text)
	}
	if more := threads() - before; more > many/2 {
		t.Errorf("%d threads more for %d programs", more, many)
	}
	cancel()
	all.Wait()
}
