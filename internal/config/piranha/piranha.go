// Package piranha reads lvs.cf, the configuration of piranha (pulse, lvsd and nanny of Red Hat
// Cluster Suite).
package piranha

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/suggest"
)

// Parse reads lvs.cf. It repairs a text that has lost line breaks or blanks, and reports each
// repair. The Config is nil if a problem is an error. lvs.cf has addresses of directors, but not
// their names: the name of each node is its address.
func Parse(name string, text []byte) (*config.Config, []config.Problem) {
	p := &parser{config: &config.Config{File: name, Cluster: &config.Cluster{}}, file: block(statement{values: []string{""}})}
	p.read(p.statements(string(text)))
	p.build()
	problems := p.problems.All(p.config.File)
	if config.Err(problems) != nil {
		return nil, problems
	}
	return p.config, problems
}

type parser struct {
	config   *config.Config
	file     settings
	virtuals []virtual
	problems config.Problems
}

// settings are the statements of a block, or the statements outside of blocks.
type settings struct {
	name  string
	line  int
	given map[string]statement
	read  map[string]bool // read are the keys whose values have been read.
}

// virtual is a block with its real servers.
type virtual struct {
	settings
	servers []settings
}

func (p *parser) report(line int, severity config.Severity, f fault.Fault) {
	p.problems.Add(config.Problem{File: p.config.File, Line: line, Severity: severity, What: f.What, Fix: f.Fix})
}

// The keys that piranha accepts outside of blocks, in a virtual block and in a server block.
var (
	fileKeys = []string{
		"serial_no", "primary", "primary_private", "primary_shared", "backup", "backup_shared", "backup_active", "backup_private",
		"service", "heartbeat", "heartbeat_port", "keepalive", "deadtime", "network", "nat_router", "nat_nmask", "rsh_command",
		"debug_level", "monitor_links", "syncdaemon", "syncd_iface", "syncd_id", "tcp_timeout", "tcpfin_timeout", "udp_timeout",
		"reservation_conflict_action", "active_cmd", "inactive_cmd", "hard_shutdown", "sync", "vsadm",
	}
	virtualKeys = []string{
		"active", "address", "vip_nmask", "fwmark", "port", "protocol", "scheduler", "persistent", "pmask", "send", "expect", "use_regex",
		"send_program", "load_monitor", "timeout", "reentry", "quiesce_server", "sorry_server", "client_monitor",
	}
	serverKeys = []string{"address", "active", "weight", "port"}
)

func known(key string) bool {
	return slices.Contains(fileKeys, key) || slices.Contains(virtualKeys, key) || slices.Contains(serverKeys, key)
}

// read puts each statement into its block.
func (p *parser) read(statements []statement) {
	at, open := &p.file, 0 // open is how many blocks are open.
	keys := fileKeys
	for _, s := range statements {
		switch {
		case s.key == "}" && open == 0:
			p.report(s.line, config.Error, fault.New("\"}\" ends no block", "delete it"))
		case s.key == "}":
			if open--; open == 0 {
				at, keys = &p.file, fileKeys
				continue
			}
			at, keys = &p.virtuals[len(p.virtuals)-1].settings, virtualKeys
		case s.block && s.key == "virtual" && open == 0:
			p.virtuals = append(p.virtuals, virtual{settings: block(s)})
			at, keys, open = &p.virtuals[len(p.virtuals)-1].settings, virtualKeys, 1
		case s.block && s.key == "server" && open == 1:
			v := &p.virtuals[len(p.virtuals)-1]
			v.servers = append(v.servers, block(s))
			at, keys, open = &v.servers[len(v.servers)-1], serverKeys, 2
		case s.block && s.key == "failover":
			p.report(s.line, config.Error, fault.New("a failover block moves programs, and has no virtual service", "convert a file with virtual blocks, and write the failover services as resources of the cluster"))
			return
		case s.block:
			p.report(s.line, config.Error, fault.New(fmt.Sprintf("a %s block cannot stand here: a block above has no \"}\"", s.key), "end that block with a line \"}\""))
			return
		default:
			p.set(at, keys, s)
		}
	}
	if open > 0 {
		p.report(p.virtuals[len(p.virtuals)-1].line, config.Error, fault.New("the block has no \"}\"", "end it with a line \"}\""))
	}
}

func block(s statement) settings {
	return settings{name: s.values[0], line: s.line, given: map[string]statement{}, read: map[string]bool{}}
}

// set stores a statement of a block. The last statement of a key counts, as in piranha.
func (p *parser) set(at *settings, keys []string, s statement) {
	if !slices.Contains(keys, s.key) {
		near, found := suggest.Nearest(s.key, keys)
		if !found {
			p.report(s.line, config.Error, fault.New(fmt.Sprintf("unknown key %s, so piranha does not load the file", fault.Quote(s.key)), "delete the line"))
			return
		}
		repaired := s
		repaired.key = near
		p.problems.Add(config.Problem{
			File: p.config.File, Line: s.line, Severity: config.Repaired, What: "piranha does not know the key, and does not load the file",
			Before: s.String(), After: repaired.String(),
		})
		s = repaired
	}
	if len(s.values) == 0 {
		p.report(s.line, config.Error, fault.New(s.key+" has no value", "write \""+s.key+" = VALUE\", or delete the line"))
		return
	}
	if before, again := at.given[s.key]; again && !slices.Equal(before.values, s.values) {
		p.report(before.line, config.Ignored, fault.New(fmt.Sprintf("%s is given again in line %d, and the last value counts", s.key, s.line), ""))
	}
	at.given[s.key] = s
}

