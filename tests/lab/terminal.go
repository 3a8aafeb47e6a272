package lab

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Terminal is a terminal with a program in it: a window of tmux, without its status line.
type Terminal struct {
	shell  *Shell
	socket string
}

// Terminal runs a shell script in a new terminal of so many columns and rows. When the test ends,
// the terminal is closed.
func (s *Shell) Terminal(tb testing.TB, columns, rows int, script string) *Terminal {
	tb.Helper()
	dir, err := os.MkdirTemp("", "tmux") // a short name: the path of a unix socket can have only 107 characters
	if err != nil {
		tb.Fatal(err)
	}
	t := &Terminal{s, filepath.Join(dir, "socket")}
	config := filepath.Join(dir, "conf")
	if err := os.WriteFile(config, []byte("set -g status off\nset -g default-terminal tmux\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the terminal has\n%s", t.Screen(tb))
		}
		t.tmux(tb, "kill-server")
		_ = os.RemoveAll(dir)
	})
	t.tmux(tb, "-u", "-f", config, "new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows), "sh", "-c", script)
	return t
}

// Screen returns the text on the screen.
func (t *Terminal) Screen(tb testing.TB) string {
	tb.Helper()
	return t.tmux(tb, "capture-pane", "-p")
}

// Press presses keys. A key is a character, or a name such as Down or Enter.
func (t *Terminal) Press(tb testing.TB, keys ...string) {
	tb.Helper()
	t.tmux(tb, append([]string{"send-keys"}, keys...)...)
}

// PID returns the pid of the shell that runs the script.
func (t *Terminal) PID(tb testing.TB) string {
	tb.Helper()
	return strings.TrimSpace(t.tmux(tb, "display-message", "-p", "#{pane_pid}"))
}

// Modes returns the modes that a program can change: the alternate screen, the cursor, the mouse,
// and the keypad.
func (t *Terminal) Modes(tb testing.TB) string {
	tb.Helper()
	return strings.TrimSpace(t.tmux(tb, "display-message", "-p",
		"alternate screen #{alternate_on}, cursor #{cursor_flag}, mouse #{mouse_any_flag}, keypad #{keypad_flag}#{keypad_cursor_flag}"))
}

func (t *Terminal) tmux(tb testing.TB, args ...string) string {
	tb.Helper()
	return t.shell.Run(tb, "tmux", append([]string{"-S", t.socket}, args...)...)
}
