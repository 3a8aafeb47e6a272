package keepalived

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lvs-agents/internal/config"
)

// firstRouter is the virtual_router_id of the first instance, as in keepalived's manual.
const firstRouter = 51

// groups writes a vrrp_instance for each group, and its checks of the node.
func (w *writer) groups() {
	for i, g := range w.cluster.Groups {
		if len(g.Addresses) == 0 {
			continue
		}
		var programs, interfaces []config.NodeCheck
		for _, c := range w.cluster.NodeChecks {
			switch {
			case c.Groups != nil && !slices.Contains(c.Groups, g.Name):
			case c.Kind == config.CheckProgram:
				programs = append(programs, w.script(c))
			case c.Kind == config.CheckInterface:
				interfaces = append(interfaces, c)
			}
		}
		w.instance(i, g, programs, interfaces)
	}
	if len(w.cluster.Groups) > 0 {
		w.report(0, config.Warning, "the virtual_router_id of each instance is chosen here, and there is no authentication", "give both directors the same, and no other VRRP router of the network")
		w.others()
	}
}

// others reports each director that needs another file.
func (w *writer) others() {
	self := w.self
	for i, n := range w.cluster.Nodes {
		switch {
		case n.Name == self || n.Name == "":
		case self == "" && i == 0: // The file is for the first one.
		default:
			w.report(n.Line, config.Warning, "the director "+n.Name+" needs its own keepalived.conf", "write it with --to=keepalived --node="+n.Name)
		}
	}
}

// preferred returns the director that the first group with preferences prefers, or an empty text.
func preferred(groups []config.Group) string {
	for _, g := range groups {
		if names := ranking(g); len(names) > 0 {
			return names[0]
		}
	}
	return ""
}

// Limits of the priority of an instance. VRRP keeps 255 for the owner of the address, and the
// backup needs a smaller one than the master.
const leastPriority, mostPriority = 2, 254

// priority returns the state and the priority of the director of the file. The priority 0 means
// that all directors have the default.
func (w *writer) priority(g config.Group, stays bool) (state string, priority int) {
	order := ranking(g)
	if len(order) == 0 {
		return "BACKUP", 0
	}
	best := slices.MaxFunc(g.Preferences, func(a, b config.Preference) int { return cmp.Compare(a.Score, b.Score) })
	priority = min(max(best.Score, leastPriority), mostPriority)
	if stays { // keepalived clears nopreempt with the state MASTER.
		priority = max(priority, defaultPriority+1)
	}
	for _, n := range w.cluster.Nodes {
		if !slices.Contains(order, n.Name) {
			order = append(order, n.Name)
		}
	}
	if at := slices.Index(order, w.self); at > 0 {
		return "BACKUP", max(1, min(priority*(len(order)-at)/len(order), defaultPriority))
	}
	if stays {
		return "BACKUP", priority
	}
	return "MASTER", priority
}

// script writes the vrrp_script of a check, unless it is already there. It returns the check with
// the name of the script.
func (w *writer) script(c config.NodeCheck) config.NodeCheck {
	c.Name = cmp.Or(c.Name, "check")
	body := writer{depth: 1}
	body.line("script", strings.Join(c.Command, " "))
	if c.Interval > 0 {
		body.line("interval", seconds(c.Interval))
	}
	if c.Timeout > 0 {
		body.line("timeout", whole(c.Timeout))
	}
	if c.Rise > 0 {
		body.line("rise", strconv.Itoa(c.Rise))
	}
	if c.Fall > 0 {
		body.line("fall", strconv.Itoa(c.Fall))
	}
	for w.scripts[c.Name] != "" && w.scripts[c.Name] != body.String() {
		c.Name += "-2"
	}
	if w.scripts[c.Name] == "" {
		w.scripts[c.Name] = body.String()
		w.block(func() { w.WriteString(body.String()) }, "vrrp_script", c.Name)
	}
	return c
}

func (w *writer) instance(i int, g config.Group, programs, interfaces []config.NodeCheck) {
	name := cmp.Or(g.Name, fmt.Sprintf("lvs%d", i+1))
	nic := g.Addresses[0].NIC
	if nic == "" {
		w.report(g.Line, config.Warning, fmt.Sprintf("%s has no interface", name), "add the statement interface to the vrrp_instance")
	}
	stays := g.Stays || w.cluster.Stays
	state, priority := w.priority(g, stays)
	w.block(func() {
		w.line("state", state)
		if nic != "" {
			w.line("interface", nic)
		}
		w.line("virtual_router_id", strconv.Itoa(firstRouter+i))
		if priority != 0 {
			w.line("priority", strconv.Itoa(priority))
		}
		if stays {
			w.line("nopreempt")
		}
		w.directors()
		w.tracked("track_interface", interfaces, func(c config.NodeCheck) string { return c.NIC })
		w.tracked("track_script", programs, func(c config.NodeCheck) string { return c.Name })
		for addresses := g.Addresses; len(addresses) > 0; {
			n := w.addresses(addresses, nic, addresses[0].IP.Is4() == g.Addresses[0].IP.Is4())
			addresses = addresses[n:]
		}
	}, "vrrp_instance", name)
}

