package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTimeouts checks that a resource sets the timeouts of the kernel, and that stop restores them.
func TestTimeouts(t *testing.T) {
	d := newDirector(t)
	timeouts := func(want string) {
		t.Helper()
		if got := d.Script(t, "ipvsadm -Ln --timeout"); got != "Timeout (tcp tcpfin udp): "+want+"\n" {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	d.must(t, 0, "ipvs", "web", "start", append(web, "lvs_timeouts=tcp 7200 udp 5")...)
	timeouts("7200 120 5")
	d.Script(t, "ipvsadm --set 0 0 60")
	if out := d.must(t, 1, "ipvs", "web", "monitor"); !strings.Contains(out, "ipvsadm --set 0 0 5") {
		t.Error(out)
	}
	d.must(t, 0, "ipvs", "web", "reload-agent", append(web, "lvs_timeouts=tcpfin 30 udp 5")...)
	timeouts("900 30 5")
	d.must(t, 0, "ipvs", "web", "monitor")
	d.must(t, 0, "ipvs", "web", "stop")
	timeouts("900 120 300")
}

// TestThousandServices checks a resource with 1,000 services of ten real servers each. A second
// start changes nothing, a reload changes the scheduler of each service, and stop leaves an empty
// table.
func TestThousandServices(t *testing.T) {
	d := newDirector(t)
	file := filepath.Join(t.TempDir(), "large.cf")
	write := func(scheduler string) {
		var text strings.Builder
		for i := range 4 {
			fmt.Fprintf(&text, "virtual=192.0.2.%d:8000-8249\n\tscheduler=%s\n\tchecktype=off\n\treal=198.51.100.1->198.51.100.10 gate\n", 100+i, scheduler)
		}
		if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines := func() int { return strings.Count(d.table(t), "\n") }
	write("wrr")
	d.must(t, 0, "ipvs", "web", "start", "config="+file)
	before := d.table(t)
	if n := lines(); n != 11000 {
		t.Fatalf("%d lines", n)
	}
	d.must(t, 0, "ipvs", "web", "monitor", "config="+file)
	d.must(t, 0, "ipvs", "web", "start", "config="+file)
	if d.table(t) != before {
		t.Error("the second start has changed the table")
	}
	write("wlc")
	d.must(t, 0, "ipvs", "web", "reload-agent", "config="+file)
	if d.table(t) != strings.ReplaceAll(before, "-s wrr", "-s wlc") {
		t.Error("the table after the reload differs")
	}
	d.must(t, 0, "ipvs", "web", "stop", "config="+file)
	if n := lines(); n != 0 {
		t.Errorf("%d lines after stop", n)
	}
}
