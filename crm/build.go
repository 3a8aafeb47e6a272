package crm

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// Form is how the resources depend on each other.
type Form string

// The forms.
const (
	// ClassicGroup: one Pacemaker group has everything. The cluster moves the whole group.
	ClassicGroup Form = "group"
	// Constraints: the same resources as in ClassicGroup, with constraints instead of a group. A
	// health daemon that fails does not move the address.
	Constraints Form = "constraints"
	// HotStandby: every director has the table and checks the real servers. Only the address moves.
	HotStandby Form = "hot-standby"
)

// Forms returns the names of all forms.
func Forms() []string { return []string{string(ClassicGroup), string(Constraints), string(HotStandby)} }

// Options are the decisions that a configuration does not contain.
type Options struct {
	Form Form
	// Name is the first part of the names of resources. Empty means the name of the only group, or
	// lvs.
	Name string
	// File is the value of the parameter config. Empty means that the parameters of the resources
	// have the services and checks.
	File string
}

// stickiness is the resource-stickiness of the resource that decides where an address runs. A group
// that has it gets it once for each of its members.
const stickiness = 200

// builder makes resources from a configuration.
type builder struct {
	Resources
	Options

	cfg      *config.Config
	cluster  config.Cluster
	actions  map[string][]Operation // actions are the declared operations by the type of the agent.
	problems []config.Problem
}

// Build returns the resources for a configuration. Each problem describes a part of the
// configuration that the resources do not have, or something that the operator must do. If a
// problem is an error, there are no resources.
func Build(cfg *config.Config, o Options) (Resources, []config.Problem) {
	b := &builder{Options: o, cfg: cfg, actions: map[string][]Operation{}}
	if cfg.Cluster != nil {
		b.cluster = *cfg.Cluster
	}
	groups := b.groups()
	b.Name = identifier(b.Name)
	if b.Name == "" && len(groups) == 1 {
		b.Name = groups[0].Name
	}
	b.Name = cmp.Or(b.Name, "lvs")
	b.Setup = b.Name
	used := map[string]bool{}
	for i := range groups {
		groups[i].Name = cmp.Or(groups[i].Name, b.Name)
		if used[groups[i].Name] {
			groups[i].Name += number(i)
		}
		used[groups[i].Name] = true
	}
	b.judge(groups)
	if config.Err(b.problems) == nil {
		b.build(groups)
	}
	if config.Err(b.problems) != nil {
		return Resources{}, b.problems
	}
	return b.Resources, b.problems
}

func (b *builder) build(groups []config.Group) {
	b.describe(groups)
	switch {
	case b.Form == HotStandby:
		b.hotStandby(groups)
	case len(groups) > 1:
		b.separately(groups)
	default:
		b.classic(groups[0])
	}
	if b.cluster.Sync != nil && b.Form != HotStandby {
		b.sync()
	}
	b.nodeChecks(groups)
	b.notices()
	b.judgeValues()
}

// judgeValues reports control characters in parameters. XML cannot have them, so the cluster cannot
// store them.
func (b *builder) judgeValues() {
	for _, p := range b.Primitives {
		for _, pair := range p.Params {
			if strings.ContainsFunc(pair.Value, unicode.IsControl) {
				b.report(config.Error, 0, fmt.Sprintf("parameter %s of %s has a control character, and the cluster cannot store it", pair.Name, p.ID), "use a file instead of parameters, or remove the character")
			}
		}
	}
}

// describe sets the comment at the start.
func (b *builder) describe(groups []config.Group) {
	name, vip := b.Name, groups[0].Name
	b.Title = "One group with all resources of the service. The cluster always moves the whole group."
	if len(groups) > 1 {
		name = vip
		b.Title = "A group with all resources for each set of addresses. The cluster always moves a whole group, and each group alone."
	}
	order := fmt.Sprintf("The table (%s-ipvs) starts before the address (%s-vip) and stops after it, so that no client reaches a director without a table.", name, vip)
	switch b.Form {
	case ClassicGroup:
	case Constraints:
		b.Title = "The resources of a group, with constraints instead of the group. The order of the start is the same as in a group. But a health daemon that fails or restarts never stops or moves the address, because its order is Optional."
	case HotStandby:
		b.Title = "Hot standby: every director has the table and checks the real servers. Only the address moves. It moves to the director that sees more good real servers."
		order = ""
	}
	if order != "" {
		b.Remarks = append(b.Remarks, order)
	}
	if s := b.cluster.Sync; s != nil && b.Form == HotStandby {
		b.Title = strings.Replace(b.Title, "has the table and checks", "has the table and the connections of the other directors, and checks", 1)
	}
	if s := b.cluster.Sync; s != nil {
		b.Remarks = append(b.Remarks, "The directors send their connections over "+s.Interface+" here. If they have an interface that no other host shares, use it, because the datagrams are not authenticated.")
	}
}

