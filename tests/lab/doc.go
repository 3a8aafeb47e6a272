// Package lab builds small load balancing networks and Pacemaker clusters for tests, in namespaces of one
// machine; it holds no test of an agent. It needs root and a kernel with IPVS. Where the machine's kernel
// has none, tests/lab/run boots user-mode Linux, which is a Linux kernel as a program; nothing in this
// package knows the difference.
//
// # The network
//
// NewTopology makes one bridge and a network namespace per host. Each host has lo and eth0, and always the
// same MAC address:
//
//	client .100      director1 .11      director2 .12      rs1 .21      rs2 .22
//	     |                 |                  |               |            |
//	  ---+-----------------+------- br0 ------+---------------+------------+---
//	              192.0.2.0/24, 2001:db8::/64; VIPs 192.0.2.10, 2001:db8::10
//
// IPVS tables, net.ipv4.vs.*, ARP settings and sync daemons are per namespace. The names carry the process
// id and a number, so that parallel tests do not collide.
//
// # A cluster node
//
// StartCluster boots Corosync and Pacemaker on the two directors, each node in pid, mount, uts and ipc
// namespaces of its own over its host's network. /run, /dev/shm, /etc, /usr/sbin, /usr/lib/ocf, /var/log and
// Pacemaker's files belong to the node; the rest, /tmp and so testing.T.TempDir too, is the machine's.
// Node.Kill is a power failure, Node.Restart a boot: memory, addresses and tables are gone, disks are not.
// Fencing is off.
//
// # By hand
//
//	tests/install                                                what all this needs
//	tests/lab/run /tmp/out ipvsadm -Ln                           one command on a kernel with IPVS
//	tests/lab/run -n /tmp/out ipvsadm -Ln                        on a kernel without
//	tests/lab/test /tmp/out ./tests/lab                          test packages, in one guest
//	tests/lab/test /tmp/out ./tests/lab -- -test.run=Direct      one test
//	LAB_UML=1 tests/lab/run ...                                  the guest, although the kernel has IPVS
//
// /tmp/out is shared with the guest, everything else there is a copy that is thrown away. A shell in a node
// of a running test: nsenter -t PID -m -u -i -p -n -r, PID being the sh that runs node.sh.
//
// # Traps
//
//   - The guest has one CPU and its system calls cost several times the usual: an exec 15 to 100 ms, crm 5
//     to 10 s. Do much in one process (Shell.Script, Cluster.Configure), prefer cibadmin and crm_standby to
//     crm, and compare ratios, never absolute times.
//   - A dead test binary can look like success, so tests/lab/test wants exit status 0, the last line PASS and
//     at least one test.
//   - iptables and arptables are nft links on Debian; the guest has no nft. Call iptables-legacy,
//     ip6tables-legacy, arptables-legacy.
//   - The race detector works only outside the guest, and the guest has no scheduler twos.
//   - With ipip, sit and ip6_tunnel loaded every new namespace has tunl0, sit0 and ip6tnl0.
//   - A new namespace copies the machine's IPv4 settings; NewTopology sets rp_filter, forwarding and the ARP
//     ones to 0.
//   - "ipvsadm -L --stats" lags up to 2 s: the kernel adds up its counters so often.
//   - "ipvsadm -a -t [V6]:80 -r [V6]" is refused: an IPv6 real server needs its port.
//   - Multicast snooping on the bridge would hold back the sync daemon's packets; it is off.
//   - hostfs shows the machine's files, but a write reaches the machine only with sync or at the end:
//     output that must be seen at once goes to stdout.
//   - linux.uml must not be the first process of a pid namespace: after a panic its abort() would not
//     end it, and the guest would hang until the time limit.
//   - In a chroot / is no mount point, so "mount --make-rprivate /" fails; nsenter into the own mount namespace
//     leaves the chroot and can. For the same reason nodes are entered with nsenter -r.
//   - Without /proc the go command does not run: a chroot needs it mounted. It needs nothing else.
//   - An overlay's upper directory cannot be on an overlay: the nodes' disks are a tmpfs.
//   - pacemakerd as first process would not reap an agent's orphans, and a dead daemon would look alive to
//     kill(pid, 0): a shell is the first process.
package lab
