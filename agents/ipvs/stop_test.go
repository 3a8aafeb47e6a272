package ipvs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/state/record"
)

func TestStopNeedsNoParameters(t *testing.T) {
	for _, params := range [][]string{nil, {"virtual=garbage"}, {"scheduler=garbage", "persistent=-1"}, {"config=/nonexistent"}} {
		n := newNode(t)
		n.mustRun(t, 0, "web", "start", web...)
		n.mustRun(t, 0, "web", "monitor", params...)
		n.mustRun(t, 0, "web", "stop", params...)
		n.wantTable(t, "")
	}
}

func TestDamagedRecord(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	file := filepath.Join(n.state, "ipvs", "web")
	for _, text := range []string{"", "garbage", "-A -t 192.0.2.10:80 -s rr"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := n.mustRun(t, 1, "web", "monitor", web...); !strings.Contains(got.reason, "damaged record") {
			t.Errorf("reason: %s", got.reason)
		}
		n.mustRun(t, 0, "web", "stop", web...)
		n.wantTable(t, "")
		n.mustRun(t, 0, "web", "start", web...)
	}
}

func TestDamagedRecordAndBadParameters(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	file := filepath.Join(n.state, "ipvs", "web")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := n.mustRun(t, 1, "web", "stop", "config=/nonexistent")
	if want := "record " + file + " is damaged and may contain -t 192.0.2.10:80; ipvsadm -D the services that this resource added, then remove the file"; got.reason != want {
		t.Errorf("reason: %s", got.reason)
	}
	if got := n.mustRun(t, 1, "dns", "start", web...); !strings.Contains(got.reason, "may belong to the damaged record "+file) {
		t.Errorf("adopted: %s", got.reason)
	}
	n.set(t, "-D -t 192.0.2.10:80")
	n.mustRun(t, 0, "web", "stop", "config=/nonexistent")
	n.mustRun(t, 7, "web", "monitor", web...)
}

func TestDamagedRecordLeavesTheServicesOfOthers(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.mustRun(t, 0, "dns", "start", "virtual=192.0.2.20:53", "real=192.0.2.21 masq", "scheduler=rr")
	if err := os.WriteFile(filepath.Join(n.state, "ipvs", "web"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n.mustRun(t, 0, "web", "stop", "virtual=192.0.2.10:80 192.0.2.20:53", "real=192.0.2.21 masq", "protocol=udp")
	n.mustRun(t, 0, "dns", "monitor")
}

func TestStopDoesNotWaitForTheLockForEver(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	store, err := record.In(n.state)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := store.Lock(t.Context(), "dns", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	got := n.mustRun(t, 1, "web", "start", append([]string{"CRM_meta_timeout=2000"}, web...)...)
	// On a busy host, package ocf can end the action before the wait for the lock ends.
	if want := fmt.Sprintf("locking the IPVS table: dns (process %d) has the lock: context deadline exceeded", os.Getpid()); got.reason != want && !strings.Contains(got.reason, "did not end within") {
		t.Errorf("reason: %s", got.reason)
	}
	n.mustRun(t, 0, "web", "stop", append([]string{"CRM_meta_timeout=3000"}, web...)...)
	n.wantTable(t, "")
}