func (b *builder) report(severity config.Severity, line int, what, fix string) {
	b.problems = append(b.problems, config.Problem{File: b.cfg.File, Line: line, Severity: severity, What: what, Fix: fix})
}

// groups returns the groups of the configuration. If it has none, the addresses of its services are
// one group.
func (b *builder) groups() []config.Group {
	var groups []config.Group
	for _, g := range b.cluster.Groups {
		if len(g.Addresses) == 0 {
			b.report(config.Warning, g.Line, fmt.Sprintf("group %s has no virtual address, and gets no resource", g.Name), "")
			continue
		}
		g.Name = identifier(g.Name)
		groups = append(groups, g)
	}
	if len(groups) > 0 {
		return groups
	}
	var all config.Group
	for _, s := range b.cfg.Services {
		switch {
		case s.Host != "":
			b.report(config.Error, s.Line, "virtual service "+s.Name()+" has a host name instead of an address", "write the address: the cluster needs it for the resource of the virtual address")
		case s.ID.IsMark():
		case !slices.ContainsFunc(all.Addresses, func(a config.VirtualAddress) bool { return a.IP == s.ID.Addr.Addr() }):
			all.Addresses = append(all.Addresses, config.VirtualAddress{IP: s.ID.Addr.Addr(), Line: s.Line})
		}
	}
	for _, mark := range b.cluster.Marks {
		for _, p := range mark.IP {
			if p.IsSingleIP() && !slices.ContainsFunc(all.Addresses, func(a config.VirtualAddress) bool { return a.IP == p.Addr() }) {
				all.Addresses = append(all.Addresses, config.VirtualAddress{IP: p.Addr(), Line: mark.Line})
			}
		}
	}
	return []config.Group{all}
}

// judge reports what prevents or limits the resources.
func (b *builder) judge(groups []config.Group) {
	switch {
	case len(groups[0].Addresses) == 0 && len(b.cfg.Services) == 0:
		b.report(config.Error, 0, "neither a virtual service nor a virtual address", "")
	case len(groups[0].Addresses) == 0:
		b.report(config.Error, 0, "no virtual address: the services have only packet marks", "add a file that has the virtual addresses")
	case len(groups) > 1 && b.Form != HotStandby && b.File != "":
		names := make([]string, len(groups))
		for i, g := range groups {
			names[i] = g.Name
		}
		b.report(config.Error, 0, fmt.Sprintf("%d groups of virtual addresses (%s), but one file for the services of all", len(groups), strings.Join(names, ", ")),
			"use --inline, so that each group has its services in the parameters, or the form "+string(HotStandby)+", where every director has the table and each group moves alone")
	}
	for _, s := range b.cfg.Services {
		b.judgeService(s, groups)
	}
	b.judgeNodes(groups)
}

// nodeName is what the name of a node can be. The output has node names without quotes.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]*$`)

// judgeNodes reports each node name that is not a host name. The empty name is the host of the
// file.
func (b *builder) judgeNodes(groups []config.Group) {
	wrong := func(line int, name string) {
		if name != "" && !nodeName.MatchString(name) {
			b.report(config.Error, line, fmt.Sprintf("%s is not the name of a node", fault.Quote(name)), "write the name as `uname -n` prints it")
		}
	}
	for _, n := range b.cluster.Nodes {
		wrong(n.Line, n.Name)
	}
	for _, g := range groups {
		for _, p := range g.Preferences {
			wrong(g.Line, p.Node)
		}
	}
}

