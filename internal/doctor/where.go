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
	if f.monitor == nil || f.Node == "" {
		return nil
	}
	all := f.monitor.Resources.instances()
	var names []string
	on, reasons := map[string][]string{}, map[string]string{}
	for _, r := range all {
		if !strings.HasSuffix(r.Agent, ":lvs:health") {
			continue
		}
		id, _, _ := strings.Cut(r.ID, ":") // The instances of a clone can have numbers.
		if !slices.Contains(names, id) {
			names = append(names, id)
		}
		for _, n := range r.Nodes {
			on[id] = append(on[id], n.Name)
		}
		reasons[id] = f.monitor.reason(r, all, f.Node)
	}
	for _, id := range names {
		text := id + " runs on " + strings.Join(on[id], " and ")
		switch {
		case len(on[id]) == 0:
			text = id + " runs on no node"
		case slices.Contains(on[id], f.Node):
			texts = append(texts, text+", and its daemon does not reply here")
			continue
		}
		texts = append(texts, text+"; "+reasons[id])
	}
	return texts
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
