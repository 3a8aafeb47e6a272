package crm

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"

	"lvs-agents/internal/config"
	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
	"lvs-agents/metadata"
)

// declared returns the operations that an agent declares and that the cluster runs for every
// resource.
func declared(agent string) ([]Operation, error) {
	doc, err := document(agent)
	if err != nil {
		return nil, err
	}
	var all []Operation
	for _, e := range doc.FindElements("//action") {
		op := Operation{Name: e.SelectAttrValue("name", "")}
		if op.Name != "start" && op.Name != "stop" && op.Name != "monitor" {
			continue
		}
		op.Timeout, _ = time.ParseDuration(e.SelectAttrValue("timeout", ""))
		op.Interval, _ = time.ParseDuration(e.SelectAttrValue("interval", ""))
		op.Depth, _ = strconv.Atoi(e.SelectAttrValue("depth", ""))
		all = append(all, op)
	}
	return all, nil
}

// unset returns the defaults of the parameters of an agent.
func unset(agent string) (map[string]string, error) {
	doc, err := document(agent)
	if err != nil {
		return nil, err
	}
	defaults := map[string]string{}
	for _, e := range doc.FindElements("//parameter") {
		if content := e.SelectElement("content"); content != nil {
			defaults[e.SelectAttrValue("name", "")] = content.SelectAttrValue("default", "")
		}
	}
	return defaults, nil
}

// document returns the meta-data of one of our agents.
func document(agent string) (*etree.Document, error) {
	text, err := metadata.Document(agent)
	if err != nil {
		return nil, err
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(text); err != nil {
		return nil, fmt.Errorf("meta-data of %s: %w", agent, err)
	}
	return doc, nil
}

// pairs collects parameters, and leaves out those without a value.
type pairs []Pair

func (p *pairs) add(name, value string) {
	if value != "" {
		*p = append(*p, Pair{name, value})
	}
}

func (p *pairs) yes(name string, given bool) {
	if given {
		p.add(name, "true")
	}
}

func (p *pairs) number(name string, n int) {
	if n != 0 {
		p.add(name, strconv.Itoa(n))
	}
}

// vipParams returns the parameters of ocf:lvs:vip.
func vipParams(a config.VirtualAddress) []Pair {
	var p pairs
	p.add("ip", a.IP.String())
	p.add("nic", a.NIC)
	p.number("cidr_netmask", a.Bits)
	p.add("broadcast", a.Broadcast)
	p.add("iflabel", a.Label)
	p.add("network_namespace", a.Namespace)
	p.yes("noprefixroute", a.NoPrefixRoute)
	p.yes("check_link_status", a.CheckLink)
	p.yes("nodad", a.NoDAD)
	p.add("preferred_lft", a.PreferredLft)
	p.yes("lvs_support", a.OnLoopback)
	if n := a.Announce.Count; n != nil {
		p.add("arp_count", strconv.Itoa(*n))
	}
	p.number("arp_interval", int(a.Announce.Interval.Milliseconds()))
	if n := a.Announce.RefreshCount; n != nil {
		p.add("arp_count_refresh", strconv.Itoa(*n))
	}
	p.number("arp_refresh_interval", int(a.Announce.RefreshInterval/time.Second))
	p.add("duplicate", a.Duplicate)
	return p
}

// markParams returns the parameters of ocf:lvs:fwmark.
func markParams(m config.Mark) []Pair {
	var p pairs
	p.add("mark", strconv.FormatUint(uint64(m.Mark), 10))
	p.add("ip", joined(m.IP, host.NetworkText))
	if proto := strings.Join(m.Protocols, ","); proto != "tcp" {
		p.add("proto", proto)
	}
	p.add("ports", joined(m.Ports, host.Ports.String))
	p.add("interface", m.Interface)
	p.add("family", m.Family)
	return p
}

// syncParams returns the parameters of ocf:lvs:sync. Values that are the kernel's own are left out.
func syncParams(s config.Sync) []Pair {
	var p pairs
	p.add("interface", s.Interface)
	p.number("syncid", int(s.ID))
	if s.Group.IsValid() && s.Group != lvs.SyncGroup {
		p.add("group", s.Group.String())
	}
	if s.Port != lvs.SyncPort {
		p.number("port", int(s.Port))
	}
	if s.TTL != lvs.SyncTTL {
		p.number("ttl", int(s.TTL))
	}
	p.number("maxlen", int(s.MaxLen))
	p.add("peers", joined(s.Peers, netip.Addr.String))
	return p
}

func joined[T any](list []T, text func(T) string) string {
	words := make([]string, len(list))
	for i, item := range list {
		words[i] = text(item)
	}
	return strings.Join(words, ",")
}
