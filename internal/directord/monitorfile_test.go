package directord

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/logsink"
)

// TestMonitorFileThatIsAPipe checks that the write of a line fails at once if the monitorfile is a
// pipe.
func TestMonitorFileThatIsAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "monitorfile")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := logsink.Append(path, permissions, "line\n"); err == nil || err.Error() != path+" is a pipe" {
		t.Errorf("got %v", err)
	}
}
