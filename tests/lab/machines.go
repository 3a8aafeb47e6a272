package lab

import "testing"

// Machines are the directors and the real servers after the installation of their packages. No
// cluster is configured, and no daemon runs. Tests start daemons with the script systemctl.sh,
// which replaces systemctl.
type Machines struct{ nodes }

// StartMachines boots director1, director2, rs1 and rs2. When the test fails, it shows the logs
// of the directors' cluster.
func StartMachines(tb testing.TB, topology *Topology, options Options) *Machines {
	tb.Helper()
	m := &Machines{newNodes(tb, topology, options, "none", "director1", "director2", "rs1", "rs2")}
	tb.Cleanup(func() {
		if tb.Failed() {
			m.nodes[:2].logs(tb, "pacemaker/pacemaker.log", "corosync/stderr.log")
		}
		m.stop()
	})
	for _, node := range m.nodes {
		node.boot(tb)
	}
	return m
}

// Cluster returns the cluster of the two directors. The test must have started it on both nodes.
func (m *Machines) Cluster() *Cluster { return &Cluster{m.nodes[:2]} }
