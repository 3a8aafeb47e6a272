package cib

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"

	"lvs-agents/crm"
)

// Resources returns the resources of lvs-agents in a CIB: every resource of an agent ocf:lvs with
// the group or clone that contains it, their constraints, and what lvsctl apply has made.
func (c *CIB) Resources() crm.Resources {
	var r crm.Resources
	ours := map[string]bool{}
	for _, id := range c.Ours() {
		ours[id] = true
		switch e, in := c.item(id); in {
		case "resources":
			addResource(&r, e)
		case "constraints":
			addConstraint(&r, e)
		case "alerts":
			r.Alerts = append(r.Alerts, alertOf(e))
		}
	}
	return r
}

// Ours returns the ids of the items that belong to lvs-agents.
func (c *CIB) Ours() []string {
	var applied []string
	for _, pair := range c.configuration().FindElements("crm_config/cluster_property_set[@id='" + propertySet + "']/nvpair") {
		applied = append(applied, strings.Fields(pair.SelectAttrValue("value", ""))...)
	}
	var ids []string
	members := map[string]bool{} // members are all resources of our items, so that constraints find them.
	for _, id := range c.ids() {
		e, in := c.item(id)
		ours := slices.Contains(applied, id)
		switch in {
		case "resources":
			primitives := e.FindElements(".//primitive")
			if e.Tag == "primitive" {
				primitives = append(primitives, e)
			}
			ours = ours || slices.ContainsFunc(primitives, func(p *etree.Element) bool { return strings.HasPrefix(agent(p), "ocf:lvs:") })
			for _, p := range append(primitives, e) {
				members[p.SelectAttrValue("id", "")] = members[p.SelectAttrValue("id", "")] || ours
			}
		case "constraints":
			for _, name := range []string{"rsc", "first"} {
				ours = ours || members[e.SelectAttrValue(name, "")]
			}
		}
		if ours {
			ids = append(ids, id)
		}
	}
	return ids
}

func addResource(r *crm.Resources, e *etree.Element) {
	id := e.SelectAttrValue("id", "")
	var members []string
	for _, p := range e.FindElements(".//primitive") {
		r.Primitives = append(r.Primitives, primitive(p))
		members = append(members, p.SelectAttrValue("id", ""))
	}
	switch e.Tag {
	case "primitive":
		r.Primitives = append(r.Primitives, primitive(e))
	case "group":
		r.Groups = append(r.Groups, crm.Group{ID: id, Members: members, Meta: list(e, "meta_attributes")})
	case "clone":
		r.Clones = append(r.Clones, crm.Clone{ID: id, Member: strings.Join(members, " "), Meta: list(e, "meta_attributes")})
	}
}

func primitive(e *etree.Element) crm.Primitive {
	p := crm.Primitive{ID: e.SelectAttrValue("id", ""), Agent: agent(e), Params: list(e, "instance_attributes"), Meta: list(e, "meta_attributes")}
	for _, op := range e.FindElements("operations/op") {
		o := crm.Operation{
			Name: op.SelectAttrValue("name", ""), Timeout: duration(op.SelectAttrValue("timeout", "")), Interval: duration(op.SelectAttrValue("interval", "")),
		}
		for _, pair := range list(op, "instance_attributes") {
			if pair.Name == "OCF_CHECK_LEVEL" {
				o.Depth, _ = strconv.Atoi(pair.Value) // Pacemaker accepts only numbers
			}
		}
		p.Operations = append(p.Operations, o)
	}
	return p
}

// list returns the pairs in the elements with this name.
func list(e *etree.Element, name string) []crm.Pair {
	var pairs []crm.Pair
	for _, p := range e.FindElements(name + "/nvpair") {
		pairs = append(pairs, crm.Pair{Name: p.SelectAttrValue("name", ""), Value: p.SelectAttrValue("value", "")})
	}
	return pairs
}

// duration returns a time of a CIB: a number of seconds, or a number with a unit of Go.
func duration(text string) time.Duration {
	if strings.Trim(text, "0123456789") == "" {
		text += "s"
	}
	text = strings.Replace(text, "sec", "s", 1)
	d, _ := time.ParseDuration(text)
	return d
}

func addConstraint(r *crm.Resources, e *etree.Element) {
	value := func(name string) string { return e.SelectAttrValue(name, "") }
	switch e.Tag {
	case "rsc_order":
		r.Constraints = append(r.Constraints, crm.Order{ID: value("id"), First: value("first"), Then: value("then"), Optional: value("kind") == "Optional"})
	case "rsc_colocation":
		r.Constraints = append(r.Constraints, crm.Colocation{ID: value("id"), Resource: value("rsc"), With: value("with-rsc"), Score: score(value("score"))})
	case "rsc_location":
		l := crm.Location{ID: value("id"), Resource: value("rsc"), Node: value("node"), Score: score(value("score"))}
		if rule := e.SelectElement("rule"); rule != nil {
			l.Rule = ruleOf(rule)
		}
		r.Constraints = append(r.Constraints, l)
	}
}

func ruleOf(e *etree.Element) *crm.Rule {
	rule := crm.Rule{
		ScoreAttribute: e.SelectAttrValue("score-attribute", ""), Score: score(e.SelectAttrValue("score", "")), Or: e.SelectAttrValue("boolean-op", "") == "or",
	}
	for _, x := range e.SelectElements("expression") {
		rule.Expressions = append(rule.Expressions, crm.Expression{
			Attribute: x.SelectAttrValue("attribute", ""), Operator: x.SelectAttrValue("operation", ""), Number: x.SelectAttrValue("type", "") == "number", Value: x.SelectAttrValue("value", ""),
		})
	}
	return &rule
}

func score(text string) crm.Score {
	switch text {
	case "INFINITY", "+INFINITY":
		return crm.Infinity
	case "-INFINITY":
		return -crm.Infinity
	}
	n, _ := strconv.Atoi(text) // Pacemaker accepts only numbers
	return crm.Score(n)
}

func alertOf(e *etree.Element) crm.Alert {
	a := crm.Alert{ID: e.SelectAttrValue("id", ""), Path: e.SelectAttrValue("path", ""), Options: list(e, "instance_attributes")}
	for _, r := range e.SelectElements("recipient") {
		a.Recipients = append(a.Recipients, r.SelectAttrValue("value", ""))
	}
	return a
}
