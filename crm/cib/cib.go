// Package cib reads and changes the resources of a running Pacemaker cluster. The CIB is the XML
// document that Pacemaker keeps on all nodes.
package cib

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"
)

// CIB is a whole CIB, with the state of the cluster.
type CIB struct{ doc *etree.Document }

// sections are the parts of a configuration whose children are items: resources, constraints and
// alerts. Each item has an id.
var sections = []string{"resources", "constraints", "alerts"}

// Parse reads the XML of a CIB, or only of its element configuration.
func Parse(text string) (*CIB, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(text); err != nil {
		return nil, fmt.Errorf("the CIB is not XML: %w", err)
	}
	c := &CIB{doc}
	if c.configuration() == nil {
		return nil, errors.New("the CIB has no element configuration")
	}
	return c, nil
}

// String returns the XML.
func (c *CIB) String() string {
	text, err := c.doc.WriteToString()
	if err != nil {
		return "" // a write into memory does not fail
	}
	return text
}

func (c *CIB) configuration() *etree.Element {
	if root := c.doc.Root(); root == nil || root.Tag == "configuration" {
		return root
	}
	return c.doc.FindElement("/cib/configuration")
}

// Configuration returns the XML without the state of the cluster. Two CIBs with the same text have
// the same configuration.
func (c *CIB) Configuration() string {
	doc := etree.NewDocument()
	doc.SetRoot(c.configuration().Copy())
	text, _ := doc.WriteToString()
	return text
}

// item returns the item with an id and the name of its section, or nil.
func (c *CIB) item(id string) (*etree.Element, string) {
	for _, name := range sections {
		section := c.configuration().SelectElement(name)
		if section == nil {
			continue
		}
		for _, e := range section.ChildElements() {
			if e.SelectAttrValue("id", "") == id {
				return e, name
			}
		}
	}
	return nil, ""
}

// ids returns the ids of all items.
func (c *CIB) ids() []string {
	var ids []string
	for _, name := range sections {
		if section := c.configuration().SelectElement(name); section != nil {
			for _, e := range section.ChildElements() {
				ids = append(ids, e.SelectAttrValue("id", ""))
			}
		}
	}
	return ids
}

// Part is a set of items of one CIB: the ids, and those items that exist.
type Part struct {
	Name string   `json:"name"` // Name is the setup that the items belong to.
	IDs  []string `json:"ids"`
	XML  string   `json:"xml"` // XML is an element configuration with the items.
	// Applied are the ids that the property of the setup lists. Nil means that there is no property.
	Applied []string `json:"applied,omitempty"`
	// Waits is the confirmation that the setup needs. The zero value means none.
	Waits Waiting `json:"waits,omitzero"`
}

// Waiting is a change that needs a confirmation on a node.
type Waiting struct {
	Node  string    `json:"node"`
	Until time.Time `json:"until"`
}

// Part returns the items with these ids.
func (c *CIB) Part(name string, ids []string) Part {
	doc := etree.NewDocument()
	root := doc.CreateElement("configuration")
	for _, section := range sections {
		part := root.CreateElement(section)
		for _, id := range ids {
			if e, in := c.item(id); in == section {
				part.AddChild(e.Copy())
			}
		}
	}
	text, _ := doc.WriteToString()
	return Part{Name: name, IDs: ids, XML: text, Applied: c.applied(name)}
}

// With returns a copy of the CIB where the items of a part are as in the part: items with other ids
// stay byte for byte as they are. An id of the part without an item is removed. An item that says
// the same as before stays as it is. The copy has the next epoch, so that it replaces the CIB.
func (c *CIB) With(p Part) (*CIB, error) {
	wanted, err := Parse(p.XML)
	if err != nil {
		return nil, err
	}
	next := &CIB{c.doc.Copy()}
	for _, id := range p.IDs {
		old, in := next.item(id)
		fresh, section := wanted.item(id)
		switch {
		case fresh == nil && old == nil:
		case fresh == nil:
			old.Parent().RemoveChild(old)
		case old == nil:
			next.section(section).AddChild(fresh.Copy())
		case in != section:
			return nil, fmt.Errorf("%s exists in %s of the CIB, and it must be in %s; rename it", id, in, section)
		default:
			fresh = kept(old, fresh.Copy())
			if !same(factsOf(old), factsOf(fresh)) {
				parent := old.Parent()
				parent.InsertChildAt(old.Index(), fresh)
				parent.RemoveChild(old)
			}
		}
	}
	if err := next.unique(); err != nil {
		return nil, err
	}
	next.setProperty(appliedProperty(p.Name), strings.Join(p.Applied, " "))
	next.setWaits(p.Name, p.Waits)
	next.bump()
	return next, nil
}

// section returns a section, and makes it if it does not exist.
func (c *CIB) section(name string) *etree.Element {
	if e := c.configuration().SelectElement(name); e != nil {
		return e
	}
	return c.configuration().CreateElement(name)
}

