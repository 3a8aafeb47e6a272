package lab

import "testing"

// Machines are the directors and the real servers after the installation of their packages:
// nothing is configured, and nothing runs. A stand-in for systemctl (systemctl.sh) starts
// daemons.
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

// Cluster is the cluster of the two directors, once it runs.
func (m *Machines) Cluster() *Cluster { return &Cluster{m.nodes[:2]} }
