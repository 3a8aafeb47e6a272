package config

import (
	"net/netip"
	"time"
)

// Check is one check of a real server.
type Check struct {
	Type        CheckType
	Connects    int         // with Combined: connect checks after each negotiate check
	Application Application // what a negotiate check talks
	Host        string      // name or address that is checked instead of the real server; empty for none
	Port        uint16      // 0 for the port of the real server
	// Target is the address and port that the check uses. Resolve sets it.
	Target      netip.AddrPort
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
	Unusable    string   // why Receive cannot be used, so that the check never succeeds; empty if it can
	VirtualHost string   // Host header, empty for the real server's address
	Command     string   // what External and ExternalPerl run, with arguments that are separated by blanks
	Database    string
	Login       Secret
	Passwd      Secret
	Secret      Secret // shared with a RADIUS server

	// NegotiateTimeout and ConnectTimeout are the limits of Combined; Timeout is the longer.
	NegotiateTimeout, ConnectTimeout time.Duration
}

// CheckType is the manner of a check.
type CheckType string

// The manners, by the names that ldirectord.cf gives them.
const (
	Negotiate    CheckType = "negotiate"     // send a query and read the reply
	Connect      CheckType = "connect"       // open a connection
	Ping         CheckType = "ping"          // ICMP echo
	UDP          CheckType = "udp"           // send a datagram
	On           CheckType = "on"            // no check, always up
	Off          CheckType = "off"           // no check, never up
	External     CheckType = "external"      // run a program
	ExternalPerl CheckType = "external-perl" // run a Perl script inside the daemon
	Combined     CheckType = "combined"      // one negotiate check, then Connects connect checks
)

// Verification is what of a certificate is verified: no, chain or name. The
// zero value is for checks without TLS.
type Verification string

// Application is the protocol that a negotiate check talks, "http" for
// example. NoApplication has no query.
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

// Applications returns the names of all applications.
func Applications() []Application {
	names := make([]Application, len(applications))
	for i, known := range applications {
		names[i] = known.name
	}
	return names
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

// ApplicationOf returns the application whose standard port this is, or NoApplication.
func ApplicationOf(port uint16) Application {
	for _, known := range applications {
		if known.port == port && port != 0 {
			return known.name
		}
	}
	return NoApplication
}
