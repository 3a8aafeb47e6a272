package fwmark

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"

	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
	"lvs-agents/ocf"
)

// kinds are the kinds of rules.
var kinds = []host.SettingKind{host.NFTMarks, host.IPTablesMarks}

// setting returns the rules of a resource.
func setting(kind host.SettingKind, c ocf.Call) host.Setting {
	return host.Setting{Kind: kind, Name: name(c.Instance)}
}

// longest is the number of bytes that the name of a chain of iptables can have (XT_CHAINLABEL in
// iptables, XT_EXTENSION_MAXNAMELEN in linux/netfilter/x_tables.h).
const longest = 28

// name returns the name of the table and of the chain. Different ids have different names, except
// for ids with the same checksum.
func name(id string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, id)
	name := "fwmark-" + plain
	if plain == id && len(name) <= longest {
		return name
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(id))
	return fmt.Sprintf("%s_%08x", name[:min(len(name), longest-9)], sum.Sum32())
}

// want returns the rules that the parameters need.
func (a *Agent) want(ctx context.Context, c ocf.Call) ([]ledger.Wanted, error) {
	m := a.marks()
	kind, err := a.kind(ctx, c, m)
	if err != nil {
		return nil, err
	}
	return []ledger.Wanted{{Setting: setting(kind, c), Value: m.String()}}, nil
}

// marks returns the marks of the parameters.
func (a *Agent) marks() host.Marks {
	m := host.Marks{Mark: a.Mark, IP: a.IP, Protocols: a.Protocols, Ports: a.Ports, Interface: a.NIC}
	if len(a.IP) == 0 {
		m.IP = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	}
	switch a.Family {
	case IPv4:
		m = m.Family(false)
	case IPv6:
		m = m.Family(true)
	case Any:
	}
	return m.Normal()
}

// kind returns the kind of rules. With Auto, a resource that already has rules of nftables keeps
// this kind. New rules are rules of legacy iptables only if the site uses its table mangle, or if
// nftables is missing.
func (a *Agent) kind(ctx context.Context, c ocf.Call, m host.Marks) (host.SettingKind, error) {
	switch a.Method {
	case NFTables:
		return host.NFTMarks, a.kernel.Usable(ctx, host.NFTMarks, m)
	case IPTables:
		return host.IPTablesMarks, a.kernel.Usable(ctx, host.IPTablesMarks, m)
	case Auto:
	}
	if value, err := a.kernel.Get(ctx, setting(host.NFTMarks, c)); err == nil && value != host.Off {
		return host.NFTMarks, nil
	}
	order := kinds
	if a.kernel.UsesIPTables(ctx) {
		order = []host.SettingKind{host.IPTablesMarks, host.NFTMarks}
	}
	var lacks []error
	for _, kind := range order {
		err := a.kernel.Usable(ctx, kind, m)
		if err == nil {
			return kind, nil
		}
		lacks = append(lacks, err)
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return "", host.NotInstalled("this host has neither nftables nor legacy iptables: %s", strings.ReplaceAll(errors.Join(lacks...).Error(), "\n", "; "))
}
