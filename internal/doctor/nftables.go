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
	handle     int
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
		Nftables []map[string]json.RawMessage `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(text), &output); err != nil {
		return fmt.Errorf("nft: %w", err)
	}
	n := &nftables{map[nftName]*nftChain{}, map[nftName][]any{}}
	dormant := map[nftName]bool{}
	for _, entry := range output.Nftables {
		for kind, raw := range entry {
			var o nftObject
			if !slices.Contains([]string{"table", "chain", "rule", "set", "map"}, kind) {
				continue
			}
			if err := json.Unmarshal(raw, &o); err != nil {
				return fmt.Errorf("nft: %s: %w", kind, err)
			}
			if kind == "table" {
				dormant[nftName{o.Family, o.Name, ""}] = sleeps(o.Flags)
			}
			if slices.Contains([]string{"ip", "ip6", "inet"}, o.Family) && !dormant[nftName{o.Family, o.Table, ""}] {
				n.add(kind, o)
			}
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

func (n *nftables) add(kind string, o nftObject) {
	name := nftName{o.Family, o.Table, o.Name}
	switch kind {
	case "chain":
		of, _ := o.Type.(string)
		n.chains[name] = &nftChain{name, of, o.Hook, o.Prio, o.Policy, nil}
	case "rule":
		name.name = o.Chain
		if c := n.chains[name]; c != nil {
			c.rules = append(c.rules, nftRule{o.Handle, o.Expr})
		}
	case "set", "map":
		n.sets[name] = o.Elem
	}
}

// ipvsPriority is the priority of IPVS in the hook input (net/netfilter/ipvs/ip_vs_core.c). Chains
// after it never get the packets of clients.
const ipvsPriority = 99

// drops returns the chain that a packet enters first, and where it is certainly dropped. Chains
// that skip reports are not examined, but they can change the packet.
func (n *nftables) drops(p packet, skip func(nftName) bool) (base *nftChain, by string) {
	hooks := map[string][]string{"INPUT": {"prerouting", "input"}, "OUTPUT": {"output"}}[p.hook]
	var bases []*nftChain
	for _, c := range n.chains {
		wrongFamily := c.name.family == map[bool]string{true: "ip", false: "ip6"}[p.to.Addr().Is6()]
		if slices.Contains(hooks, c.hook) && !wrongFamily && (c.hook != "input" || c.priority < ipvsPriority) {
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
		verdict, by := w.walk(c, 0)
		switch {
		case w.changed:
			return nil, ""
		case verdict == drop:
			return c, by
		case verdict == "" && c.policy == drop:
			return c, "the policy of chain " + c.name.String() + " of nftables"
		}
	}
	return nil, ""
}

// The verdicts of a chain. An empty text means that the packet has come to the end of the chain.
const (
	accept  = "accept"
	drop    = "drop"
	unknown = "unknown"
)

// nftWalk is the way of a packet through the chains.
type nftWalk struct {
	*nftables
	packet
	// changed says that a rule may have changed the destination of the packet, or may have given
	// the packet to a program.
	changed bool
	// untracked says that a rule may have excluded the packet from connection tracking.
	untracked bool
}

// walk returns what happens to the packet in a chain, and the rule that drops it.
func (w *nftWalk) walk(c *nftChain, depth int) (verdict, by string) {
	if c == nil || depth > deepest {
		return unknown, ""
	}
	for _, r := range c.rules {
		verdict, by, ends := w.rule(c, r, depth)
		if ends || w.changed {
			return verdict, by
		}
	}
	return "", ""
}

// rule returns what a rule does to the packet. ends is false if the packet continues with the
// next rule of the chain.
func (w *nftWalk) rule(c *nftChain, r nftRule, depth int) (verdict, by string, ends bool) {
	matches := yes
	for _, statement := range r.statements {
		for name, value := range statement { // A statement has one name.
			switch name {
			case "match":
				matches = min(matches, w.match(c, object(value)))
			case "counter", "log", "comment", "dup", "flow", "ct helper", "ct timeout", "snat", "masquerade":
			case "mangle":
				_, payload := object(object(value)["key"])["payload"]
				w.changed = w.changed || payload
			case "notrack":
				w.untracked = true
			case "dnat", "redirect", "tproxy", "synproxy", "queue", "fwd":
				w.changed = true
			case "xt": // A match or a target of iptables.
				w.changed = w.changed || c.kind == "nat"
				matches = maybe
			case "vmap":
				verdict, by, ends = w.vmap(c, r, object(value), matches, depth)
			case accept, drop, "reject", "return", "continue", "jump", "goto":
				verdict, by, ends = w.apply(c, r, statement, matches, depth)
			default:
				matches = maybe
			}
		}
		if matches == no || ends || w.changed {
			break
		}
	}
	return verdict, by, ends
}

// apply returns what a verdict of a rule does to a packet that the rule can match.
func (w *nftWalk) apply(c *nftChain, r nftRule, statement map[string]any, matches answer, depth int) (verdict, by string, ends bool) {
	for name, value := range statement {
		switch name {
		case accept, "return":
			if matches == maybe {
				return unknown, "", true
			}
			return map[string]string{accept: accept}[name], "", true
		case drop, "reject":
			return drop, fmt.Sprintf("the rule with handle %d in chain %s of nftables", r.handle, c.name), matches == yes
		case "jump", "goto":
			target, _ := object(value)["target"].(string)
			inner, by := w.walk(w.chains[nftName{c.name.family, c.name.table, target}], depth+1)
			returns := inner == "" && name == "goto"
			switch {
			case matches == yes:
				return inner, by, inner != "" || returns
			case inner == accept || inner == unknown || returns:
				return unknown, "", true
			}
		}
	}
	return "", "", false
}

// vmap returns what a map of verdicts does to the packet.
func (w *nftWalk) vmap(c *nftChain, r nftRule, statement map[string]any, matches answer, depth int) (verdict, by string, ends bool) {
	key, has := w.field(statement["key"])
	if !has {
		matches = no
	}
	var rest map[string]any // rest is the verdict for all other keys.
	other := yes            // other is whether no element so far has the key.
	for _, element := range w.elements(c, statement["data"]) {
		pair, _ := element.([]any)
		if len(pair) != 2 {
			return unknown, "", true
		}
		if pair[0] == "*" {
			rest = object(pair[1])
			continue
		}
		equal := w.equal(c, key, pair[0])
		other = min(other, yes-equal)
		if equal = min(equal, matches); equal == no {
			continue
		}
		if verdict, by, ends = w.apply(c, r, object(pair[1]), equal, depth); ends {
			return verdict, by, ends
		}
	}
	if other = min(other, matches); other == no {
		return "", "", false
	}
	return w.apply(c, r, rest, other, depth)
}

// elements returns the elements of a set or a map: of a named one, or of one in a rule.
func (w *nftWalk) elements(c *nftChain, set any) []any {
	if name, ok := set.(string); ok {
		return w.sets[nftName{c.name.family, c.name.table, strings.TrimPrefix(name, "@")}]
	}
	list, _ := object(set)["set"].([]any)
	return list
}

// match returns whether a match of a rule in a chain applies to the packet.
func (w *nftWalk) match(c *nftChain, m map[string]any) answer {
	value, has := w.field(m["left"])
	if !has {
		return no
	}
	equal := w.equal(c, value, m["right"])
	port, _ := value.(float64)
	than, numbers := m["right"].(float64)
	numbers = numbers && port > 0
	switch op := m["op"]; {
	case op == "==" || op == "in":
		return equal
	case op == "!=":
		return yes - equal
	case op == "<" && numbers:
		return is(port < than)
	case op == ">" && numbers:
		return is(port > than)
	case op == "<=" && numbers:
		return is(port <= than)
	case op == ">=" && numbers:
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

// equal returns whether a value of the packet is the value in a rule of a chain, or is in its set.
func (w *nftWalk) equal(c *nftChain, value, right any) answer {
	if name, ok := right.(string); ok && strings.HasPrefix(name, "@") {
		return w.in(c, value, w.elements(c, name))
	}
	if list, ok := right.([]any); ok { // Flags, for example of the state of a connection.
		return w.in(c, value, list)
	}
	for kind, of := range object(right) {
		switch list, _ := of.([]any); kind {
		case "set":
			return w.in(c, value, list)
		case "elem":
			return w.equal(c, value, object(of)["val"])
		case "concat":
			values, _ := value.([]any)
			equal := yes
			if len(values) != len(list) {
				return maybe
			}
			for i := range list {
				equal = min(equal, w.equal(c, values[i], list[i]))
			}
			return equal
		}
	}
	if right == "*" {
		return yes
	}
	return equalSingle(value, right)
}

func (w *nftWalk) in(c *nftChain, value any, list []any) answer {
	found := no
	for _, element := range list {
		found = max(found, w.equal(c, value, element))
	}
	return found
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
