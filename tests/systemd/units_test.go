package systemd

import (
	"strings"
	"testing"

	"lvs-agents/tests/lab"
)

// TestRealServer starts and stops lvsrs under systemd. The unit has fewer rights than root, but
// must use the same state directory as a command of root.
func TestRealServer(t *testing.T) {
	node := lab.StartSystemd(t, lab.NewTopology(t), staged(t))
	node.WriteFile(t, "/etc/lvsrs.d/web.conf", "ip=192.0.2.9\n")
	start(t, node, "lvsrs@web")
	if out := node.Run(t, "ip", "addr", "show", "lo"); !strings.Contains(out, "192.0.2.9/32") {
		t.Error(out)
	}
	node.Run(t, "lvsrs", "status", "web")
	if out := node.Run(t, "ls", "/run/lvs-agents"); strings.Contains(out, "netns-") {
		t.Errorf("the unit has a separate state directory: %s", out)
	}
	stop(t, node, "lvsrs@web")
	if out := node.Run(t, "ip", "addr", "show", "lo"); strings.Contains(out, "192.0.2.9") {
		t.Error(out)
	}
}

// start starts a unit, which must be active at once.
func start(t *testing.T, node *lab.Node, name string) {
	t.Helper()
	node.Run(t, "systemctl", "start", name)
	if got := property(t, node, name, "ActiveState"); got != "active" {
		t.Errorf("%s is %s after its start", name, got)
	}
}

// stop stops a unit, which must succeed.
func stop(t *testing.T, node *lab.Node, name string) {
	t.Helper()
	node.Run(t, "systemctl", "stop", name)
	if got := property(t, node, name, "ActiveState") + " " + property(t, node, name, "Result"); got != "inactive success" {
		t.Errorf("%s is %s after its stop", name, got)
	}
}

// property returns a property of a unit.
func property(t *testing.T, node *lab.Node, name, property string) string {
	t.Helper()
	return strings.TrimSpace(node.Run(t, "systemctl", "show", "-P", property, name))
}
