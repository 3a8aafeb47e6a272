package config

import (
	"net/netip"
	"time"
)

// Check is one check of a real server.
type Check struct {
	Type CheckType
	// Connects is the number of connect checks after each negotiate check, for the type Combined.
	Connects    int
	Application Application // Application is the protocol of a negotiate check.
	// Host is the name or address that is checked instead of the real server. Empty means none.
	Host string
	// Port is the checked port. 0 means the port of the real server. If that port is also 0, it means
	// the standard port of the application.
	Port uint16
	// Target is the address and port that the check uses. Resolve sets it.
	Target   netip.AddrPort
	Timeout  time.Duration
	Interval time.Duration
	// FastInterval replaces Interval while the verdict is uncertain: after the first failure of a
	// good real server, and after the first success of a bad one. DownInterval replaces it while the
	// verdict is bad. 0 means Interval.
	FastInterval, DownInterval time.Duration

	Attempts int // Attempts is how many requests one ping check can send.
	Fall     int // Fall is how many failures in a row make a real server bad.
	Rise     int // Rise is how many successes in a row make a bad real server good.
	Verify   Verification
	Status   Statuses // Status are the HTTP statuses of a good reply.
	// DisableOn are the HTTP statuses that mean: the check passes, and the server gets no new
	// connections. The zero value has none.
	DisableOn Statuses
	Method    string // Method is the method of HTTP. Empty means GET.
	// Request is the query as the configuration writes it. No slash is added to its start.
	Request string
	// Receive is a regular expression that a good reply matches. Empty means any reply.
	Receive string
	// Unusable is why the check cannot run: Receive cannot be used, or Host has no address. If it is
	// not empty, the check never succeeds.
	Unusable string
	// VirtualHost is the Host header. Empty means the address of the real server.
	VirtualHost string
	// Command is the program of External and ExternalPerl. Blanks separate its arguments.
	Command  string
	Database string
	Login    Secret
	Passwd   Secret
	Secret   Secret // Secret is the secret that the check shares with a RADIUS server.

	// NegotiateTimeout and ConnectTimeout are the limits of Combined; Timeout is the longer.
	NegotiateTimeout, ConnectTimeout time.Duration
}

// CheckType is the type of a check.
type CheckType string

// The types, by their names in ldirectord.cf.
const (
	Negotiate CheckType = "negotiate" // Negotiate sends a query and reads the reply.
	Connect   CheckType = "connect"   // Connect opens a connection.
	Ping      CheckType = "ping"      // Ping sends an ICMP echo request.
	UDP       CheckType = "udp"       // UDP sends a datagram.
	// On: no check runs, and the real server always counts as up.
	On CheckType = "on"
	// Off: no check runs, and the real server never counts as up.
	Off          CheckType = "off"
	External     CheckType = "external"      // External runs a program.
	ExternalPerl CheckType = "external-perl" // ExternalPerl runs a program with Perl.
	// Combined runs one negotiate check and then as many connect checks as Connects.
	Combined CheckType = "combined"
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
