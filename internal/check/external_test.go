package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// script writes an executable shell script.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "check")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExternal(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"good", "exit 0", ""},
		{"its arguments", `[ "$*" = "192.0.2.10 80 127.0.0.1 80" ]`, ""},
		{"bad", "exit 3", "exit status 3"},
		{"says why", "echo the queue is full; echo really >&2; exit 1", "exit status 1: the queue is full really"},
		{"killed", "kill -9 $$", "signal: killed"},
		{"terminated", "kill -TERM $$", "signal: terminated"},
		{"leaves somebody behind", "sleep 1000 & exit 0", ""},
		{"odd characters", `printf '\033[2J\377'; exit 1`, "exit status 1: ?[2J\ufffd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := script(t, tt.text)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := External{Program: path, Args: []string{"192.0.2.10", "80", "127.0.0.1", "80"}}.Check(ctx)
			got := ""
			if err != nil {
				got = strings.TrimPrefix(err.Error(), path+": ")
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestExternalWithoutFirstLine runs what execvp(3) gives to /bin/sh.
func TestExternalWithoutFirstLine(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "a blank line": "\n#!/bin/sh\n", "a byte-order mark": "\ufeff#!/bin/sh\n"} {
		for status, want := range map[string]string{"0": "", "3": "exit status 3"} {
			path := filepath.Join(t.TempDir(), "check")
			if err := os.WriteFile(path, []byte(text+"[ \"$3\" = 127.0.0.1 ] && exit "+status+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := External{Program: path, Args: []string{"192.0.2.10", "80", "127.0.0.1", "80"}}.Check(ctx)
			cancel()
			if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), path+": "+want) {
				t.Errorf("%s first: got %v, want %s", name, err, want)
			}
		}
	}
}

func TestExternalThatCannotBeRun(t *testing.T) {
	plain := script(t, "exit 0")
	if err := os.Chmod(plain, 0o644); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe") // to open it would wait for a writer
	if err := syscall.Mkfifo(pipe, 0o755); err != nil {
		t.Fatal(err)
	}
	piped := filepath.Join(t.TempDir(), "piped")
	if err := os.WriteFile(piped, []byte("#! "+pipe+" -x\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/nowhere/check": "/nowhere/check: no such program",
		plain:            plain + ": not executable; chmod +x",
		pipe:             pipe + ": not executable; chmod +x",
		piped:            piped + ": not executable; chmod +x",
	} {
		if err := (External{Program: path}).Check(t.Context()); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestExternalObeysItsTimeLimit(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	path := script(t, fmt.Sprintf("echo $$ >%s; sleep 1000 & echo $! >>%s; trap '' TERM INT; wait", pids, pids))
	ctx, cancel := context.WithCancel(t.Context())
	limited, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- External{Program: path}.Check(limited) }()
	var started []string
	for len(started) < 2 {
		text, err := os.ReadFile(pids)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		started = strings.Fields(string(text))
	}
	cancel()
	if err := <-ended; err == nil || !strings.HasSuffix(err.Error(), ": no end in time") || !TimedOut(err) {
		t.Error(err)
	}
	for i, text := range started {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		// The program is waited for. Its child is init's, and dead or gone.
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

// TestExternalLeavesNobodyBehind also not what has gone into a session of its
// own. Each process of a script writes down its number; PIDS is the file.
func TestExternalLeavesNobodyBehind(t *testing.T) {
	programs, err := NewPrograms(os.Environ())
	if err != nil {
		t.Fatal(err)
	}
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
			go func() { ended <- External{Program: path, Programs: programs}.Check(ctx) }()
			var started []string
			for len(started) < tt.processes && ctx.Err() == nil {
				text, _ := os.ReadFile(pids) // it is not there at first
				started = strings.Fields(string(text))
			}
			if tt.want == "no end in time" {
				cancel()
			}
			got := ""
			if err := <-ended; err != nil {
				got = strings.TrimPrefix(err.Error(), path+": ")
			}
			if got != tt.want || len(started) != tt.processes {
				t.Errorf("got %q, want %q; processes %v", got, tt.want, started)
			}
			for _, pid := range started {
				// Dead, and waited for now or, if it died meanwhile, by the next Reap.
				if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
					t.Errorf("%s is there: %s", pid, stat)
				}
			}
			noneLeft(t, programs)
		})
	}
}

// noneLeft fails if children are left that do not end. One that died in the meantime is
// waited for by Reap.
func noneLeft(t *testing.T, programs *Programs) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); len(programs.strays()) > 0; programs.Reap() {
		if time.Now().After(deadline) {
			t.Fatalf("children %v are left", programs.strays())
		}
	}
}

