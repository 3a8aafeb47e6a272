package lab

import "testing"

// Machines are the directors and the real servers as they are after the installation of the
// packages: no cluster is configured and no daemon runs. Tests start daemons with lab/systemctl.sh,
// which replaces systemctl on these nodes.
type Machines struct{ nodes }

// StartMachines boots director1, director2, rs1 and rs2. If the test fails, it prints the logs of
// the cluster's daemons on both directors. As in StartCluster, the test also fails if Pacemaker
// logs that something is deprecated.
func StartMachines(tb testing.TB, topology *Topology, options Options) *Machines {
	tb.Helper()
	m := &Machines{newNodes(tb, topology, options, "none", "director1", "director2", "rs1", "rs2")}
	tb.Cleanup(func() {
		if tb.Failed() {
			m.nodes[:2].logs(tb, "pacemaker/pacemaker.log", "corosync/stderr.log")
		}
		m.stop()
		m.nodes[:2].current(tb)
	})
	for _, node := range m.nodes {
		node.boot(tb)
	}
	return m
}

// Cluster returns the Pacemaker cluster of the two directors. Before the test uses the cluster, it
// must have started the cluster on both nodes.
func (m *Machines) Cluster() *Cluster { return &Cluster{m.nodes[:2]} }
