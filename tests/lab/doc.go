// Package lab builds small load balancing networks and Pacemaker clusters for tests. It uses
// namespaces of the test host, which is the machine that runs the tests. It contains no test of an
// agent. It needs root and a kernel with IPVS. If the test host's kernel has no IPVS, tests/lab/run
// boots the guest: user-mode Linux, a Linux kernel that runs as a program. The package works the
// same way on both kernels.
//
// # The network
//
// NewTopology creates one bridge, and a network namespace for each host. A host has lo and eth0.
// Its MAC address is the same in every test:
//
//	client .100      director1 .11      director2 .12      rs1 .21      rs2 .22
//	     |                 |                  |               |            |
//	  ---+-----------------+------- br0 ------+---------------+------------+---
//	              192.0.2.0/24, 2001:db8::/64; VIPs 192.0.2.10, 2001:db8::10
//
// Each network namespace has its own IPVS table, net.ipv4.vs.* sysctls, ARP sysctls and sync
// daemons. The names of the namespaces contain the process id and a number, so tests can run in
// parallel.
//
// # A cluster node
//
// StartCluster boots Corosync and Pacemaker on the two directors. Each node runs in separate pid,
// mount, uts and ipc namespaces, with the network of its host. Each node has its own copy of the
// directories that node.sh mounts, for example /run, /etc, /usr/sbin and /var/log. A node shares
// all other files with the test host: /tmp, and so testing.T.TempDir too. Node.Kill simulates a
// power failure of the node, Node.Restart its boot. A restart loses memory, addresses and IPVS
// tables, and keeps the disks. Fencing is off.
//
// # Commands
//
//	tests/install                                             installs everything that the lab needs
//	tests/lab/run /tmp/out ipvsadm -Ln                        one command on a kernel with IPVS
//	tests/lab/run -n /tmp/out ipvsadm -Ln                     on a kernel without IPVS
//	tests/lab/test /tmp/out ./tests/lab                       test packages, in one guest
//	tests/lab/test /tmp/out ./tests/lab -- -test.run=Direct   one test
//	LAB_UML=1 tests/lab/run ...                               the guest, even if the kernel has IPVS
//
// In the guest, the output directory (/tmp/out above) is the directory of the test host. All other
// files are a temporary copy. To get a shell in a node of a running test, run nsenter -t PID -m -u
// -i -p -n -r. PID is the process id of the sh that runs node.sh.
//
// # Traps
//
//   - The guest has one CPU, and its system calls take several times as long as usual. An exec
//     takes 15 to 100 ms, crm 5 to 10 s. Do much work in one process (Shell.Script,
//     Cluster.Configure), and prefer cibadmin and crm_standby to crm. Compare ratios, never
//     absolute times.
//   - A test binary that crashes can end with status 0. So tests/lab/test also requires that the
//     binary ran a test and that its last line is PASS.
//   - On Debian, iptables and arptables are links to the versions for nftables, and the guest's
//     kernel has no nftables. Call iptables-legacy, ip6tables-legacy, arptables-legacy.
//   - The race detector does not work in the guest. The guest's kernel does not have the scheduler
//     twos.
//   - If the kernel has the modules ipip, sit and ip6_tunnel, every new namespace has the
//     interfaces tunl0, sit0 and ip6tnl0.
//   - The kernel copies the test host's IPv4 settings into a new namespace. NewTopology sets
//     rp_filter, forwarding and the ARP settings to 0.
//   - The counters of "ipvsadm -L --stats" are up to 2 s old, because the kernel updates them every
//     2 s.
//   - ipvsadm refuses "ipvsadm -a -t [V6]:80 -r [V6]": an IPv6 real server needs its port.
//   - Multicast snooping on the bridge is off, because it would delay the sync daemon's packets.
//   - hostfs is the file system that shows the guest the test host's files. Data that the guest
//     writes reaches the test host only after a sync, or when the guest ends. If output must be
//     visible immediately, write it to stdout.
//   - linux.uml must not be the first process of a pid namespace. After a panic, linux.uml calls
//     abort(), and the kernel ignores this signal for a first process. The guest would hang until
//     the time limit.
//   - In a chroot, / is not a mount point, so "mount --make-rprivate /" fails. nsenter into the
//     same mount namespace leaves the chroot, and then the mount works. For the same reason, tests
//     enter nodes with nsenter -r.
//   - The go command does not run without /proc. In a chroot, mount /proc; go needs nothing else.
//   - The upper directory of an overlay cannot be on an overlay, so the nodes' disks are on a
//     tmpfs.
//   - The first process of a node is a shell, not pacemakerd. pacemakerd would not wait for the
//     orphans of an agent. A dead daemon would then stay a zombie, and kill(pid, 0) would succeed
//     as if the daemon ran.
package lab
