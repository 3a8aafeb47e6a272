package host

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Marks says which incoming packets get a mark. Normal sorts its lists.
type Marks struct {
	Mark uint32
	// IP are the destination addresses. 0.0.0.0/0 and ::/0 mean all addresses of a family.
	IP        []netip.Prefix
	Protocols []string // Protocols are some of MarkProtocols.
	Ports     []Ports  // Ports are the destination ports. Empty means all ports.
	Interface string   // Interface is where the packets arrive. Empty means all interfaces.
}

// Ports is a range of ports.
type Ports struct{ First, Last uint16 }

// MarkProtocols are the protocols that IPVS balances.
var MarkProtocols = []string{"tcp", "udp", "sctp"}

// Normal returns the same marks with sorted lists. Overlapping networks and ports are joined.
func (m Marks) Normal() Marks {
	m.IP = joinNetworks(m.IP)
	m.Ports = joinPorts(m.Ports)
	m.Protocols = slices.DeleteFunc(slices.Clone(MarkProtocols), func(p string) bool { return !slices.Contains(m.Protocols, p) })
	return m
}

// joinNetworks sorts networks. It leaves out each network that is part of another network.
func joinNetworks(networks []netip.Prefix) []netip.Prefix {
	var list []netip.Prefix
	for _, p := range networks {
		list = append(list, p.Masked())
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var joined []netip.Prefix
	for _, p := range list {
		if len(joined) == 0 || !joined[len(joined)-1].Overlaps(p) {
			joined = append(joined, p)
		}
	}
	return joined
}

// joinPorts sorts ranges, and joins ranges that overlap or touch.
func joinPorts(ranges []Ports) []Ports {
	list := slices.Clone(ranges)
	slices.SortFunc(list, func(a, b Ports) int { return cmp.Compare(a.First, b.First) })
	var joined []Ports
	for _, p := range list {
		if n := len(joined) - 1; n >= 0 && int(p.First) <= int(joined[n].Last)+1 {
			joined[n].Last = max(joined[n].Last, p.Last)
			continue
		}
		joined = append(joined, p)
	}
	return joined
}

// Family returns the marks of IPv4 or of IPv6 alone.
func (m Marks) Family(six bool) Marks {
	m.IP = slices.DeleteFunc(slices.Clone(m.IP), func(p netip.Prefix) bool { return p.Addr().Is6() != six })
	return m
}

// Overlaps reports whether a packet can get both marks.
func (m Marks) Overlaps(other Marks) bool {
	if m.Interface != "" && other.Interface != "" && m.Interface != other.Interface {
		return false
	}
	all := []Ports{{0, math.MaxUint16}}
	return slices.ContainsFunc(m.IP, func(a netip.Prefix) bool { return slices.ContainsFunc(other.IP, a.Overlaps) }) &&
		slices.ContainsFunc(m.Protocols, func(p string) bool { return slices.Contains(other.Protocols, p) }) &&
		slices.ContainsFunc(or(m.Ports, all), func(a Ports) bool {
			return slices.ContainsFunc(or(other.Ports, all), func(b Ports) bool { return a.First <= b.Last && b.First <= a.Last })
		})
}

func or(list, otherwise []Ports) []Ports {
	if len(list) == 0 {
		return otherwise
	}
	return list
}

// String returns the range as a text that ParsePorts parses.
func (p Ports) String() string { return p.text("-") }

func (p Ports) text(to string) string {
	if p.First == p.Last {
		return strconv.Itoa(int(p.First))
	}
	return fmt.Sprintf("%d%s%d", p.First, to, p.Last)
}

// ParsePorts parses a port (80), or a range of ports as nft (8000-8010) or iptables (8000:8010)
// write it.
func ParsePorts(text string) (Ports, error) {
	first, last, ok := strings.Cut(strings.Replace(text, ":", "-", 1), "-")
	if !ok {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	if errors.Join(err, err2) != nil || from == 0 || to < from {
		return Ports{}, fmt.Errorf("%q is not a port from 1 to 65535 or a range of ports", text)
	}
	return Ports{uint16(from), uint16(to)}, nil
}

// String returns the marks as a text that ParseMarks parses.
func (m Marks) String() string {
	words := []string{fmt.Sprintf("mark=%d", m.Mark), "ip=" + join(m.IP, NetworkText), "proto=" + strings.Join(m.Protocols, ",")}
	if len(m.Ports) > 0 {
		words = append(words, "ports="+join(m.Ports, Ports.String))
	}
	if m.Interface != "" {
		words = append(words, "interface="+m.Interface)
	}
	return strings.Join(words, " ")
}

func join[T any](list []T, text func(T) string) string {
	words := make([]string, 0, len(list))
	for _, item := range list {
		words = append(words, text(item))
	}
	return strings.Join(words, ",")
}

// NetworkText returns a network as ParseNetwork parses it: a single host has no prefix length.
func NetworkText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// ParseMarks parses the text of String. It refuses marks that are not as Normal returns them.
func ParseMarks(text string) (Marks, error) {
	var m Marks
	for word := range strings.SplitSeq(text, " ") {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "mark":
			var mark uint64
			mark, err = strconv.ParseUint(value, 10, 32)
			m.Mark = uint32(mark)
		case "ip":
			m.IP, err = parseList(value, ParseNetwork)
		case "proto":
			m.Protocols = strings.Split(value, ",")
		case "ports":
			m.Ports, err = parseList(value, ParsePorts)
		case "interface":
			m.Interface = value
		default:
			err = errors.New("unknown word")
		}
		if err != nil {
			return m, fmt.Errorf("marks %q: %q: %w", text, word, err)
		}
	}
	if m.Mark == 0 || len(m.IP) == 0 || len(m.Protocols) == 0 || m.String() != m.Normal().String() {
		return m, fmt.Errorf("marks %q: %w", text, errIncomplete)
	}
	return m, nil
}

func parseList[T any](text string, parse func(string) (T, error)) ([]T, error) {
	var list []T
	for word := range strings.SplitSeq(text, ",") {
		item, err := parse(word)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}

// ParseNetwork parses an address, or a network with its prefix length.
func ParseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q is not an address or a network", text)
	}
	return p.Masked(), nil
}

