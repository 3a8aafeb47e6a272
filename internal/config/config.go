// Package config is the configuration model: virtual services, their real servers and their
// checks. Packages below it parse the text forms. Only Resolve and Table use the network: they
// look up names.
package config

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/lvs"
)

// Config is the configuration that an operator has written. The package of a text form makes
// it; treat it as read-only.
type Config struct {
	File           string   // name of the file or other source, used in messages
	AutoReload     bool     // the daemon reads the file again after the file changes
	LogFile        string   // path, or name of a syslog facility; empty means the default
	Callback       string   // program that runs with the name of the file after the file has changed
	Execute        []string // other configurations; their daemons start and stop with this one
	Supervised     bool     // stay in the foreground and log to standard output
	MaintenanceDir string   // a file there with the name of a real server takes that server out
	SloppyTCP      *bool    // the kernel schedules TCP packets of unknown connections; nil leaves the setting as it is
	SloppySCTP     *bool    // the same for SCTP
	AlertFrom      string   // sender address of mail; empty means user@host
	Services       []Service
}

// Service is a virtual service with all its settings, including the settings that the text form
// has for all services.
type Service struct {
	// Service is complete unless Host is set: then its ID has the port but no
	// address yet.
	lvs.Service
	Host  string // the name that Resolve turns into the address, empty for none
	IPv6  bool   // address family of the service and of its real servers
	Reals []Real
	// Fallbacks serve together when no real server does.
	Fallbacks []Fallback
	Quiescent bool // a real server that is down gets weight 0; otherwise it is removed
	KeepAtEnd bool // the service stays in the kernel when its daemon ends
	// FallbackCommand is run with "start" when no real server is up, with
	// "stop" when the first is up again. The first word is a program.
	FallbackCommand []string
	MonitorFile     string // file that gets a line for every check; empty means no file
	Alert           Alert
	Line            int // line number of the virtual service in its file
}

// Alert holds the settings of mail about changes of real servers.
type Alert struct {
	To     []string      // address that gets the mail; empty means no mail
	Repeat time.Duration // time between reminders while a server is down; 0 means no reminders
	Phases []Phase       // phases when mail is sent; nil means all phases
	Relay  string        // SMTP host[:port]; empty means the local mail program

	Title   string // text before the subject of a mail
	Comment string // text in the body of a mail
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
	Host string // the name that Resolve turns into the address, empty for none
	Last string // with Host: the other end of a range, empty for a single server
	// Checks must all succeed; without any the real server always counts as good. Real
	// servers share them: treat them as read-only.
	Checks []Check
	Line   int
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

// Fallback is the server of last resort of a virtual service. Its weight is 1.
type Fallback struct {
	Host    string // address or name, as configured
	Port    uint16 // 0 only for marks: the port of the packet
	Forward lvs.Forward
	Line    int
}
