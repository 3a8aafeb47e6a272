// Package config is the configuration model: virtual services, their real servers and their checks.
// Subpackages parse configuration files and the parameters of resources. Only Names uses the
// network: Resolve and Table look up host names with it.
package config

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/lvs"
	"lvs-agents/internal/policy"
)

// Config is the configuration that an operator has written. Callers must not change a Config after
// a parser has returned it.
type Config struct {
	File       string // File is the name of the file, or of another source, for messages.
	AutoReload bool   // AutoReload: the daemon reads the file again after the file changes.
	// LogFile is a path, or the name of a syslog facility. Empty means the default.
	LogFile string
	// Callback is a program that runs after the file has changed. Its argument is the name of the
	// file.
	Callback string
	// Execute are other configurations. Their daemons start and stop with the daemon of this
	// configuration.
	Execute []string
	// Supervised: the daemon stays in the foreground.
	Supervised bool
	// MaintenanceDir is a directory. A file there drains the real servers whose host name or address,
	// with or without the port, is the name of the file.
	MaintenanceDir string
	// SloppyTCP: the kernel schedules TCP packets of unknown connections. Nil leaves the setting as
	// it is.
	SloppyTCP  *bool
	SloppySCTP *bool // SloppySCTP is like SloppyTCP, but for SCTP.
	// Timeouts are the timeouts of connections in the kernel.
	Timeouts lvs.Timeouts
	// ExpireNodestConn: the kernel ends the connections of removed real servers. Nil means a default
	// that depends on the services.
	ExpireNodestConn *bool
	// ExpireQuiescentTemplate: persistence does not lead to a real server with weight 0. Nil means a
	// default that depends on the services.
	ExpireQuiescentTemplate *bool
	// ConnReuseMode says when a new connection from a used port is scheduled: 0, 1 or 3. Empty means
	// a default that depends on the services.
	ConnReuseMode string
	// OwnFault is how long failed servers serve while the daemon suspects itself. 0 means never.
	OwnFault  time.Duration
	AlertFrom string // AlertFrom is the sender address of mail. Empty means user@host.
	Services  []Service
	// Cluster is what the configuration says about directors and virtual addresses. Nil means
	// nothing.
	Cluster *Cluster
	// Parts are the files that Merge has joined. Nil means that the field File is the only one.
	Parts *Parts
}

// Service is a virtual service with all its settings, including the settings that the text form
// has for all services.
type Service struct {
	// Service is complete unless Host is set: then its ID has the port but no
	// address yet.
	lvs.Service
	Host  string // Host is the name that Resolve replaces by the address. Empty means none.
	IPv6  bool   // IPv6 says that clients use IPv6. Host names then have IPv6 addresses.
	Reals []Real
	// Checks are the checks of a real server whose line has no settings for checks. Nil means the
	// checks of the first real server.
	Checks []Check
	// Fallbacks are the servers that get connections while no real server does. All of them serve
	// at the same time.
	Fallbacks []Fallback
	// Quiescent: a real server that is down gets weight 0. Otherwise the daemon removes it. If
	// FallsBack reports true, it stays with weight 0 while the hash table has a slot for each server.
	Quiescent bool
	// MarkedDown says what happens to the connections of a real server that is down. Empty means what
	// follows from Quiescent.
	MarkedDown MarkedDown
	// Observe says that connections can give the daemon a reason to check a real server at once.
	Observe   bool
	KeepAtEnd bool // KeepAtEnd: the service stays in the kernel when its daemon ends.
	// FallbackCommand is a program and its arguments. The daemon runs it with "start" when no real
	// server is up, and with "stop" when a real server is up again.
	FallbackCommand []string
	MonitorFile     string // MonitorFile gets a line for every check. Empty means no file.
	Alert           Alert
	Notify          Notify
	Policy          policy.Settings
	Agent           Agent
	Line            int // Line is the line number of the virtual service in its file.
}

// MarkedDown is what happens to the open connections of a real server that is down.
type MarkedDown string

// The values of MarkedDown, by their names in ldirectord.cf.
const (
	// Keep: the real server stays in the kernel with weight 0, and its connections continue.
	Keep MarkedDown = "keep"
	// Expire: the daemon removes the real server, and the kernel ends a connection at its next packet.
	Expire MarkedDown = "expire"
	// Reset: as Expire, and the daemon makes the clients send that packet at once.
	Reset MarkedDown = "reset"
)