// get returns the statement of a key.
func (s settings) get(key string) (st statement, given bool) {
	s.read[key] = true
	st, given = s.given[key]
	return st, given
}

// text returns the value of a key, or the default.
func (s settings) text(key, otherwise string) string {
	if st, ok := s.get(key); ok {
		return strings.Join(st.values, " ")
	}
	return otherwise
}

// at returns the line of a key, or the line of the block.
func (s settings) at(key string) int { return cmp.Or(s.given[key].line, s.line) }

// number returns the value of a key from 0 to most, or the default.
func (p *parser) number(s settings, key string, otherwise, most int) int {
	text := s.text(key, strconv.Itoa(otherwise))
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		p.report(s.at(key), config.Error, fault.New(fmt.Sprintf("%s = %s is not a number from 0 to %d", key, fault.Short(text), most), ""))
		return otherwise
	}
	return n
}

// mostSeconds limits times, so that a time.Duration can hold them.
const mostSeconds = 1 << 31

func (p *parser) seconds(s settings, key string, otherwise int) time.Duration {
	return time.Duration(p.number(s, key, otherwise, mostSeconds)) * time.Second
}

// yes reports whether the value of a key is 1. The default is 0.
func (p *parser) yes(s settings, key string) bool { return p.number(s, key, 0, 1) == 1 }

// ip returns an IPv4 address. piranha has no IPv6.
func (p *parser) ip(s settings, key, text string) netip.Addr {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is4() {
		p.report(s.at(key), config.Error, fault.New(fmt.Sprintf("%s = %s is not an IPv4 address", key, fault.Short(text)), "write 192.0.2.10, for example"))
		return netip.Addr{}
	}
	return addr
}

// build makes the configuration from the statements.
func (p *parser) build() {
	if p.file.text("service", "lvs") != "lvs" {
		p.report(p.file.at("service"), config.Error, fault.New("service = fos moves programs, and has no virtual service", "convert a file with service = lvs"))
	}
	p.cluster()
	for i, name := range lvs.TimeoutNames() {
		p.config.Timeouts[i] = p.seconds(p.file, name+"_timeout", 0)
	}
	forward := p.forward()
	total := 0
	for _, v := range p.virtuals {
		if total += len(v.servers); total > config.MaxReals {
			p.report(v.line, config.Error, fault.Of(config.TooManyReals()))
			return
		}
		if !p.yes(v.settings, "active") {
			p.report(v.line, config.Ignored, fault.New(fmt.Sprintf("virtual %s is not active", v.name), "set active = 1 to convert it"))
			continue
		}
		p.service(v, forward)
	}
	if len(p.config.Services) == 0 {
		p.report(0, config.Warning, fault.New("no active virtual service in this file", ""))
	}
	p.dropped()
	p.problems.Add(p.config.Validate()...)
}

func (p *parser) forward() lvs.Forward {
	methods := map[string]lvs.Forward{"direct": lvs.Route, "nat": lvs.Masq, "tunnel": lvs.Tunnel}
	word := p.file.text("network", "nat")
	forward, ok := methods[word]
	if !ok {
		p.report(p.file.at("network"), config.Error, fault.New(fmt.Sprintf("unknown network %s", fault.Quote(word)), "write direct, nat or tunnel"))
	}
	return forward
}

// equivalents are the keys that the model has no place for, with the reason and the nearest thing.
// An empty Fix means that the operator has nothing to do.
var equivalents = map[string]fault.Fault{
	"serial_no":      {What: "it counts the changes of the file"},
	"heartbeat":      {What: "Corosync always has messages between the directors"},
	"heartbeat_port": {What: "Corosync has its own port", Fix: "set totem.interface.mcastport in corosync.conf if a firewall needs it"},
	"keepalive":      {What: "Corosync has its own protocol", Fix: "see totem.token in corosync.conf"},
	"rsh_command":    {What: "the cluster copies its own configuration", Fix: ""},
	"debug_level":    {What: "it is a setting of piranha's programs", Fix: ""},
	"reservation_conflict_action": {
		What: "the cluster fences a node that does not answer", Fix: "configure fencing",
	},
	"active_cmd":   {What: "the cluster runs resources, not commands", Fix: "write a resource agent or a systemd unit, and add it to the group"},
	"inactive_cmd": {What: "the cluster runs resources, not commands", Fix: "write a resource agent or a systemd unit, and add it to the group"},
	"hard_shutdown": {
		What: "the end of a health daemon never stops the services", Fix: "",
	},
	"sync":           {What: "the cluster copies its own configuration", Fix: "copy files that resources name yourself"},
	"vsadm":          {What: "ipvsadm is not used", Fix: ""},
	"primary_shared": {What: "its effect in piranha is not known", Fix: ""},
	"backup_shared":  {What: "its effect in piranha is not known", Fix: ""},
	"client_monitor": {What: "directord checks the real servers", Fix: ""},
}

// dropped reports the keys that the model has no place for, and the keys that have no effect
// with the other statements.
func (p *parser) dropped() {
	all := []settings{p.file}
	for _, v := range p.virtuals {
		all = append(all, v.settings)
	}
	for _, s := range all {
		for _, key := range slices.Sorted(maps.Keys(s.given)) {
			reason, found := equivalents[key]
			switch {
			case found:
				p.report(s.at(key), config.Dropped, fault.New(key+": "+reason.What, reason.Fix))
			case !s.read[key] && len(s.read) > 1: // Of a block that is not active, only the key active has been read.
				p.report(s.at(key), config.Ignored, fault.New(key+": no other statement needs it", ""))
			}
		}
	}
}
