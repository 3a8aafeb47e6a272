package pages

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	const page = "## A part\n```\ndirectors# cat >/x <<'EOF'\nrs1# no prompt\nEOF\nrs1# a \\\n  b\nclient$ c\nout 1\n...\n```\n" +
		"```text\nno command\n```\n```\nRHEL rs# dnf install x\n```\n"
	want := []Step{
		{Host: "directors", Command: "cat >/x <<'EOF'\nrs1# no prompt\nEOF", Line: 3, Section: "A part"},
		{Host: "rs1", Command: "a \\\n  b", Line: 6, Section: "A part"},
		{Host: "client", Command: "c", Output: []string{"out 1", "..."}, Line: 8, Section: "A part"},
		{Host: "rs", RHEL: true, Command: "dnf install x", Line: 16, Section: "A part"},
	}
	got, err := Parse(page, false)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for text, want := range map[string]string{
		"```\nmake x\n```\n":           `2: "make x" has no prompt`,
		"\n```\nrs# a\n":               "2: the block does not end",
		"```\nrs# a <<'EOF'\nb\n```\n": "2: the command does not end",
	} {
		if _, err := Parse(text, false); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if steps, err := Parse("```\nmake x\n```\n", true); err != nil || len(steps) > 0 {
		t.Errorf("a block without commands: %v, %v", steps, err)
	}
}

func TestShows(t *testing.T) {
	for _, test := range []struct {
		name   string
		page   []string
		output string
		want   bool
	}{
		{"nothing", nil, "", true},
		{"more than the page", nil, "x\n", false},
		{"the same with other blanks", []string{"a  b"}, "  a b\n", true},
		{"another word", []string{"a b"}, "a c\n", false},
		{"dots", []string{"...", "b", "..."}, "a\na\nb\n", true},
		{"dots without the line", []string{"...", "b"}, "a\nb\nc\n", false},
		{"counters", []string{"  -> 192.0.2.21:80  Route   1      0          3"}, "  -> 192.0.2.21:80  Route   1      12          0         \n", true},
		{"weight", []string{"  -> 192.0.2.21:80  Route   1      0          3"}, "  -> 192.0.2.21:80  Route   0      0          3\n", false},
		{"times and processes", []string{"web: directord 1, process 7, for 1h0m0s, 3ms"}, "web: directord 0.1+2, process 812, for 2.5s, 1m3s\n", true},
	} {
		if got := (Step{Output: test.page}).Shows(test.output); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
