package ipvs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/lvs"
)

func (n node) wantTimeouts(t *testing.T, want string) {
	t.Helper()
	if got, err := n.kernel.Timeouts(t.Context()); err != nil || got.String() != "ipvsadm --set "+want {
		t.Errorf("got %v, %v; want %s", got, err, want)
	}
}

// TestTimeoutsAreShared checks that the timeouts go back to the earlier values when the last
// resource that needs them has stopped. Two resources cannot need different values.
func TestTimeoutsAreShared(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", with(web, "lvs_timeouts=tcp 7200 udp 5")...)
	n.wantTimeouts(t, "7200 120 5")
	n.mustRun(t, 0, "mail", "start", with(mail, "lvs_timeouts=tcp 7200")...)
	const differs = `the tcp timeout of IPVS is 7200 for resource "web", and this resource needs 60; give both resources the same value`
	other := []string{"virtual=192.0.2.12:80", "real=192.0.2.21 gate", "lvs_timeouts=tcp 60"}
	if got := n.mustRun(t, 1, "other", "start", other...); got.reason != differs {
		t.Errorf("got  %s\nwant %s", got.reason, differs)
	}
	n.mustRun(t, 0, "web", "reload-agent", with(web, "lvs_timeouts=tcp 7200")...)
	n.wantTimeouts(t, "7200 120 300")
	n.mustRun(t, 0, "web", "stop", web...)
	n.wantTimeouts(t, "7200 120 300")
	n.mustRun(t, 0, "mail", "monitor", mail...)
	n.mustRun(t, 0, "mail", "stop", mail...)
	n.wantTimeouts(t, "900 120 300")
}

// TestForeignTimeoutFailsMonitor checks the reason of monitor after ipvsadm --set.
func TestForeignTimeoutFailsMonitor(t *testing.T) {
	n := newNode(t)
	file := filepath.Join(n.config, "web.cf")
	if err := os.WriteFile(file, []byte("lvs_timeouts=udp 5\nvirtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.mustRun(t, 0, "web", "start", "config="+file)
	n.wantTimeouts(t, "900 120 5")
	if err := n.kernel.SetTimeouts(t.Context(), lvs.Timeouts{2: time.Minute}); err != nil {
		t.Fatal(err)
	}
	got := n.mustRun(t, 1, "web", "monitor", "config="+file)
	if !strings.HasSuffix(got.reason, "ipvsadm --set 0 0 5") {
		t.Error(got.reason)
	}
	n.mustRun(t, 0, "web", "start", "config="+file)
	n.mustRun(t, 0, "web", "monitor", "config="+file)
	n.mustRun(t, 0, "web", "stop", "config="+file)
	n.wantTimeouts(t, "900 120 300")
}
