package config

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// realText is a real server, or a range of them, as written.
type realText struct {
	first, last      host // last is zero without a range
	port             uint16
	hasPort          bool
	forward          lvs.Forward
	weight           int
	upper, lower     uint32
	request, receive string
	quoted           bool   // request and receive were given
	lost             string // what ldirectord loses because of the order
}

// parseReal reads ADDRESS[->ADDRESS][:PORT] METHOD [WEIGHT] ["REQUEST", "RECEIVE"] [l:N] [u:N].
func parseReal(text string) (realText, error) {
	r := realText{weight: 1}
	words, err := splitWords(text)
	if err != nil {
		return r, err
	}
	words = joinArrow(words)
	if len(words) == 0 {
		return r, fault.Errorf("write ADDRESS:PORT gate, masq or ipip", "no address")
	}
	if err := r.address(words[0]); err != nil {
		return r, err
	}
	if words = words[1:]; len(words) == 0 || words[0][0] == '"' || numeric(words[0]) {
		return r, fault.Errorf("write gate, masq or ipip after the address", "forwarding method missing")
	}
	if r.forward, err = lvs.ParseForward(fault.Short(words[0])); err != nil {
		return r, err
	}
	return r, r.options(words[1:])
}

// splitWords separates at blanks; a quoted string, with its quotes, is one word.
// A comma after a quoted string belongs to neither neighbour.
func splitWords(text string) ([]string, error) {
	var words []string
	for {
		text = strings.TrimLeft(text, " \t")
		if text == "" {
			return words, nil
		}
		end := strings.IndexAny(text, " \t\"")
		switch {
		case text[0] == '"':
			if end = strings.IndexByte(text[1:], '"') + 2; end == 1 {
				return nil, fault.Errorf("", "closing quote missing")
			}
		case end < 0:
			end = len(text)
		}
		words = append(words, text[:end])
		text = text[end:]
		if words[len(words)-1][0] == '"' {
			text = strings.TrimPrefix(strings.TrimLeft(text, " \t"), ",")
		}
	}
}

// joinArrow makes one word of "a -> b".
func joinArrow(words []string) []string {
	for len(words) > 1 && words[1][0] != '"' && (strings.HasPrefix(words[1], "->") || strings.HasSuffix(words[0], "->")) {
		words = slices.Concat([]string{words[0] + words[1]}, words[2:])
	}
	return words
}

func (r *realText) address(text string) error {
	first, second, ranged := strings.Cut(text, "->")
	e, err := parseEndpoint(first)
	if err != nil {
		return err
	}
	r.first = e.host
	if ranged {
		if e.portText != "" {
			return fault.Errorf("write FIRST->LAST:PORT", "the port stands inside the range %s", fault.Quote(text))
		}
		if e, err = parseEndpoint(second); err != nil {
			return err
		}
		r.last = e.host
	}
	r.port, r.hasPort = e.port, e.portText != ""
	return nil
}

// options reads what follows the forwarding method.
func (r *realText) options(words []string) error {
	strs, weighed := []string{}, false
	for _, word := range words {
		switch name, value, _ := strings.Cut(word, ":"); {
		case word[0] == '"':
			strs = append(strs, word[1:len(word)-1])
		case name == "l" || name == "u":
			if err := r.threshold(name, value); err != nil {
				return err
			}
		case weighed:
			return fault.Errorf("delete it", "%s after the weight", fault.Quote(word))
		default:
			weighed = true
			if len(strs) > 0 {
				r.lost = "the quoted strings before the weight"
			}
			if err := r.parseWeight(word); err != nil {
				return err
			}
		}
	}
	return r.strings(strs)
}

func (r *realText) parseWeight(word string) error {
	weight, err := strconv.ParseUint(word, 10, 32)
	if err == nil && weight <= lvs.MaxWeight {
		r.weight = int(weight)
		return nil
	}
	return fault.Errorf("", "weight %s is not a number from 0 to %d", fault.Quote(word), lvs.MaxWeight)
}

func (r *realText) threshold(name, value string) error {
	limit, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return fault.Errorf("", "threshold %s is not a number from 0 to 4294967295", fault.Quote(name+":"+value))
	}
	if name == "u" {
		r.upper = uint32(limit)
		return nil
	}
	r.lower = uint32(limit)
	if r.upper != 0 {
		r.lost = "u: before l:"
	}
	return nil
}

func (r *realText) strings(strs []string) error {
	switch len(strs) {
	case 0:
	case 2:
		r.request, r.receive, r.quoted = strs[0], strs[1], true
	default:
		return fault.Errorf(`write both, "REQUEST", "RECEIVE"`, "%s", count(len(strs), "quoted string", "quoted strings"))
	}
	return nil
}

// count is how many real servers r stands for, before names are resolved. A range
// that expand refuses counts once.
func (r realText) count() int {
	if r.last == (host{}) || r.first.name != "" || r.last.name != "" {
		return 1
	}
	if d := distance(r.first.addr, r.last.addr); d < maxRange && r.first.addr.Is4() == r.last.addr.Is4() {
		return int(d) + 1
	}
	return 1
}

// expand returns the real servers that r stands for. Ranges with a name at an
// end stay one entry until they are resolved.
func (r realText) expand(defaultPort uint16) ([]Real, error) {
	port := r.port
	if !r.hasPort {
		port = defaultPort
	}
	real := Real{Request: r.request, Receive: r.receive}
	real.Forward, real.Weight, real.Upper, real.Lower = r.forward, r.weight, r.upper, r.lower
	if r.first.name != "" || r.last.name != "" {
		real.Host, real.Last = r.first.String(), ""
		if r.last != (host{}) {
			real.Last = r.last.String()
		}
		real.Addr = netip.AddrPortFrom(netip.Addr{}, port)
		return []Real{real}, nil
	}
	last := r.last
	if last == (host{}) {
		last = r.first
	}
	addrs, err := span(r.first.addr, last.addr)
	return real.at(addrs, port), err
}

// at returns a copy of r for each address.
func (r Real) at(addrs []netip.Addr, port uint16) []Real {
	reals := make([]Real, len(addrs))
	for i, addr := range addrs {
		reals[i] = r
		reals[i].Host, reals[i].Last = "", ""
		reals[i].Addr = netip.AddrPortFrom(addr, port)
	}
	return reals
}
