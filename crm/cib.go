package crm

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/beevik/etree"
)

// CIB returns the resources as the XML of the CIB, for "cibadmin --modify --allow-create". file is
// the name of the file with the XML, for the comment.
func (r Resources) CIB(file string) (string, error) {
	doc := etree.NewDocument()
	head := r.head("cibadmin -M -c -x " + file)
	doc.CreateComment("\n" + strings.ReplaceAll(head, "--", "- -"))
	root := doc.CreateElement("configuration")
	r.addResources(root.CreateElement("resources"))
	constraints := root.CreateElement("constraints")
	for _, c := range r.Constraints {
		c.xml().addTo(constraints)
	}
	if len(r.Alerts) > 0 {
		alerts := root.CreateElement("alerts")
		for _, a := range r.Alerts {
			a.xml().addTo(alerts)
		}
	}
	doc.Indent(2)
	return doc.WriteToString()
}

// element is an XML element: its name, its attributes as name and value in turn, and its children.
type element struct {
	name     string
	attrs    []string
	children []element
}

func (e element) addTo(parent *etree.Element) {
	node := parent.CreateElement(e.name)
	for i := 0; i < len(e.attrs); i += 2 {
		if e.attrs[i+1] != "" {
			node.CreateAttr(e.attrs[i], e.attrs[i+1])
		}
	}
	for _, child := range e.children {
		child.addTo(node)
	}
}

// addResources adds the clones and groups with their primitives, and then the other primitives.
func (r Resources) addResources(parent *etree.Element) {
	primitives := map[string]Primitive{}
	for _, p := range r.Primitives {
		primitives[p.ID] = p
	}
	for _, g := range r.Groups {
		e := element{name: "group", attrs: []string{"id", g.ID}}
		for _, id := range g.Members {
			e.children = append(e.children, primitives[id].xml())
			delete(primitives, id)
		}
		e.children = append(e.children, nvpairs(g.ID, "meta_attributes", g.Meta)...)
		e.addTo(parent)
	}
	for _, c := range r.Clones {
		e := element{name: "clone", attrs: []string{"id", c.ID}, children: []element{primitives[c.Member].xml()}}
		e.children = append(e.children, nvpairs(c.ID, "meta_attributes", c.Meta)...)
		delete(primitives, c.Member)
		e.addTo(parent)
	}
	for _, p := range r.Primitives {
		if _, alone := primitives[p.ID]; alone {
			p.xml().addTo(parent)
		}
	}
}

func (p Primitive) xml() element {
	var class, provider, kind string
	switch parts := strings.Split(p.Agent, ":"); len(parts) {
	case 3:
		class, provider, kind = parts[0], parts[1], parts[2]
	default:
		class, kind = parts[0], parts[len(parts)-1]
	}
	e := element{name: "primitive", attrs: []string{"id", p.ID, "class", class, "provider", provider, "type", kind}}
	e.children = append(e.children, nvpairs(p.ID, "instance_attributes", p.Params)...)
	operations := element{name: "operations"}
	for _, op := range p.Operations {
		operations.children = append(operations.children, op.xml(p.ID))
	}
	e.children = append(e.children, operations)
	return element{e.name, e.attrs, append(e.children, nvpairs(p.ID, "meta_attributes", p.Meta)...)}
}

func (op Operation) xml(id string) element {
	id = fmt.Sprintf("%s-%s-interval-%s", id, op.Name, op.interval("0s"))
	e := element{name: "op", attrs: []string{"id", id, "name", op.Name, "interval", op.interval("0s"), "timeout", seconds(op.Timeout)}}
	if op.Depth != 0 {
		e.children = nvpairs(id, "instance_attributes", []Pair{{"OCF_CHECK_LEVEL", strconv.Itoa(op.Depth)}})
	}
	return e
}

// nvpairs returns the element with these parameters or meta attributes, or nil for an empty list.
func nvpairs(id, name string, pairs []Pair) []element {
	if len(pairs) == 0 {
		return nil
	}
	e := element{name: name, attrs: []string{"id", id + "-" + name}}
	for _, p := range pairs {
		e.children = append(e.children, element{name: "nvpair", attrs: []string{"id", id + "-" + name + "-" + p.Name, "name", p.Name, "value", p.Value}})
	}
	return []element{e}
}

func (o Order) xml() element {
	return element{name: "rsc_order", attrs: []string{"id", o.ID, "kind", o.kind(), "first", o.First, "then", o.Then}}
}

func (c Colocation) xml() element {
	return element{name: "rsc_colocation", attrs: []string{"id", c.ID, "rsc", c.Resource, "with-rsc", c.With, "score", c.Score.String()}}
}

func (l Location) xml() element {
	e := element{name: "rsc_location", attrs: []string{"id", l.ID, "rsc", l.Resource}}
	if l.Rule == nil {
		e.attrs = append(e.attrs, "node", l.Node, "score", l.Score.String())
		return e
	}
	e.children = []element{l.Rule.xml(l.ID + "-rule")}
	return e
}

func (r Rule) xml(id string) element {
	e := element{name: "rule", attrs: []string{"id", id}}
	if r.ScoreAttribute != "" {
		e.attrs = append(e.attrs, "score-attribute", r.ScoreAttribute)
	} else {
		e.attrs = append(e.attrs, "score", r.Score.String())
	}
	if len(r.Expressions) > 1 {
		e.attrs = append(e.attrs, "boolean-op", r.operator())
	}
	for i, x := range r.Expressions {
		kind := map[bool]string{true: "number"}[x.Number]
		e.children = append(e.children, element{name: "expression", attrs: []string{
			"id", id + "-expression-" + strconv.Itoa(i+1), "attribute", x.Attribute, "type", kind, "operation", x.Operator, "value", x.Value,
		}})
	}
	return e
}

func (a Alert) xml() element {
	e := element{name: "alert", attrs: []string{"id", a.ID, "path", a.Path}, children: nvpairs(a.ID, "instance_attributes", a.Options)}
	for i, recipient := range a.Recipients {
		e.children = append(e.children, element{name: "recipient", attrs: []string{"id", a.ID + "-recipient-" + strconv.Itoa(i+1), "value", recipient}})
	}
	return e
}
