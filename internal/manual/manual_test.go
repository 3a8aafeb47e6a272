package manual

import (
	"os/exec"
	"strings"
	"testing"
)

func tool() Program {
	return Program{
		Name: "tool", Short: "Does a thing", Synopsis: []string{"[-v] CMD", "--help"}, Long: "One.\n\n.Two - \\three.",
		Options:  []Option{{"v", "verbose", "", "say more"}, {"", "level", "N", "how much"}},
		Commands: []Command{{"run", "FILE...", "Runs files.", []Option{{"", "dry", "", "only say"}}, "compgen -W 'one two' -- \"$word\""}, {Name: "rest", Text: "Does nothing."}},
		Operands: "compgen -W names -- \"$word\"",
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

func TestBash(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"tool ", "run rest names"},
		{"tool r", "run rest"},
		{"tool n", "names"},
		{"tool -", "-v --verbose --level"},
		{"tool run ", "one two"},
		{"tool -v run t", "two"},
		{"tool run --", "--verbose --level --dry"},
		{"tool rest ", ""},
	} {
		words := strings.Split(test.words, " ")
		script := tool().Bash("other") + "\nCOMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _tool; echo ${COMPREPLY[@]}; complete -p other >/dev/null || echo not complete"
		out, err := exec.Command("bash", append([]string{"-c", script, "bash"}, words...)...).CombinedOutput()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != test.want {
			t.Errorf("%q: got %q, %v; want %q", test.words, got, err, test.want)
		}
	}
}
