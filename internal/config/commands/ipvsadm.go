package commands

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// short has the short form of each long option of ipvsadm that describes a service.
var short = map[string]string{
	"--add-service": "-A", "--edit-service": "-E", "--delete-service": "-D", "--add-server": "-a", "--edit-server": "-e", "--delete-server": "-d",
	"--clear": "-C", "--tcp-service": "-t", "--udp-service": "-u", "--fwmark-service": "-f", "--scheduler": "-s", "--persistent": "-p",
	"--netmask": "-M", "--real-server": "-r", "--gatewaying": "-g", "--ipip": "-i", "--masquerading": "-m", "--weight": "-w",
	"--u-threshold": "-x", "--l-threshold": "-y", "--sched-flags": "-b", "--ops": "-o", "--ipv6": "-6",
}

// usualPersistence is the timeout of -p without a number, in seconds (ipvsadm(8)).
const usualPersistence = "300"

func (p *parser) ipvsadm(n int, args []string) {
	args = slices.Clone(args)
	for i, word := range args {
		if s, found := short[word]; found {
			args[i] = s
		}
	}
	if len(args) == 0 {
		return
	}
	switch args[0] {
	case "-A", "-a", "-E", "-e", "-D", "-d":
		p.operation(n, args)
	case "-C":
		p.config.Services, p.services, p.reals = nil, nil, nil
	case "--start-daemon":
		p.daemon(n, args[1:])
	case "--stop-daemon":
		p.report(n, config.Dropped, fault.New("ipvsadm --stop-daemon: the cluster decides where the daemons run", ""))
	case "--set":
		p.timeouts(n, args[1:])
	default:
		// The other commands show the table, or load it from another file.
		if args[0] == "-R" || args[0] == "--restore" {
			p.report(n, config.Warning, fault.New("ipvsadm -R reads another file", "convert that file, too"))
		}
	}
}

// operation changes the services as the command changes the table.
func (p *parser) operation(n int, args []string) {
	op, err := lvs.ParseOp(strings.Join(complete(args), " "))
	if err != nil {
		p.report(n, config.Error, fault.Of(err))
		return
	}
	i := p.service(op.Service.ID)
	switch {
	case op.Verb == lvs.AddService && i < 0:
		p.services[op.Service.ID] = len(p.config.Services)
		p.config.Services = append(p.config.Services, config.Service{Service: op.Service, Line: n, Quiescent: true})
	case i < 0:
		p.report(n, config.Error, fault.New(fmt.Sprintf("no command before has added %s", op.Service.ID), "add it with ipvsadm -A"))
	case op.Verb == lvs.AddService:
		p.report(n, config.Ignored, fault.New(fmt.Sprintf("%s exists already, so ipvsadm fails", op.Service.ID), ""))
	case op.Verb == lvs.EditService:
		p.config.Services[i].Service = op.Service
	case op.Verb == lvs.DeleteService:
		p.config.Services = slices.Delete(p.config.Services, i, i+1)
		p.services, p.reals = nil, nil
	default:
		p.server(n, &p.config.Services[i], op)
	}
}

func (p *parser) server(n int, s *config.Service, op lvs.Op) {
	at := p.real(s)
	i, found := at[op.Destination.Addr]
	if !found {
		i = -1
	}
	switch {
	case op.Verb == lvs.AddDestination && i < 0:
		at[op.Destination.Addr] = len(s.Reals)
		s.Reals = append(s.Reals, config.Real{Destination: op.Destination, Line: n})
	case i < 0:
		p.report(n, config.Error, fault.New(fmt.Sprintf("%s has no real server %s", s.ID, op.Destination.Addr), "add it with ipvsadm -a"))
	case op.Verb == lvs.AddDestination:
		p.report(n, config.Ignored, fault.New(fmt.Sprintf("%s of %s exists already, so ipvsadm fails", op.Destination.Addr, s.ID), ""))
	case op.Verb == lvs.EditDestination:
		s.Reals[i].Destination = op.Destination
	default:
		s.Reals = slices.Delete(s.Reals, i, i+1)
		delete(p.reals, s.ID)
	}
}

// service returns the index of a service, or -1.
func (p *parser) service(id lvs.ServiceID) int {
	if p.services == nil {
		p.services = map[lvs.ServiceID]int{}
		for i, s := range p.config.Services {
			p.services[s.ID] = i
		}
	}
	if i, found := p.services[id]; found {
		return i
	}
	return -1
}

