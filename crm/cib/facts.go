package cib

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/beevik/etree"

	"lvs-agents/crm"
)

// fact is everything that a resource, a constraint or an alert says.
type fact struct {
	kind string // kind is a word for the operator: "resource ocf:lvs:vip" or "order", for example.
	// values are parameters, operations and meta attributes by their names. They are without the ids
	// of XML elements, because these differ between the programs that write a CIB.
	values map[string]string
}

// Changes returns the differences between two CIBs in the items of a part, one line for each
// resource, constraint, parameter, operation and meta attribute.
func Changes(before, after *CIB, ids []string) []string {
	old, fresh := map[string]fact{}, map[string]fact{}
	for _, id := range ids {
		if e, _ := before.item(id); e != nil {
			maps.Copy(old, factsOf(e))
		}
		if e, _ := after.item(id); e != nil {
			maps.Copy(fresh, factsOf(e))
		}
	}
	var lines []string
	for _, id := range slices.Sorted(maps.Keys(union(old, fresh))) {
		was, existed := old[id]
		is, exists := fresh[id]
		switch {
		case !existed:
			lines = append(lines, fmt.Sprintf("add %s %s%s", is.kind, id, is.text()))
		case !exists:
			lines = append(lines, fmt.Sprintf("remove %s %s", was.kind, id))
		case was.kind != is.kind:
			lines = append(lines, fmt.Sprintf("replace %s %s by %s", was.kind, id, is.kind))
		default:
			lines = append(lines, changed(id, was, is)...)
		}
	}
	return lines
}

func changed(id string, was, is fact) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(union(was.values, is.values))) {
		before, had := was.values[name]
		after, has := is.values[name]
		switch {
		case before == after && had == has:
		case !had:
			lines = append(lines, fmt.Sprintf("%s: set %s=%s", id, name, shown(name, after)))
		case !has:
			lines = append(lines, fmt.Sprintf("%s: remove %s=%s", id, name, shown(name, before)))
		default:
			lines = append(lines, fmt.Sprintf("%s: %s=%s -> %s", id, name, shown(name, before), shown(name, after)))
		}
	}
	return lines
}

func (f fact) text() string {
	if len(f.values) == 0 {
		return ""
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(f.values)) {
		if !strings.HasPrefix(name, "op ") { // the operations are the declared ones
			words = append(words, name+"="+shown(name, f.values[name]))
		}
	}
	return ": " + strings.Join(words, " ")
}

func shown(name, value string) string { return crm.Pair{Name: name, Value: value}.Shown() }

func union[V any](a, b map[string]V) map[string]bool {
	keys := map[string]bool{}
	for key := range a {
		keys[key] = true
	}
	for key := range b {
		keys[key] = true
	}
	return keys
}

func same(a, b map[string]fact) bool {
	return maps.EqualFunc(a, b, func(x, y fact) bool { return x.kind == y.kind && maps.Equal(x.values, y.values) })
}

// factsOf returns what an item and the primitives in it say, by id.
func factsOf(item *etree.Element) map[string]fact {
	facts := map[string]fact{}
	add := func(e *etree.Element, kind string, values map[string]string) {
		facts[e.SelectAttrValue("id", "")] = fact{kind, values}
	}
	var members []string
	for _, inner := range item.FindElements(".//primitive") {
		members = append(members, inner.SelectAttrValue("id", ""))
		add(inner, "resource "+agent(inner), pairs(inner))
	}
	switch item.Tag {
	case "primitive":
		add(item, "resource "+agent(item), pairs(item))
	case "group", "clone", "master":
		values := pairs(item)
		values["members"] = strings.Join(members, " ")
		add(item, item.Tag, values)
	case "alert":
		values := pairs(item)
		values["path"] = item.SelectAttrValue("path", "")
		var to []string
		for _, r := range item.SelectElements("recipient") {
			to = append(to, r.SelectAttrValue("value", ""))
		}
		values["recipients"] = strings.Join(to, " ")
		add(item, "alert", values)
	default:
		add(item, cmp.Or(strings.TrimPrefix(item.Tag, "rsc_"), item.Tag), map[string]string{"is": sentence(item)})
	}
	return facts
}

// agent returns the name of the agent of a primitive, ocf:lvs:vip for example.
func agent(primitive *etree.Element) string {
	var parts []string
	for _, name := range []string{"class", "provider", "type"} {
		if value := primitive.SelectAttrValue(name, ""); value != "" {
			parts = append(parts, value)
		}
	}
	return strings.Join(parts, ":")
}

// pairs returns the parameters, meta attributes and operations of a resource.
func pairs(e *etree.Element) map[string]string {
	values := map[string]string{}
	for _, kind := range []struct{ tag, prefix string }{{"instance_attributes", ""}, {"meta_attributes", "meta "}} {
		for _, p := range e.FindElements(kind.tag + "/nvpair") {
			values[kind.prefix+p.SelectAttrValue("name", "")] = p.SelectAttrValue("value", "")
		}
	}
	for _, op := range e.FindElements("operations/op") {
		name := "op " + op.SelectAttrValue("name", "") + " interval=" + seconds(op.SelectAttrValue("interval", "0"))
		for _, p := range op.FindElements("instance_attributes/nvpair") {
			name += " " + p.SelectAttrValue("name", "") + "=" + p.SelectAttrValue("value", "")
		}
		values[name] = "timeout=" + op.SelectAttrValue("timeout", "")
	}
	return values
}

// seconds returns an interval of whole seconds with its unit.
func seconds(interval string) string {
	if strings.Trim(interval, "0123456789") == "" {
		return interval + "s"
	}
	return interval
}

// sentence returns the attributes of an element and of its children, without ids.
func sentence(e *etree.Element) string {
	var words []string
	for _, a := range e.Attr {
		if a.Key != "id" {
			words = append(words, a.Key+"="+a.Value)
		}
	}
	slices.Sort(words)
	for _, child := range e.ChildElements() {
		words = append(words, "("+child.Tag+" "+sentence(child)+")")
	}
	return strings.Join(words, " ")
}
