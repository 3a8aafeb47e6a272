package heartbeat

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// ParseMembers reads ha.cf: the directors, the hosts that they ping, and whether resources move
// back. If lines of the text are joined, and only one reading is possible, ParseMembers separates
// the lines and reports the repair. The Config is nil if a problem is an error.
func ParseMembers(name string, text []byte) (*config.Config, []config.Problem) {
	p := newParser(name)
	var pings []string
	var pinged, fails statement // fails starts ipfail, which moves resources away from a node without network.
	for n, line := range lines(text) {
		for _, st := range p.statements(n+1, line) {
			args := st[1:]
			switch st[0] {
			case "node":
				for _, node := range args {
					p.node(n+1, node)
				}
			case "auto_failback", "nice_failback":
				// nice_failback is the older name, with the opposite meaning.
				on := slices.Contains([]string{"on", "yes", "true", "1", "legacy"}, strings.ToLower(args[0]))
				p.config.Cluster.Stays = on == (st[0] == "nice_failback")
			case "ping":
				pings, pinged = append(pings, args...), statement{n + 1, st[0]}
			case "ping_group":
				pings, pinged = append(pings, args[1:]...), statement{n + 1, st[0]}
			case "respawn":
				if strings.HasSuffix(args[len(args)-1], "/ipfail") {
					fails = statement{n + 1, "ipfail"}
					continue
				}
				p.dropped(n+1, st, "heartbeat starts the program", "start it with systemd")
			case "crm", "pacemaker":
				if args[0] != "off" && args[0] != "no" && args[0] != "false" {
					p.report(n+1, config.Warning, fault.New("with "+strings.Join(st, " ")+", heartbeat does not read haresources", "convert the cluster information base (cibadmin --query) instead"))
				}
			case "deadtime":
				p.messages(n + 1).DeadTime = duration(args[0])
			case "logfacility":
				p.messages(n + 1).Facility = args[0]
			case "logfile":
				p.messages(n + 1).LogFile = args[0]
			case "ucast":
				p.unicast(n+1, st)
			case "stonith", "stonith_host": // The arguments can have a password.
				p.dropped(n+1, st[:1], "fencing is a resource of the cluster", "configure fencing before you start the cluster")
			default:
				d := directives[st[0]]
				p.dropped(n+1, st, d.reason, d.fix)
			}
		}
	}
	p.pings(pings, pinged, fails)
	if len(p.config.Cluster.Nodes) == 0 {
		p.report(0, config.Error, fault.New("no node in this file", "write \"node NAME\" for each director, as `uname -n` prints the name"))
	}
	return p.result()
}

// statement is where a directive is.
type statement struct {
	line int
	key  string
}

// messages returns the settings of the messages between the directors.
func (p *parser) messages(line int) *config.Messages {
	c := p.config.Cluster
	if c.Messages == nil {
		c.Messages = &config.Messages{Line: line}
	}
	return c.Messages
}

// unicast adds the address of another director, "ucast INTERFACE ADDRESS".
func (p *parser) unicast(line int, st []string) {
	addr, err := netip.ParseAddr(st[2])
	if err != nil {
		p.dropped(line, st, "Corosync has its own links", link)
		return
	}
	if m := p.messages(line); !slices.Contains(m.Addresses, addr) {
		m.Addresses = append(m.Addresses, addr)
	}
}

// duration returns a time of ha.cf: seconds, or a number with a unit.
func duration(text string) time.Duration {
	if strings.Trim(text, "0123456789.") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return d
}

func (p *parser) node(line int, name string) {
	c := p.config.Cluster
	if !slices.ContainsFunc(c.Nodes, func(n config.Node) bool { return n.Name == name }) {
		c.Nodes = append(c.Nodes, config.Node{Name: name, Line: line})
	}
}

func (p *parser) dropped(line int, st []string, reason, fix string) {
	p.report(line, config.Dropped, fault.New(fault.Short(strings.Join(st, " "))+": "+reason, fix))
}

// pings makes a condition of the ping hosts. Without ipfail, heartbeat only logs their state.
func (p *parser) pings(hosts []string, pinged, fails statement) {
	switch {
	case len(hosts) == 0 && fails.line == 0:
	case len(hosts) == 0:
		p.report(fails.line, config.Ignored, fault.New("ipfail: it has no effect without a line ping", ""))
	case fails.line == 0:
		p.report(pinged.line, config.Ignored, fault.New(pinged.key+": without ipfail, heartbeat only logs whether a host replies", ""))
	default:
		p.config.Cluster.NodeChecks = []config.NodeCheck{{Name: "ping", Kind: config.CheckPing, Hosts: hosts, Weight: pingWeight}}
	}
}

