package fwmark

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/host"
	"lvs-agents/metadata"
)

// Metadata returns the parameters and actions of the agent.
func (a *Agent) Metadata() metadata.Agent {
	return metadata.Agent{
		Name:  "fwmark",
		Short: "Packet marks for virtual services",
		Long: `Gives incoming packets a mark, so that a virtual service of this mark (virtual=10 in ocf:lvs:ipvs or ldirectord.cf) balances them. Several ports or addresses then are one service: with persistence, a client gets the same real server on all of them. Start it before the virtual address, as a clone on all directors.

The rules are a table of nftables, or a chain in the table mangle of legacy iptables. Its name is fwmark-ID, where ID is the id of the resource. In iptables, PREROUTING also gets one rule that jumps to the chain. The agent changes nothing else. It needs neither the program nft nor the kernel modules nft_compat and xt_ipvs.

Monitor reads the rules and compares them exactly. It fails if the ruleset was flushed, if a rule was changed, or if another rule of iptables can accept packets before our chain. Start then repairs the rules. If another resource on this node gives some of the same packets another mark, start fails and names that resource. A change of the parameters replaces the rules in one step, and no packet misses its mark. Stop removes everything with the name of the resource.

The rules are in PREROUTING. Connections that the director itself opens to the virtual address come back through lo, and get the mark there, unless the parameter interface is set. With direct routing, they need another source address than the virtual address. They also need the sysctl accept_local=1 on the interface to the real servers. Otherwise the kernel drops the replies. The nftables chain runs after the usual priority of rules that set marks. Rules that run later still replace the mark, for example with a priority above -149, or rules of iptables after our chain.

IPVS balances TCP, UDP and SCTP. ICMP errors of a connection need no mark, because IPVS finds the connection in them.`,
		Params:  a.params(),
		Actions: actions,
		Examples: []metadata.Example{
			{Title: "HTTP and HTTPS of one address as one service", ID: "web-mark", Params: [][2]string{{"mark", "10"}, {"ip", "192.0.2.10"}, {"ports", "80,443"}}},
			{Title: "All ports of two addresses, over both protocols of DNS", ID: "dns-mark", Params: [][2]string{{"mark", "20"}, {"ip", "192.0.2.53 2001:db8::53"}, {"proto", "tcp,udp"}}},
			{Title: "FTP with passive ports, on one interface, with legacy iptables", ID: "ftp-mark", Params: [][2]string{
				{"mark", "0x1e"}, {"ip", "192.0.2.10"}, {"ports", "21,50000-50999"}, {"interface", "eth0"}, {"method", "iptables"},
			}},
		},
	}
}

var actions = []metadata.Action{
	{Name: "start", Timeout: 20 * time.Second},
	{Name: "stop", Timeout: 20 * time.Second},
	{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second},
	{Name: "reload-agent", Timeout: 20 * time.Second},
	{Name: "validate-all", Timeout: 10 * time.Second},
	{Name: "meta-data", Timeout: 5 * time.Second},
}