// Ends reports whether the connections end.
func (m MarkedDown) Ends() bool { return m == Expire || m == Reset }

// Agent says how the daemon reads what a real server says about itself, by HAProxy's agent-check
// protocol. The zero value means that it does not.
type Agent struct {
	Addr netip.Addr // Addr is the address of the agent. Zero means the address of the real server.
	Port uint16     // Port is never 0 in an agent that is used.
	Send string     // Send is what the agent gets first. The characters \n in it are a line break.
	// Interval is the time between two reads.
	Interval time.Duration
}

// Equal reports whether two agents are the same.
func (a Agent) Equal(other Agent) bool { return a == other }

// Alert holds the settings of mail about changes of real servers.
type Alert struct {
	To []string // To are the addresses that get the mail. Empty means no mail.
	// Repeat is the time between reminders while a server is down. 0 means no reminders.
	Repeat time.Duration
	Phases []Phase // Phases are the phases when mail is sent. Nil means all phases.
	// Relay is an SMTP server, host[:port]. Empty means the local mail program.
	Relay string

	Title   string // Title is the text before the subject of a mail.
	Comment string // Comment is text in the body of a mail.
}

// Notify holds the programs and the webhook that get alerts about a service. A program is followed
// by its arguments. An empty field means none.
type Notify struct {
	Up, Down             []string // Up and Down are for one real server.
	QuorumUp, QuorumDown []string
	Webhook              string // Webhook is the path of the file with the URL.
}

// Quorum reports whether the quorum of the service matters for an alert.
func (n Notify) Quorum() bool { return n.QuorumUp != nil || n.QuorumDown != nil || n.Webhook != "" }

// Programs reports whether events run a program.
func (n Notify) Programs() bool {
	return n.Up != nil || n.Down != nil || n.QuorumUp != nil || n.QuorumDown != nil
}

// Phase is the state of a daemon.
type Phase string

// The phases, by their names in ldirectord.cf.
const (
	Starting  Phase = "starting"
	Running   Phase = "running"
	Stopping  Phase = "stopping"
	Reloading Phase = "reloading"
)

// Name returns the service in ipvsadm syntax, even while its address is a name.
func (s Service) Name() string {
	if s.Host == "" {
		return s.ID.String()
	}
	unnamed := s.ID
	unnamed.Addr = netip.AddrPortFrom(netip.IPv4Unspecified(), s.ID.Addr.Port())
	return strings.Replace(unnamed.String(), "0.0.0.0", s.Host, 1)
}

// VirtualService returns the service and its real servers as the kernel has them. Every name
// must have been resolved.
func (s Service) VirtualService() lvs.VirtualService {
	v := lvs.VirtualService{Service: s.Service}
	v.Destinations = slices.Grow(v.Destinations, len(s.Reals))
	for _, r := range s.Reals {
		v.Destinations = append(v.Destinations, r.Destination)
	}
	return v
}

// CheckedPort returns the port of a real server that a check uses, or 0.
func (r Real) CheckedPort(c Check) uint16 {
	return cmp.Or(c.Port, r.Addr.Port(), c.Application.Port())
}

// Real is a real server of a virtual service.
type Real struct {
	// Destination is complete unless Host is set: then its Addr has the port
	// but no address yet.
	lvs.Destination
	Host string // Host is the name that Resolve replaces by the address. Empty means none.
	// Last is the other end of a range that begins at Host. Empty means a single server.
	Last string
	// Checks are the checks of the real server. The server is good if all of them succeed. A real
	// server without checks always counts as good. Several real servers share one slice, so no
	// function may change it.
	Checks []Check
	// Tier 0 serves first. Another tier serves only while too few servers of the tiers before it are
	// good.
	Tier int
	Line int
}

// At returns a copy of r for each address.
func (r Real) At(addrs []netip.Addr, port uint16) []Real {
	reals := make([]Real, len(addrs))
	for i, addr := range addrs {
		reals[i] = r
		reals[i].Host, reals[i].Last = "", ""
		reals[i].Addr = netip.AddrPortFrom(addr, port)
	}
	return reals
}

// Fallback is a server of last resort of a virtual service.
type Fallback struct {
	Host    string // Host is the address or the name, as the configuration writes it.
	Port    uint16 // Port is 0 only for a firewall mark: the port of the packet stays.
	Forward lvs.Forward
	// Encapsulation is for the method lvs.Tunnel.
	Encapsulation lvs.Encapsulation
	Line          int
}
