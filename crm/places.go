package crm

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/config"
)

// prefer adds a location for each preferred node. stays is the score that a resource needs to move
// away from the node where it runs.
func (b *builder) prefer(g config.Group, resource string, stays int) {
	step := stays + 100
	if g.Stays || b.cluster.Stays {
		step = stays / 2
	}
	ranks := b.ranks(g)
	for _, p := range g.Preferences {
		score := Score(step * slices.Index(ranks, p.Score))
		switch {
		case score == 0:
		case p.Node == "":
			b.report(config.Warning, g.Line, fmt.Sprintf("the file prefers its own host for %s, but does not have the name of the host", g.Name),
				"give the name: --host=FILE=NAME")
		default:
			if _, err := netip.ParseAddr(p.Node); err == nil {
				b.report(config.Warning, g.Line, fmt.Sprintf("%s is the address of a director, and not its name as uname -n prints it", p.Node), "give the name: --host="+p.Node+"=NAME")
			}
			b.Constraints = append(b.Constraints, Location{ID: resource + "-prefers-" + identifier(p.Node), Resource: resource, Node: p.Node, Score: score})
		}
	}
}

// ranks returns the different scores of nodes in ascending order. A node without a preference has
// the score 0. A configuration with a single node does not name the other nodes.
func (b *builder) ranks(g config.Group) []int {
	var ranks []int
	for _, p := range g.Preferences {
		ranks = append(ranks, p.Score)
	}
	if len(b.cluster.Nodes) < 2 || len(b.cluster.Nodes) > len(g.Preferences) {
		ranks = append(ranks, 0)
	}
	slices.Sort(ranks)
	return slices.Compact(ranks)
}

// nodeChecks adds a resource for each condition of nodes, and the locations that depend on it.
func (b *builder) nodeChecks(groups []config.Group) {
	for i, c := range b.cluster.NodeChecks {
		attribute, fails := b.nodeCheck(i, c)
		for _, g := range groups {
			if c.Groups == nil || slices.ContainsFunc(c.Groups, func(name string) bool { return identifier(name) == g.Name }) {
				b.depend(g, c, attribute, fails)
			}
		}
	}
}

// nodeCheck adds the resource of a condition. It returns the attribute of nodes that the resource
// publishes, and the expressions for a failed check. A single true expression is enough.
func (b *builder) nodeCheck(i int, c config.NodeCheck) (attribute string, fails []Expression) {
	id := cmp.Or(identifier(c.Name), fmt.Sprintf("check%s", number(i)))
	switch c.Kind {
	case config.CheckInterface:
		attribute = "ethmonitor-" + c.NIC
		b.foreign("link-"+identifier(c.NIC), "ocf:heartbeat:ethmonitor", []Pair{{"interface", c.NIC}})
		return attribute, []Expression{{Attribute: attribute, Operator: "not_defined"}, {Attribute: attribute, Operator: "lt", Number: true, Value: "1"}}
	case config.CheckPing:
		attribute = "ping-" + id
		b.foreign(id, "ocf:pacemaker:ping", []Pair{{"host_list", strings.Join(c.Hosts, " ")}, {"name", attribute}, {"dampen", "5s"}})
		return attribute, []Expression{{Attribute: attribute, Operator: "not_defined"}, {Attribute: attribute, Operator: "lt", Number: true, Value: "1"}}
	case config.CheckProgram, config.CheckProcess, config.CheckFile:
	}
	attribute = "lvs-check-" + id
	b.report(config.Warning, c.Line, fmt.Sprintf("the cluster does not run the check %s (%s)", cmp.Or(c.Name, id), subject(c)),
		fmt.Sprintf("publish its result on each node from a timer: attrd_updater -n %s -U 1, and -U 0 while it fails", attribute))
	return attribute, []Expression{{Attribute: attribute, Operator: "eq", Value: "0"}}
}

// foreign adds a clone of another provider's agent, unless it is already there.
func (b *builder) foreign(id, agent string, params []Pair) {
	id = b.Name + "-" + id
	if slices.ContainsFunc(b.Primitives, func(p Primitive) bool { return p.ID == id }) {
		return
	}
	b.Primitives = append(b.Primitives, Primitive{ID: id, Agent: agent, Params: params, Operations: []Operation{
		{Name: "start", Timeout: time.Minute}, {Name: "stop", Timeout: 20 * time.Second}, {Name: "monitor", Timeout: time.Minute, Interval: 10 * time.Second},
	}})
	b.clone("cl-"+strings.TrimPrefix(id, b.Name+"-"), id)
}