// pingWeight is how much better a node is whose ping hosts reply. It outweighs a preference for a
// node.
const pingWeight = 1000

// directive is a directive of ha.cf.
type directive struct {
	least, most int                      // least and most limit the number of arguments.
	valid       func(args []string) bool // Nil means that all arguments are valid.
	hosts       bool                     // hosts says that the arguments are names or addresses.
	// reason and fix say why the configuration cannot have the directive, and the nearest thing.
	reason, fix string
}

const many = 1 << 10

// Reasons for groups of directives.
const (
	ownLog   = "Pacemaker and Corosync have their own logs"
	ownTimes = "Corosync decides when a node is lost"
	ownLinks = "Corosync has its own links"
	ownStart = "it is a setting of heartbeat's process"
	link     = "give the address of each node on this interface: lvsctl convert --to=corosync --link NODE=ADDRESS"
)

// directives are the directives of heartbeat 2 and 3 (heartbeat/config.c of heartbeat 3.0.6).
var directives = map[string]directive{
	"node":                    {least: 1, most: many, hosts: true},
	"auto_failback":           {least: 1, most: 1, valid: oneOf("on", "off", "yes", "no", "true", "false", "legacy", "0", "1")},
	"nice_failback":           {least: 1, most: 1, valid: oneOf("on", "off", "yes", "no", "true", "false", "0", "1")},
	"ping":                    {least: 1, most: many, hosts: true},
	"ping_group":              {least: 2, most: many, hosts: true},
	"respawn":                 {least: 2, most: many},
	"crm":                     {least: 1, most: 1, valid: oneOf("on", "off", "yes", "no", "true", "false", "respawn", "manual")},
	"pacemaker":               {least: 1, most: 1, valid: oneOf("on", "off", "yes", "no", "true", "false", "respawn", "manual")},
	"logfacility":             {least: 1, most: 1, valid: facility},
	"logfile":                 {least: 1, most: 1, valid: path},
	"debugfile":               {least: 1, most: 1, valid: path, reason: ownLog, fix: "set logging.logfile in corosync.conf"},
	"debug":                   {least: 1, most: 1, reason: ownLog, fix: "set logging.debug in corosync.conf"},
	"use_logd":                {least: 1, most: 1, reason: ownLog},
	"conn_logd_time":          {least: 1, most: 1, valid: number, reason: ownLog},
	"keepalive":               {least: 1, most: 1, valid: number, reason: ownTimes, fix: "see totem.token in corosync.conf"},
	"warntime":                {least: 1, most: 1, valid: number, reason: ownTimes, fix: "see totem.token in corosync.conf"},
	"deadtime":                {least: 1, most: 1, valid: number},
	"initdead":                {least: 1, most: 1, valid: number, reason: ownTimes, fix: "set wait_for_all in corosync.conf"},
	"deadping":                {least: 1, most: 1, valid: number, reason: "the monitor of the ping resource decides", fix: "set its interval and timeout"},
	"udpport":                 {least: 1, most: 1, valid: number, reason: ownLinks, fix: "open UDP port 5405 in a firewall"},
	"baud":                    {least: 1, most: 1, valid: number, reason: ownLinks},
	"serial":                  {least: 1, most: many, reason: "Corosync has no serial links", fix: "use a second network as a second link"},
	"bcast":                   {least: 1, most: many, reason: ownLinks, fix: link},
	"mcast":                   {least: 2, most: 5, valid: multicast, reason: ownLinks, fix: link},
	"mcast6":                  {least: 2, most: 5, reason: ownLinks, fix: link},
	"ucast":                   {least: 2, most: 2},
	"stonith":                 {least: 2, most: many},
	"stonith_host":            {least: 3, most: many},
	"watchdog":                {least: 1, most: 1, valid: path, reason: "heartbeat reboots a node that hangs", fix: "use sbd with this watchdog"},
	"hopfudge":                {least: 1, most: 1, valid: number, reason: ownLinks},
	"realtime":                {least: 1, most: 1, reason: ownStart},
	"rtprio":                  {least: 1, most: 1, valid: number, reason: ownStart},
	"apiauth":                 {least: 1, most: many, reason: ownStart},
	"autojoin":                {least: 1, most: 1, reason: "the nodes of the cluster are a list", fix: "write all nodes"},
	"uuidfrom":                {least: 1, most: 1, reason: ownStart},
	"compression":             {least: 1, most: 1, reason: ownStart},
	"coredumps":               {least: 1, most: 1, reason: ownStart},
	"traditional_compression": {least: 1, most: 1, reason: ownStart},
	"compression_threshold":   {least: 1, most: 1, valid: number, reason: ownStart},
	"msgfmt":                  {least: 1, most: 1, reason: ownStart},
	"deadtime_min":            {least: 1, most: 1, valid: number, reason: ownTimes},
	"quorum_server":           {least: 1, most: 1, reason: "Corosync has its own quorum", fix: "use a quorum device (qdevice)"},
	"cluster":                 {least: 1, most: 1, reason: "it is for heartbeat's quorum server", fix: "set totem.cluster_name in corosync.conf"},
	"search_dir":              {least: 1, most: 1, reason: ownStart},
	"memreserve":              {least: 1, most: 1, reason: ownStart},
}

