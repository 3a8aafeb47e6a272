package doctor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// nftables is the output of nft --json list ruleset: the chains and sets of the families ip, ip6
// and inet.
type nftables struct {
	chains map[nftName]*nftChain
	sets   map[nftName][]any // sets has the elements of sets and of maps.
}

// nftName is the name of a chain, a set or a map.
type nftName struct{ family, table, name string }

func (n nftName) String() string { return n.family + " " + n.table + " " + n.name }

type nftChain struct {
	name nftName
	// kind is the type of a base chain, for example nat. Both are empty for other chains.
	kind, hook string
	priority   int
	policy     string
	rules      []nftRule
}

type nftRule struct {
	name       string // name names the rule in findings.
	statements []map[string]any
}

// nftObject is an object of the output: a table, a chain, a rule, a set or a map.
type nftObject struct {
	Family, Name, Table, Chain string
	Type                       any // Type is a list for a set of concatenations.
	Hook, Policy               string
	Prio, Handle               int
	Expr                       []map[string]any
	Elem                       []any
	Flags                      any
}

// ReadNftables reads the output of nft --json list ruleset.
func (f *Facts) ReadNftables(text string) error {
	var output struct {
		Nftables []struct{ Table, Chain, Rule, Set, Map *nftObject }
	}
	if err := json.Unmarshal([]byte(text), &output); err != nil {
		return fmt.Errorf("nft: %w", err)
	}
	n := &nftables{map[nftName]*nftChain{}, map[nftName][]any{}}
	dormant := map[nftName]bool{}
	for _, entry := range output.Nftables {
		o := cmp.Or(entry.Table, entry.Chain, entry.Rule, entry.Set, entry.Map)
		if o == nil || !slices.Contains([]string{"ip", "ip6", "inet"}, o.Family) || dormant[nftName{o.Family, o.Table, ""}] {
			continue
		}
		name := nftName{o.Family, o.Table, o.Name}
		switch o {
		case entry.Table:
			dormant[nftName{o.Family, o.Name, ""}] = sleeps(o.Flags)
		case entry.Chain:
			kind, _ := o.Type.(string)
			n.chains[name] = &nftChain{name, kind, o.Hook, o.Prio, o.Policy, nil}
		case entry.Rule:
			name.name = o.Chain
			if c := n.chains[name]; c != nil {
				c.rules = append(c.rules, nftRule{fmt.Sprintf("the rule with handle %d in chain %s of nftables", o.Handle, name), o.Expr})
			}
		default:
			n.sets[name] = o.Elem
		}
	}
	f.nftables = n
	return nil
}

// sleeps reports whether flags of a table can mean that the kernel does not use the table. Instead
// of the flag dormant, nft 1.0.6 prints the name of the table.
func sleeps(flags any) bool {
	list, ok := flags.([]any)
	if !ok {
		list = []any{flags}
	}
	return slices.ContainsFunc(list, func(flag any) bool { return flag != nil && flag != "owner" && flag != "persist" })
}

// ipvsPriority is the priority of IPVS in the hook input (net/netfilter/ipvs/ip_vs_core.c:
// NF_IP_PRI_NAT_SRC - 1). Chains after it never get the packets of clients. With the same priority,
// the hook that was registered last is the first (net/netfilter/core.c), so nothing is certain.
const ipvsPriority = 99

// drops returns the chain that a packet enters first, and where it is certainly dropped. Chains
// that skip reports are not examined, but they can change the packet.
func (n *nftables) drops(p packet, skip func(nftName) bool) (base *nftChain, by string) {
	hooks := map[string][]string{"INPUT": {"prerouting", "input"}, "OUTPUT": {"output"}}[p.hook]
	other := map[bool]string{true: "ip", false: "ip6"}[p.to.Addr().Is6()]
	var bases []*nftChain
	for _, c := range n.chains {
		if slices.Contains(hooks, c.hook) && c.name.family != other && (c.hook != "input" || c.priority < ipvsPriority) {
			bases = append(bases, c)
		}
	}
	slices.SortFunc(bases, func(a, b *nftChain) int {
		return cmp.Or(cmp.Compare(slices.Index(hooks, a.hook), slices.Index(hooks, b.hook)), cmp.Compare(a.priority, b.priority), cmp.Compare(a.name.String(), b.name.String()))
	})
	w := nftWalk{nftables: n, packet: p}
	for _, c := range bases {
		if c.kind != "nat" && skip(c.name) {
			continue
		}
		w.base = c
		verdict := w.walk(c)
		if verdict == "" && c.policy == drop {
			verdict, w.by = drop, "the policy of chain "+c.name.String()+" of nftables"
		}
		switch {
		case w.changed:
			return nil, ""
		case verdict == drop:
			return c, w.by
		}
	}
	return nil, ""
}

