package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// configuration is the part of a CIB that the doctor reads.
type configuration struct {
	Resources items `xml:"configuration>resources"`
	Locations []struct {
		ID       string `xml:"id,attr"`
		Resource string `xml:"rsc,attr"`
		Node     string `xml:"node,attr"`
		Score    string `xml:"score,attr"`
		// Discovery is "exclusive" if only the nodes of such constraints can run the resource.
		Discovery string `xml:"resource-discovery,attr"`
	} `xml:"configuration>constraints>rsc_location"`
}

// items has the resources of the configuration, of a group, or of a clone.
type items struct {
	ID         string      `xml:"id,attr"`
	Primitives []primitive `xml:"primitive"`
	Groups     []items     `xml:"group"`
	Clones     []items     `xml:"clone"`
}

type primitive struct {
	ID       string `xml:"id,attr"`
	Provider string `xml:"provider,attr"`
	Type     string `xml:"type,attr"`
	Params   []struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	} `xml:"instance_attributes>nvpair"`
}

// all returns the primitives of the items and of the items in them.
func (i items) all() []primitive {
	list := slices.Clone(i.Primitives)
	for _, inner := range slices.Concat(i.Groups, i.Clones) {
		list = append(list, inner.all()...)
	}
	return list
}

func (p primitive) param(name string) string {
	for _, pair := range p.Params {
		if pair.Name == name {
			return pair.Value
		}
	}
	return ""
}

func (p primitive) is(provider, kind string) bool { return p.Provider == provider && p.Type == kind }

// VIP is a virtual address of the cluster.
type VIP struct {
	Resource string
	IP       netip.Addr
	NIC      string // NIC is empty if the agent chooses the interface.
}

// vips returns the virtual addresses that are primitives of the cluster.
func (c configuration) vips() (list []VIP) {
	for _, p := range c.Resources.all() {
		if !p.is("lvs", "vip") && !p.is("heartbeat", "IPaddr2") {
			continue
		}
		if ip, err := netip.ParseAddr(p.param("ip")); err == nil {
			list = append(list, VIP{p.ID, ip, p.param("nic")})
		}
	}
	return list
}

// moves returns the constraints that a move of a resource has left.
func (c configuration) moves() (findings []Finding) {
	for _, l := range c.Locations {
		if strings.HasPrefix(l.ID, "cli-prefer-") {
			findings = append(findings, Finding{
				fmt.Sprintf("resource %s always returns to node %s, even when it has failed there", l.Resource, l.Node),
				"a command has moved it: constraint " + l.ID, "crm_resource --clear --resource=" + l.Resource,
			})
		}
	}
	return findings
}

// order returns the groups whose virtual address starts before the virtual services.
func (c configuration) order() (findings []Finding) {
	groups := c.Resources.Groups
	for _, clone := range c.Resources.Clones {
		groups = append(slices.Clip(groups), clone.Groups...)
	}
	for _, g := range groups {
		vip := slices.IndexFunc(g.Primitives, func(p primitive) bool { return p.is("lvs", "vip") || p.is("heartbeat", "IPaddr2") })
		table := slices.IndexFunc(g.Primitives, func(p primitive) bool { return p.is("lvs", "ipvs") })
		if vip >= 0 && vip < table {
			findings = append(findings, Finding{
				"each move of group " + g.ID + " refuses connections for a moment",
				fmt.Sprintf("%s is before %s in the group, so the address exists without the service", g.Primitives[vip].ID, g.Primitives[table].ID),
				fmt.Sprintf("pcs resource group add %s %s --after %s, or crm configure edit %[1]s", g.ID, g.Primitives[vip].ID, g.Primitives[table].ID),
			})
		}
	}
	return findings
}

// everywhere reports whether each director has the virtual services, because an ipvs resource is a
// clone.
func (c configuration) everywhere() bool {
	for _, clone := range c.Resources.Clones {
		if slices.ContainsFunc(clone.all(), func(p primitive) bool { return p.is("lvs", "ipvs") }) {
			return true
		}
	}
	return false
}

// agents returns the names of the agents of lvs-agents that the configuration uses.
func (c configuration) agents() (names []string) {
	for _, p := range c.Resources.all() {
		if p.Provider == "lvs" && !slices.Contains(names, p.Type) {
			names = append(names, p.Type)
		}
	}
	slices.Sort(names)
	return names
}