// TestExternalEndsInTime has a program that ends in time and leaves a child that
// holds its output until the time is over.
func TestExternalEndsInTime(t *testing.T) {
	programs, err := NewPrograms(os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	pids := filepath.Join(t.TempDir(), "pids")
	path := script(t, strings.ReplaceAll(`env -i setsid sh -c 'echo $$ >>PIDS; exec sleep 100' &
until [ -s PIDS ]; do sleep 0.01; done
echo $$ >>PIDS`, "PIDS", pids))
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan []string, 1)
	go func() {
		for {
			text, _ := os.ReadFile(pids) // it is not there at first
			if pids := strings.Fields(string(text)); len(pids) == 2 {
				stat, err := os.ReadFile("/proc/" + pids[1] + "/stat")
				if err != nil || strings.Contains(string(stat), ") Z ") {
					time.AfterFunc(200*time.Millisecond, cancel) // the child holds the output for a second
					started <- pids
					return
				}
			}
		}
	}()
	if err := (External{Program: path, Programs: programs}).Check(ctx); err != nil {
		t.Error(err)
	}
	child, err := strconv.Atoi((<-started)[0])
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(child, syscall.SIGKILL)
}

func TestExternalOutputIsBounded(t *testing.T) {
	path := script(t, "head -c 50000000 /dev/zero | tr '\\0' x; exit 1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := External{Program: path}.Check(ctx)
	if err == nil || len(err.Error()) > len(path)+2*maxReason || !strings.Contains(err.Error(), "exit status 1: xxxx") {
		t.Errorf("%.400v", err)
	}
}

// told is a check that has been told what to answer.
type told struct {
	name string
	said *[]string
	bad  *map[int]bool
}

func (c told) Check(context.Context) error {
	*c.said = append(*c.said, c.name)
	if (*c.bad)[len(*c.said)] {
		return errors.New(c.name)
	}
	return nil
}

func TestCombined(t *testing.T) {
	tests := []struct {
		times int
		bad   map[int]bool // number of the check
		want  string
	}{
		{2, nil, "full cheap cheap full cheap cheap full"},
		{2, map[int]bool{1: true, 2: true}, "full full full cheap cheap full cheap"},
		{2, map[int]bool{2: true}, "full cheap full cheap cheap full cheap"},
		{0, nil, "full full full full full full full"},
	}
	for _, tt := range tests {
		var said []string
		c := &Combined{Full: told{"full", &said, &tt.bad}, Cheap: told{"cheap", &said, &tt.bad}, Times: tt.times, FullTimeout: time.Minute, CheapTimeout: time.Minute}
		for n := range 7 {
			if err := c.Check(t.Context()); (err != nil) != tt.bad[n+1] {
				t.Errorf("check %d: %v", n+1, err)
			}
		}
		if got := strings.Join(said, " "); got != tt.want {
			t.Errorf("%d, bad %v:\ngot  %s\nwant %s", tt.times, tt.bad, got, tt.want)
		}
	}
}

// TestCombinedHasTwoTimeouts has servers that never answer after a first good check.
func TestCombinedHasTwoTimeouts(t *testing.T) {
	for _, timeouts := range [][2]time.Duration{{30 * time.Second, 5 * time.Second}, {2 * time.Second, 5 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			var answered bool
			silent := checkFunc(func(ctx context.Context) error {
				if !answered {
					answered = true
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			})
			c := &Combined{Full: silent, Cheap: silent, Times: 1, FullTimeout: timeouts[0], CheapTimeout: timeouts[1]}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			for i, want := range []time.Duration{0, timeouts[1], timeouts[0]} {
				began := time.Now()
				err := c.Check(ctx)
				if took := time.Since(began); took != want || (err != nil) != (i > 0) {
					t.Errorf("%v, check %d: %v after %v, want %v", timeouts, i+1, err, took, want)
				}
			}
		})
	}
}

// checkFunc is a check that a test decides about.
type checkFunc func(context.Context) error

func (f checkFunc) Check(ctx context.Context) error { return f(ctx) }