// The verdicts of a rule. An empty text means that the packet continues with the next rule. The
// verdict of a chain is empty if the packet has come to its end.
const (
	accept  = "accept"
	drop    = "drop"
	leave   = "return"
	unknown = "unknown"
)

// nftWalk is the way of a packet through the chains.
type nftWalk struct {
	*nftables
	packet
	base *nftChain // base is the chain that the packet has entered first.
	by   string    // by names the rule of the last verdict drop.
	// changed says that a rule may have changed the destination of the packet, or may have given
	// the packet to a program.
	changed bool
	// untracked says that a rule may have excluded the packet from connection tracking.
	untracked bool
}

// walk returns what happens to the packet in a chain. The kernel refuses jumps in a circle
// (net/netfilter/nf_tables_api.c).
func (w *nftWalk) walk(c *nftChain) (verdict string) {
	for _, r := range c.rules {
		verdict = w.rule(r)
		if verdict == leave {
			return ""
		}
		if verdict != "" || w.changed {
			return verdict
		}
	}
	return ""
}

// rule returns what a rule does to the packet.
func (w *nftWalk) rule(r nftRule) (verdict string) {
	matches := yes
	for _, statement := range r.statements {
		for name, value := range statement { // A statement has one name.
			switch name {
			case "match":
				matches = min(matches, w.match(object(value)))
			case "counter", "log", "comment", "dup", "flow", "ct helper", "ct timeout", "snat", "masquerade":
			case "mangle":
				_, payload := object(object(value)["key"])["payload"]
				w.changed = w.changed || payload
			case "notrack":
				w.untracked = true
			case "dnat", "redirect", "tproxy", "synproxy", "queue", "fwd":
				w.changed = true
			case "xt": // A match or a target of iptables.
				w.changed = w.changed || w.base.kind == "nat"
				matches = maybe
			case "vmap":
				verdict = w.vmap(r, object(value), matches)
			case accept, drop, "reject", leave, "continue", "jump", "goto":
				verdict = w.apply(r, statement, matches)
			default:
				matches = maybe
			}
		}
		if matches == no || verdict != "" || w.changed {
			break
		}
	}
	return verdict
}

// apply returns what a verdict of a rule does to a packet that the rule can match.
func (w *nftWalk) apply(r nftRule, statement map[string]any, matches answer) (verdict string) {
	for name, value := range statement {
		switch verdict = name; name {
		case "continue":
			verdict = ""
		case drop, "reject":
			verdict, w.by = drop, r.name
		case "jump", "goto":
			target, _ := object(value)["target"].(string)
			verdict = unknown
			if c := w.chains[nftName{w.base.name.family, w.base.name.table, target}]; c != nil && matches > no {
				verdict = w.walk(c)
			}
			if verdict == "" && name == "goto" {
				verdict = leave
			}
		}
	}
	switch {
	case matches == no, matches == maybe && verdict == drop:
		return ""
	case matches == maybe && verdict != "":
		return unknown
	}
	return verdict
}

// vmap returns what a map of verdicts does to the packet.
func (w *nftWalk) vmap(r nftRule, statement map[string]any, matches answer) string {
	key, has := w.field(statement["key"])
	if !has {
		matches = no
	}
	var rest map[string]any // rest is the verdict for all other keys.
	other := yes            // other is whether no element so far has the key.
	list, _ := w.elements(statement["data"])
	for _, element := range list {
		pair, _ := element.([]any)
		if len(pair) != 2 {
			return unknown
		}
		if pair[0] == "*" {
			rest = object(pair[1])
			continue
		}
		equal := w.equal(key, pair[0])
		other = min(other, yes-equal)
		if verdict := w.apply(r, object(pair[1]), min(equal, matches)); verdict != "" {
			return verdict
		}
	}
	return w.apply(r, rest, min(other, matches))
}

// elements returns the elements of a named set or map, of a set in a rule, or of a list of flags.
// ok is false for another value.
func (w *nftWalk) elements(set any) (list []any, ok bool) {
	switch set := set.(type) {
	case string:
		name, named := strings.CutPrefix(set, "@")
		return w.sets[nftName{w.base.name.family, w.base.name.table, name}], named
	case map[string]any:
		list, ok = set["set"].([]any)
	case []any:
		return set, true
	}
	return list, ok
}

// match returns whether a match of a rule applies to the packet.
func (w *nftWalk) match(m map[string]any) answer {
	value, has := w.field(m["left"])
	if !has {
		return no
	}
	equal := w.equal(value, m["right"])
	port, _ := value.(float64)
	than, numbers := m["right"].(float64)
	switch op := m["op"]; {
	case op == "==" || op == "in":
		return equal
	case op == "!=":
		return yes - equal
	case !numbers || port == 0:
		return maybe
	case op == "<":
		return is(port < than)
	case op == ">":
		return is(port > than)
	case op == "<=":
		return is(port <= than)
	case op == ">=":
		return is(port >= than)
	}
	return maybe
}

