package doctor

import (
	"fmt"
	"strconv"
	"strings"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// Capable reads what the running kernel has for IPVS. It changes nothing.
type Capable interface {
	Release() string
	Feature(lvs.Feature) host.Capability
	Sysctl(name string) host.Capability
	All() []host.Capability
	// Connections returns the number of connections, if the kernel counts them.
	Connections() (n int, known bool)
}

// Needs are the things that a configuration uses.
type Needs struct {
	Table   lvs.Table
	Sysctls []string // Sysctls are the names below net.ipv4.vs.
	Sync    bool     // Sync says that a synchronisation daemon runs.
}

// Capabilities returns what the configuration needs, each with its presence in the kernel.
func (n Needs) Capabilities(k Capable) []host.Capability {
	var all []host.Capability
	for _, f := range n.Table.Features() {
		all = append(all, k.Feature(f))
	}
	for _, name := range n.Sysctls {
		all = append(all, k.Sysctl(name))
	}
	return all
}

// nearLimit is the share of the limit of connections, in percent, above which doctor warns.
const nearLimit = 80

// ExamineLimit returns a finding if the connections are near the limit of the kernel. Kernels
// before 7.2 have no limit.
func ExamineLimit(k Capable) []Finding {
	limit, err := strconv.Atoi(k.Sysctl("conn_max").Value)
	n, known := k.Connections()
	if err != nil || !known || n <= limit*nearLimit/100 {
		return nil
	}
	return []Finding{{
		What: "the kernel soon refuses new connections",
		Why:  fmt.Sprintf("%d of %d connections are in use (net.ipv4.vs.conn_max)", n, limit),
		Fix:  "raise it with sysctl -w net.ipv4.vs.conn_max=N, or shorten the timeouts of connections",
	}}
}

// ExamineKernel returns a finding for each thing that the configuration needs and the host lacks.
func ExamineKernel(k Capable, n Needs) []Finding {
	var findings []Finding
	for _, c := range n.Capabilities(k) {
		if c.Lacks() {
			findings = append(findings, Finding{What: c.Name + " is needed and not available", Why: c.Why, Fix: c.Fix})
		}
	}
	return findings
}

// fault is a fault of some kernels.
type fault struct {
	finding Finding
	// concerns reports whether the configuration can meet the fault.
	concerns func(Needs) bool
	// shows reports whether a file of the kernel shows the fault. It is nil if no file does.
	shows func(Capable) bool
	// from and before are versions of Linux. The fault is in versions from the first, before the
	// second. Without a version, the range is open.
	from, before string
}

// KnownFaults returns the faults of kernels that this configuration can meet. If a fault ends with
// a version, the text names the versions, because distributions correct older versions too.
func KnownFaults(k Capable, n Needs) []Finding {
	var findings []Finding
	for _, f := range faults {
		if !f.concerns(n) || f.shows != nil && !f.shows(k) || !between(k.Release(), f.from, f.before) {
			continue
		}
		if f.before != "" {
			f.finding.Why += fmt.Sprintf(" (kernels%s before %s; a distribution can have corrected its kernel)", since(f.from), f.before)
		}
		findings = append(findings, f.finding)
	}
	return findings
}

func since(from string) string {
	if from == "" {
		return ""
	}
	return " from " + from + " and"
}

// between reports whether a release is not older than from, and older than before.
func between(release, from, before string) bool {
	return !older(release, from) && (before == "" || older(release, before))
}

// older reports whether a release of Linux is older than a version with two numbers.
func older(release, version string) bool {
	if version == "" {
		return false
	}
	a, b := numbers(release), numbers(version)
	return a[0] < b[0] || a[0] == b[0] && a[1] < b[1]
}

// numbers returns the first two numbers of a version.
func numbers(version string) (n [2]int) {
	for i, word := range strings.SplitN(version, ".", 3) {
		if i < len(n) {
			end := strings.IndexFunc(word+"-", func(r rune) bool { return r < '0' || r > '9' })
			n[i], _ = strconv.Atoi(word[:end]) // a version without a number counts as 0
		}
	}
	return n
}

func serves(n Needs) bool { return len(n.Table) > 0 }

// many is a number of services. With so many, the estimation of rates in one timer costs much time.
// The developers of the kernel measured 200 ms for 50,000 services.
const many = 5000

// having returns a function that finds a property of a service or of its destinations.
func having(service func(lvs.Service) bool, destination func(lvs.Destination) bool) func(Needs) bool {
	return func(n Needs) bool {
		for _, v := range n.Table {
			if service != nil && service(v.Service) {
				return true
			}
			for _, d := range v.Destinations {
				if destination != nil && destination(d) {
					return true
				}
			}
		}
		return false
	}
}

func value(name, want string) func(Capable) bool {
	return func(k Capable) bool { return k.Sysctl(name).Value == want }
}

func present(name string) func(Capable) bool {
	return func(k Capable) bool { return k.Sysctl(name).Presence == host.Present }
}

// faults come from the commits, patches and CVE records of Linux up to autumn 2026.
var faults = []fault{
	{
		finding:  Finding{"ipvsadm --stats and --rate show old numbers", "a kernel thread adds the counters up about every 2 s", "count connections in /proc/net/ip_vs_conn, which is up to date"},
		concerns: serves, shows: present("est_nice"),
	},
	{
		finding:  Finding{"ipvsadm --stats and --rate show numbers that do not change", "net.ipv4.vs.run_estimation is 0", "sysctl -w net.ipv4.vs.run_estimation=1"},
		concerns: serves, shows: value("run_estimation", "0"),
	},
	{
		finding:  Finding{"packets wait while the kernel estimates rates", "the kernel estimates the rates of all services in one timer", "sysctl -w net.ipv4.vs.run_estimation=0, if the kernel has it"},
		concerns: func(n Needs) bool { return len(n.Table) >= many }, shows: func(k Capable) bool { return k.Sysctl("est_nice").Presence == host.Missing },
	},
	{
		finding:  Finding{"connections to a removed UDP server continue to their timeout", "net.ipv4.vs.expire_nodest_conn is 0", "sysctl -w net.ipv4.vs.expire_nodest_conn=1"},
		concerns: having(func(s lvs.Service) bool { return s.ID.Protocol == lvs.UDP }, nil), shows: value("expire_nodest_conn", "0"),
	},
	{
		finding:  Finding{"the estimation threads do not stay on the CPUs of est_cpulist", "the kernel ignores net.ipv4.vs.est_cpulist for new threads", "boot a newer kernel"},
		concerns: serves, from: "6.2", before: "6.17",
		// A list without CPU 0 is not the list that the kernel starts with.
		shows: func(k Capable) bool {
			list := k.Sysctl("est_cpulist").Value
			return list != "" && !strings.HasPrefix(list, "0")
		},
	},
	{
		finding:  Finding{"a client that uses a port again loses a second if its server has weight 0", "the kernel drops the first SYN", "boot a newer kernel, or sysctl -w net.ipv4.vs.conn_reuse_mode=0"},
		concerns: serves, before: "5.16",
	},
	{
		finding:  Finding{"each measurement of connections takes long with a large table", "a read of /proc/net/ip_vs_conn goes through the whole table", "boot a newer kernel, or use a smaller conn_tab_bits"},
		concerns: func(n Needs) bool { return n.Sync }, before: "6.14",
	},
	{
		finding:  Finding{"packets of a masq server can go through IPVS twice", "the mark of IPVS stays on packets that a veth moves to another namespace", "boot a newer kernel"},
		concerns: having(nil, func(d lvs.Destination) bool { return d.Forward == lvs.Masq }), before: "6.14",
	},
	{
		finding:  Finding{"a module with a persistence engine can crash the kernel", "CVE-2024-42322", "boot a newer kernel"},
		concerns: having(func(s lvs.Service) bool { return s.Engine != "" }, nil), before: "6.11",
	},
	{
		finding:  Finding{"large packets to tunnel servers are dropped", "the kernel does not compare packets of segmentation offload with the MTU", "boot a newer kernel, or ethtool -K NIC gro off"},
		concerns: having(nil, func(d lvs.Destination) bool { return d.Forward == lvs.Tunnel }), before: "7.1",
	},
	{
		finding:  Finding{"an interface cannot be removed completely", "CVE-2026-45917: the destinations keep their routes through it", "after the removal, start the ipvs resource again, or boot a newer kernel"},
		concerns: serves, before: "7.1",
	},
	{
		finding:  Finding{"IPv6 packets with extension headers are dropped or get a wrong checksum", "CVE-2026-45850", "boot a newer kernel"},
		concerns: having(func(s lvs.Service) bool { return s.ID.Is6() }, nil), before: "7.2",
	},
	{
		finding:  Finding{"the tables of services can be damaged", "the first kernels with tables of each namespace have races", "boot a later update of the kernel"},
		concerns: serves, from: "7.1", before: "7.2",
	},
	{
		finding:  Finding{"a destination can stay overloaded after its connections are below the lower threshold", "two CPUs can change the flags of the destination at the same time", "boot a newer kernel, or set the weight again"},
		concerns: having(nil, func(d lvs.Destination) bool { return d.Upper > 0 }), before: "7.2",
	},
}
