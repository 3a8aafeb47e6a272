package attribute

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"
)

// Keep sets a permanent attribute of a node of the cluster. The attribute is in the configuration
// of the cluster (CIB), so it stays after a reboot of the node.
func (n Node) Keep(ctx context.Context, node, name, value string) error {
	_, err := n.run(ctx, "crm_attribute", "-N", node, "-n", name, "-v", value, "-l", "forever")
	return err
}

// Forget removes a permanent attribute of a node. An attribute that does not exist is not an error.
func (n Node) Forget(ctx context.Context, node, name string) error {
	_, err := n.run(ctx, "crm_attribute", "-N", node, "-n", name, "-D", "-l", "forever")
	return err
}

// Name returns the name of this node in the cluster.
func (n Node) Name(ctx context.Context) (string, error) {
	out, err := n.run(ctx, "crm_node", "-n")
	return strings.TrimSpace(out), err
}

// Kept returns the permanent attributes whose name begins with prefix, by the name of the node. The
// map has every node of the cluster.
func (n Node) Kept(ctx context.Context, prefix string) (map[string]map[string]string, error) {
	out, err := n.run(ctx, "cibadmin", "-Q", "-o", "nodes")
	if err != nil {
		return nil, err
	}
	var nodes struct {
		Nodes []struct {
			Name       string `xml:"uname,attr"`
			Attributes []struct {
				Name  string `xml:"name,attr"`
				Value string `xml:"value,attr"`
			} `xml:"instance_attributes>nvpair"`
		} `xml:"node"`
	}
	if err := xml.Unmarshal([]byte(out), &nodes); err != nil {
		return nil, fmt.Errorf("the nodes in the CIB: %w", err)
	}
	kept := map[string]map[string]string{}
	for _, node := range nodes.Nodes {
		kept[node.Name] = map[string]string{}
		for _, a := range node.Attributes {
			if strings.HasPrefix(a.Name, prefix) {
				kept[node.Name][a.Name] = a.Value
			}
		}
	}
	return kept, nil
}