// The values of fields that the doctor knows only in part.
type (
	// nicField is an interface that is not lo.
	nicField struct{}
	// statusField is the status of a new connection without translated addresses.
	statusField struct{}
)

// field returns a field of the packet. The value is nil if the doctor does not know it. If has is
// false, packets like this one do not have the field.
func (w *nftWalk) field(left any) (value any, has bool) {
	for kind, of := range object(left) {
		key, _ := object(of)["key"].(string)
		switch kind {
		case "payload":
			return w.payload(object(of))
		case "meta":
			return w.meta(key), true
		case "ct":
			switch {
			case key == "state" && !w.untracked:
				return "new", true
			case key == "status":
				return statusField{}, true
			}
		case "concat":
			list, _ := of.([]any)
			values := make([]any, len(list))
			for i, part := range list {
				if values[i], has = w.field(part); !has {
					return nil, false
				}
			}
			return values, true
		}
	}
	return nil, true
}

func (w *nftWalk) payload(of map[string]any) (value any, has bool) {
	protocol, _ := of["protocol"].(string)
	switch protocol {
	case "ip", "ip6":
		if w.to.Addr().Is6() != (protocol == "ip6") {
			return nil, false
		}
		switch of["field"] {
		case "daddr":
			return w.to.Addr(), true
		case "protocol", "nexthdr":
			return w.protocol, true
		}
	case "tcp", "udp", "sctp", "th", "udplite", "dccp", "icmp", "icmpv6", "igmp", "esp", "ah", "comp":
		if protocol != "th" && protocol != w.protocol {
			return nil, false
		}
		if of["field"] == "dport" {
			return float64(w.to.Port()), true
		}
	}
	return nil, true
}

func (w *nftWalk) meta(key string) any {
	version := map[bool]string{true: "6"}[w.to.Addr().Is6()]
	switch {
	case key == "l4proto":
		return w.protocol
	case key == "nfproto":
		return "ipv" + cmp.Or(version, "4")
	case key == "protocol":
		return "ip" + version
	case w.hook == "INPUT" && (key == "iif" || key == "iifname"), w.hook == "OUTPUT" && (key == "oif" || key == "oifname"):
		return nicField{}
	}
	return nil
}

// equal returns whether a value of the packet is the value in a rule, or is in its set.
func (w *nftWalk) equal(value, right any) answer {
	if list, ok := w.elements(right); ok {
		found := no
		for _, element := range list {
			found = max(found, w.equal(value, element))
		}
		return found
	}
	if element := object(object(right)["elem"]); element != nil {
		return w.equal(value, element["val"])
	}
	if parts, ok := object(right)["concat"].([]any); ok {
		values, _ := value.([]any)
		if len(values) != len(parts) {
			return maybe
		}
		equal := yes
		for i := range parts {
			equal = min(equal, w.equal(values[i], parts[i]))
		}
		return equal
	}
	if right == "*" {
		return yes
	}
	return equalSingle(value, right)
}

// equalSingle returns whether a value of a packet is a value, a range or a prefix of a rule.
func equalSingle(value, right any) answer {
	limits, _ := object(right)["range"].([]any)
	switch value := value.(type) {
	case nicField:
		if right == "lo" {
			return no
		}
	case statusField:
		if slices.Contains([]any{"dnat", "snat", "assured", "confirmed", "seen-reply", "dying"}, right) {
			return no
		}
	case string:
		if number, ok := right.(float64); ok { // Without /etc/protocols, nft prints numbers.
			right = map[float64]string{6: "tcp", 17: "udp", 132: "sctp"}[number]
		}
		if text, ok := right.(string); ok {
			return is(text == value)
		}
	case float64:
		if number, ok := right.(float64); ok {
			return is(number == value)
		}
		if len(limits) == 2 {
			first, isNumber := limits[0].(float64)
			last, isToo := limits[1].(float64)
			if isNumber && isToo {
				return is(first <= value && value <= last)
			}
		}
	case netip.Addr:
		if prefix := object(object(right)["prefix"]); prefix != nil {
			right = fmt.Sprintf("%v/%v", prefix["addr"], prefix["len"])
		}
		if text, ok := right.(string); ok {
			return is(within(text, value))
		}
		if len(limits) == 2 {
			first, err := netip.ParseAddr(fmt.Sprint(limits[0]))
			last, wrong := netip.ParseAddr(fmt.Sprint(limits[1]))
			if err == nil && wrong == nil {
				return is(first.Compare(value) <= 0 && value.Compare(last) <= 0)
			}
		}
	}
	return maybe
}

func object(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}
