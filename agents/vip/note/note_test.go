package note

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/state"
)

func TestNotes(t *testing.T) {
	dir := t.TempDir()
	n := Of(dir, Loopback, "web/1")
	read := func(want string) {
		t.Helper()
		if got, err := n.Read(); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	read("")
	for _, text := range []string{"one\ntwo\n", "three\n"} {
		if err := n.Write(text); err != nil {
			t.Fatal(err)
		}
		read(text)
	}
	got, err := All(dir, Loopback)
	if diff := cmp.Diff(map[string]string{"web%2F1": "three\n"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err := All(dir, Proof); err != nil || len(got) > 0 {
		t.Errorf("got %v, %v", got, err)
	}
	path := filepath.Join(dir, "vip", Loopback, "web%2F1")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := n.Remove(); err != nil {
			t.Error(err)
		}
		read("")
	}
	owner, rest, _ := strings.Cut(string(text), "\n")
	if err := os.WriteFile(path, []byte(owner+"9\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Read(); !errors.Is(err, state.ErrDamaged) {
		t.Errorf("a changed line: %v", err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	another := strings.Replace(lines[0], "\n", "9\n", 1)
	// The note is from another namespace, in the format of an earlier version.
	if err := os.WriteFile(path, []byte(another+"one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	read("")
	// The note is from this namespace, so the agent reads it.
	if err := os.WriteFile(path, []byte(lines[0]+"one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	read("one\n")
}
