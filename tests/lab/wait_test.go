package lab

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTimeoutFollowsTheMachine(t *testing.T) {
	const timeout = 30 * time.Second
	for _, tt := range []struct {
		name     string
		took     time.Duration
		slowness float64
		want     bool
	}{
		{"before the timeout", 29 * time.Second, 1, false},
		{"after it, at rest", 31 * time.Second, 0.5, true},
		{"after it, a busy machine", 31 * time.Second, 4, false},
		{"four times as long, a busy machine", 121 * time.Second, 4, true},
		{"a machine that stands still", 301 * time.Second, 1000, true},
	} {
		p := slowTimeout{timeout: timeout, slowness: func() float64 { return tt.slowness }}
		if got := p.ends(tt.took); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	p := slowTimeout{timeout: timeout, slowness: func() float64 { return 4 }}
	if p.ends(31*time.Second) || p.String() != "2m0s on a busy machine, at rest 30s" {
		t.Error(p)
	}
	p.slowness = func() float64 { return 1 } // The host is idle again. The timeout must not become shorter again.
	if p.ends(119*time.Second) || !p.ends(121*time.Second) {
		t.Error(p)
	}
}

// TestPeerIsFoundByItsContent checks that PerlProgram skips a path if the file there is directord.
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
