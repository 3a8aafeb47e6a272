package lab

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWaitFollowsTheMachine(t *testing.T) {
	const timeout = 30 * time.Second
	for _, tt := range []struct {
		name  string
		took  time.Duration
		polls int
		want  bool
	}{
		{"before the timeout", 29 * time.Second, 300, false},
		{"after it", 31 * time.Second, 300, true},
		{"after it, few polls", 31 * time.Second, 12, false},
		{"five times as long, few polls", 151 * time.Second, 12, true},
	} {
		if got := expired(timeout, tt.took, tt.polls); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestPeerIsFoundByItsContent has directord in the place of the Perl program.
func TestPeerIsFoundByItsContent(t *testing.T) {
	before := perlPlaces
	defer func() { perlPlaces = before }()
	dir := t.TempDir()
	ours, perl := filepath.Join(dir, "ldirectord"), filepath.Join(dir, "ldirectord.perl")
	for path, text := range map[string]string{ours: "\x7fELF", perl: "#!/usr/bin/env perl\n"} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	perlPlaces = []string{ours, perl}
	if got := PerlProgram(t); got != perl {
		t.Errorf("got %s", got)
	}
}
