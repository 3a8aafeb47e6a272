// Package cib reads the configuration of a Pacemaker cluster that has resources of
// ocf:heartbeat:IPaddr2 and ocf:heartbeat:ldirectord: the output of cibadmin -Q, or cib.xml.
package cib

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"slices"
	"strconv"
	"strings"

	"github.com/beevik/etree"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// Guess reports whether the first element of a text is cib.
func Guess(text []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.RawToken()
		if err != nil {
			return false
		}
		if start, ok := token.(xml.StartElement); ok {
			return start.Name.Local == "cib"
		}
	}
}

type parser struct {
	config   *config.Config
	problems config.Problems
}

// Parse reads a CIB: nodes, virtual addresses, preferences of nodes and stickiness. The Files of
// the Cluster have the services. Each element that Parse does not read is a problem. No problem
// contains a parameter of another agent. The Config is nil if a problem is an error.
func Parse(name string, text []byte) (*config.Config, []config.Problem) {
	p := &parser{config: &config.Config{File: name, Cluster: &config.Cluster{}}}
	doc := etree.NewDocument()
	err := doc.ReadFromBytes(text)
	root := doc.Root()
	switch {
	case err != nil:
		p.report(config.Error, "the text is not well-formed XML", "save the CIB again with cibadmin -Q")
	case root == nil || root.Tag != "cib":
		p.report(config.Error, "the first element is not cib", "save the CIB with cibadmin -Q")
	default:
		p.cib(root)
	}
	problems := p.problems.All(p.config.File)
	if config.Err(problems) != nil {
		return nil, problems
	}
	return p.config, problems
}

func (p *parser) report(severity config.Severity, what, fix string) {
	p.problems.Add(config.Problem{File: p.config.File, Severity: severity, What: what, Fix: fix})
}

// about reports a problem of an element.
func (p *parser) about(severity config.Severity, e *etree.Element, what, fix string) {
	p.report(severity, title(e)+": "+what, fix)
}

func (p *parser) dropped(e *etree.Element, what, fix string) {
	p.about(config.Dropped, e, what, fix)
}

// title returns the kind and the ID of an element.
func title(e *etree.Element) string {
	return fault.Printable(fault.Short(e.Tag)) + " " + fault.Quote(cmp.Or(value(e, "uname"), value(e, "id")))
}

func value(e *etree.Element, attribute string) string { return e.SelectAttrValue(attribute, "") }

// cib reads the sections of the configuration. The section status is the state of the cluster.
func (p *parser) cib(root *etree.Element) {
	for _, section := range root.FindElements("configuration/*") {
		for _, e := range section.ChildElements() {
			switch section.Tag {
			case "crm_config":
				p.properties(e)
			case "nodes":
				p.node(e)
			case "resources":
				p.top(e)
			case "constraints": // They need all groups.
			case "rsc_defaults":
				p.defaults(e)
			default:
				p.dropped(e, "it is not converted", keep)
			}
		}
	}
	if len(p.config.Cluster.Groups) == 0 && len(p.config.Cluster.Files) == 0 {
		p.report(config.Error, "no resource of ocf:heartbeat:IPaddr2 or ocf:heartbeat:ldirectord", "give the CIB of the directors")
		return
	}
	for _, e := range root.FindElements("configuration/constraints/*") {
		p.constraint(e)
	}
}

// keep is the fix for an element that does not depend on the converted resources.
const keep = "keep it in the cluster"

// properties lists the properties of the cluster that an administrator has set.
func (p *parser) properties(e *etree.Element) {
	written := []string{"dc-version", "cluster-infrastructure", "cluster-name", "have-watchdog", "last-lrm-refresh"}
	for _, pair := range e.FindElements(".//nvpair") {
		if name := value(pair, "name"); !slices.Contains(written, name) {
			p.dropped(e, "property "+fault.Quote(name)+" is not converted", keep)
		}
	}
}

func (p *parser) node(e *etree.Element) {
	if name := value(e, "uname"); e.Tag == "node" && name != "" {
		p.config.Cluster.Nodes = append(p.config.Cluster.Nodes, config.Node{Name: name})
	}
	p.list(e, ".//nvpair", "attribute", keep)
}

// list reports the names of the pairs that are not converted.
func (p *parser) list(e *etree.Element, path, kind, fix string) {
	for _, pair := range e.FindElements(path) {
		p.dropped(e, kind+" "+fault.Quote(value(pair, "name"))+" is not converted", fix)
	}
}

// after is the fix for a setting that the new resources can have, too.
const after = "set it after the conversion"

// top reads an element of resources. Its virtual addresses are one group.
func (p *parser) top(e *etree.Element) {
	g := config.Group{Name: value(e, "id")}
	switch e.Tag {
	case "primitive":
		p.primitive(&g, e)
	case "group":
		p.meta(&g, e)
		for _, child := range e.SelectElements("primitive") {
			p.primitive(&g, child)
		}
	case "clone", "master":
		for _, child := range e.FindElements(".//primitive") {
			p.cloned(child)
		}
		p.list(e, "meta_attributes/nvpair", "meta attribute", after)
	case "template":
	default:
		p.dropped(e, "it is not a primitive, a group or a clone", keep)
	}
	if len(g.Addresses) > 0 {
		p.config.Cluster.Groups = append(p.config.Cluster.Groups, g)
	}
}

