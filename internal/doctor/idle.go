package doctor

import (
	"cmp"
	"slices"
)

// Checks is what a health resource checks, and where its daemons publish their setup.
type Checks struct {
	Resource string
	File     string // File is the configuration file. It is empty for the services of an ipvs resource.
	// Attribute is the node attribute that the daemons publish (see attribute.Setup).
	Attribute string
}

// Checks returns the health resources that this node can run and whose daemons publish a node
// attribute.
func (f *Facts) Checks() (list []Checks) {
	if f.config == nil || f.Node == "" {
		return nil
	}
	for _, p := range f.config.Resources.all() {
		if attribute := cmp.Or(p.param("attribute"), "lvs-health-"+p.ID); p.is("lvs", "health") && attribute != "none" && !f.config.bars(p.ID, f.Node) {
			list = append(list, Checks{p.ID, p.param("config"), attribute})
		}
	}
	return list
}

// Lacks returns the finding for a node that does not have the configuration file.
func (c Checks) Lacks() Finding {
	return Finding{"this node cannot run resource " + c.Resource, c.File + " does not exist here", "copy the file from another director"}
}

// bars reports whether a constraint keeps a resource, or the group or clone that contains it, off a
// node. It does not evaluate rules.
func (c configuration) bars(resource, node string) bool {
	ids := c.Resources.path(resource)
	exclusive, here := false, false
	for _, l := range c.Locations {
		if !slices.Contains(ids, l.Resource) {
			continue
		}
		if l.Node == node && l.Score == "-INFINITY" {
			return true
		}
		exclusive = exclusive || l.Discovery == "exclusive"
		here = here || l.Node == node
	}
	return exclusive && !here
}

// path returns the id of a primitive and the ids of the groups and clones that contain it. It
// returns nil if the items do not have the primitive.
func (i items) path(id string) []string {
	if slices.ContainsFunc(i.Primitives, func(p primitive) bool { return p.ID == id }) {
		return []string{id, i.ID}
	}
	for _, inner := range slices.Concat(i.Groups, i.Clones) {
		if path := inner.path(id); path != nil {
			return append(path, i.ID)
		}
	}
	return nil
}
