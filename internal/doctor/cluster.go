package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// monitor is the part of crm_mon's XML output that the doctor reads.
type monitor struct {
	DC struct {
		Present bool `xml:"present,attr"`
		Quorum  bool `xml:"with_quorum,attr"`
	} `xml:"summary>current_dc"`
	Options struct {
		Fencing     bool   `xml:"stonith-enabled,attr"`
		NoQuorum    string `xml:"no-quorum-policy,attr"`
		Maintenance bool   `xml:"maintenance-mode,attr"`
	} `xml:"summary>cluster_options"`
	Nodes     []node    `xml:"nodes>node"`
	Resources container `xml:"resources"`
	History   []struct {
		Name      string `xml:"name,attr"`
		Resources []struct {
			ID    string `xml:"id,attr"`
			Fails string `xml:"fail-count,attr"` // Fails is a number or INFINITY.
		} `xml:"resource_history"`
	} `xml:"node_history>node"`
	Bans []struct {
		ID       string `xml:"id,attr"`
		Resource string `xml:"resource,attr"`
		Node     string `xml:"node,attr"`
	} `xml:"bans>ban"`
}

type node struct {
	Name        string `xml:"name,attr"`
	Online      bool   `xml:"online,attr"`
	Standby     bool   `xml:"standby,attr"`
	Maintenance bool   `xml:"maintenance,attr"`
	Unclean     bool   `xml:"unclean,attr"`
}

// container has the resources of the cluster, of a group, or of a clone.
type container struct {
	ID        string      `xml:"id,attr"`
	Managed   string      `xml:"managed,attr"` // Managed is empty in the output of older versions.
	Resources []resource  `xml:"resource"`
	Groups    []container `xml:"group"`
	Clones    []container `xml:"clone"`
}

type resource struct {
	ID      string `xml:"id,attr"`
	Agent   string `xml:"resource_agent,attr"`
	Blocked bool   `xml:"blocked,attr"`
	Failed  bool   `xml:"failed,attr"`
	Managed bool   `xml:"managed,attr"`
	Role    string `xml:"target_role,attr"` // Role is the role that the operator wants. It can be empty.
	Nodes   []node `xml:"node"`             // Nodes are the nodes where the resource runs.
}

// all returns the resources of the container and of the containers in it.
func (c container) all() []resource {
	list := c.Resources
	for _, inner := range append(c.Groups, c.Clones...) {
		list = append(list, inner.all()...)
	}
	return list
}

// faults returns the faults of the resources. In maintenance mode, no resource is managed.
func (c container) faults(maintenance bool) []Finding {
	if c.Managed == "false" && !maintenance {
		return []Finding{unmanaged(c.ID)}
	}
	var findings []Finding
	for _, r := range c.Resources {
		findings = append(findings, r.faults(maintenance)...)
	}
	for _, inner := range slices.Concat(c.Groups, c.Clones) {
		findings = append(findings, inner.faults(maintenance)...)
	}
	return findings
}

func unmanaged(id string) Finding {
	return Finding{"the cluster does not move resource " + id, "the resource is not managed",
		"crm_resource --resource=" + id + " --meta --delete-parameter=is-managed; also remove its option maintenance"}
}

// quorum returns the faults of the quorum.
func (m monitor) quorum() (findings []Finding) {
	if !m.DC.Quorum {
		findings = append(findings, Finding{"the directors of this partition have no quorum", "too few nodes reach each other",
			"start the other nodes, or repair the links: corosync-quorumtool -s; corosync-cfgtool -s"})
	}
	if m.Options.NoQuorum == "ignore" {
		findings = append(findings, Finding{"two directors can have the virtual addresses at the same time", "no-quorum-policy is ignore",
			"crm_attribute --type=crm_config --name=no-quorum-policy --update=stop; two nodes need two_node: 1 in corosync.conf"})
	}
	return findings
}

