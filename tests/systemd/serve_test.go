// Package systemd starts our units under a systemd that is the first process of a node of the lab.
// It needs root, and "make stage".
package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Sandbox(m, nil)) }

// staged returns the directory that make stage has written.
func staged(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../../bin/root")
	if err == nil {
		_, err = os.Stat(filepath.Join(root, "usr/sbin/lvsctl"))
	}
	if err != nil {
		t.Fatalf("%v; make stage", err)
	}
	return root
}

const unit = "lvsctl-serve"

// dropIn writes settings for the unit, and restarts it.
func dropIn(t *testing.T, node *lab.Node, settings string) {
	t.Helper()
	node.WriteFile(t, "/etc/systemd/system/"+unit+".service.d/lab.conf", "[Service]\n"+settings)
	node.Script(t, "systemctl daemon-reload; systemctl restart "+unit)
}

// contains waits until a page of the unit has a text.
func contains(t *testing.T, node *lab.Node, path, want string) {
	t.Helper()
	lab.Wait(t, time.Minute, fmt.Sprintf("%q in %s", want, path), func() error {
		out, err := node.Exec(t.Context(), "curl", "-sS", "--fail", "--max-time", "10", "http://127.0.0.1:9946"+path)
		if err == nil && !strings.Contains(out, want) {
			err = fmt.Errorf("no %q in\n%s", want, out)
		}
		return err
	})
}

// TestServe starts the installed unit of lvsctl serve as the packages install it.
func TestServe(t *testing.T) {
	topology := lab.NewTopology(t)
	node := lab.StartSystemd(t, topology, staged(t))
	node.Run(t, "systemctl", "start", unit)
	contains(t, node, "/metrics", "")
	contains(t, node, "/", "no health daemon runs on this director")
	t.Run("rights", func(t *testing.T) { rights(t, node) })
	t.Run("writes", func(t *testing.T) { writes(t, node) })
	t.Run("other hosts", func(t *testing.T) { others(t, node, topology.Host("client")) })
}

// rights checks the user and the rights of the process.
func rights(t *testing.T, node *lab.Node) {
	out := node.Script(t, `pid=$(systemctl show -P MainPID `+unit+`)
ps -o user= -o group= -p $pid
grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/$pid/status`)
	got := strings.Join(strings.Fields(out), " ")
	const none = " 0000000000000000 "
	if want := "lvs-view lvs-view CapInh:" + none + "CapPrm:" + none + "CapEff:" + none + "CapBnd:" + none + "CapAmb:" + none + "NoNewPrivs: 1 Seccomp: 2"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// writes checks where a process of the unit can write: the directory of the unit's socket, and
// directories in memory that no other process has.
func writes(t *testing.T, node *lab.Node) {
	node.WriteProgram(t, "/etc/attempt", `#!/bin/sh
find / -maxdepth 3 \( -path /proc -o -path /sys -o -path /usr \) -prune -o -type d -print 2>/dev/null |
while read -r dir; do
	if (: >"$dir/attempt") 2>/dev/null; then echo "$dir"; fi
done
`)
	dropIn(t, node, "ExecStartPre=/etc/attempt\n")
	want := map[string]bool{"/run/lvsctl-serve": true, "/tmp": true, "/var/tmp": true, "/dev/shm": true}
	out := node.Run(t, "journalctl", "-o", "cat", "_COMM=attempt")
	if !strings.Contains(out, "/run/lvsctl-serve\n") {
		t.Errorf("the unit cannot write into its directory: %q", out)
	}
	for _, dir := range strings.Fields(out) {
		if !want[dir] {
			t.Errorf("the unit can write into %s", dir)
		}
	}
}

// others checks that other hosts cannot reach the unit.
func others(t *testing.T, node *lab.Node, client *lab.Host) {
	url := "http://" + node.Host.Addr + ":9946/metrics"
	get := func() error {
		_, err := client.Exec(t.Context(), "curl", "-sS", "--max-time", "3", url)
		return err
	}
	if err := get(); err == nil || !strings.Contains(err.Error(), "exit status 7:") {
		t.Errorf("the client got %v", err)
	}
	const everywhere = "ExecStart=\nExecStart=/usr/sbin/lvsctl serve --listen 0.0.0.0:9946\n"
	dropIn(t, node, everywhere)
	contains(t, node, "/metrics", "")
	if err := get(); err == nil || !strings.Contains(err.Error(), "exit status 28:") {
		t.Errorf("with --listen 0.0.0.0:9946, the client got %v", err)
	}
	dropIn(t, node, everywhere+"IPAddressAllow="+client.Addr+"\n")
	contains(t, node, "/metrics", "")
	if err := get(); err != nil {
		t.Errorf("with IPAddressAllow, the client got %v", err)
	}
}
