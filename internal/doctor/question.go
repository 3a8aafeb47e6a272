package doctor

import (
	"encoding/xml"
	"fmt"
	"net/netip"
	"strings"

	"lvs-agents/internal/lvs"
)

// Facts is what a program has read about a director of a cluster. The questions about a fact that
// could not be read have no finding.
type Facts struct {
	monitor *monitor       // monitor is nil until ReadMonitor.
	config  *configuration // config is nil until ReadCIB.
	// nftables is nil until ReadNftables.
	nftables *nftables

	// Silent names the programs of Pacemaker that did not reply, and the time. It is empty if all
	// replied.
	Silent string
	Units  string // Units is the argument of ExamineUnits.
	// Host is the host name, and Node the name of this node in the cluster.
	Host, Node string
	Links      []Link
	// Rules has the output of iptables-save and of similar programs, by the names of the programs.
	Rules map[string]string
	// Owners has the link-layer addresses of other hosts that answer ARP for a virtual address of
	// this host.
	Owners map[netip.Addr]string
	Table  lvs.Table
	Peers  map[netip.Addr]string // Peers has the names of the other nodes, by their addresses.
	// Sysctl returns the value of a sysctl, or an empty text if the kernel does not have it. The
	// name has slashes.
	Sysctl func(name string) string
	State  Directory
	// Lacking are the agents that the configuration uses and that this node does not have.
	Lacking []string
}

// Link is a network interface.
type Link struct {
	Name     string
	Up       bool
	Networks []netip.Prefix // Networks are the addresses with their prefix lengths.
}

// Directory is the state of the file system of a directory.
type Directory struct {
	Path     string // Path is empty if the state is unknown.
	ReadOnly bool
	Free     uint64 // Free is the number of free bytes.
}

// ReadMonitor reads the output of crm_mon --one-shot --inactive --output-as=xml.
func (f *Facts) ReadMonitor(text string) error {
	m := new(monitor)
	if err := xml.Unmarshal([]byte(text), m); err != nil {
		return fmt.Errorf("crm_mon: %w", err)
	}
	f.monitor = m
	return nil
}

// ReadCIB reads the output of cibadmin --query.
func (f *Facts) ReadCIB(text string) error {
	c := new(configuration)
	if err := xml.Unmarshal([]byte(text), c); err != nil {
		return fmt.Errorf("cibadmin: %w", err)
	}
	f.config = c
	return nil
}

// VIPs returns the virtual addresses of the cluster.
func (f *Facts) VIPs() []VIP {
	if f.config == nil {
		return nil
	}
	return f.config.vips()
}

// Agents returns the names of the agents of lvs-agents that the cluster uses.
func (f *Facts) Agents() []string {
	if f.config == nil {
		return nil
	}
	return f.config.agents()
}

// Question is a question that the doctor answers on a director.
type Question struct {
	Name  string
	Asks  string // For example: Can each node take over?
	Reads string // Reads names what the doctor reads for the answer.
	Fix   string
	// answer returns the findings. It is nil for a question that another function of this package
	// answers.
	answer func(Facts) []Finding
}

// Answer returns the findings of all questions about the facts.
func Answer(f Facts) (findings []Finding) {
	for _, q := range Questions() {
		if q.answer != nil {
			findings = append(findings, q.answer(f)...)
		}
	}
	return findings
}

