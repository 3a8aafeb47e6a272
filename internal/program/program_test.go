package program

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pidsOf waits until a script has written this many pids to a file, and returns them.
func pidsOf(t *testing.T, path string, many int) []int {
	t.Helper()
	var pids []int
	for deadline := time.Now().Add(30 * time.Second); len(pids) < many; {
		if time.Now().After(deadline) {
			t.Fatalf("%d processes instead of %d", len(pids), many)
		}
		pids = nil
		text, _ := os.ReadFile(path) // text is empty until the script has written the file
		for word := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestRun(t *testing.T) {
	tests := []struct{ name, text, stdin, output, want string }{
		{name: "good", text: "exit 0"},
		{name: "its input and its errors", text: "cat >&2", stdin: "in", output: "in"},
		{name: "its environment", text: `echo "$*" "$SETTING" >&2`, output: "a b yes\n"},
		{name: "a status", text: "exit 3", want: "exit status 3"},
	}
	for _, tt := range tests {
		for name, set := range map[string]*Set{"a set": newSet(t), "no set": nil} {
			t.Run(tt.name+" in "+name, func(t *testing.T) {
				output := &Head{Max: 100}
				path := script(t, tt.text)
				cmd, err := set.Run(t.Context(), Command{
					Argv: []string{path, "a", "b"}, Environ: append(os.Environ(), "SETTING=yes"), Stdin: strings.NewReader(tt.stdin), Stderr: output,
				})
				got := ""
				if err != nil {
					got = err.Error()
				}
				if got != tt.want || output.String() != tt.output || cmd.String() != path+" a b" {
					t.Errorf("got %q, output %q, command %s", got, output, cmd)
				}
			})
		}
	}
}

// TestRunLeavesProcesses checks that Run does not kill the processes that a program leaves when it
// ends in time. A fallback command can start a server.
func TestRunLeavesProcesses(t *testing.T) {
	set := newSet(t)
	file := filepath.Join(t.TempDir(), "pids")
	if _, err := set.Run(t.Context(), Command{Argv: []string{script(t, "sleep 100 >/dev/null 2>&1 &\necho $! >"+file)}}); err != nil {
		t.Fatal(err)
	}
	left := pidsOf(t, file, 1)[0]
	if err := syscall.Kill(left, 0); err != nil {
		t.Errorf("process %d: %v", left, err)
	}
	_ = syscall.Kill(left, syscall.SIGKILL) // An error of Kill is ignored: the test has already reported a missing process above.
	noneLeft(t, set)
}

func TestRunKillsTheGroupWhenItsTimeIsOver(t *testing.T) {
	set := newSet(t)
	file := filepath.Join(t.TempDir(), "pids")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := set.Run(ctx, Command{Argv: []string{script(t, "trap '' TERM; sleep 100 & echo $! $$ >"+file+"; wait")}})
		ended <- err
	}()
	pids := pidsOf(t, file, 2)
	cancel()
	if err := <-ended; err == nil || err.Error() != "signal: killed" {
		t.Error(err)
	}
	noneLeft(t, set)
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d: %v", pid, err)
		}
	}
}

func TestRunOfAMissingProgram(t *testing.T) {
	cmd, err := newSet(t).Run(t.Context(), Command{Argv: []string{"/nowhere/program", "a"}})
	if !errors.Is(err, fs.ErrNotExist) || cmd.String() != "/nowhere/program a" {
		t.Errorf("%v: %v", cmd, err)
	}
}

func TestErrorsOfASessionThatDoesNotStart(t *testing.T) {
	plain := script(t, "exit 0")
	if err := os.Chmod(plain, 0o644); err != nil {
		t.Fatal(err)
	}
	set, err := New(os.Environ(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/nowhere/program": "no such program or interpreter", "program-that-is-nowhere": "no such program or interpreter",
		plain: "not executable; chmod +x, or mount its file system without noexec",
	} {
		// The second error is the same only if the failed start of the first session has freed its
		// room.
		for range 2 {
			if err := run(t.Context(), set, path); err == nil || err.Error() != want {
				t.Errorf("%s: got %v, want %s", path, err, want)
			}
		}
	}
}

// TestSessionEndsOnce checks that both calls return the same error if two goroutines call End.
func TestSessionEndsOnce(t *testing.T) {
	set, err := New(os.Environ(), 1)
	if err != nil {
		t.Fatal(err)
	}
	session, err := set.StartSession(t.Context(), Command{Argv: []string{"sleep", "100"}})
	if err != nil {
		t.Fatal(err)
	}
	ends := make(chan error)
	for range 2 {
		go func() { ends <- session.End() }()
	}
	for range 2 {
		if err := <-ends; err == nil || err.Error() != "signal: killed" {
			t.Error(err)
		}
	}
	session.Kill()
	if err := session.Crowded(); err != nil {
		t.Error(err)
	}
	if err := run(t.Context(), set, "/bin/true"); err != nil { // the limit allows one session, and the first has ended
		t.Error(err)
	}
}
