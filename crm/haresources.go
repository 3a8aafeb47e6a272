package crm

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"lvs-agents/internal/config/fault"
)

// scripts are the scripts of heartbeat for our agents, and the parameters in the first argument of
// each script.
var scripts = map[string]struct {
	name  string
	first []string
}{
	"ocf:lvs:ipvs":   {"lvsipvs", []string{"config"}},
	"ocf:lvs:health": {"lvshealth", []string{"config"}},
	"ocf:lvs:vip":    {"lvsvip", []string{"ip", "cidr_netmask", "nic", "broadcast"}},
}

// Haresources returns the resources of the form ClassicGroup as a line of heartbeat's haresources.
// The checks start before the address, because heartbeat does not monitor its resources. node is
// the preferred node. It is used if no location has one.
func (r Resources) Haresources(node string) (string, error) {
	switch {
	case len(r.Groups) != 1:
		return "", fault.Errorf("use the form group", "haresources can only have a group")
	case len(r.Clones) > 0:
		return "", fault.Errorf("configure "+r.Clones[0].Member+" outside of heartbeat", "heartbeat has no clones, so haresources cannot have %s", r.Clones[0].ID)
	}
	best := Score(0)
	for _, c := range r.Constraints {
		if l, ok := c.(Location); ok && l.Node != "" && l.Score > best {
			node, best = l.Node, l.Score
		}
	}
	if node == "" {
		return "", errors.New("haresources needs the name of the preferred director; the configuration has none")
	}
	if !nodeName.MatchString(node) {
		return "", fmt.Errorf("%s is not the name of a node; write the name as `uname -n` prints it", fault.Quote(node))
	}
	words, addresses := []string{node}, []string{}
	for _, id := range r.Groups[0].Members {
		word, address, err := r.script(id)
		switch {
		case err != nil:
			return "", fmt.Errorf("%s: %w", id, err)
		case address:
			addresses = append(addresses, word)
		default:
			words = append(words, word)
		}
	}
	return strings.Join(append(words, addresses...), " ") + "\n", nil
}

// script returns a resource as a word of haresources, and reports whether it is an address.
func (r Resources) script(id string) (word string, address bool, err error) {
	p := r.Primitives[slices.IndexFunc(r.Primitives, func(p Primitive) bool { return p.ID == id })]
	script, ok := scripts[p.Agent]
	if !ok {
		return "", false, fmt.Errorf("heartbeat has no script for %s; start it outside of heartbeat", p.Agent)
	}
	var first, others []string
	for _, name := range script.first {
		first = append(first, longAddress(value(p.Params, name)))
	}
	word = script.name + "::" + strings.TrimRight(strings.Join(first, "/"), "/")
	for _, param := range p.Params {
		if slices.Contains(script.first, param.Name) {
			continue
		}
		others = append(others, "::"+param.Name+"="+param.Value)
	}
	word = cmp.Or(word+strings.Join(others, ""), script.name)
	if strings.ContainsAny(word, " \t\n#\\") {
		return "", false, fault.Errorf("use a file (config=)", "haresources cannot have blanks, # or \\ in a value: %s", fault.Quote(word))
	}
	return word, p.Agent == "ocf:lvs:vip", nil
}

func value(pairs []Pair, name string) string {
	for _, p := range pairs {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// longAddress returns an IPv6 address without ::, because heartbeat splits a line at ::. Other
// texts remain as they are.
func longAddress(text string) string {
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Is4() {
		return text
	}
	parts := strings.Split(ip.StringExpanded(), ":")
	for i, part := range parts {
		parts[i] = cmp.Or(strings.TrimLeft(part, "0"), "0")
	}
	return strings.Join(parts, ":")
}
