package ipvs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tunedNode returns a node whose kernel has the sysctls with defaults, with the values of Linux.
func tunedNode(t *testing.T) node {
	t.Helper()
	n := sloppyNode(t)
	for name, value := range map[string]string{"conntrack": "0", "expire_nodest_conn": "0", "expire_quiescent_template": "0", "conn_reuse_mode": "1"} {
		n.host.Put(sysctl(name), value)
	}
	return n
}

// wantTuned compares expire_nodest_conn, expire_quiescent_template and conn_reuse_mode.
func (n node) wantTuned(t *testing.T, when, want string) {
	t.Helper()
	var values []string
	for _, name := range []string{"expire_nodest_conn", "expire_quiescent_template", "conn_reuse_mode"} {
		value, err := n.host.Get(t.Context(), sysctl(name))
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	if got := strings.Join(values, " "); got != want {
		t.Errorf("%s: got %s, want %s", when, got, want)
	}
}

func TestDefaultsAreShared(t *testing.T) {
	n := tunedNode(t)
	n.mustRun(t, 0, "web", "start", with(web, "persistent=60")...)
	n.wantTuned(t, "a persistent service", "0 1 1")
	n.mustRun(t, 0, "mail", "start", mail...)
	n.wantTuned(t, "and one with direct routing", "0 1 3")
	n.mustRun(t, 0, "web", "reload-agent", web...)
	n.wantTuned(t, "without persistence", "0 0 3")
	n.mustRun(t, 0, "web", "start", web...)
	n.mustRun(t, 0, "mail", "stop", mail...)
	n.wantTuned(t, "one stopped", "0 0 3")
	n.mustRun(t, 0, "web", "stop", web...)
	n.wantTuned(t, "both stopped", "0 0 1")
	n.mustRun(t, 7, "web", "monitor", web...)
	if left, err := filepath.Glob(n.state + "/director-*[0-9]"); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestDefaultsOfAFile(t *testing.T) {
	n := tunedNode(t)
	for _, step := range []struct{ head, want string }{
		{"", "1 0 1"}, {"quiescent=yes\n", "0 0 3"}, {"quiescent=yes\nfallback=127.0.0.1:80 gate\n", "1 0 3"},
		{"expire_nodest_conn=no\n", "0 0 1"}, {"quiescent=yes\nconn_reuse_mode=0\n", "0 0 0"}, {"expire_quiescent_template=yes\n", "1 1 1"}, {"", "1 0 1"},
	} {
		text := step.head + "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\tservice=none\n"
		if err := os.WriteFile(n.config+"/web.cf", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got := n.mustRun(t, 0, "web", "start", "config=web.cf")
		n.wantTuned(t, step.head, step.want)
		if strings.Contains(got.log, "WARNING") {
			t.Errorf("%s: %s", step.head, got.log)
		}
		n.mustRun(t, 0, "web", "monitor", "config=web.cf")
	}
	n.mustRun(t, 0, "web", "stop", "config=web.cf")
	n.wantTuned(t, "stopped", "0 0 1")
}

// TestDefaultsFailNoAction checks that start and stop succeed if a default cannot be set or put
// back. The kernel refuses the value or lacks the sysctl, another resource needs another value, or
// the operator has changed the value.
func TestDefaultsFailNoAction(t *testing.T) {
	const warning = "WARNING: the defaults of sysctls: "
	n := tunedNode(t)
	n.host.FailAfter(0, fmt.Errorf("sysctl: %w", syscall.EROFS))
	if got := n.mustRun(t, 0, "web", "start", web...); !strings.Contains(got.log, "sysctl -w net.ipv4.vs.conn_reuse_mode=3: sysctl: read-only file system") {
		t.Error(got.log)
	}
	n.mustRun(t, 0, "web", "stop", web...)
	n.wantTuned(t, "read-only", "0 0 1")

	n.mustRun(t, 0, "web", "start", web...)
	n.host.FailAfter(0, fmt.Errorf("sysctl: %w", syscall.EROFS))
	n.mustRun(t, 0, "web", "stop", web...)
	n.wantTuned(t, "read-only at stop", "0 0 3")
	n.mustRun(t, 1, "web", "monitor", web...)
	n.mustRun(t, 0, "web", "stop", web...)
	n.wantTuned(t, "second stop", "0 0 1")
	n.mustRun(t, 7, "web", "monitor", web...)

	n.mustRun(t, 0, "web", "start", web...)
	n.host.Put(sysctl("conn_reuse_mode"), "0") // The operator has changed it.
	n.mustRun(t, 0, "web", "monitor", web...)
	n.mustRun(t, 0, "web", "stop", web...)
	n.wantTuned(t, "changed by the operator", "0 0 0")

	n.host.Put(sysctl("conn_reuse_mode"), "1")
	n.mustRun(t, 0, "mail", "start", with(mail, "conn_reuse_mode=1")...)
	got := n.mustRun(t, 0, "web", "start", web...)
	if want := warning + `sysctl name=net/ipv4/vs/conn_reuse_mode is 1 for resource "mail", and this resource needs 3; give both resources the same value`; !strings.Contains(got.log, want) {
		t.Errorf("got  %s\nwant %s", got.log, want)
	}
	n.wantTuned(t, "given by another resource", "0 0 1")
	n.mustRun(t, 0, "mail", "stop", mail...)
	n.mustRun(t, 0, "web", "stop", web...)

	n.host.Put(sysctl("conntrack"), "1")
	n.mustRun(t, 0, "web", "start", web...)
	n.wantTuned(t, "conntrack", "0 0 1")
	n.mustRun(t, 0, "web", "stop", web...)
	n.host.Put(sysctl("conntrack"), "")
	n.host.Put(sysctl("conn_reuse_mode"), "")
	if got := n.mustRun(t, 0, "web", "start", web...); strings.Contains(got.log, "WARNING") {
		t.Errorf("a kernel without conn_reuse_mode: %s", got.log)
	}
}

// TestDamagedLedgerOfDefaults checks that no action of a resource with defaults fails if the ledger
// is damaged.
func TestDamagedLedgerOfDefaults(t *testing.T) {
	n := tunedNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	files, err := filepath.Glob(n.state + "/director-*[0-9]")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("damaged\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"monitor", "start", "monitor", "stop"} {
		n.mustRun(t, 0, "web", action, web...)
	}
	n.mustRun(t, 7, "web", "monitor", web...)
}

// TestGivenValueReplacesADefault checks a value that the operator gives and takes back.
func TestGivenValueReplacesADefault(t *testing.T) {
	n := tunedNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	n.mustRun(t, 0, "web", "reload-agent", with(web, "conn_reuse_mode=0")...)
	n.wantTuned(t, "given", "0 0 0")
	if got := n.mustRun(t, 0, "web", "reload-agent", web...); strings.Contains(got.log, "WARNING") {
		t.Error(got.log)
	}
	n.wantTuned(t, "taken back", "0 0 3")
	n.mustRun(t, 0, "web", "stop", web...)
	n.wantTuned(t, "stopped", "0 0 1")
}