// real returns the indexes of the real servers of a service.
func (p *parser) real(s *config.Service) map[netip.AddrPort]int {
	if p.reals == nil {
		p.reals = map[lvs.ServiceID]map[netip.AddrPort]int{}
	}
	if p.reals[s.ID] == nil {
		p.reals[s.ID] = map[netip.AddrPort]int{}
		for i, r := range s.Reals {
			p.reals[s.ID][r.Addr] = i
		}
	}
	return p.reals[s.ID]
}

// complete adds the defaults of ipvsadm to a command: scheduler, persistence, port, method, weight.
func complete(args []string) []string {
	var words []string
	service, has := "", map[string]bool{}
	for i, word := range args {
		words = append(words, word)
		has[word] = true
		previous := ""
		if i > 0 {
			previous = args[i-1]
		}
		switch {
		case previous == "-t" || previous == "-u" || previous == "--sctp-service":
			service = word
		case previous == "-r":
			words[len(words)-1] = withPort(word, service)
		case word == "-p" && (i+1 == len(args) || strings.HasPrefix(args[i+1], "-")):
			words = append(words, usualPersistence)
		}
	}
	if (args[0] == "-A" || args[0] == "-E") && !has["-s"] {
		words = append(words, "-s", "wlc")
	}
	if args[0] == "-a" || args[0] == "-e" {
		if !has["-g"] && !has["-m"] && !has["-i"] {
			words = append(words, "-g")
		}
		if !has["-w"] {
			words = append(words, "-w", "1")
		}
	}
	return words
}

// withPort adds the port of the service to a real server without a port. A service of a mark has no
// port, so its real servers have port 0.
func withPort(server, service string) string {
	addr, err := netip.ParseAddr(strings.Trim(server, "[]"))
	if err != nil {
		return server
	}
	port := uint16(0)
	if s, err := netip.ParseAddrPort(service); err == nil {
		port = s.Port()
	}
	return netip.AddrPortFrom(addr, port).String()
}

// daemon reads ipvsadm --start-daemon master --mcast-interface eth0 --syncid 1. With ocf:lvs:sync,
// every director runs both daemons.
func (p *parser) daemon(n int, args []string) {
	sync := config.Sync{Line: n}
	for i := 0; i+1 < len(args); i++ {
		number := func(most uint64) uint64 {
			n16, err := strconv.ParseUint(args[i+1], 10, 16)
			if err != nil || n16 > most {
				p.report(n, config.Error, fault.New(fmt.Sprintf("%s %s is not a number from 0 to %d", args[i], fault.Short(args[i+1]), most), ""))
				return 0
			}
			return n16
		}
		switch args[i] {
		case "--mcast-interface":
			sync.Interface = args[i+1]
		case "--syncid":
			sync.ID = uint8(number(math.MaxUint8)) //nolint:gosec // number limits it.
		case "--sync-maxlen":
			sync.MaxLen = uint16(number(math.MaxUint16)) //nolint:gosec // number limits it.
		case "--mcast-port":
			sync.Port = uint16(number(math.MaxUint16)) //nolint:gosec // number limits it.
		case "--mcast-ttl":
			sync.TTL = uint8(number(math.MaxUint8)) //nolint:gosec // number limits it.
		case "--mcast-group":
			group, err := netip.ParseAddr(args[i+1])
			if err != nil {
				p.report(n, config.Error, fault.New(fmt.Sprintf("--mcast-group %s is not an address", fault.Short(args[i+1])), ""))
			}
			sync.Group = group
		}
	}
	if sync.Interface == "" {
		p.report(n, config.Error, fault.New("--start-daemon without --mcast-interface", "write the interface"))
		return
	}
	p.config.Cluster.Sync = &sync
}

// timeouts reads ipvsadm --set TCP TCPFIN UDP, in seconds. 0 leaves a timeout as it is.
func (p *parser) timeouts(n int, args []string) {
	if len(args) != len(p.config.Timeouts) {
		p.report(n, config.Error, fault.New("--set needs three numbers", "write ipvsadm --set TCP TCPFIN UDP"))
		return
	}
	for i, word := range args {
		seconds, err := strconv.ParseUint(word, 10, 31)
		if err != nil {
			p.report(n, config.Error, fault.New(fmt.Sprintf("--set %s is not a number of seconds", fault.Short(word)), ""))
			return
		}
		if seconds > 0 {
			p.config.Timeouts[i] = time.Duration(seconds) * time.Second
		}
	}
}