func (m monitor) fencing() []Finding {
	switch {
	case !m.Options.Fencing:
		return []Finding{{"a director that hangs keeps the virtual addresses", "stonith-enabled is false",
			"configure a fence device, then crm_attribute --type=crm_config --name=stonith-enabled --update=true"}}
	case !m.fences():
		return []Finding{{"the cluster starts no resource, or waits without end when a director hangs",
			"stonith-enabled is true, and no fence device is configured", "configure a fence device for each director"}}
	}
	return nil
}

func (m monitor) maintenance() []Finding {
	if !m.Options.Maintenance {
		return nil
	}
	return []Finding{{"the cluster neither monitors nor moves resources", "maintenance-mode is true",
		"crm_attribute --type=crm_config --name=maintenance-mode --update=false"}}
}

func (m monitor) nodes() (findings []Finding) {
	for _, n := range m.Nodes {
		findings = append(findings, n.faults()...)
	}
	return findings
}

// resources returns the faults of the resources, each once. The XML has each instance of a clone.
func (m monitor) resources() (findings []Finding) {
	for _, f := range m.Resources.faults(m.Options.Maintenance) {
		if !slices.Contains(findings, f) {
			findings = append(findings, f)
		}
	}
	return findings
}

// fences reports whether the cluster has a fence device.
func (m monitor) fences() bool {
	for _, r := range m.Resources.all() {
		if strings.HasPrefix(r.Agent, "stonith:") {
			return true
		}
	}
	return false
}

func (n node) faults() []Finding {
	switch {
	case n.Unclean:
		return []Finding{{"resources of node " + n.Name + " are not taken over", "the node is unclean: it is not fenced yet",
			"examine the fence device: stonith_admin --history=" + n.Name}}
	case !n.Online:
		return []Finding{{"node " + n.Name + " cannot take over", "Pacemaker does not run there, or the node is not reachable",
			"on " + n.Name + ": systemctl start pacemaker"}}
	case n.Standby:
		return []Finding{{"node " + n.Name + " cannot take over", "the node is in standby",
			"crm_standby --node=" + n.Name + " --delete"}}
	case n.Maintenance:
		return []Finding{{"the cluster neither monitors nor moves resources of node " + n.Name, "the node is in maintenance",
			"crm_attribute --node=" + n.Name + " --name=maintenance --delete"}}
	}
	return nil
}

func (r resource) faults(maintenance bool) []Finding {
	repaired := "repair the cause, then crm_resource --cleanup --resource=" + r.ID
	switch {
	case r.Blocked:
		return []Finding{{"the cluster does not touch resource " + r.ID, "the resource is blocked after a failure", repaired}}
	case r.Failed:
		return []Finding{{"resource " + r.ID + " does not work", "its last action failed", repaired}}
	case !r.Managed && !maintenance:
		return []Finding{unmanaged(r.ID)}
	}
	return nil
}

// failures returns what failures of resources have left.
func (m monitor) failures() (findings []Finding) {
	for _, n := range m.History {
		for _, r := range n.Resources {
			if r.Fails == "" || r.Fails == "0" {
				continue
			}
			findings = append(findings, Finding{fmt.Sprintf("resource %s avoids node %s, now or after more failures", r.ID, n.Name),
				"its fail count there is " + r.Fails, fmt.Sprintf("repair the cause, then crm_resource --cleanup --resource=%s --node=%s", r.ID, n.Name)})
		}
	}
	return findings
}

// bans returns the bans that commands have left.
func (m monitor) bans() (findings []Finding) {
	for _, b := range m.Bans {
		if !strings.HasPrefix(b.ID, "cli-ban-") { // Other constraints belong to the configuration.
			continue
		}
		findings = append(findings, Finding{fmt.Sprintf("resource %s cannot run on node %s", b.Resource, b.Node),
			"a command has banned it: constraint " + b.ID, fmt.Sprintf("crm_resource --clear --resource=%s --node=%s", b.Resource, b.Node)})
	}
	return findings
}