// The agents that Parse reads.
const (
	ipaddr2    = "ocf:heartbeat:IPaddr2"
	ldirectord = "ocf:heartbeat:ldirectord"
)

// agent returns class:provider:type of a primitive, or of its template.
func agent(e *etree.Element) string {
	if name := value(e, "template"); name != "" {
		for _, t := range resources(e).SelectElements("template") {
			if value(t, "id") == name {
				e = t
			}
		}
	}
	return strings.Join([]string{value(e, "class"), value(e, "provider"), value(e, "type")}, ":")
}

// resources returns the element resources that has the primitive.
func resources(e *etree.Element) *etree.Element {
	for e.Tag != "resources" && e.Parent() != nil {
		e = e.Parent()
	}
	return e
}

func (p *parser) primitive(g *config.Group, e *etree.Element) {
	switch agent(e) {
	case ipaddr2:
		p.address(g, e)
		p.meta(g, e)
	case ldirectord:
		p.services(e)
	default:
		p.dropped(e, "its agent is not IPaddr2 or ldirectord", keep)
		return
	}
	if len(e.FindElements("operations/op")) > 0 {
		p.about(config.Ignored, e, "its operations: the new agents have their own intervals and timeouts", "")
	}
}

// cloned reads a primitive of a clone. ldirectord can run on all directors, but only one director
// has a virtual address.
func (p *parser) cloned(e *etree.Element) {
	switch agent(e) {
	case ldirectord:
		p.services(e)
	case ipaddr2:
		p.dropped(e, "a clone has the address on several nodes", "use ocf:lvs:realserver if these nodes are real servers")
	default:
		p.dropped(e, "its agent is not IPaddr2 or ldirectord", keep)
	}
}

// services adds the file that a primitive of ldirectord reads.
func (p *parser) services(e *etree.Element) {
	if !p.plain(e) {
		return
	}
	file := config.ServiceFile{Path: "/etc/ha.d/ldirectord.cf", Resource: value(e, "id")}
	for _, pair := range e.FindElements("instance_attributes/nvpair") {
		switch name := value(pair, "name"); name {
		case "configfile":
			file.Path = value(pair, "value")
		default:
			p.dropped(e, "parameter "+fault.Quote(name)+" has no equivalent", "")
		}
	}
	p.config.Cluster.Files = append(p.config.Cluster.Files, file)
	p.list(e, "meta_attributes/nvpair", "meta attribute", after)
	p.list(e, "utilization/nvpair", "utilization", after)
}

// plain reports whether the primitive itself has all its parameters, and the same on every node.
func (p *parser) plain(e *etree.Element) bool {
	other := len(e.FindElements("instance_attributes/rule")) > 0 || e.SelectAttr("template") != nil || e.SelectAttr("id-ref") != nil ||
		len(e.FindElements(".//*[@id-ref]")) > 0
	if other {
		p.about(config.Error, e, "its parameters depend on a rule, a template or another element", "write the parameters into the primitive")
	}
	return !other
}

// meta reads the meta attributes of a group or primitive.
func (p *parser) meta(g *config.Group, e *etree.Element) {
	for _, pair := range e.FindElements("meta_attributes/nvpair") {
		switch name, text := value(pair, "name"), value(pair, "value"); name {
		case "target-role":
			g.Stopped = g.Stopped || strings.EqualFold(text, "Stopped")
		case "resource-stickiness":
			n, ok := score(text)
			g.Stays = g.Stays || ok && n > 0
		default:
			p.dropped(e, "meta attribute "+fault.Quote(name)+" is not converted", after)
		}
	}
	p.list(e, "utilization/nvpair", "utilization", after)
}

func (p *parser) defaults(e *etree.Element) {
	for _, pair := range e.SelectElements("nvpair") {
		name := value(pair, "name")
		if n, ok := score(value(pair, "value")); ok && name == "resource-stickiness" && len(e.SelectElements("rule")) == 0 {
			p.config.Cluster.Stays = n > 0
			continue
		}
		p.dropped(e, "default "+fault.Quote(name)+" is not converted", keep)
	}
}

// constraint reads the score of a node, and lists every other constraint. The new resources have
// their own orders and colocations.
func (p *parser) constraint(e *etree.Element) {
	n, ok := score(value(e, "score"))
	node := value(e, "node")
	groups := p.config.Cluster.Groups
	i := slices.IndexFunc(groups, func(g config.Group) bool { return g.Name == value(e, "rsc") })
	if e.Tag != "rsc_location" || !ok || node == "" || i < 0 || len(e.ChildElements()) > 0 || e.SelectAttr("role") != nil {
		p.dropped(e, "it is not the score of a node for a virtual address", "set it after the conversion if it concerns other resources, too")
		return
	}
	groups[i].Preferences = append(groups[i].Preferences, config.Preference{Node: node, Score: n})
}

// score reads a score of Pacemaker.
func score(text string) (int, bool) {
	const infinity = 1_000_000
	switch strings.ToUpper(text) {
	case "INFINITY", "+INFINITY":
		return infinity, true
	case "-INFINITY":
		return -infinity, true
	}
	n, err := strconv.Atoi(text)
	return max(-infinity, min(infinity, n)), err == nil
}
