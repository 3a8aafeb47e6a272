package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/program"
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

// TestExternalWithoutFirstLine checks that a check runs files without #! in the first line.
// execvp(3) runs these files with /bin/sh.
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
	pipe := filepath.Join(t.TempDir(), "pipe") // An open of the pipe would wait for a writer, so the check must not open it.
	if err := syscall.Mkfifo(pipe, 0o755); err != nil {
		t.Fatal(err)
	}
	piped := filepath.Join(t.TempDir(), "piped")
	if err := os.WriteFile(piped, []byte("#! "+pipe+" -x\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	const fix = ": not executable; chmod +x, or mount its file system without noexec"
	for path, want := range map[string]string{
		"/nowhere/check": "/nowhere/check: no such program or interpreter",
		plain:            plain + fix,
		pipe:             pipe + fix,
		piped:            piped + fix,
	} {
		if err := (External{Program: path}).Check(t.Context()); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// told is a check that adds its name to said. It fails if bad has the number of this call.
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
		bad   map[int]bool // bad has the numbers of the checks that must fail.
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

// TestCombinedHasTwoTimeouts checks that full and cheap checks have separate time limits. The
// server replies only to the first check.
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

// checkFunc is a function that implements Checker.
type checkFunc func(context.Context) error

func (f checkFunc) Check(ctx context.Context) error { return f(ctx) }

// TestExternalWithoutRoom checks that the error blames this host if too many programs run, also for
// an Oracle check.
func TestExternalWithoutRoom(t *testing.T) {
	programs := programsFor(t, 1)
	path := script(t, "sleep 100")
	const want = "not started in time, because 1 other programs are running: resource temporarily unavailable"
	judge := func(name string, err error, server string) {
		t.Helper()
		if err == nil || err.Error() != server+": "+want || !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("%s: got  %v\nwant %s: %s", name, err, server, want)
		}
	}
	defer occupy(t, programs)()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	judge("external", External{Program: path, Programs: programs}.Check(ctx), path)
	target := Target{Login: "a", Database: "b", Helper: path, Programs: programs, Source: anywhere{}}
	judge("oracle", negotiation(t, "oracle", target).Check(ctx), fmt.Sprintf("oracle %s", target.Addr))
}

// programsFor makes a program.Set that can run this many sessions at once.
func programsFor(t *testing.T, sessions int) *program.Set {
	t.Helper()
	programs, err := program.New(os.Environ(), sessions)
	if err != nil {
		t.Fatal(err)
	}
	return programs
}

// occupy starts a session that runs until the caller calls end.
func occupy(t *testing.T, programs *program.Set) (end func()) {
	t.Helper()
	session, err := programs.StartSession(t.Context(), program.Command{Argv: []string{"sleep", "100"}})
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = session.End() } // The error of End only says that End has killed the program.
}

// noneLeft fails the test if a child of this process has not ended after 30 seconds.
func noneLeft(t *testing.T, programs *program.Set) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; programs.Reap() {
		tasks, err := filepath.Glob("/proc/self/task/*/children") // A child belongs to the thread that started it.
		if err != nil || len(tasks) == 0 {
			t.Fatal(tasks, err)
		}
		var children []byte
		for _, path := range tasks {
			some, _ := os.ReadFile(path) // An error is normal: the thread can have ended.
			children = append(children, some...)
		}
		if len(children) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("children %s are left", children)
		}
	}
}
