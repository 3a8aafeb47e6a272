package heartbeat

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// ParseResources reads haresources: the preferred director of each line, and the virtual addresses.
// The services are in the Files of the Cluster. The Config is nil if a problem is an error.
func ParseResources(name string, text []byte) (*config.Config, []config.Problem) {
	p := newParser(name)
	for n, line := range continued(text) {
		if words := strings.Fields(line); len(words) > 0 {
			p.resources(n+1, words)
		}
	}
	if len(p.config.Cluster.Groups) == 0 {
		p.report(0, config.Error, fault.New("no resources in this file", "write \"NODE RESOURCE ...\" in a line"))
	}
	return p.result()
}

// resources adds the group of a line. Its first word is the preferred node.
func (p *parser) resources(line int, words []string) {
	if len(words) == 1 {
		p.report(line, config.Error, fault.New(fmt.Sprintf("%s has no resources in this line", fault.Quote(words[0])), "write \"NODE RESOURCE ...\""))
		return
	}
	node := words[0]
	if strings.Contains(node, "::") || strings.Contains(node, "/") {
		p.report(line, config.Error, fault.New(fmt.Sprintf("the line begins with %s instead of the name of a node", fault.Quote(node)), "write \"NODE RESOURCE ...\""))
		return
	}
	p.node(line, node)
	g := config.Group{Line: line, Preferences: []config.Preference{{Node: node, Score: preference}}}
	for _, word := range words[1:] {
		p.resource(line, &g, word)
	}
	p.config.Cluster.Groups = append(p.config.Cluster.Groups, g)
}

// preference is the score of the node at the start of a line.
const preference = 100

// resource adds the address or the synchronisation of a resource, which is "SCRIPT::ARGUMENT::…" or
// an address. It reports the other scripts.
func (p *parser) resource(line int, g *config.Group, word string) {
	args := strings.Split(word, "::")
	if _, err := netip.ParseAddr(strings.SplitN(word, "/", 2)[0]); err == nil {
		args = []string{"IPaddr", word}
	}
	script := args[0]
	args = args[1:]
	first := ""
	if len(args) > 0 {
		first = args[0]
	}
	switch script {
	case "IPaddr", "IPaddr2", "IPv6addr", "lvsvip", "LVSSyncDaemonSwap":
		if script == "LVSSyncDaemonSwap" {
			p.config.Cluster.Sync = &config.Sync{Line: line, SyncDaemon: lvs.SyncDaemon{Interface: "eth0"}}
			p.report(line, config.Warning, fault.New("LVSSyncDaemonSwap: its interface and id are in its own script", "set interface= and syncid= of the resource of ocf:lvs:sync"))
			return
		}
		p.address(line, g, word, first)
	case "ldirectord", "lvsipvs", "lvshealth":
		if first == "" {
			first = "ldirectord.cf"
		}
		if !strings.HasPrefix(first, "/") {
			first = "/etc/ha.d/" + first
		}
		files := &p.config.Cluster.Files
		if !slices.ContainsFunc(*files, func(f config.ServiceFile) bool { return f.Path == first }) {
			*files = append(*files, config.ServiceFile{Path: first, Resource: word, Line: line})
		}
	case "IPsrcaddr":
		p.report(line, config.Dropped, fault.New(word+": it sets the source address of outgoing connections", "add a resource ocf:heartbeat:IPsrcaddr to the group"))
	case "MailTo":
		p.report(line, config.Dropped, fault.New(word+": it sends mail when the resources move", "use an alert of Pacemaker"))
	default:
		p.report(line, config.Dropped, fault.New(fmt.Sprintf("%s: the script %s is not about load balancing", fault.Short(word), fault.Quote(script)),
			"add a resource lsb:"+script+" or systemd:"+script+" to the group, if it has the actions start, stop and status"))
	}
}

// address adds the address "IP[/BITS[/INTERFACE[:LABEL]][/BROADCAST]]".
func (p *parser) address(line int, g *config.Group, word, text string) {
	parts := strings.Split(text, "/")
	ip, err := netip.ParseAddr(parts[0])
	if err != nil {
		p.report(line, config.Error, fault.New(fmt.Sprintf("%s has no valid address", fault.Quote(word)), "write IPaddr::192.0.2.10/24/eth0, and an IPv6 address without \"::\""))
		return
	}
	a := config.VirtualAddress{IP: ip, Line: line}
	for i, part := range parts[1:] {
		bits, err := strconv.Atoi(part)
		switch {
		case part == "":
		case i == 0 && err == nil && bits > 0 && bits <= ip.BitLen():
			a.Bits = bits
		case i == 0 && ip.Is4() && mask(part) > 0:
			a.Bits = mask(part)
		case strings.Count(part, ".") == 3:
			a.Broadcast = part
		case i > 0 && a.NIC == "":
			a.NIC, a.Label, _ = strings.Cut(part, ":")
		default:
			p.report(line, config.Error, fault.New(fmt.Sprintf("%s: %s is neither a prefix length, an interface nor a broadcast address", fault.Short(word), fault.Quote(part)),
				"write IP/BITS/INTERFACE/BROADCAST"))
			return
		}
	}
	g.Addresses = append(g.Addresses, a)
}

// mask returns the prefix length of a dotted netmask, or 0.
func mask(text string) int {
	bits, err := lvs.ParseNetmask(text, false)
	if err != nil {
		return 0
	}
	return bits
}