// unique returns an error if two resources have the same id, because Pacemaker would refuse the
// CIB. For example, the administrator can have moved a primitive into another group.
func (c *CIB) unique() error {
	seen := map[string]string{}
	for _, e := range c.section("resources").FindElements(".//primitive") {
		id, place := e.SelectAttrValue("id", ""), e.Parent().SelectAttrValue("id", "the CIB")
		if other, twice := seen[id]; twice {
			return fmt.Errorf("resource %s would be in %s and in %s; remove the one that is not from lvsctl, or give another --name", id, other, place)
		}
		seen[id] = place
	}
	return nil
}

// operators lists meta attributes that an operator sets, for example with crm resource stop. They
// stay when the item is replaced.
var operators = []string{"target-role", "is-managed", "maintenance"}

// kept returns fresh with the meta attributes of old that an operator has set.
func kept(old, fresh *etree.Element) *etree.Element {
	for _, before := range append(old.FindElements(".//primitive"), old) {
		id := before.SelectAttrValue("id", "")
		after := fresh
		if before != old {
			after = fresh.FindElement(".//primitive[@id='" + id + "']")
		}
		if after == nil {
			continue
		}
		for _, pair := range before.FindElements("meta_attributes/nvpair") {
			name := pair.SelectAttrValue("name", "")
			if !slices.Contains(operators, name) || after.FindElement("meta_attributes/nvpair[@name='"+name+"']") != nil {
				continue
			}
			meta := after.SelectElement("meta_attributes")
			if meta == nil {
				meta = after.CreateElement("meta_attributes")
				meta.CreateAttr("id", id+"-meta_attributes")
			}
			meta.AddChild(pair.Copy())
		}
	}
	return fresh
}

// propertySet is the id of the set of cluster properties that lvsctl apply uses. Pacemaker ignores
// properties that it does not know.
const propertySet = "lvs-agents"

// property returns the value of a property in the set, or "".
func (c *CIB) property(name string) string {
	pair := c.configuration().FindElement("crm_config/cluster_property_set[@id='" + propertySet + "']/nvpair[@name='" + name + "']")
	if pair == nil {
		return ""
	}
	return pair.SelectAttrValue("value", "")
}

// setProperty writes a property into the set. The value "" removes it.
func (c *CIB) setProperty(name, value string) {
	if c.property(name) == value {
		return
	}
	config := c.section("crm_config")
	set := config.FindElement("cluster_property_set[@id='" + propertySet + "']")
	if set == nil {
		set = config.CreateElement("cluster_property_set")
		set.CreateAttr("id", propertySet)
	}
	pair := set.FindElement("nvpair[@name='" + name + "']")
	if pair == nil {
		pair = set.CreateElement("nvpair")
		pair.CreateAttr("id", propertySet+"-"+name)
		pair.CreateAttr("name", name)
	}
	pair.CreateAttr("value", value)
	if value == "" {
		set.RemoveChild(pair)
	}
	if len(set.ChildElements()) == 0 {
		config.RemoveChild(set)
	}
}

func appliedProperty(setup string) string { return "lvs-applied-" + setup }
func waitsProperty(setup string) string   { return "lvs-waits-" + setup }

// applied returns the ids that an earlier change of a setup has made.
func (c *CIB) applied(setup string) []string {
	return strings.Fields(c.property(appliedProperty(setup)))
}

// Waits returns the confirmation that the last change of a setup needs, and whether it needs one.
func (c *CIB) Waits(setup string) (Waiting, bool) {
	node, until, found := strings.Cut(c.property(waitsProperty(setup)), " ")
	t, err := time.Parse(time.RFC3339, until)
	return Waiting{node, t}, found && err == nil
}

// setWaits writes the confirmation that the last change of a setup needs.
func (c *CIB) setWaits(setup string, w Waiting) {
	value := ""
	if w != (Waiting{}) {
		value = w.Node + " " + w.Until.UTC().Format(time.RFC3339)
	}
	c.setProperty(waitsProperty(setup), value)
}

// Confirmed returns a copy of the CIB where the last change of a setup needs no confirmation.
func (c *CIB) Confirmed(setup string) *CIB {
	next := &CIB{c.doc.Copy()}
	next.setWaits(setup, Waiting{})
	next.bump()
	return next
}

// bump raises the epoch. Pacemaker refuses a CIB that is not newer than its own.
func (c *CIB) bump() {
	root := c.doc.Root()
	epoch, err := strconv.Atoi(root.SelectAttrValue("epoch", ""))
	if err == nil {
		root.CreateAttr("epoch", strconv.Itoa(epoch+1))
		root.CreateAttr("num_updates", "0")
	}
}

// Setup returns the part of a CIB that has the items of a setup as they should be. configuration is
// the XML with these items. The part also has the ids of items from an earlier change that do not
// belong to the setup any more.
func (c *CIB) Setup(name, configuration string) (Part, error) {
	wanted, err := Parse(configuration)
	if err != nil {
		return Part{}, err
	}
	ids := wanted.ids()
	p := wanted.Part(name, ids)
	p.Applied = ids
	for _, id := range c.applied(name) {
		if !slices.Contains(p.IDs, id) {
			p.IDs = append(slices.Clip(p.IDs), id)
		}
	}
	return p, nil
}
