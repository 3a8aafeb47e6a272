package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rebootScript replaces the programs reboot and init of a node. heartbeat runs one of them if it
// cannot stop a resource. The script only writes its command line to the file /var/log/rebooted.
const rebootScript = "#!/bin/sh\necho \"$0 $*\" >>/var/log/rebooted\n"

// Pair is a cluster of director1 and director2 of the topology. heartbeat 3 manages it, and the
// file haresources lists its resources.
type Pair struct {
	nodes
}

// StartHeartbeat boots director1 and director2 with heartbeat, and does not wait until heartbeat is
// ready. files are the files of /etc/ha.d on both nodes, by name; files in resource.d are
// executable. If heartbeat reboots a node, only a file is written, which Node.Rebooted reads. If
// the test fails, StartHeartbeat prints the logs of heartbeat on both nodes.
func StartHeartbeat(tb testing.TB, topology *Topology, options Options, files map[string]string) *Pair {
	tb.Helper()
	p := &Pair{newNodes(tb, topology, options, "heartbeat", "director1", "director2")}
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

// place writes a file on the node's disk before the node boots.
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

// Rebooted returns the commands that heartbeat ran to reboot the node. The result is "" if
// heartbeat did not try to reboot the node.
func (n *Node) Rebooted(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(n.dir, "var/log/rebooted"))
	if err != nil && !os.IsNotExist(err) {
		tb.Fatal(err)
	}
	return string(text)
}