// pageStart is the text of the page before the questions.
const pageStart = `<!-- Generated from internal/doctor/question.go by ` + "`make docs`" + `; do not edit. -->
# Questions of the doctor on a director

` + "`lvsctl doctor`" + ` on a director answers the questions below. It prints a finding for each fault, with its
cause and a command that repairs it, and exits with 1. Without a fault, it prints ` + "`fine`" + ` and exits with 0.

` + "```text" + `
# lvsctl doctor
the cluster neither monitors nor moves resources
    why: maintenance-mode is true
    fix: crm_attribute --type=crm_config --name=maintenance-mode --update=false
` + "```" + `

The doctor changes nothing. It answers within 10 seconds, even if Pacemaker or a file system hangs. On
stderr, it prints each part that it could not examine, and the reason. Then it does not print ` + "`fine`" + `,
and exits with 1. Only a part that this host does not have, for example a cluster, does not count.

A program or a file that does not reply in time is not a fault: a busy host can be the reason. The
doctor names the late program or file, and a command for the case that it stays late. It still prints
the other findings.

A hint is not a fault. The doctor prints it on stderr, in one line that begins with ` + "`lvsctl: hint:`" + `.
With hints and without a fault, it still prints ` + "`fine`" + ` and exits with 0.

Type the command as root. Other users cannot read the tables of the kernel and the rules of the firewall.

Outside of a [hot standby](hot-standby.md), a passive director has no virtual service. The doctor
examines it if Pacemaker runs there. The faults of real servers are on the page [Real
servers](real-servers.md).

Type the command on each director. The health daemon publishes a digest of its configuration file. A
director without a daemon publishes nothing, so the active director cannot examine its file. The
doctor on the passive director compares the file there with the digest.

The doctor does not compare the clocks of two directors. The directors exchange values only as node
attributes. The age of a value is unknown to its reader, so a time in it cannot show that a clock is
slow. Two directors whose clocks are synchronised have the same time.

`

// Page returns the page of documentation with the questions.
func Page() string {
	var b strings.Builder
	b.WriteString(pageStart)
	b.WriteString("| name | question | what the doctor reads | what repairs it |\n|---|---|---|---|\n")
	for _, q := range Questions() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", q.Name, q.Asks, q.Reads, q.Fix)
	}
	return b.String()
}

// ofMonitor returns the answer of a question that reads crm_mon. Without a designated controller,
// the rest of the output means nothing.
func ofMonitor(answer func(monitor) []Finding) func(Facts) []Finding {
	return func(f Facts) []Finding {
		if f.monitor == nil || !f.monitor.DC.Present {
			return nil
		}
		return answer(*f.monitor)
	}
}

func ofCIB(answer func(configuration) []Finding) func(Facts) []Finding {
	return func(f Facts) []Finding {
		if f.config == nil {
			return nil
		}
		return answer(*f.config)
	}
}