// NFTPriority is the priority of the chain with the marks: one after mangle, the priority of rules
// that set marks or restore them from connection tracking. So such rules do not replace our mark.
const NFTPriority = -149

// nftTable returns the table as nft reads it.
func (m Marks) nftTable(name string) string {
	var rules strings.Builder
	for _, six := range []bool{false, true} {
		f := m.Family(six)
		if len(f.IP) == 0 {
			continue
		}
		if m.Interface != "" {
			fmt.Fprintf(&rules, " iifname %q", m.Interface)
		}
		if f.IP[0].Bits() == 0 {
			rules.WriteString(choose(six, " meta nfproto ipv6", " meta nfproto ipv4"))
		} else {
			fmt.Fprintf(&rules, " %s daddr { %s }", choose(six, "ip6", "ip"), join(f.IP, NetworkText))
		}
		fmt.Fprintf(&rules, " meta l4proto { %s }", strings.Join(m.Protocols, ","))
		if len(m.Ports) > 0 {
			fmt.Fprintf(&rules, " th dport { %s }", join(m.Ports, Ports.String))
		}
		fmt.Fprintf(&rules, " counter meta mark set %d;", m.Mark)
	}
	return fmt.Sprintf("table inet %s { chain prerouting { type filter hook prerouting priority %d;%s }; }", name, NFTPriority, rules.String())
}

// multiport is the number of ports that a rule of iptables can have. A range counts twice.
const multiport = 15

// IPTablesRules returns the rules of one family in the format of iptables -S.
func (m Marks) IPTablesRules(chain string, six bool) []string {
	var rules []string
	for _, ip := range m.Family(six).IP {
		for _, protocol := range m.Protocols {
			for _, ports := range chunks(m.Ports) {
				rule := "-A " + chain
				if ip.Bits() > 0 {
					rule += " -d " + ip.String()
				}
				if m.Interface != "" {
					rule += " -i " + m.Interface
				}
				rule += " -p " + protocol
				if len(ports) > 0 {
					rule += " -m multiport --dports " + join(ports, func(p Ports) string { return p.text(":") })
				}
				rules = append(rules, fmt.Sprintf("%s -j MARK --set-xmark 0x%x/0xffffffff", rule, m.Mark))
			}
		}
	}
	return rules
}

// chunks splits ports into lists that each fit into one rule. Without ports, it returns one empty
// list.
func chunks(ports []Ports) [][]Ports {
	lists, used := [][]Ports{nil}, 0
	for _, p := range ports {
		cost := 1
		if p.First != p.Last {
			cost = 2
		}
		if used+cost > multiport {
			lists, used = append(lists, nil), 0
		}
		lists[len(lists)-1], used = append(lists[len(lists)-1], p), used+cost
	}
	return lists
}

// iptablesCommand returns the commands that add the chain and hook it.
func (m Marks) iptablesCommand(chain string) string {
	var commands []string
	for six, program := range IPTables {
		rules := m.IPTablesRules(chain, six == 1)
		if len(rules) == 0 {
			continue
		}
		commands = append(commands, program+" -t mangle -N "+chain)
		for _, rule := range rules {
			commands = append(commands, program+" -t mangle "+rule)
		}
		commands = append(commands, program+" -t mangle -I PREROUTING -j "+chain)
	}
	return strings.Join(commands, " && ")
}

// IPTables are the programs of legacy iptables for IPv4 and IPv6.
var IPTables = [2]string{"iptables-legacy", "ip6tables-legacy"}
