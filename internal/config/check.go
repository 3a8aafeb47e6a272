package config

import (
	"net/netip"
	"time"
)

// Check is one check of a real server.
type Check struct {
	Type        CheckType
	Connects    int         // with Combined: connect checks after each negotiate check
	Application Application // protocol of a negotiate check
	Host        string      // name or address that is checked instead of the real server; empty for none
	Port        uint16      // 0 for the port of the real server
	// Target is the address and port that the check uses. Resolve sets it.
	Target      netip.AddrPort
	Timeout     time.Duration
	Interval    time.Duration
	Attempts    int // of one ping check
	Fall        int // consecutive failures until a real server is down
	Rise        int // consecutive successes until a real server that was down is up
	Verify      Verification
	Status      Statuses // good HTTP statuses
	Method      string   // of HTTP; empty for GET
	Request     string   // as configured; no slash is added in front
	Receive     string   // regular expression, empty for any reply
	Unusable    string   // why Receive cannot be used, so that the check never succeeds; empty if it can
	VirtualHost string   // Host header, empty for the real server's address
	Command     string   // program of External and ExternalPerl, with arguments separated by blanks
	Database    string
	Login       Secret
	Passwd      Secret
	Secret      Secret // shared with a RADIUS server

	// NegotiateTimeout and ConnectTimeout are the limits of Combined; Timeout is the longer.
	NegotiateTimeout, ConnectTimeout time.Duration
}

// CheckType is the type of a check.
type CheckType string

// The types, by their names in ldirectord.cf.
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

// Verification is how much of a certificate is verified: no, chain or name. The zero value is
// for checks without TLS.
type Verification string

// Application is the protocol of a negotiate check, for example "http". NoApplication has no
// query.
type Application string

// NoApplication is the application of services whose port belongs to no known protocol.
const NoApplication Application = "none"

// application couples an application with its standard port.
type application struct {
	name Application
	port uint16
}

// applications are the applications of ldirectord. If checks have no application, the port of the
// service selects it. No port selects an application with port 0.
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