// judgeService reports a service without an address or a mark, and a server whose packets would
// return to a director.
func (b *builder) judgeService(s config.Service, groups []config.Group) {
	missing := config.Warning
	if len(groups) > 1 && b.Form != HotStandby {
		missing = config.Error // The service would be in no table.
	}
	switch addr := s.ID.Addr.Addr(); {
	case s.ID.IsMark():
		if !slices.ContainsFunc(b.cluster.Marks, func(m config.Mark) bool { return m.Mark == s.ID.Mark }) {
			b.report(missing, s.Line, fmt.Sprintf("no rule gives packets the mark %d of %s", s.ID.Mark, s.Name()), "add a resource of ocf:lvs:fwmark")
		}
	case s.Host == "" && !slices.ContainsFunc(groups, func(g config.Group) bool { return has(g, addr) }):
		b.report(missing, s.Line, fmt.Sprintf("no group has the address of %s", s.Name()), "add a resource of ocf:lvs:vip with ip="+addr.String())
	}
	if b.Form != HotStandby {
		return
	}
	for _, r := range s.Reals {
		b.judgeServer(s, r.Addr.Addr(), r.Line)
	}
	for _, f := range s.Fallbacks {
		if addr, err := netip.ParseAddr(f.Host); err == nil {
			b.judgeServer(s, addr, f.Line)
		}
	}
}

func (b *builder) judgeServer(s config.Service, addr netip.Addr, line int) {
	for _, n := range b.cluster.Nodes {
		if slices.Contains(n.Links, addr) {
			b.report(config.Error, line, fmt.Sprintf("server %s of %s is director %s: in a hot standby, both directors would send the same packet to each other", addr, s.Name(), n.Name),
				"use 127.0.0.1 gate for a server on the director, or the form "+string(ClassicGroup))
		}
	}
}

// primitive adds a resource of one of our agents, with the operations that the agent declares.
func (b *builder) primitive(id, agent string, params, meta []Pair) string {
	operations, known := b.actions[agent]
	if !known {
		var err error
		if operations, err = declared(agent); err != nil {
			b.report(config.Error, 0, err.Error(), "")
		}
		b.actions[agent] = operations
	}
	b.Primitives = append(b.Primitives, Primitive{ID: id, Agent: "ocf:lvs:" + agent, Params: params, Operations: operations, Meta: meta})
	return id
}

// clone adds a clone of a primitive that is already there.
func (b *builder) clone(id, member string, meta ...Pair) {
	b.Clones = append(b.Clones, Clone{ID: id, Member: member, Meta: append([]Pair{{"interleave", "true"}}, meta...)})
}

// moving are the meta attributes of the resource that decides where the others run.
func moving(g config.Group) []Pair {
	meta := []Pair{{"resource-stickiness", fmt.Sprint(stickiness)}, {"migration-threshold", "3"}, {"failure-timeout", "120s"}}
	if g.Stopped {
		meta = append(meta, Pair{"target-role", "Stopped"})
	}
	return meta
}

// classic builds the resources that are all on the active director.
func (b *builder) classic(g config.Group) {
	grouped := b.Form == ClassicGroup
	marks := b.marks()
	var meta []Pair
	if !grouped {
		meta = moving(g)
	}
	tables, checks := b.services()
	ipvs := b.primitive(b.Name+"-ipvs", "ipvs", tables, meta)
	vips := b.vips(g, nil)
	health := b.primitive(b.Name+"-health", "health", checks, nil)
	members := slices.Concat(marks, []string{ipvs}, vips, []string{health})
	if grouped {
		b.Groups = append(b.Groups, Group{ID: g.Name, Members: members, Meta: moving(g)})
		b.prefer(g, g.Name, stickiness*len(members))
	} else {
		b.chain(marks, ipvs, vips, health)
		b.prefer(g, ipvs, stickiness)
	}
}

// separately builds the resources of each group. A group has the services and packet marks with its
// addresses.
func (b *builder) separately(groups []config.Group) {
	whole, marks, name := b.cfg, b.cluster.Marks, b.Name
	for _, s := range whole.Services {
		if n := len(slices.DeleteFunc(slices.Clone(groups), func(g config.Group) bool { return !b.belongs(s, g) })); n > 1 {
			b.report(config.Error, s.Line, fmt.Sprintf("%s has addresses of %d groups", s.Name(), n), "use the form "+string(HotStandby)+", or put the addresses into one group")
		}
	}
	for _, g := range groups {
		part := *whole
		part.Services = slices.DeleteFunc(slices.Clone(whole.Services), func(s config.Service) bool { return !b.belongs(s, g) })
		if len(part.Services) == 0 {
			b.report(config.Error, g.Line, fmt.Sprintf("no virtual service has an address of group %s", g.Name), "use a resource of ocf:lvs:vip alone for it, and remove the group from the file")
		}
		b.cfg, b.Name = &part, g.Name
		b.cluster.Marks = slices.DeleteFunc(slices.Clone(marks), func(m config.Mark) bool { return !marksFor(m, g) })
		b.classic(g)
	}
	b.cfg, b.cluster.Marks, b.Name = whole, marks, name
}