func (a *Agent) params() []metadata.Param {
	return []metadata.Param{
		{Name: "mark", Value: number{&a.Mark}, Required: true, Reloadable: true, Short: "The mark",
			Long: "The number that the packets get, from 1 to 4294967295, decimal or as 0x and hexadecimal digits. It is the number of the virtual service. The agent sets the whole mark, so no other rule can use some of its bits for these packets."},
		{Name: "ip", Value: list[netip.Prefix]{&a.IP, host.ParseNetwork, host.NetworkText}, Reloadable: true, Short: "Virtual IP addresses",
			Long: "Destination addresses of the packets: IPv4 and IPv6 addresses or networks (192.0.2.0/24), separated by blanks or commas. When unset, all addresses of the family: then packets for services of the director itself get the mark too."},
		{Name: "proto", Value: protocols{&a.Protocols}, Reloadable: true, Short: "Protocols",
			Long: "tcp, udp and sctp, separated by blanks or commas, or any for all three."},
		{Name: "ports", Value: list[host.Ports]{&a.Ports, host.ParsePorts, host.Ports.String}, Reloadable: true, Short: "Destination ports",
			Long: "Ports (80) and ranges of ports (8000-8010 or 8000:8010), separated by blanks or commas. When unset, all ports: then the director itself is not reachable on the address over these protocols."},
		{Name: "interface", Value: metadata.String(&a.NIC), Reloadable: true, Short: "Incoming interface",
			Long: "Only packets that arrive on this interface get the mark. Start and monitor fail while the interface is missing. When unset, packets of all interfaces get the mark, also packets of the director itself, which arrive on lo."},
		{Name: "family", Value: metadata.Select(&a.Family, string(Any), string(IPv4), string(IPv6)), Reloadable: true, Short: "Address family",
			Long: "Limits the marks to IPv4 or IPv6. It is useful without ip; addresses of the other family are refused."},
		{Name: "method", Value: metadata.Select(&a.Method, string(Auto), string(NFTables), string(IPTables)), Short: "Where the rules are",
			Long: "nftables, or iptables for the legacy iptables, with the programs iptables-legacy and ip6tables-legacy. With auto, the agent uses legacy iptables only if its table mangle has rules of this site, or if the kernel has no nftables. The program iptables of nftables is never used: it needs the kernel module nft_compat."},
	}
}

// number is a mark.
type number struct{ target *uint32 }

// Set parses a mark, decimal or hexadecimal.
func (v number) Set(text string) error {
	text = strings.TrimSpace(text)
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(text), "0x"), map[bool]int{true: 16, false: 10}[strings.HasPrefix(strings.ToLower(text), "0x")], 32)
	if err != nil || n == 0 {
		return errors.New("not a number from 1 to 4294967295, decimal or 0x and hexadecimal digits")
	}
	*v.target = uint32(n)
	return nil
}

// String returns the mark as a decimal number, or an empty text if it is unset.
func (v number) String() string {
	if *v.target == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(*v.target), 10)
}

// Type returns the content type of the parameter in the metadata of OCF.
func (v number) Type() string { return "string" }

// list is a list of items that are separated by blanks or commas.
type list[T comparable] struct {
	target *[]T
	parse  func(string) (T, error)
	text   func(T) string
}

// Set parses a list. An item can be there only once.
func (v list[T]) Set(text string) error {
	var items []T
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,\t\n", r) }) {
		item, err := v.parse(word)
		if err != nil {
			return err
		}
		if slices.Contains(items, item) {
			return fmt.Errorf("%q is there twice", word)
		}
		items = append(items, item)
	}
	if len(items) == 0 {
		return errors.New("the list is empty")
	}
	*v.target = items
	return nil
}

// String returns the items, separated by commas.
func (v list[T]) String() string {
	words := make([]string, 0, len(*v.target))
	for _, item := range *v.target {
		words = append(words, v.text(item))
	}
	return strings.Join(words, ",")
}

// Type returns the content type of the parameter in the metadata of OCF.
func (v list[T]) Type() string { return "string" }

// protocols is a list of protocols, or any for all of them.
type protocols struct{ target *[]string }

// Set parses a list of protocols.
func (v protocols) Set(text string) error {
	if strings.TrimSpace(text) == "any" {
		*v.target = slices.Clone(host.MarkProtocols)
		return nil
	}
	return v.list().Set(text)
}

// String returns the protocols, separated by commas.
func (v protocols) String() string { return v.list().String() }

// Type returns the content type of the parameter in the metadata of OCF.
func (v protocols) Type() string { return "string" }

func (v protocols) list() list[string] {
	return list[string]{v.target, protocol, func(p string) string { return p }}
}

// protocol parses one protocol.
func protocol(word string) (string, error) {
	if !slices.Contains(host.MarkProtocols, word) {
		return "", fmt.Errorf("%q is not a protocol that IPVS balances; give tcp, udp, sctp or any", word)
	}
	return word, nil
}
