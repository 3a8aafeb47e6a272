package ipvs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lvs-agents/internal/host"
	"lvs-agents/internal/state/statetest"
)

// sysctl returns a setting of the director.
func sysctl(name string) host.Setting {
	return host.Setting{Kind: host.Sysctl, Name: "net/ipv4/vs/" + name}
}

// sloppyNode returns a node whose kernel has both settings, with the value 0.
func sloppyNode(t *testing.T) node {
	t.Helper()
	n := newNode(t)
	n.host.Put(sysctl("sloppy_tcp"), "0")
	n.host.Put(sysctl("sloppy_sctp"), "0")
	return n
}

func (n node) wantSloppy(t *testing.T, tcp, sctp string) {
	t.Helper()
	for name, want := range map[string]string{"sloppy_tcp": tcp, "sloppy_sctp": sctp} {
		if got, err := n.host.Get(t.Context(), sysctl(name)); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
}

func with(params []string, more ...string) []string {
	return append(append([]string{}, params...), more...)
}

var mail = []string{"virtual=192.0.2.10:25", "real=192.0.2.21 gate", "scheduler=rr"}

func TestSloppySettingsAreShared(t *testing.T) {
	n := sloppyNode(t)
	n.mustRun(t, 0, "web", "start", with(web, "sloppy_tcp=yes", "sloppy_sctp=yes")...)
	n.wantSloppy(t, "1", "1")
	n.mustRun(t, 0, "mail", "start", with(mail, "sloppy_tcp=yes")...)
	n.mustRun(t, 0, "web", "stop", web...)
	n.wantSloppy(t, "1", "0")
	n.mustRun(t, 7, "web", "monitor", web...)
	n.mustRun(t, 0, "mail", "monitor", mail...)
	n.mustRun(t, 0, "mail", "stop", mail...)
	n.mustRun(t, 0, "mail", "stop", mail...)
	n.wantSloppy(t, "0", "0")
}

func TestResourceWithoutSloppyParametersWritesNoLedger(t *testing.T) {
	n := sloppyNode(t)
	n.host.Put(sysctl("sloppy_tcp"), "1") // As an operator would, the test sets sloppy_tcp before start.
	for _, action := range []string{"start", "monitor", "reload-agent", "stop"} {
		n.mustRun(t, 0, "web", action, web...)
	}
	n.wantSloppy(t, "1", "0")
	if left, err := filepath.Glob(n.state + "/director*"); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestReloadChangesSloppySettings(t *testing.T) {
	n := sloppyNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	for _, step := range []struct{ params, tcp, sctp string }{
		{"sloppy_tcp=yes", "1", "0"}, {"sloppy_sctp=yes", "0", "1"}, {"sloppy_tcp=no", "0", "0"}, {"", "0", "0"},
	} {
		params := web
		if step.params != "" {
			params = with(web, step.params)
		}
		n.mustRun(t, 0, "web", "reload-agent", params...)
		n.wantSloppy(t, step.tcp, step.sctp)
		n.mustRun(t, 0, "web", "monitor", params...)
	}
}

func TestSloppySettingOfAFile(t *testing.T) {
	n := sloppyNode(t)
	const text = "sloppy_tcp=yes\nvirtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\tscheduler=mh\n\tschedflags=mh-fallback,mh-port\n"
	if err := os.WriteFile(n.config+"/web.cf", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	got := n.mustRun(t, 0, "web", "start", "config=web.cf")
	n.wantSloppy(t, "1", "0")
	if strings.Contains(got.log, "WARNING") {
		t.Error(got.log)
	}
	n.mustRun(t, 0, "web", "stop", "config=web.cf")
	n.wantSloppy(t, "0", "0")
	if got := n.mustRun(t, 6, "web", "validate-all", "config=web.cf", "sloppy_tcp=no"); !strings.Contains(got.reason, `parameter sloppy_tcp="no" has no meaning together with config`) {
		t.Error(got.reason)
	}
}

func TestSloppyFaults(t *testing.T) {
	n := sloppyNode(t)
	params := with(web, "sloppy_tcp=yes")
	n.mustRun(t, 0, "web", "start", params...)
	got := n.mustRun(t, 1, "mail", "start", with(mail, "sloppy_tcp=no")...)
	if want := `sysctl name=net/ipv4/vs/sloppy_tcp is 1 for resource "web", and this resource needs 0; give both resources the same value`; got.reason != want {
		t.Errorf("got  %s\nwant %s", got.reason, want)
	}
	n.wantSloppy(t, "1", "0")
	n.mustRun(t, 0, "mail", "stop", mail...)

	n.host.Put(sysctl("sloppy_tcp"), "0") // As an operator would, the test changes sloppy_tcp while the resource runs.
	got = n.mustRun(t, 1, "web", "monitor", params...)
	if want := "sysctl name=net/ipv4/vs/sloppy_tcp is 0 and not 1; sysctl -w net.ipv4.vs.sloppy_tcp=1"; got.reason != want {
		t.Errorf("got  %s\nwant %s", got.reason, want)
	}
	n.mustRun(t, 0, "web", "start", params...)
	n.mustRun(t, 0, "web", "monitor", params...)

	n.host.Put(sysctl("sloppy_sctp"), "")
	got = n.mustRun(t, 5, "mail", "start", with(mail, "sloppy_sctp=yes")...)
	if want := "sysctl net.ipv4.vs.sloppy_sctp does not exist here"; !strings.Contains(got.reason, want) {
		t.Errorf("got  %s\nwant %s", got.reason, want)
	}
}

// TestInterruptedStopOfASloppySetting checks a stop that removed the services but could not put
// back a setting. The next stop must put the setting back.
func TestInterruptedStopOfASloppySetting(t *testing.T) {
	n := sloppyNode(t)
	params := with(web, "sloppy_tcp=yes")
	n.mustRun(t, 0, "web", "start", params...)
	n.host.FailAfter(0, fmt.Errorf("sysctl: %w", syscall.EIO))
	n.mustRun(t, 1, "web", "stop", params...)
	n.wantTable(t, "")
	got := n.mustRun(t, 1, "web", "monitor", params...)
	if want := "the resource's settings are set, but its services are missing: a start or stop did not end, or another program deleted them; stop the resource"; got.reason != want {
		t.Errorf("got  %s\nwant %s", got.reason, want)
	}
	n.mustRun(t, 0, "web", "stop", params...)
	n.wantSloppy(t, "0", "0")
	n.mustRun(t, 7, "web", "monitor", params...)
}

// TestDamagedLedgerOfOtherResources checks that a resource without a setting works although the
// ledger is damaged.
func TestDamagedLedgerOfOtherResources(t *testing.T) {
	n := sloppyNode(t)
	n.mustRun(t, 0, "mail", "start", with(mail, "sloppy_tcp=yes")...)
	files, err := filepath.Glob(n.state + "/director-*[0-9]")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	damaged := strings.Replace(string(text), "running", "damaged", 1)
	if err := os.WriteFile(files[0], []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"start", "monitor", "stop"} {
		n.mustRun(t, 0, "web", action, web...)
	}
	if after, err := os.ReadFile(files[0]); err != nil || string(after) != damaged {
		t.Errorf("%v\n%s", err, after)
	}
}

// TestStopOnAReadOnlyDirectory checks resources whose sysctl had the wanted value, or another
// value, before start. Stop succeeds although it cannot write the ledger. After stop, the sysctl
// has its earlier value.
func TestStopOnAReadOnlyDirectory(t *testing.T) {
	for _, found := range []string{"0", "1"} {
		n := sloppyNode(t)
		n.state = statetest.Dir(t, true)
		n.host.Put(sysctl("sloppy_tcp"), found)
		params := with(web, "sloppy_tcp=yes")
		n.mustRun(t, 0, "web", "start", params...)
		for _, condition := range statetest.Conditions() {
			if condition.Name == "as it was, read-only" {
				condition.Apply(t, n.state, filepath.Join(n.state, "ipvs", "web"))
			}
		}
		n.mustRun(t, 0, "web", "stop", params...)
		n.wantSloppy(t, found, "0")
		if text := n.kernel.String(); text != "" {
			t.Errorf("the services stay:\n%s", text)
		}
	}
}