// directors writes the addresses of the directors.
func (w *writer) directors() {
	self := w.self
	var source string
	var peers []string
	ownFirst := false
	for _, n := range w.cluster.Nodes {
		switch {
		case len(n.Links) == 0:
		case source == "" && (n.Name == self || self == ""):
			source, ownFirst = n.Links[0].String(), len(peers) == 0
		default:
			peers = append(peers, n.Links[0].String())
		}
	}
	if source == "" {
		if _, err := netip.ParseAddr(self); err != nil {
			return
		}
		source = self
	}
	own := func() { w.line("unicast_src_ip", source) }
	if len(peers) == 0 {
		w.line("mcast_src_ip", source)
		return
	}
	if ownFirst {
		own()
	}
	w.block(func() {
		for _, peer := range peers {
			w.line(peer)
		}
	}, "unicast_peer")
	if !ownFirst {
		own()
	}
}

// tracked writes the checks of a node that an instance needs.
func (w *writer) tracked(keyword string, checks []config.NodeCheck, name func(config.NodeCheck) string) {
	if len(checks) == 0 {
		return
	}
	w.block(func() {
		for _, c := range checks {
			words := []string{name(c)}
			if c.Weight != 0 || c.Inverse {
				words = append(words, "weight", strconv.Itoa(c.Weight))
			}
			if c.Inverse {
				words = append(words, "reverse")
			}
			w.line(words...)
		}
	}, keyword)
}

// addresses writes the first addresses of one family, and returns their number. VRRP announces only
// the addresses of the family of the instance.
func (w *writer) addresses(all []config.VirtualAddress, nic string, announced bool) int {
	n := slices.IndexFunc(all, func(a config.VirtualAddress) bool { return a.IP.Is4() != all[0].IP.Is4() })
	if n < 0 {
		n = len(all)
	}
	keyword := "virtual_ipaddress"
	if !announced {
		keyword = "virtual_ipaddress_excluded"
	}
	w.block(func() {
		for _, a := range all[:n] {
			w.line(addressLine(a, nic)...)
		}
	}, keyword)
	return n
}

// addressLine returns the line of an address. nic is the interface of the instance.
func addressLine(a config.VirtualAddress, nic string) []string {
	text := a.IP.String()
	if a.Bits != 0 && a.Bits != a.IP.BitLen() {
		text += "/" + strconv.Itoa(a.Bits)
	}
	line := []string{text}
	for _, option := range []struct{ name, value string }{{"brd", a.Broadcast}, {"dev", a.NIC}, {"label", a.Label}, {"preferred_lft", a.PreferredLft}} {
		switch {
		case option.value == "" || option.name == "dev" && option.value == nic:
		case option.name == "label":
			line = append(line, "label", cmp.Or(a.NIC, nic)+":"+a.Label)
		default:
			line = append(line, option.name, option.value)
		}
	}
	if a.NoPrefixRoute {
		line = append(line, "noprefixroute")
	}
	if a.IP.Is6() && !a.NoDAD {
		line = append(line, "-nodad")
	}
	return line
}

// lost reports each part of the cluster that differs in the written form.
func (w *writer) lost(again config.Cluster) {
	dropped := func(line int, what string) { w.report(line, config.Dropped, "keepalived.conf cannot have "+what, "") }
	was, is := w.cluster, again
	for _, field := range config.Differing(was, is, "Nodes", "Groups", "NodeChecks", "Sync", "Stays", "Files") {
		dropped(0, field+" of the cluster")
	}
	for _, n := range was.Nodes {
		if !slices.ContainsFunc(is.Nodes, func(o config.Node) bool { return len(config.Differing(n, o, "Line")) == 0 }) {
			dropped(n.Line, "the name of the director "+cmp.Or(n.Name, "of the file"))
		}
	}
	for i, g := range was.Groups {
		if i >= len(is.Groups) || len(g.Addresses) != len(is.Groups[i].Addresses) {
			dropped(g.Line, "the addresses of the group "+g.Name)
			continue
		}
		for _, field := range config.Differing(g, is.Groups[i], "Line", "Addresses", "Stays", "Preferences") {
			dropped(g.Line, field+" of the group "+g.Name)
		}
		if own := ranking(g); len(own) > 0 && own[0] == w.self && len(is.Groups[i].Preferences) == 0 {
			dropped(g.Line, "the preferences of the group "+g.Name)
		}
		for k, a := range g.Addresses {
			for _, field := range config.Differing(a, is.Groups[i].Addresses[k], "Line") {
				dropped(a.Line, fmt.Sprintf("%s of the address %s", field, a.IP))
			}
		}
	}
	for _, c := range was.NodeChecks {
		if !slices.ContainsFunc(is.NodeChecks, func(o config.NodeCheck) bool { return len(config.Differing(c, o, "Line", "Groups", "Name")) == 0 }) {
			dropped(c.Line, "the check of a node "+cmp.Or(c.Name, c.NIC))
		}
	}
	if was.Sync != nil && (is.Sync == nil || len(config.Differing(*was.Sync, *is.Sync, "Line")) > 0) {
		dropped(was.Sync.Line, "all settings of the synchronisation")
	}
}

// ranking returns the names of the preferred nodes, best first. The scores themselves have no
// meaning.
func ranking(g config.Group) []string {
	sorted := slices.Clone(g.Preferences)
	slices.SortStableFunc(sorted, func(a, b config.Preference) int { return b.Score - a.Score })
	var names []string
	for _, p := range sorted {
		names = append(names, p.Node)
	}
	return names
}
