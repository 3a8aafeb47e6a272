package keepalived

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// defaultPriority is the priority of an instance without a priority.
const defaultPriority = 100

// instance adds the group of a vrrp_instance.
func (p *parser) instance(s *statement) {
	g := config.Group{Name: s.arg(), Line: s.line}
	priority, nic, state := 0, "", "" // The priority 0 means that the file has none.
	var nopreempt *statement
	for _, inner := range s.body {
		switch inner.key() {
		case "state":
			state = strings.ToUpper(inner.arg())
		case "interface":
			nic = inner.arg()
		case "priority":
			priority = p.number(inner, 1, 255)
		case "nopreempt":
			nopreempt = inner
		case "virtual_ipaddress", "virtual_ipaddress_excluded":
			for _, line := range inner.body {
				p.address(&g, line)
			}
		case "mcast_src_ip", "unicast_src_ip":
			p.director(inner, inner.arg())
		case "unicast_peer":
			for _, line := range inner.body {
				p.director(line, line.key())
				if len(line.words) > 1 {
					p.drop(line, "the cluster does not use VRRP", "")
				}
			}
		case "track_interface":
			p.interfaces(g.Name, inner)
		case "track_script":
			p.programs(g.Name, inner)
		default:
			p.unused(inner)
		}
	}
	for i := range g.Addresses {
		if g.Addresses[i].NIC == "" {
			g.Addresses[i].NIC = nic
		}
	}
	if len(g.Addresses) == 0 {
		p.report(s.line, config.Ignored, fault.New(s.title()+" has no virtual address", ""))
		return
	}
	if nopreempt != nil && state == "MASTER" {
		p.report(nopreempt.line, config.Ignored, fault.New("nopreempt has no effect with state MASTER", "write state BACKUP on both directors"))
	}
	g.Stays = nopreempt != nil && state != "MASTER"
	p.prefer(&g, priority, state == "BACKUP")
	p.config.Cluster.Groups = append(p.config.Cluster.Groups, g)
}

// Limits, so that the time of a parser is bounded.
const (
	mostNodes = 255
	mostVRRP  = 1024 // The number of blocks of one kind.
)

// prefer sets the preference of a group. The file has the priority of one director only. 0 means no
// priority.
func (p *parser) prefer(g *config.Group, priority int, backup bool) {
	// With nopreempt, keepalived wants the state BACKUP from both directors.
	if backup && (!g.Stays || priority <= defaultPriority) {
		if priority != 0 {
			p.report(g.Line, config.Dropped, fault.New("the priority of a backup has no meaning without the priority of the other director", "prefer the other director, or convert its file"))
		}
		return
	}
	priority = cmp.Or(priority, defaultPriority)
	g.Preferences = []config.Preference{{Node: p.self, Score: priority}}
	if p.self == "" && !slices.ContainsFunc(p.config.Cluster.Nodes, func(n config.Node) bool { return n.Name == "" }) {
		p.config.Cluster.Nodes = append(p.config.Cluster.Nodes, config.Node{Line: g.Line})
	}
}

// director adds a director whose address the file has.
func (p *parser) director(s *statement, text string) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		p.wrong(s, "not an address", "")
		return
	}
	c := p.config.Cluster
	if strings.HasSuffix(s.key(), "_src_ip") {
		if at := slices.IndexFunc(c.Nodes, func(n config.Node) bool { return n.Name == p.self }); p.self != "" && at >= 0 {
			if !slices.Contains(c.Nodes[at].Links, addr) {
				c.Nodes[at].Links = append(c.Nodes[at].Links, addr)
			}
			return
		}
		p.self = addr.String()
	}
	if len(c.Nodes) == mostNodes {
		p.wrong(s, "too many directors", "")
		return
	}
	if slices.ContainsFunc(c.Nodes, func(n config.Node) bool { return n.Name == addr.String() }) {
		return
	}
	c.Nodes = append(c.Nodes, config.Node{Name: addr.String(), Links: []netip.Addr{addr}, Line: s.line})
}

// address adds the virtual address of a line.
func (p *parser) address(g *config.Group, s *statement) {
	text, length, found := strings.Cut(s.key(), "/")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		p.wrong(s, "not an address", "write \"192.0.2.10/24 dev eth0\", for example")
		return
	}
	v := config.VirtualAddress{IP: addr, Bits: addr.BitLen(), NoDAD: addr.Is6(), Line: s.line}
	if found {
		bits, err := strconv.Atoi(length)
		if err != nil || bits < 1 || bits > addr.BitLen() {
			p.wrong(s, "wrong prefix length", "")
			return
		}
		v.Bits = bits
	}
	for args := s.args(); len(args) > 0; args = args[1:] {
		pair := ""
		if len(args) > 1 {
			pair = args[1]
		}
		switch {
		case args[0] == "dev" && pair != "":
			v.NIC, args = pair, args[1:]
		case (args[0] == "brd" || args[0] == "broadcast") && pair != "":
			v.Broadcast, args = pair, args[1:]
		case args[0] == "label" && pair != "":
			var found bool
			if _, v.Label, found = strings.Cut(pair, ":"); !found {
				p.report(s.line, config.Dropped, fault.New("label "+fault.Quote(pair)+": the label of a virtual address has the name of its interface and a colon", "write it as eth0:web"))
			}
			args = args[1:]
		case args[0] == "preferred_lft" && pair != "":
			v.PreferredLft, args = pair, args[1:]
		case args[0] == "noprefixroute":
			v.NoPrefixRoute = true
		case args[0] == "-nodad":
			v.NoDAD = false
		case (args[0] == "scope" || args[0] == "peer" || args[0] == "track_group") && pair != "":
			p.report(s.line, config.Dropped, fault.New(args[0]+" is not a parameter of the virtual address", ""))
			args = args[1:]
		default:
			p.drop(s, fault.Quote(args[0])+" and the words after it are not parameters of the virtual address", "")
			args = args[:1]
		}
	}
	if slices.ContainsFunc(g.Addresses, func(o config.VirtualAddress) bool { return o.IP == v.IP }) {
		p.report(s.line, config.Ignored, fault.New("the virtual address "+addr.String()+" is given twice", "delete one of the lines"))
		return
	}
	g.Addresses = append(g.Addresses, v)
}