func oneOf(words ...string) func([]string) bool {
	return func(args []string) bool { return slices.Contains(words, strings.ToLower(args[0])) }
}

func facility(args []string) bool {
	facilities := strings.Fields("none auth authpriv cron daemon ftp kern lpr mail news syslog user uucp local0 local1 local2 local3 local4 local5 local6 local7")
	return slices.Contains(facilities, args[0])
}

func path(args []string) bool { return strings.HasPrefix(args[0], "/") }

// number reports whether the argument is a number with an optional unit, "30" or "200ms".
func number(args []string) bool {
	digits := strings.TrimRightFunc(args[0], unicode.IsLetter)
	return digits != "" && strings.Trim(digits, "0123456789.") == "" && slices.Contains([]string{"", "s", "ms", "us"}, args[0][len(digits):])
}

func multicast(args []string) bool {
	addr, err := netip.ParseAddr(args[1])
	return err == nil && addr.IsMulticast() && !slices.ContainsFunc(args[2:], func(a string) bool { return !number([]string{a}) })
}

// hosts reports whether all arguments are names or addresses, and none of them ends in a directive
// that has arguments after it.
func hosts(args []string) bool {
	for i, a := range args {
		if strings.Trim(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:") != "" {
			return false
		}
		if _, found := ending(a); found && i < len(args)-1 {
			return false
		}
	}
	return true
}

// ending returns the length of the longest directive at the end of a word that is longer.
func ending(word string) (length int, found bool) {
	for name := range directives {
		if len(word) > len(name) && strings.HasSuffix(word, name) {
			length = max(length, len(name))
		}
	}
	return length, length > 0
}

// statements returns the statements of a line.
func (p *parser) statements(n int, line string) [][]string {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	if whole(words) {
		return [][]string{words}
	}
	separated := separate(words)
	for _, st := range separated {
		if !whole(st) {
			p.report(n, config.Error, wrong(words))
			return nil
		}
	}
	var after []string
	for _, st := range separated {
		after = append(after, strings.Join(st, " "))
	}
	p.repaired(n, "lines are joined", line, strings.Join(after, "  |  "))
	return separated
}

// whole reports whether the words are a valid statement.
func whole(words []string) bool {
	d, found := directives[words[0]]
	args := words[1:]
	return found && len(args) >= d.least && len(args) <= d.most && (d.valid == nil || d.valid(args)) && (!d.hosts || hosts(args))
}

func wrong(words []string) fault.Fault {
	if _, found := directives[words[0]]; !found {
		return fault.New(fmt.Sprintf("unknown directive %s, so heartbeat does not start", fault.Quote(words[0])), "delete the line")
	}
	return fault.New("the arguments of "+words[0]+" are wrong", "correct the line")
}

// separate ends a statement before each word that is a directive or ends in one.
func separate(words []string) [][]string {
	var all [][]string
	var st []string
	end := func() {
		if len(st) > 0 {
			all, st = append(all, st), nil
		}
	}
	for i, w := range words {
		if _, found := directives[w]; found && len(st) > 1 {
			end()
		}
		if length, found := ending(w); found && i < len(words)-1 && len(st) > 0 {
			st = append(st, w[:len(w)-length])
			end()
			w = w[len(w)-length:]
		}
		st = append(st, w)
	}
	end()
	return all
}
