package program

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestExecvp checks that execvp starts the files that Perl's function system can start, and fails
// for the files that it cannot start.
func TestExecvp(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		name, text string
		out        string
		err        error
	}{
		{"script", "#!/bin/sh\necho \"$@\"\n", "one two words\n", nil},
		{"no first line", "echo \"$@\"\n", "one two words\n", nil},
		{"blank line first", "\n#!/bin/sh\necho \"$@\"\n", "one two words\n", nil},
		{"byte-order mark", "\ufeff#!/bin/sh\necho \"$@\"\n", "one two words\n", nil},
		{"comment first", "# check\nexit 3\n", "", errExit3},
		{"empty", "", "", nil},
		{"-e", "echo \"$@\"\n", "one two words\n", nil},
		{"another machine", "\x7fELF" + strings.Repeat("\x00", 60), "", syscall.ENOEXEC},
		{"no interpreter", "#!/nowhere/sh\n", "", syscall.ENOENT},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, tt.name)
			if err := os.WriteFile(path, []byte(tt.text), 0o700); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			cmd, err := execvp([]string{path, "one", "two words"}, func(argv []string) *exec.Cmd {
				cmd := exec.Command(argv[0], argv[1:]...)
				cmd.Stdout = &out
				return cmd
			}, (*exec.Cmd).Start)
			if err == nil {
				err = cmd.Wait()
			}
			if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 3 {
				err = errExit3
			}
			if out.String() != tt.out || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v", out.String(), err)
			}
		})
	}
}

var errExit3 = errors.New("exit status 3")
