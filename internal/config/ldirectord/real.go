package ldirectord

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// RealText is a real server, or a range of them, as written.
type RealText struct {
	// first and last are the first and the last host of a range. For a single real server, last is
	// zero.
	first, last      host
	port             uint16
	hasPort          bool
	forward          lvs.Forward
	encapsulation    lvs.Encapsulation
	weight           int
	upper, lower     uint32
	tier             int
	request, receive string
	quoted           bool   // quoted says that the line has a request and a receive text.
	lost             string // lost has the words that ldirectord ignores because of their order.
}

// ParseReal reads ADDRESS[->ADDRESS][:PORT] METHOD [WEIGHT] ["REQUEST", "RECEIVE"] [l:N] [u:N].
// After the methods gue and gre, it also reads port:N and nocsum, csum or remcsum.
func ParseReal(text string) (RealText, error) {
	r := RealText{weight: 1}
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
		return r, fault.Errorf("write gate, masq, ipip, gue or gre after the address", "forwarding method missing")
	}
	if r.forward, r.encapsulation, err = lvs.ParseForward(fault.Short(words[0])); err != nil {
		return r, err
	}
	return r, r.options(words[1:])
}

// splitWords splits at blanks. A quoted string, with its quotes, is one word. A comma after a
// quoted string is dropped.
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

func (r *RealText) address(text string) error {
	first, second, ranged := strings.Cut(text, "->")
	e, err := parseEndpoint(first)
	if err != nil {
		return err
	}
	r.first = e.host
	if ranged {
		if e.portText != "" {
			return fault.Errorf("write FIRST->LAST:PORT", "the port is inside the range %s", fault.Quote(text))
		}
		if e, err = parseEndpoint(second); err != nil {
			return err
		}
		r.last = e.host
	}
	r.port, r.hasPort = e.port, e.portText != ""
	return nil
}

// options reads the words after the forwarding method.
func (r *RealText) options(words []string) error {
	strs, weighed := []string{}, false
	for _, word := range words {
		switch name, value, _ := strings.Cut(word, ":"); {
		case word[0] == '"':
			strs = append(strs, word[1:len(word)-1])
		case name == "l" || name == "u":
			if err := r.threshold(name, value); err != nil {
				return err
			}
		case name == "tier":
			if err := r.parseTier(value); err != nil {
				return err
			}
		case r.tunnelOption(name, value):
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

func (r *RealText) parseWeight(word string) error {
	weight, err := strconv.ParseUint(word, 10, 32)
	if err == nil && weight <= lvs.MaxWeight {
		r.weight = int(weight)
		return nil
	}
	return fault.Errorf("", "weight %s is not a number from 0 to %d", fault.Quote(word), lvs.MaxWeight)
}

func (r *RealText) parseTier(value string) error {
	tier, err := strconv.ParseUint(value, 10, 16)
	if err != nil || tier > config.MaxTier {
		return fault.Errorf("", "tier %s is not a number from 0 to %d", fault.Quote("tier:"+value), config.MaxTier)
	}
	r.tier = int(tier)
	return nil
}

func (r *RealText) threshold(name, value string) error {
	limit, err := strconv.ParseUint(value, 10, 32)
	if err != nil || limit > lvs.MaxThreshold {
		return fault.Errorf("", "threshold %s is not a number from 0 to %d", fault.Quote(name+":"+value), lvs.MaxThreshold)
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

// tunnelOption reads an option of a gue or gre tunnel, and reports whether name is one.
func (r *RealText) tunnelOption(name, value string) bool {
	if r.encapsulation.Type == lvs.IPIP {
		return false
	}
	if sum, ok := lvs.ParseTunnelChecksum(name); ok && value == "" {
		r.encapsulation.Checksum = sum
		return true
	}
	port, err := strconv.ParseUint(value, 10, 16)
	if name != "port" || err != nil {
		return false
	}
	r.encapsulation.Port = uint16(port)
	return true
}

func (r *RealText) strings(strs []string) error {
	switch len(strs) {
	case 0:
	case 2:
		r.request, r.receive, r.quoted = strs[0], strs[1], true
	default:
		return fault.Errorf(`write both, "REQUEST", "RECEIVE"`, "%s", count(len(strs), "quoted string", "quoted strings"))
	}
	return nil
}

// Named reports whether a host name is among the addresses.
func (r RealText) Named() bool { return r.first.name != "" || r.last.name != "" }

// HasPort reports whether a port was given.
func (r RealText) HasPort() bool { return r.hasPort }

// Bare reports whether the real server has no settings for its check.
func (r RealText) Bare() bool { return !r.quoted }

// Tiered reports whether the real server is in a tier after the first.
func (r RealText) Tiered() bool { return r.tier > 0 }

// count is the number of real servers in r, before names are resolved. A range
// that Expand refuses counts once.
func (r RealText) count() int {
	if r.last == (host{}) || r.Named() {
		return 1
	}
	return config.RangeLen(r.first.addr, r.last.addr)
}

// Expand returns the real servers in r. A range whose first or last address is a host name
// remains one entry until Resolve.
func (r RealText) Expand(defaultPort uint16) ([]config.Real, error) {
	port := r.port
	if !r.hasPort {
		port = defaultPort
	}
	var real config.Real
	real.Forward, real.Encapsulation = r.forward, r.encapsulation
	real.Weight, real.Upper, real.Lower, real.Tier = r.weight, r.upper, r.lower, r.tier
	if r.Named() {
		real.Host, real.Last = r.first.String(), ""
		if r.last != (host{}) {
			real.Last = r.last.String()
		}
		real.Addr = netip.AddrPortFrom(netip.Addr{}, port)
		return []config.Real{real}, nil
	}
	last := r.last
	if last == (host{}) {
		last = r.first
	}
	addrs, err := config.Range(r.first.addr, last.addr)
	return real.At(addrs, port), err
}

// writtenFallback is a fallback before it gets the port of a service.
type writtenFallback struct {
	host    host
	port    uint16
	hasPort bool
	forward lvs.Forward
	tunnel  lvs.Encapsulation
	ipv6    bool
	line    int
}

// parseFallback reads ADDRESS[:PORT] [METHOD].
func parseFallback(text string, ipv6 bool) (writtenFallback, error) {
	f := writtenFallback{forward: lvs.Route, ipv6: ipv6}
	words := strings.Fields(text)
	if len(words) == 0 {
		return f, fault.Errorf("write ADDRESS:PORT METHOD", "no address")
	}
	if len(words) > 2 {
		return f, fault.Errorf("write ADDRESS:PORT METHOD", "%s after the forwarding method", fault.Quote(words[2]))
	}
	e, err := parseEndpoint(words[0])
	if err == nil && len(words) == 2 {
		f.forward, f.tunnel, err = lvs.ParseForward(fault.Short(words[1]))
	}
	f.host, f.port, f.hasPort = e.host, e.port, e.portText != ""
	f.ipv6 = ipv6 || e.host.addr.Is6()
	if err == nil && ipv6 && e.host.addr.Is4() {
		err = fault.Errorf("write fallback=", "IPv4 address in fallback6=")
	}
	return f, err
}
