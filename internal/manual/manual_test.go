package manual

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func tool() Program {
	return Program{
		Name: "tool", Short: "Does a thing", Synopsis: []string{"[-v] CMD", "--help"}, Long: "One.\n\n.Two - \\three.",
		Options:  []Option{{"v", "verbose", "", "say more"}, {"", "level", "N", "how much"}},
		Commands: []Command{{"run", "FILE...", "Runs files.", []Option{{"", "dry", "", "only say"}}, Operands{Dir: "testdata/operands", Ending: ".conf", Bare: true}}, {Name: "rest", Text: "Does nothing."}},
		Operands: Operands{Dir: "testdata/operands", Ending: ".cf"},
		Sections: []Section{{"words", "All of them.", [][2]string{{"w", "a word"}}}},
		Exit:     [][2]string{{"0", "good"}}, Files: [][2]string{{"/etc/tool", "its file"}}, Also: []string{"ip(8)", "man-db(7)"}, Source: "tool.go",
	}
}

func TestUsage(t *testing.T) {
	const want = "usage: tool [-v] CMD\n       tool --help\nDoes a thing.\nOne.\n\n.Two - \\three.\n  -v, --verbose  say more\n  --level=N      how much"
	if got := tool().Usage(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestMan(t *testing.T) {
	const want = `.\" Generated from tool.go by make docs; do not edit.
.TH TOOL 8 "" lvs-agents "System administration"
.SH NAME
tool \- does a thing
.SH SYNOPSIS
.B tool
[\-v] CMD
.br
.B tool
\-\-help
.SH DESCRIPTION
Does a thing.
.PP
One.
.PP
\&.Two \- \ethree.
.SH OPTIONS
.TP
.B \-v, \-\-verbose
say more
.TP
.B \-\-level=N
how much
.SH COMMANDS
.TP
.B run FILE...
Runs files.
.RS
.TP
.B \-\-dry
only say
.RE
.TP
.B rest
Does nothing.
.SH WORDS
All of them.
.TP
.B w
a word
.SH EXIT STATUS
.TP
.B 0
good
.SH FILES
.TP
.B /etc/tool
its file
.SH SEE ALSO
.BR ip (8),
.BR man\-db (7)
`
	if got := tool().Man(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// completed lists words that the completion of each shell must have for the last word of a line.
// The words have the order of bash.
var completed = []struct{ line, want string }{
	{"tool ", "run rest names.cf"},
	{"tool r", "run rest"},
	{"tool n", "names.cf"},
	{"tool -", "-v --verbose --level"},
	{"tool run ", "one two"},
	{"tool -v run t", "two"},
	{"tool run --", "--verbose --level --dry"},
	{"tool rest ", ""},
	{"other r", "run rest"},
}

func TestBash(t *testing.T) {
	for _, test := range completed {
		script := tool().Completions("other")["tool"] + "\nCOMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _tool; echo ${COMPREPLY[@]}; complete -p other >/dev/null || echo not complete"
		out, err := exec.Command("bash", append([]string{"-c", script, "bash"}, strings.Split(test.line, " ")...)...).CombinedOutput()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != test.want {
			t.Errorf("%q: got %q, %v; want %q", test.line, got, err, test.want)
		}
	}
}

// write writes the completions of the tool into a new directory. It skips the test if the shell is
// not installed.
func write(t *testing.T, shell string) (dir string) {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		t.Skip(err)
	}
	dir = t.TempDir()
	for name, text := range tool().Completions("other") {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sorted returns the words of a text in the order of the alphabet.
func sorted(text string) string {
	return strings.Join(slices.Sorted(slices.Values(strings.Fields(text))), " ")
}

func TestZsh(t *testing.T) {
	dir := write(t, "zsh")
	for _, test := range completed {
		out, err := exec.Command("zsh", "-f", "testdata/complete.zsh", dir, test.line).CombinedOutput()
		if got := sorted(string(out)); err != nil || got != sorted(test.want) {
			t.Errorf("%q: got %q, %v; want %q", test.line, got, err, test.want)
		}
	}
}

func TestFish(t *testing.T) {
	dir := write(t, "fish")
	for _, test := range completed {
		script := "source " + dir + "/tool.fish; complete -C '" + test.line + "' | string split -f 1 \\t; true"
		cmd := exec.Command("fish", "-N", "-c", script)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
		out, err := cmd.CombinedOutput()
		if got := sorted(string(out)); err != nil || got != sorted(test.want) {
			t.Errorf("%q: got %q, %v; want %q", test.line, got, err, test.want)
		}
	}
}
