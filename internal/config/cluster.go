package config

import (
	"net/netip"
	"time"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// Cluster is what a configuration says about the directors, and about what moves between them.
// The zero value of each field means that the configuration does not say it.
type Cluster struct {
	Nodes []Node
	// Groups are the virtual addresses. A service belongs to the group that has its address. A service
	// of a packet mark belongs to the group that has an address of the mark.
	Groups []Group
	// Addresses are the addresses of the host of a file. Merge makes groups of them.
	Addresses []HostAddress
	// Stays: no group moves back to a preferred node that has returned.
	Stays bool
	Marks []Mark
	// Sync is the synchronisation of connections. Nil means none.
	Sync *Sync
	// NodeChecks are conditions that a node must meet, or that make it a better place.
	NodeChecks []NodeCheck
	Notices    []Notice
	// Files are the files that the configuration names for its services.
	Files []ServiceFile
	// Messages are the settings of the messages between the directors. Nil means none.
	Messages *Messages
}

// Messages are the settings of the messages between the directors. They are settings of Corosync,
// and not of a resource.
type Messages struct {
	// DeadTime is the time after which a silent director counts as lost. 0 means the default.
	DeadTime time.Duration
	// Addresses are addresses of directors. The configuration does not have the name of each of these
	// directors.
	Addresses []netip.Addr
	// Signed: the messages are signed with a secret.
	Signed bool
	// Facility is the facility of syslog. Empty means the default.
	Facility string
	LogFile  string // LogFile is a path. Empty means no file.
	Line     int
}

// ServiceFile is a file with virtual services.
type ServiceFile struct {
	Path string
	// Resource is the resource in the configuration that reads the file.
	Resource string
	Line     int
}

// Node is a director.
type Node struct {
	// Name is the name as uname -n prints it. Empty is the host of the file, if a file does not have
	// the name of its host.
	Name string
	// Links are the addresses that the node uses to send messages to the other nodes.
	Links []netip.Addr
	Line  int
}

// Group is a set of virtual addresses that are always on the same node.
type Group struct {
	// Name is the name in the file. Resource names derive from it. Empty means no name.
	Name      string
	Addresses []VirtualAddress
	// Preferences are scores of nodes. Only the differences between scores have a meaning. A node
	// that is not in the list has the score 0.
	Preferences []Preference
	// Stays: the group does not move back to a preferred node that has returned.
	Stays bool
	// Stopped: the group is configured, but must not start.
	Stopped bool
	Line    int
}

// Preference is the score of a node. The cluster prefers the node with the highest score.
type Preference struct {
	Node  string // Node is the name of a node, as in Node.Name.
	Score int
}

// VirtualAddress is an address that clients connect to, on the interface of a director. Its
// properties are the parameters of ocf:lvs:vip.
type VirtualAddress struct {
	IP netip.Addr
	// Bits is the prefix length. 0 means the prefix length of the connected network.
	Bits int
	// NIC is the interface. Empty means the interface whose connected network has the address.
	NIC       string
	Broadcast string // Broadcast is an address, "+" or "-". Empty means the default.
	// Label is the part of the interface label after the colon. Empty means no label.
	Label         string
	Namespace     string // Namespace is a network namespace. Empty means the namespace of the cluster.
	NoPrefixRoute bool   // NoPrefixRoute: the kernel adds no route to the network of the address.
	NoDAD         bool   // NoDAD: an IPv6 address is used without duplicate address detection.
	// PreferredLft is seconds or "forever", for IPv6. Empty means the default.
	PreferredLft string
	// CheckLink: the address needs a carrier on its interface.
	CheckLink bool
	// OnLoopback: the address is on lo while it is not on the interface, because the director is also
	// a real server.
	OnLoopback bool
	Announce   Announcements
	// Duplicate is the reaction to another host with the address: off, fail, warn or take. Empty
	// means the default.
	Duplicate string
	Line      int
}

// HostAddress is an address of the host of a file. If a service uses it, it is a virtual address.
type HostAddress struct {
	VirtualAddress

	File string // File is the name of the file.
	Own  bool   // Own: the address belongs to this director, and cannot move to another one.
}

// Announcements says how often a director announces a virtual address. A nil pointer or a zero
// duration means the default.
type Announcements struct {
	Count        *int          // Count is the number of announcements after the start.
	Interval     time.Duration // Interval is the time between two announcements.
	RefreshCount *int          // RefreshCount is the number of announcements of a refresh. 0 means no refresh.
	// RefreshInterval is the time between two refreshes.
	RefreshInterval time.Duration
}

// Mark is a packet mark that incoming packets get, so that a service of this mark balances them.
type Mark struct {
	host.Marks // The lists can be empty: all addresses, TCP only, all ports.

	// Family is "ipv4" or "ipv6" for a mark without addresses. Empty means both families.
	Family string
	Line   int
}

// Sync is the synchronisation of connections between the directors.
type Sync struct {
	// SyncDaemon has no Role: every director runs both daemons.
	lvs.SyncDaemon

	Peers []netip.Addr // Peers are the addresses of the other directors on the interface.
	Line  int
}

// NodeCheck is a condition of a node. While a node does not meet the condition, its score is lower.
type NodeCheck struct {
	Name string // Name is the name in the file. Empty means no name.
	Kind NodeCheckKind
	// Command is the program of CheckProgram, with its arguments.
	Command []string
	NIC     string // NIC is the interface of CheckInterface.
	// Process is the name of the process of CheckProcess.
	Process string
	Path    string // Path is the file of CheckFile.
	// Hosts are the hosts of CheckPing. At least one host must reply.
	Hosts []string
	// Interval and Timeout are 0 for the default.
	Interval, Timeout time.Duration
	Rise, Fall        int // Rise and Fall are 0 for the default, which is 1.
	// Weight is added to the score of a node that meets the condition, if Weight is positive. If it is
	// negative, it is added to the score of a node that does not. 0: a node that does not meet the
	// condition never gets the group.
	Weight int
	// Inverse: the condition is met while the check fails.
	Inverse bool
	// Groups are the names of the groups that need the condition. Nil means all groups.
	Groups []string
	Line   int
}

// NodeCheckKind is the kind of a NodeCheck. The zero value is invalid.
type NodeCheckKind uint8

// The kinds.
const (
	CheckProgram   NodeCheckKind = iota + 1 // CheckProgram: a program exits with 0.
	CheckInterface                          // CheckInterface: an interface is up and has a carrier.
	CheckPing                               // CheckPing: a host replies to an ICMP echo request.
	CheckProcess                            // CheckProcess: a process runs.
	CheckFile                               // CheckFile: a file has a number, which is not negative.
)

// Notice is who gets a message after a group has moved or a node has failed. It has a program or
// mail addresses.
type Notice struct {
	Name    string   // Name is the name in the file. Empty means no name.
	Program []string // Program is a program and its arguments. The cluster runs it.
	To      []string // To are mail addresses.
	From    string   // From is the sender of the mail. Empty means the default.
	// Relay is an SMTP server, host[:port]. Empty means the local mail program.
	Relay string
	// Groups are the names of the groups whose changes matter. Nil means all groups.
	Groups []string
	Line   int
}