// belongs reports whether a service has an address of a group.
func (b *builder) belongs(s config.Service, g config.Group) bool {
	if !s.ID.IsMark() {
		return has(g, s.ID.Addr.Addr())
	}
	return slices.ContainsFunc(b.cluster.Marks, func(m config.Mark) bool { return m.Mark == s.ID.Mark && marksFor(m, g) })
}

func has(g config.Group, addr netip.Addr) bool {
	return slices.ContainsFunc(g.Addresses, func(a config.VirtualAddress) bool { return a.IP == addr })
}

// marksFor reports whether packets to an address of the group can get the mark.
func marksFor(m config.Mark, g config.Group) bool {
	return len(m.IP) == 0 || slices.ContainsFunc(m.IP, func(p netip.Prefix) bool {
		return slices.ContainsFunc(g.Addresses, func(a config.VirtualAddress) bool { return p.Contains(a.IP) })
	})
}

// chain adds the constraints that do the work of a group.
func (b *builder) chain(marks []string, ipvs string, vips []string, health string) {
	for _, id := range append(slices.Concat(marks, vips), health) {
		b.with(id, ipvs, Infinity)
	}
	for _, vip := range vips {
		for _, mark := range marks {
			b.before(mark, vip, false)
		}
		b.before(ipvs, vip, false)
	}
	b.before(ipvs, health, false)
	for _, vip := range vips {
		b.before(health, vip, true)
	}
}

// hotStandby builds clones. Only the addresses are not cloned.
func (b *builder) hotStandby(groups []config.Group) {
	var marks []string
	for _, mark := range b.marks() {
		b.clone("cl-"+b.short(mark), mark)
		marks = append(marks, mark)
	}
	tables, checks := b.services()
	ipvs := b.primitive(b.Name+"-ipvs", "ipvs", tables, nil)
	health := b.primitive(b.Name+"-health", "health", checks, nil)
	b.clone("cl-ipvs", ipvs)
	b.clone("cl-health", health)
	sync := ""
	if b.cluster.Sync != nil {
		sync = b.sync()
	}
	for i, g := range groups {
		b.standbyGroup(i, g, marks, standby{ipvs, health, sync})
	}
}

// standby has the names of the cloned primitives. sync can be empty.
type standby struct{ ipvs, health, sync string }

// standbyGroup builds the addresses of a group, and places them. The comments are only at the first
// group.
func (b *builder) standbyGroup(i int, g config.Group, marks []string, clones standby) {
	vips := b.vips(g, moving(g))
	vip := vips[0]
	if len(vips) > 1 {
		vip = g.Name + "-vips"
		b.Groups = append(b.Groups, Group{ID: vip, Members: vips})
	}
	first := len(b.Constraints)
	for _, mark := range marks {
		b.before(mark, vip, false)
	}
	b.before(clones.ipvs, vip, false)
	if i == 0 {
		b.before(clones.ipvs, clones.health, false)
	}
	b.before(clones.health, vip, true)
	for _, mark := range marks {
		b.with(vip, mark, Infinity)
	}
	b.with(vip, clones.ipvs, Infinity)
	b.with(vip, clones.health, 2000)
	sees := Location{ID: vip + "-sees-servers", Resource: vip, Rule: &Rule{
		ScoreAttribute: "lvs-health-" + clones.health, Expressions: []Expression{{Attribute: "lvs-health-" + clones.health, Operator: "defined"}},
	}}
	has := Location{ID: vip + "-has-connections", Resource: vip, Rule: &Rule{
		Score: stickiness - 1, Expressions: []Expression{{Attribute: "lvs-sync-" + clones.sync, Operator: "gte", Number: true, Value: "99"}},
	}}
	if i == 0 {
		start := b.Constraints[first].(Order)
		start.Comment = "The table starts before the address and stops after it. A health daemon that fails or restarts never stops the address, because its order is Optional and its score finite."
		b.Constraints[first] = start
		sees.Comment = fmt.Sprintf("Each health daemon publishes lvs-health-%s: 0 when it sees no good real server, otherwise 500 to 1000. The address moves only if the value of another director is higher by more than the stickiness of %s (%d).", clones.health, vips[0], stickiness)
		has.Comment = fmt.Sprintf("Each sync resource publishes lvs-sync-%s: how many per cent of the connections of the other directors this director has. A director that has just started gets the address when it has the connections, or when the other director sees no good real server.", clones.sync)
	}
	b.Constraints = append(b.Constraints, sees)
	if clones.sync != "" {
		b.Constraints = append(b.Constraints, has)
	}
	b.prefer(g, vip, stickiness)
}