// Questions returns the questions in the order of the page.
func Questions() []Question {
	return []Question{
		{"Pacemaker", "Does Pacemaker reply, and has it a designated controller?", "`crm_mon`", "the links between the directors, or `systemctl restart pacemaker`", controller},
		{"quorum", "Do enough nodes reach each other, and does the cluster stop without quorum?", "`crm_mon`: quorum, `no-quorum-policy`", "start the nodes; `no-quorum-policy=stop`", ofMonitor(monitor.quorum)},
		{"fencing", "Is a director that hangs fenced?", "`crm_mon`: `stonith-enabled`, fence devices", "configure a fence device", ofMonitor(monitor.fencing)},
		{"maintenance", "Does the cluster act on failures?", "`crm_mon`: `maintenance-mode`", "`crm_attribute --name=maintenance-mode --update=false`", ofMonitor(monitor.maintenance)},
		{"nodes", "Can each node take over?", "`crm_mon`: nodes that are unclean, offline, in standby or in maintenance", "start the node, `crm_standby --delete`", ofMonitor(monitor.nodes)},
		{"resources", "Does the cluster control the resources?", "`crm_mon`: resources that are failed, blocked or not managed", "`crm_resource --cleanup`, or remove `is-managed`", ofMonitor(monitor.resources)},
		{"failures", "Can each resource run on each node?", "`crm_mon`: fail counts", "repair the cause, `crm_resource --cleanup`", ofMonitor(monitor.failures)},
		{"bans", "Has a command banned a resource from a node?", "`crm_mon`: constraints `cli-ban-…`", "`crm_resource --clear`", ofMonitor(monitor.bans)},
		{"moves", "Does a move of a resource still bind it to a node?", "CIB: constraints `cli-prefer-…`", "`crm_resource --clear`", ofCIB(configuration.moves)},
		{"order", "Do the virtual services start before the address?", "CIB: groups with `vip` before `ipvs`", "change the order in the group", ofCIB(configuration.order)},
		{"agents", "Does this node have the agents of the resources?", "CIB, `/usr/lib/ocf/resource.d/lvs`", "install lvs-agents", lacking},
		{"units", "Does another program change the same table or addresses?", "`systemctl`: units `ipvsadm`, `ldirectord`, `keepalived`, `pulse` and `heartbeat` that run or are enabled", "`systemctl disable --now UNIT`", func(f Facts) []Finding { return ExamineUnits(f.Units) }},
		{"name", "Is the host name the name of the node?", "`uname -n`, `crm_node --name`", "`hostnamectl set-hostname`, or `name:` in `corosync.conf`", name},
		{"interface", "Can the virtual address be on an interface of this node?", "CIB, the interfaces and their networks", "`ip link set … up`, or another `nic` or `ip`", interfaces},
		{"ARP", "Does another host answer ARP for a virtual address of this director?", "ARP queries to the network, for three quarters of a second", "on the other host: `lvsctl doctor`", owners},
		{"silence", "Does this director answer ARP for its virtual addresses?", "`arp_ignore` of the interface", "`sysctl -w net.ipv4.conf.….arp_ignore=0`", silent},
		{"firewall", "Do firewall rules drop packets of clients or of checks?", "`iptables-save`, `ip6tables-save` and the `-legacy-` programs, `nft`: tables of the families ip, ip6 and inet. A rule with a match that the doctor cannot evaluate counts as right", "a rule with ACCEPT before the rule that drops", firewall},
		{"loop", "Is another director with the same virtual services a real server?", "the table, `corosync-cmapctl`", "remove the real server", loop},
		{"connection tracking", "Is the table of connection tracking full?", "`nf_conntrack_count`, `nf_conntrack_max`", "`sysctl -w net.netfilter.nf_conntrack_max=N`", tracking},
		{"state", "Can the agents write their state?", "the file system of the state directory: read-only, or full", "remount, or remove files", writable},
		{"clock", "Does a program synchronise the clock of this director? The answer is a hint", "`adjtimex(2)`: `TIME_ERROR`", "install and start chrony", nil},
		{"owners", "Does a resource or a health daemon own each service of the kernel? The answer is a hint", "the table, the records of `ipvs` and of the health daemons", "`ipvsadm -D`, if no other program needs the service", nil},
		{"forwarding", "Does the director forward the replies of masq servers?", "`ip_forward`, `forwarding`", "`sysctl -w net.ipv4.ip_forward=1`", nil},
		{"replies", "Do the replies of masq servers pass through the director?", "counters and connections of IPVS, `rp_filter` drops: see [NAT and tunnels](nat.md)", "the route of the real server", nil},
		{"tunnels", "Do the packets of clients fit into the tunnels?", "the MTU of the routes: see [NAT and tunnels](nat.md)", "a larger MTU, or smaller segments", nil},
		{"synchronisation", "Do the directors receive the connections of each other, and only theirs?", "datagrams of the group, node attributes of `sync`", "one `syncid` for each cluster; `lvsctl resync`", nil},
		{"hash tables", "Do all directors choose the same real server for a client?", "node attributes of the health daemons", "the same configuration on all directors", nil},
		{"versions", "Do the directors have the same version of lvs-agents?", "node attributes of the health daemons; on a director without a daemon, its own version", "install the same version", nil},
		{"configuration", "Do the directors have the same configuration file?", "node attributes of the health daemons: a digest of the file; on a director without a daemon, its own file", "copy the file", nil},
		{"failed servers", "Can the kernel end the connections of failed real servers, where `on_marked_down` wants it?", "the status of the health daemons, `expire_nodest_conn`", "`sysctl -w net.ipv4.vs.expire_nodest_conn=1`, `expire_nodest_conn=yes`", nil},
		{"changes", "Do the daemons and resources use the configuration file as it is now?", "the file, the status of the health daemons, the records of `ipvs`: a digest of the file", "correct the line that a daemon has refused; reload: `kill -HUP PID`, or the action `reload-agent` of `ipvs`, see [Change the configuration file](howto/change-the-file.md)", nil},
		{"schedulers", "Do the hash schedulers have the flags that they need?", "the table, `sloppy_tcp`", "`schedflags`, `sloppy_tcp=yes`", nil},
		{"kernel", "Does the kernel have what the resources need?", "files of the kernel: see `lvsctl doctor --kernel`", "load or install the module", nil},
		{"limit", "Does the kernel soon refuse connections?", "`conn_max` of Linux 7.2", "a larger `conn_max`, or shorter timeouts", nil},
	}
}
