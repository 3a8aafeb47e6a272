package ipvs

import (
	"testing"

	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
)

func TestMonitorIsSilentWhenRunning(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	if got := n.mustRun(t, 0, "web", "monitor", web...); got.log != "" {
		t.Errorf("log: %q", got.log)
	}
}

func TestProbeWithoutRecordLogsWhatStandsThere(t *testing.T) {
	n := newNode(t)
	n.set(t, "-A -f 9 -s sh")
	got := n.mustRun(t, 7, "web", "probe", web...)
	if want := "INFO: no record of this resource; the kernel has services of others, which stay: [-f 9]\n"; got.log != want {
		t.Errorf("log: %q", got.log)
	}
}

func TestMonitorReportsDrift(t *testing.T) {
	tests := []struct {
		name, command, reason string
		code                  ocf.Code
	}{
		{"weight", "-e -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 9", "to do: ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2", 1},
		{"method", "-e -t 192.0.2.10:80 -r 192.0.2.22:80 -i -w 2", "to do: ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2", 1},
		{"real server", "-d -t 192.0.2.10:80 -r 192.0.2.21:80", "to do: ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1", 1},
		{"one more", "-a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 1", "to do: ipvsadm -d -t 192.0.2.10:80 -r 192.0.2.23:80", 1},
		{"scheduler", "-E -t 192.0.2.10:80 -s wlc", "to do: ipvsadm -E -t 192.0.2.10:80 -s rr", 1},
		{"persistence", "-E -t 192.0.2.10:80 -s rr -p 9", "to do: ipvsadm -E -t 192.0.2.10:80 -s rr", 1},
		{"service", "-D -t 192.0.2.10:80", "none of the virtual services is in the kernel any more", 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := tunedNode(t)
			n.mustRun(t, 0, "web", "start", web...)
			n.set(t, tt.command)
			if got := n.mustRun(t, tt.code, "web", "monitor", web...); got.reason != tt.reason {
				t.Errorf("reason: %s", got.reason)
			}
			n.mustRun(t, 0, "web", "start", web...)
			n.wantTable(t, webTable)
		})
	}
}

func TestMonitorCountsWhatIsMissing(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.set(t, "-D -t 192.0.2.10:80", "-A -t 192.0.2.10:80 -s rr")
	const want = "to do: ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1 (and 1 more)"
	if got := n.mustRun(t, 1, "web", "monitor", web...); got.reason != want {
		t.Errorf("reason: %s", got.reason)
	}
}

func TestIPVSThatWentAwayIsNotRunning(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.kernel.Missing = true
	n.mustRun(t, 7, "web", "monitor", web...)
	n.mustRun(t, 0, "web", "stop", web...)
}

// TestOrderOfAnotherVersionIsRunning checks that monitor accepts destinations in any order, for
// schedulers that hash. An earlier version, or ipvsadm, can have given them another order.
func TestOrderOfAnotherVersionIsRunning(t *testing.T) {
	for _, scheduler := range []string{"mh", "sh", "dh"} {
		n := newNode(t)
		n.set(t, "-A -t 192.0.2.10:80 -s "+scheduler, "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1", "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1")
		params := []string{"virtual=192.0.2.10:80", "real=192.0.2.21 gate, 192.0.2.22 gate", "scheduler=" + scheduler}
		// Start adopts the service in the kernel, because it is equal to the configured service.
		n.mustRun(t, 0, "web", "start", params...)
		service := "-A -t 192.0.2.10:80 -s " + scheduler
		if scheduler != "dh" {
			service += " -b " + scheduler + "-fallback"
		}
		n.wantTable(t, service+`
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
`)
		n.set(t, "-d -t 192.0.2.10:80 -r 192.0.2.21:80", "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1")
		n.mustRun(t, 0, "web", "monitor", params...)
		n.set(t, "-d -t 192.0.2.10:80 -r 192.0.2.21:80")
		n.mustRun(t, 1, "web", "monitor", params...)
	}
}

// TestServiceWithoutAFallbackFlagOfAnotherVersion checks that monitor accepts the record and the
// service of an earlier version, which set no flag. A start then sets the flag in place.
func TestServiceWithoutAFallbackFlagOfAnotherVersion(t *testing.T) {
	n := sloppyNode(t)
	params := []string{"virtual=192.0.2.10:80", "real=192.0.2.21 gate", "scheduler=sh", "sloppy_tcp=no"}
	n.mustRun(t, 0, "web", "start", append(params, "schedflags=sh-port")...)
	store, err := record.In(n.state)
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.Load("web")
	if err != nil {
		t.Fatal(err)
	}
	r.Services[0].Flags = 0
	if err := store.Save(r); err != nil {
		t.Fatal(err)
	}
	n.set(t, "-E -t 192.0.2.10:80 -s sh")
	n.mustRun(t, 0, "web", "monitor", params...)
	got := n.mustRun(t, 0, "web", "start", params...)
	if want := "INFO: ipvsadm -E -t 192.0.2.10:80 -s sh -b sh-fallback\n"; got.log != want {
		t.Errorf("got  %swant %s", got.log, want)
	}
}
