package piranha

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// cluster sets the directors, and the addresses that move between them. In piranha, all addresses
// move together, and the primary director gets them back after its return.
func (p *parser) cluster() {
	c := p.config.Cluster
	p.node("primary")
	if p.yes(p.file, "backup_active") {
		p.node("backup")
	}
	group := config.Group{Name: "lvs"}
	if len(c.Nodes) > 0 {
		group.Preferences = []config.Preference{{Node: c.Nodes[0].Name, Score: preference}}
	}
	if _, given := p.file.given["nat_router"]; given {
		p.address(&group, p.file, "nat_router", "nat_nmask")
	}
	for _, v := range p.virtuals {
		if p.yes(v.settings, "active") {
			p.address(&group, v.settings, "address", "vip_nmask")
		}
	}
	c.Groups = []config.Group{group}
	if p.yes(p.file, "monitor_links") {
		p.monitorLinks(group)
	}
	if _, given := p.file.given["deadtime"]; given {
		c.Messages = &config.Messages{Line: p.file.at("deadtime"), DeadTime: p.seconds(p.file, "deadtime", 0)}
	}
	if p.yes(p.file, "syncdaemon") {
		line := p.file.at("syncdaemon")
		c.Sync = &config.Sync{Line: line, SyncDaemon: lvs.SyncDaemon{
			Interface: p.file.text("syncd_iface", "eth0"), ID: uint8(p.number(p.file, "syncd_id", 0, 255)), //nolint:gosec // number limits it.
		}}
	}
}

// preference is the score of the primary director.
const preference = 100

// node adds a director.
func (p *parser) node(key string) {
	text := p.file.text(key, "")
	if text == "" {
		p.report(p.file.at(key), config.Error, fault.New("no address of the "+key+" director", "write \""+key+" = ADDRESS\""))
		return
	}
	addr := p.ip(p.file, key, text)
	if !addr.IsValid() {
		return
	}
	private := p.ip(p.file, key+"_private", p.file.text(key+"_private", text))
	p.config.Cluster.Nodes = append(p.config.Cluster.Nodes, config.Node{Name: addr.String(), Links: []netip.Addr{private}, Line: p.file.at(key)})
}

// address adds the virtual address "IP INTERFACE[:LABEL]".
func (p *parser) address(g *config.Group, s settings, key, maskKey string) {
	st, given := s.get(key)
	if !given {
		p.report(s.line, config.Error, fault.New("no "+key, "write \""+key+" = ADDRESS INTERFACE\""))
		return
	}
	addr := p.ip(s, key, st.values[0])
	if !addr.IsValid() {
		return
	}
	v := config.VirtualAddress{IP: addr, Line: st.line}
	if len(st.values) > 1 {
		v.NIC, v.Label, _ = strings.Cut(st.values[1], ":")
	}
	if len(st.values) > 2 {
		p.report(st.line, config.Ignored, fault.New(fmt.Sprintf("%s: the words after the interface", key), ""))
	}
	if mask := s.text(maskKey, ""); mask != "" {
		bits, err := lvs.ParseNetmask(mask, false)
		if err != nil {
			p.report(s.at(maskKey), config.Error, fault.Of(err))
		}
		v.Bits = bits
	}
	if i := slices.IndexFunc(g.Addresses, func(a config.VirtualAddress) bool { return a.IP == addr }); i >= 0 {
		if first := g.Addresses[i]; first.NIC != v.NIC || first.Bits != v.Bits {
			p.report(st.line, config.Error, fault.New(fmt.Sprintf("%s has another interface or netmask in line %d", addr, first.Line), "write the same in both blocks"))
		}
		return
	}
	g.Addresses = append(g.Addresses, v)
}

// monitorLinks makes the carrier of each interface a condition of the node.
func (p *parser) monitorLinks(g config.Group) {
	c := p.config.Cluster
	for _, a := range g.Addresses {
		if a.NIC != "" && !slices.ContainsFunc(c.NodeChecks, func(n config.NodeCheck) bool { return n.NIC == a.NIC }) {
			c.NodeChecks = append(c.NodeChecks, config.NodeCheck{Kind: config.CheckInterface, NIC: a.NIC, Line: p.file.at("monitor_links")})
		}
	}
}
