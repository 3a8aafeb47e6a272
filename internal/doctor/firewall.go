package doctor

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// packet is the first packet of a connection. The address of its sender is unknown.
type packet struct {
	what     string // what names the packets in findings.
	hook     string // hook is a built-in chain of iptables.
	protocol string
	to       netip.AddrPort
}

// answer is the answer of a match: rules can depend on the sender, or on what the doctor does not
// know.
type answer int

const (
	no answer = iota
	maybe
	yes
)

// ruleset is the output of iptables-save: the rules of each table and chain.
type ruleset struct {
	rules  map[string][][]string // rules has the words of the rules, by table and chain.
	policy map[string]string
}

func parseRules(text string) ruleset {
	r := ruleset{map[string][][]string{}, map[string]string{}}
	table := ""
	for line := range strings.Lines(text) {
		words := quoted(strings.TrimSpace(line))
		switch {
		case len(words) == 0:
		case strings.HasPrefix(words[0], "*"):
			table = words[0][1:]
		case strings.HasPrefix(words[0], ":") && len(words) > 1:
			r.policy[table+" "+words[0][1:]] = words[1]
		case words[0] == "-A" && len(words) > 1:
			chain := table + " " + words[1]
			r.rules[chain] = append(r.rules[chain], words[2:])
		}
	}
	return r
}

// quoted splits a line into words. A word in quotation marks can have spaces.
func quoted(line string) (words []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}

// drops returns the rule, or the policy, that certainly drops a packet, and the options that insert
// a rule before it. Each table has a lower priority than IPVS, except nat, which drops nothing.
func (r ruleset) drops(p packet) (by, insert string) {
	for _, table := range []string{"raw", "mangle", "filter", "security"} {
		for _, chain := range chains[p.hook] {
			if verdict, by := r.walk(table, chain, p, 0); verdict == "DROP" {
				return by, "-t " + table + " -I " + chain
			}
		}
	}
	return "", ""
}

// chains are the built-in chains that a packet passes, by its hook.
var chains = map[string][]string{"INPUT": {"PREROUTING", "INPUT"}, "OUTPUT": {"OUTPUT"}}

// deepest is the number of chains in chains that walk follows.
const deepest = 16

// walk returns what happens to a packet in a chain: ACCEPT, DROP, an empty text at the end of a
// chain, or unknown.
func (r ruleset) walk(table, chain string, p packet, depth int) (verdict, by string) {
	const unknown = "unknown"
	if depth > deepest {
		return unknown, ""
	}
	for _, words := range r.rules[table+" "+chain] {
		matches, target := match(words, p)
		if matches == no {
			continue
		}
		rule := fmt.Sprintf("-t %s -A %s %s", table, chain, strings.Join(words, " "))
		switch target {
		case "ACCEPT", "RETURN":
			if matches == maybe {
				return unknown, ""
			}
			if target == "RETURN" {
				return r.end(table, chain)
			}
			return target, rule
		case "DROP", "REJECT":
			if matches == yes {
				return "DROP", rule
			}
		default:
			inner, by := r.walk(table, target, p, depth+1)
			if inner == "DROP" && matches == yes || inner == unknown || inner == "ACCEPT" && matches == yes {
				return inner, by
			}
			if inner == "ACCEPT" {
				return unknown, ""
			}
		}
	}
	return r.end(table, chain)
}

// end returns what happens to a packet at the end of a chain.
func (r ruleset) end(table, chain string) (verdict, by string) {
	if r.policy[table+" "+chain] == "DROP" {
		return "DROP", fmt.Sprintf("-t %s -P %s DROP", table, chain)
	}
	return "", ""
}

// match returns whether a rule matches a packet, and the target of the rule.
func match(words []string, p packet) (matches answer, target string) {
	matches = yes
	negated := false
	for i := 0; i+1 < len(words); i++ {
		word, value := words[i], words[i+1]
		if word == "!" {
			negated = true
			continue
		}
		var a answer
		switch word {
		case "-j":
			return matches, value
		case "-g":
			return min(matches, maybe), "RETURN" // The doctor does not follow a jump without a way back.
		case "-m", "--comment":
			a = yes
		case "-p":
			a = is(value == p.protocol || value == "all")
		case "-d":
			a = is(within(value, p.to.Addr()))
		case "--dport", "--dports":
			a = is(slices.ContainsFunc(strings.Split(value, ","), func(s string) bool { return ports(s, p.to.Port()) }))
		case "--ctstate", "--state":
			a = is(slices.Contains(strings.Split(value, ","), "NEW"))
		case "-i", "-o":
			a = min(maybe, is(value != "lo")) // Packets of the doctor's questions do not use lo.
		default:
			a = maybe
		}
		if !strings.HasPrefix(word, "-") { // A second value of an option that the doctor does not know.
			a = maybe
		}
		if negated {
			a, negated = yes-a, false
		}
		matches = min(matches, a)
		i++
	}
	return matches, ""
}