// interfaces makes conditions of the lines of track_interface.
func (p *parser) interfaces(group string, s *statement) {
	for _, line := range s.body {
		c := config.NodeCheck{Kind: config.CheckInterface, NIC: line.key(), Groups: []string{group}, Line: line.line}
		p.weigh(&c, line)
		p.config.Cluster.NodeChecks = append(p.config.Cluster.NodeChecks, c)
	}
}

// programs makes conditions of the lines of track_script.
func (p *parser) programs(group string, s *statement) {
	for _, line := range s.body {
		c, found := p.scripts[line.key()]
		if !found {
			p.report(line.line, config.Ignored, fault.New(line.title()+": no vrrp_script with a script has this name", ""))
			continue
		}
		p.tracked[line.key()] = true
		c.Groups = []string{group}
		p.weigh(&c, line)
		p.config.Cluster.NodeChecks = append(p.config.Cluster.NodeChecks, c)
	}
}

// mostWeight limits the weights of conditions, as in keepalived.
const mostWeight = 253

// weigh applies "weight N [reverse]" of a line.
func (p *parser) weigh(c *config.NodeCheck, s *statement) {
	for args := s.args(); len(args) > 0; args = args[1:] {
		switch {
		case args[0] == "weight" && len(args) > 1:
			n, err := strconv.Atoi(args[1])
			if err != nil || n < -mostWeight || n > mostWeight {
				p.wrong(s, "not a weight from -253 to 253", "")
				return
			}
			c.Weight, args = n, args[1:]
		case args[0] == "reverse":
			c.Inverse = true
		default:
			p.drop(s, "unknown word "+fault.Quote(args[0]), "")
			args = args[:1]
		}
	}
}

// script reads a vrrp_script.
func (p *parser) script(s *statement) {
	c := config.NodeCheck{Name: s.arg(), Kind: config.CheckProgram, Line: s.line}
	for _, inner := range s.body {
		switch inner.key() {
		case "script":
			c.Command = strings.Fields(strings.Join(inner.args(), " "))
		case "interval":
			c.Interval = p.timer(inner)
		case "timeout":
			c.Timeout = p.timer(inner)
		case "weight":
			p.weigh(&c, &statement{line: inner.line, words: append([]string{"weight"}, inner.words...)})
		case "rise":
			c.Rise = p.number(inner, 1, mostRetries)
		case "fall":
			c.Fall = p.number(inner, 1, mostRetries)
		default:
			p.unused(inner)
		}
	}
	if len(c.Command) == 0 {
		p.report(s.line, config.Ignored, fault.New(s.title()+" has no script", "write \"script PROGRAM\""))
		return
	}
	p.scripts[c.Name] = c
}

// sync joins the groups of the instances in a vrrp_sync_group.
func (p *parser) sync(s *statement) {
	c := p.config.Cluster
	var members []string
	for _, inner := range s.body {
		switch inner.key() {
		case "group":
			for _, line := range inner.body {
				members = append(members, line.words...)
			}
		case "track_interface":
			p.interfaces(s.arg(), inner)
		case "track_script":
			p.programs(s.arg(), inner)
		default:
			p.unused(inner)
		}
	}
	joined := config.Group{Name: s.arg(), Line: s.line}
	rest := []config.Group{}
	for _, g := range c.Groups {
		if !slices.Contains(members, g.Name) {
			rest = append(rest, g)
			continue
		}
		joined.Addresses = append(joined.Addresses, g.Addresses...)
		if joined.Preferences == nil {
			joined.Preferences = g.Preferences
		}
		joined.Stays = joined.Stays || g.Stays
	}
	if len(joined.Addresses) == 0 {
		p.report(s.line, config.Ignored, fault.New(s.title()+" has no instance with addresses", ""))
		return
	}
	c.Groups = append(rest, joined)
	for i, n := range c.NodeChecks {
		if len(n.Groups) == 1 && slices.Contains(members, n.Groups[0]) {
			c.NodeChecks[i].Groups = []string{s.arg()}
		}
	}
}
