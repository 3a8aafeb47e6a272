package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rebootScript stands in the place of reboot and init, which heartbeat calls when a resource does not stop.
const rebootScript = "#!/bin/sh\necho \"$0 $*\" >>/var/log/rebooted\n"

// Pair is a cluster of heartbeat 3 (haresources) of the topology's two directors.
type Pair struct {
	nodes
}

// StartHeartbeat boots director1 and director2 with heartbeat; the files, by their names, are those of
// /etc/ha.d on both, with execute permission in resource.d. It does not wait for heartbeat. Programs that would reboot a node only say so
// (Node.Rebooted). When the test fails, /var/log/ha-log of both is shown.
func StartHeartbeat(tb testing.TB, topology *Topology, options Options, files map[string]string) *Pair {
	tb.Helper()
	p := &Pair{newNodes(tb, topology, options, "heartbeat")}
	for _, node := range p.nodes {
		for name, text := range files {
			mode := os.FileMode(0o600)
			if strings.HasPrefix(name, "resource.d/") {
				mode = 0o755
			}
			node.place(tb, "etc/ha.d/"+name, text, mode)
		}
		node.place(tb, "usr/sbin/reboot", rebootScript, 0o755)
		node.place(tb, "usr/sbin/init", rebootScript, 0o755)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			p.logs(tb, "heartbeat-stderr.log", "ha-log", "ha-debug")
		}
		p.stop()
	})
	for _, node := range p.nodes {
		node.boot(tb)
	}
	return p
}

// place writes a file of the node before it boots.
func (n *Node) place(tb testing.TB, path, text string, mode os.FileMode) {
	tb.Helper()
	path = filepath.Join(n.dir, "upper", path)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), mode)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Rebooted returns how heartbeat has tried to reboot the node, empty if it has not.
func (n *Node) Rebooted(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(n.dir, "var/log/rebooted"))
	if err != nil && !os.IsNotExist(err) {
		tb.Fatal(err)
	}
	return string(text)
}