func is(fact bool) answer {
	if fact {
		return yes
	}
	return no
}

func within(network string, ip netip.Addr) bool {
	if prefix, err := netip.ParsePrefix(network); err == nil {
		return prefix.Contains(ip)
	}
	other, err := netip.ParseAddr(network)
	return err == nil && other == ip
}

// ports reports whether a range of iptables, for example 80:90, contains a port.
func ports(text string, port uint16) bool {
	first, last, isRange := strings.Cut(text, ":")
	if !isRange {
		last = first
	}
	from, err := strconv.Atoi(first)
	to, wrong := strconv.Atoi(last)
	return err == nil && wrong == nil && from <= int(port) && int(port) <= to
}

// firewall returns the rules that drop packets of clients to virtual services, or packets of checks
// to real servers.
func firewall(f Facts) (findings []Finding) {
	for _, program := range slices.Sorted(maps.Keys(f.Rules)) {
		rules := parseRules(f.Rules[program])
		for _, p := range packets(f) {
			if p.to.Addr().Is6() != strings.HasPrefix(program, "ip6") {
				continue
			}
			by, insert := rules.drops(p)
			if by == "" {
				continue
			}
			tool := strings.TrimSuffix(program, "-save")
			findings = append(findings, p.dropped("the rule "+tool+" "+by,
				fmt.Sprintf("%s %s -p %s -d %s --dport %d -j ACCEPT", tool, insert, p.protocol, p.to.Addr(), p.to.Port())))
		}
	}
	if f.nftables == nil {
		return findings
	}
	saved := map[string]ruleset{"ip": parseRules(f.Rules["iptables-save"]), "ip6": parseRules(f.Rules["ip6tables-save"])}
	for _, p := range packets(f) {
		// The rules of iptables-save can be in nftables, and then they are examined already.
		base, by := f.nftables.drops(p, func(chain nftName) bool {
			_, ok := saved[chain.family].policy[chain.table+" "+chain.name]
			return ok && !isLegacy(f.Rules, chain.family)
		})
		if base == nil {
			continue
		}
		family := map[bool]string{false: "ip", true: "ip6"}[p.to.Addr().Is6()]
		findings = append(findings, p.dropped(by,
			fmt.Sprintf("nft insert rule %s %s daddr %s %s dport %d accept", base.name, family, p.to.Addr(), p.protocol, p.to.Port())))
	}
	return findings
}

// isLegacy reports whether the output of iptables-save or ip6tables-save has the rules of legacy
// iptables, which are not in nftables. Old versions for nftables do not print their kind.
func isLegacy(rules map[string]string, family string) bool {
	program := family + "tables"
	_, uses := rules[program+"-legacy-save"]
	return uses && !strings.Contains(rules[program+"-save"], "(nf_tables)")
}

// dropped returns the finding about a rule that drops a packet. The command accept adds a rule
// before that rule.
func (p packet) dropped(by, accept string) Finding {
	return Finding{fmt.Sprintf("packets of %s %s are dropped", p.what, p.to), by + " drops them", accept + ", and the same in the configuration of the firewall"}
}

// packets returns the packets that the firewall must not drop. It leaves out services with a mark,
// because their addresses and ports are unknown, and checks that do not leave this host.
func packets(f Facts) (list []packet) {
	for _, v := range f.Table {
		if v.ID.Mark != 0 {
			continue
		}
		list = append(list, packet{"clients to virtual service", "INPUT", v.ID.Protocol.String(), v.ID.Addr})
		for _, d := range v.Destinations {
			p := packet{"checks to real server", "OUTPUT", v.ID.Protocol.String(), d.Addr}
			if !f.has(d.Addr.Addr()) && !slices.Contains(list, p) {
				list = append(list, p)
			}
		}
	}
	return list
}

// has reports whether this host has an address.
func (f *Facts) has(ip netip.Addr) bool {
	return ip.IsLoopback() || slices.ContainsFunc(f.Links, func(l Link) bool {
		return slices.ContainsFunc(l.Networks, func(p netip.Prefix) bool { return p.Addr() == ip })
	})
}
