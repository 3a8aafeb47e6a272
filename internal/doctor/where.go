package doctor

import (
	"slices"
	"strings"
)

// instance is a resource of crm_mon with the ids of the group and clone that contain it.
type instance struct {
	resource
	within []string
}

// instances returns the resources of the container.
func (c container) instances(within ...string) (list []instance) {
	if c.ID != "" {
		within = append(slices.Clip(within), c.ID)
	}
	for _, r := range c.Resources {
		list = append(list, instance{r, within})
	}
	for _, inner := range slices.Concat(c.Groups, c.Clones) {
		list = append(list, inner.instances(within...)...)
	}
	return list
}

// Where returns a text for each health resource of the cluster: the nodes where it runs, and why it
// does not run on the node with the name f.Node.
func (f *Facts) Where() (texts []string) {
	for _, h := range f.health() {
		text := h.id + " runs on " + strings.Join(h.nodes, " and ")
		switch {
		case len(h.nodes) == 0:
			text = h.id + " runs on no node"
		case slices.Contains(h.nodes, f.Node):
			texts = append(texts, text+", and its daemon does not reply here")
			continue
		}
		texts = append(texts, text+"; "+h.reason)
	}
	return texts
}

// Elsewhere returns the nodes of the health resources that do not run on the node with the name
// f.Node.
func (f *Facts) Elsewhere() (nodes []string) {
	for _, h := range f.health() {
		if !slices.Contains(h.nodes, f.Node) {
			nodes = append(nodes, h.nodes...)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// healthResource is a health resource of the cluster.
type healthResource struct {
	id    string
	nodes []string // nodes are where it runs.
	// reason says why it does not run on this node. It counts only for a resource that does not.
	reason string
}

// health returns the health resources of the cluster in the order of crm_mon.
func (f *Facts) health() (list []healthResource) {
	if f.monitor == nil || f.Node == "" {
		return nil
	}
	all := f.monitor.Resources.instances()
	for _, r := range all {
		if !strings.HasSuffix(r.Agent, ":lvs:health") {
			continue
		}
		id, _, _ := strings.Cut(r.ID, ":") // The instances of a clone can have numbers.
		i := slices.IndexFunc(list, func(h healthResource) bool { return h.id == id })
		if i < 0 {
			i = len(list)
			list = append(list, healthResource{id: id})
		}
		for _, n := range r.Nodes {
			list[i].nodes = append(list[i].nodes, n.Name)
		}
		list[i].reason = f.monitor.reason(r, all, f.Node)
	}
	return list
}

// reason returns why a resource does not run on a node.
func (m monitor) reason(r instance, all []instance, name string) string {
	i := slices.IndexFunc(m.Nodes, func(n node) bool { return n.Name == name })
	switch {
	case !m.DC.Present:
		return "Pacemaker has no designated controller"
	case i < 0 || !m.Nodes[i].Online:
		return "this node is offline"
	case m.Nodes[i].Standby:
		return "this node is in standby"
	case r.Role == "Stopped":
		return "its target-role is Stopped"
	}
	// A group starts on a node only as a whole.
	ids := append(slices.Clip(r.within), r.ID)
	for _, other := range all {
		if len(r.within) > 0 && slices.Equal(other.within, r.within) {
			ids = append(ids, other.ID)
		}
	}
	for _, b := range m.Bans {
		if b.Node == name && slices.Contains(ids, b.Resource) {
			return "constraint " + b.ID + " bans it from this node"
		}
	}
	for _, n := range m.History {
		for _, h := range n.Resources {
			if n.Name == name && h.Fails != "" && h.Fails != "0" && slices.Contains(ids, h.ID) {
				return h.ID + " has the fail count " + h.Fails + " on this node"
			}
		}
	}
	if len(r.Nodes) == 0 {
		return "crm_mon -1rf shows the failures and the roles"
	}
	return "this node can take over"
}