// depend adds the location of a group on nodes that meet a condition.
func (b *builder) depend(g config.Group, c config.NodeCheck, attribute string, fails []Expression) {
	resource := b.moves(g)
	rule, good, bad := &Rule{Score: -Infinity, Or: true, Expressions: fails}, "gte", "lt"
	if c.Inverse {
		good, bad = bad, good
		rule.Expressions = []Expression{{Attribute: attribute, Operator: bad, Number: true, Value: "1"}}
	}
	if c.Weight != 0 {
		if !b.outweighs(g, c.Weight) {
			b.report(config.Dropped, c.Line, fmt.Sprintf("check %s of %s: its weight %d is not more than the difference between two nodes, so it alone never moves an address", cmp.Or(c.Name, attribute), g.Name, c.Weight),
				"give it a larger weight if an address must move")
			return
		}
		// A node with a negative sum of scores never gets the group. So a node that meets the
		// condition has a higher score, instead of a lower score for the other nodes.
		rule.Score = Score(2 * (stickiness*b.weightOf(resource) + 100))
		rule.Expressions = []Expression{{Attribute: attribute, Operator: good, Number: true, Value: "1"}}
	}
	b.Constraints = append(b.Constraints, Location{ID: resource + "-needs-" + identifier(attribute), Resource: resource, Rule: rule})
}

// outweighs reports whether a weight is more than the difference between the best two nodes.
func (b *builder) outweighs(g config.Group, weight int) bool {
	ranks := b.ranks(g)
	return len(ranks) < 2 || max(weight, -weight) > ranks[len(ranks)-1]-ranks[len(ranks)-2]
}

// moves returns the resource that decides where a group runs.
func (b *builder) moves(g config.Group) string {
	switch {
	case b.Form == Constraints && slices.ContainsFunc(b.Primitives, func(p Primitive) bool { return p.ID == g.Name+"-ipvs" }):
		return g.Name + "-ipvs"
	case b.Form == Constraints:
		return b.Name + "-ipvs"
	case b.Form == ClassicGroup:
		return g.Name
	case len(g.Addresses) > 1:
		return g.Name + "-vips"
	}
	return g.Name + "-vip"
}

// weightOf returns how many times the stickiness counts for a resource: once for each member of a
// group that has it.
func (b *builder) weightOf(resource string) int {
	for _, g := range b.Groups {
		if g.ID == resource && len(g.Meta) > 0 {
			return len(g.Members)
		}
	}
	return 1
}

// notices adds an alert for mail, and reports programs.
func (b *builder) notices() {
	for i, n := range b.cluster.Notices {
		if len(n.Program) > 0 {
			b.report(config.Dropped, n.Line, fmt.Sprintf("program %q: the cluster calls alerts with other arguments", strings.Join(config.HideWords(n.Program), " ")), "write an alert agent for Pacemaker that runs it")
		}
		if len(n.To) == 0 {
			continue
		}
		var options pairs
		options.add("email_sender", n.From)
		b.Alerts = append(b.Alerts, Alert{ID: b.Name + "-mail" + number(i), Path: mailAlert, Options: options, Recipients: n.To})
		fix := "install -m 755 " + mailSample + " " + mailAlert + " on every node"
		if n.Relay != "" {
			fix += ", and give the mail relay " + n.Relay + " to sendmail"
		}
		b.report(config.Warning, n.Line, "mail about the cluster needs Pacemaker's program for mail", fix)
	}
}

// Pacemaker's program for mail, and the file that Pacemaker installs.
const (
	mailAlert  = "/var/lib/pacemaker/alert_smtp.sh"
	mailSample = "/usr/share/pacemaker/alerts/alert_smtp.sh.sample"
)

// subject returns what a check of the node reads.
func subject(c config.NodeCheck) string {
	switch c.Kind {
	case config.CheckProgram:
		return strings.Join(config.HideWords(c.Command), " ")
	case config.CheckProcess:
		return "process " + c.Process
	case config.CheckFile:
		return "file " + c.Path
	case config.CheckInterface, config.CheckPing:
	}
	return c.NIC
}
