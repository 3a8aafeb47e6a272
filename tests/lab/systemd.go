package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// StartSystemd boots director1 with systemd as its first process, up to basic.target. root is the
// directory that "make install DESTDIR=root" has written. The users and directories of the package
// exist. If the test fails, StartSystemd prints the journal.
func StartSystemd(tb testing.TB, topology *Topology, root string) *Node {
	tb.Helper()
	list := newNodes(tb, topology, Options{Root: root}, "systemd", "director1")
	node := list[0]
	node.cgroup = newCgroup(tb)
	tb.Cleanup(node.stop)
	node.boot(tb)
	Wait(tb, 2*time.Minute, "basic.target", func() error {
		out, err := exec.Command(node.enter[0], append(node.enter[1:], "systemctl", "is-active", "basic.target")...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Log(node.Run(tb, "journalctl", "--no-pager", "_TRANSPORT=stdout", "_TRANSPORT=journal"))
		}
	})
	// The scripts of the packages do the same.
	node.Run(tb, "systemd-sysusers", filepath.Join(root, "usr/lib/sysusers.d/lvs-agents.conf"))
	node.Run(tb, "systemd-tmpfiles", "--create", filepath.Join(root, "usr/lib/tmpfiles.d/lvs-agents.conf"))
	return node
}

// newCgroup makes a control group for a node, and removes it when the test ends.
func newCgroup(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	if err := syscall.Mount("cgroup", dir, "cgroup2", 0, ""); err != nil {
		tb.Fatalf("mount the control groups: %v", err)
	}
	tb.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	group := filepath.Join(dir, fmt.Sprintf("lab-%d", os.Getpid()))
	// Not every kernel has the two controllers in this hierarchy. The limits of units then do nothing.
	_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+memory +pids"), 0o600)
	if err := os.Mkdir(group, 0o755); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		// The kernel removes a group only after the last process of the node has gone.
		Wait(tb, time.Minute, "removal of "+group, func() error {
			out, err := exec.Command("find", group, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+").CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	})
	return group
}
