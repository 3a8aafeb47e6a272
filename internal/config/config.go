// Package config is the configuration model: virtual services, their real
// servers and how those are checked. Parse reads its first text form,
// ldirectord.cf; Inline reads the form that fits into parameters of a resource.
// Nothing here talks to a kernel or, but for Resolve, Table and Read, to the
// outside world.
package config

import (
	"net/netip"
	"strings"
	"time"

	"lvs-agents/internal/lvs"
)

// Config is what an administrator wants. Parse makes it; treat it as read-only.
type Config struct {
	File           string   // as given to Parse, for messages
	AutoReload     bool     // read the file again when it changes
	LogFile        string   // a path, or the name of a syslog facility; empty for the default
	Callback       string   // program to run, with the file's name, after the file has changed
	Execute        []string // other configurations whose daemons start and end with this one's
	Supervised     bool     // stay in the foreground and log to standard output
	MaintenanceDir string   // a file there named after a real server takes that out
	AlertFrom      string   // sender of mail; empty for user@host
	Services       []Service
}

// Service is a virtual service with everything that was configured for it.
// Settings that the text form has for all services at once are filled in.
type Service struct {
	// Service is complete unless Host is set: then its ID has the port but no
	// address yet.
	lvs.Service
	Host      string // the name that Resolve turns into the address, empty for none
	IPv6      bool   // address family of the service and of its real servers
	Reals     []Real
	Fallback  *Fallback // nil for none
	Check     Check
	Quiescent bool // a real server that is down gets weight 0; otherwise it is removed
	KeepAtEnd bool // the service stays in the kernel when its daemon ends
	// FallbackCommand is run with "start" when no real server is up, with
	// "stop" when the first is; words, of which the first is a program.
	FallbackCommand []string
	MonitorFile     string // gets a line for every check; empty for none
	Alert           Alert
	Title           string // in front of the subject of mail
	Comment         string // in the body of mail
	Line            int    // of the virtual service in its file
}

// Alert says who gets mail about changes of real servers.
type Alert struct {
	To     []string      // empty for nobody
	Repeat time.Duration // between reminders of a server that is down, 0 for none
	Phases []Phase       // in which mail is sent; nil for all
	Relay  string        // SMTP host[:port]; empty for the local mailer
}

// Phase is what a daemon is doing.
type Phase string

// The phases, by the names that ldirectord.cf gives them.
const (
	Starting  Phase = "starting"
	Running   Phase = "running"
	Stopping  Phase = "stopping"
	Reloading Phase = "reloading"
)

// Name returns the service in ipvsadm syntax also while its address is a name.
func (s Service) Name() string {
	if s.Host == "" {
		return s.ID.String()
	}
	unnamed := s.ID
	unnamed.Addr = netip.AddrPortFrom(netip.IPv4Unspecified(), s.ID.Addr.Port())
	return strings.Replace(unnamed.String(), "0.0.0.0", s.Host, 1)
}

// Real is a real server of a virtual service.
type Real struct {
	// Destination is complete unless Host is set: then its Addr has the port
	// but no address yet.
	lvs.Destination
	Host    string // the name that Resolve turns into the address, empty for none
	Last    string // with Host: the other end of a range, empty for a single server
	Request string // replaces the request of the service's check, empty for not
	Receive string // replaces the answer expected by the service's check if Request is set
	// Unusable is why Receive cannot be used; empty if it can.
	Unusable string
	// CheckPort is the port that is checked unless the check has one; 0 for that
	// of Addr.
	CheckPort uint16
	Line      int
}

// Fallback is the server of last resort of a virtual service. Its weight is 1.
type Fallback struct {
	Host    string // address or name, as configured
	Port    uint16 // 0 only for marks: the port of the packet
	Forward lvs.Forward
	Line    int
}

// Check says how the real servers of a service are checked.
type Check struct {
	Type        CheckType
	Connects    int         // with Combined: connect checks after each negotiate check
	Application Application // what a negotiate check talks
	Port        uint16      // 0 for the port of the real server
	Timeout     time.Duration
	Interval    time.Duration
	Attempts    int // of one ping check
	Fall        int // consecutive failures until a real server is down
	Rise        int // consecutive successes until one that was down is up
	Verify      Verification
	Status      Statuses // of HTTP that are good
	Method      string   // of HTTP; empty for GET
	Request     string   // as configured: without a slash in front if none was written
	Receive     string   // regular expression, empty for any answer
	Unusable    string   // why Receive cannot be used, so that no real server is ever up; empty if it can
	VirtualHost string   // Host header, empty for the real server's address
	Command     string   // what External and ExternalPerl run, with arguments that are separated by blanks
	Database    string
	Login       Secret
	Passwd      Secret
	Secret      Secret // shared with a RADIUS server

	// NegotiateTimeout and ConnectTimeout are those of Combined; Timeout is the longer.
	NegotiateTimeout, ConnectTimeout time.Duration
}

// CheckType is the manner of a check.
type CheckType string

// The manners, by the names that ldirectord.cf gives them.
const (
	Negotiate    CheckType = "negotiate"     // ask and read the answer
	Connect      CheckType = "connect"       // open a connection
	Ping         CheckType = "ping"          // ICMP echo
	UDP          CheckType = "udp"           // send a datagram
	On           CheckType = "on"            // no check, always up
	Off          CheckType = "off"           // no check, never up
	External     CheckType = "external"      // run a program
	ExternalPerl CheckType = "external-perl" // run a Perl script inside the daemon
	Combined     CheckType = "combined"      // one negotiate check, then Connects connect checks
)

// Application is the protocol that a negotiate check talks, "http" for
// example. NoApplication has nothing to ask.
type Application string

// NoApplication is the application of services whose port tells nothing.
const NoApplication Application = "none"

// application couples an application with its standard port.
type application struct {
	name Application
	port uint16
}

// applications are ldirectord's, with the ports it recognises them by (0 for never).
var applications = []application{
	{"dns", 53}, {"ftp", 21}, {"http", 80}, {"https", 443}, {"http_proxy", 3128}, {"imap", 143}, {"imaps", 993},
	{"ldap", 389}, {"ldaps", 636}, {"mysql", 3306}, {"nntp", 119}, {NoApplication, 0}, {"oracle", 1521},
	{"pgsql", 5432}, {"pop", 110}, {"pops", 995}, {"radius", 1812}, {"simpletcp", 0}, {"sip", 5060},
	{"smtp", 25}, {"submission", 587},
}

// Port returns the standard port of an application, 0 if it has none.
func (a Application) Port() uint16 {
	for _, known := range applications {
		if known.name == a {
			return known.port
		}
	}
	return 0
}

func applicationOf(port uint16) Application {
	for _, known := range applications {
		if known.port == port && port != 0 {
			return known.name
		}
	}
	return NoApplication
}