// before adds an order. Its name has only the last part of a name with the same prefix.
func (b *builder) before(first, then string, optional bool) {
	b.Constraints = append(b.Constraints, Order{ID: first + "-before-" + b.short(then), First: b.placed(first), Then: b.placed(then), Optional: optional})
}

func (b *builder) with(resource, with string, score Score) {
	b.Constraints = append(b.Constraints, Colocation{ID: resource + "-with-" + b.short(with), Resource: b.placed(resource), With: b.placed(with), Score: score})
}

func (b *builder) short(id string) string { return strings.TrimPrefix(id, b.Name+"-") }

// placed returns the clone of a primitive, or the primitive if it has no clone.
func (b *builder) placed(id string) string {
	for _, c := range b.Clones {
		if c.Member == id {
			return c.ID
		}
	}
	return id
}

// services returns the parameters of ipvs and of health.
func (b *builder) services() (ipvs, health []Pair) {
	if b.File != "" {
		return []Pair{{"config", b.File}}, []Pair{{"config", b.File}}
	}
	ipvs, health, err := inline(b.cfg, b.Name+"-ipvs")
	if err != nil {
		f := fault.Of(err)
		b.report(config.Error, 0, "the parameters of resources cannot have this configuration: "+f.What, cmp.Or(f.Fix, "use a file"))
	}
	// Timeouts and the switches of the kernel are parameters of ipvs.
	for _, field := range config.Differing(*b.cfg, config.Config{}, "File", "Services", "Cluster", "Parts", "Timeouts",
		"SloppyTCP", "SloppySCTP", "ExpireNodestConn", "ExpireQuiescentTemplate", "ConnReuseMode") {
		if what := config.FieldWord(field) + ": the parameters of resources do not have this setting of the file"; !slices.ContainsFunc(b.problems, func(p config.Problem) bool { return p.What == what }) {
			b.report(config.Dropped, 0, what, "use a file")
			b.problems[len(b.problems)-1].File = b.cfg.FileOf(field)
		}
	}
	return ipvs, health
}

// marks adds a resource for each packet mark. Only the name of the first one is without the number
// of its mark.
func (b *builder) marks() []string {
	var ids []string
	for i, m := range b.cluster.Marks {
		id := b.Name + "-mark"
		if i > 0 {
			id += fmt.Sprintf("-%d", m.Mark)
		}
		if slices.Contains(ids, id) { // another rule for the same mark
			id += number(i)
		}
		ids = append(ids, b.primitive(id, "fwmark", markParams(m), nil))
	}
	return ids
}

// number returns the end of a name: nothing for the first one of its kind, then -2, -3 and so on.
func number(i int) string {
	if i == 0 {
		return ""
	}
	return fmt.Sprintf("-%d", i+1)
}

func (b *builder) sync() string {
	s := *b.cluster.Sync
	if s.ID == 0 {
		s.ID = 1
		b.report(config.Warning, s.Line, "synchronisation with syncid 0, which receives the connections of every cluster: 1 is used", "choose a number that no other cluster on this network uses")
	}
	if s.Interface == "" {
		b.report(config.Error, s.Line, "synchronisation without an interface", "")
	}
	id := b.primitive(b.Name+"-sync", "sync", syncParams(s), nil)
	b.clone("cl-sync", id, Pair{"notify", "true"})
	return id
}

// vips adds a resource for each address of a group. The first one gets the meta attributes.
func (b *builder) vips(g config.Group, meta []Pair) []string {
	var ids []string
	for i, a := range g.Addresses {
		id := g.Name + "-vip"
		if i > 0 {
			id += "-" + strings.NewReplacer(":", "-").Replace(a.IP.String())
			meta = slices.DeleteFunc(slices.Clone(meta), func(p Pair) bool { return p.Name == "resource-stickiness" })
		}
		ids = append(ids, b.primitive(id, "vip", vipParams(a), meta))
	}
	return ids
}

// identifier returns a text as a name of a resource: letters, digits, - and _, and a letter first.
func identifier(text string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '-'
	}, text)
	if name != "" && !strings.ContainsAny(name[:1], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		name = "lvs-" + name
	}
	return name
}
