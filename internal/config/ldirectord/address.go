package ldirectord

import (
	_ "embed" // Package embed includes services.txt.
	"iter"
	"net/netip"
	"strconv"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/suggest"
)

// host is an address, or a name if the address is not valid.
type host struct {
	addr netip.Addr
	name string
}

func (h host) String() string {
	if h.addr.IsValid() {
		return h.addr.String()
	}
	return h.name
}

// portNames has lines of a name and its port. /etc/services is not read: its content differs
// between nodes.
//
//go:embed services.txt
var portNames string

// namedPort returns the port of a name of portNames.
func namedPort(name string) (uint16, bool) {
	for line := range strings.Lines(portNames) {
		if known, digits, _ := strings.Cut(strings.TrimSpace(line), " "); known == name && name != "#" {
			port, err := strconv.ParseUint(digits, 10, 16)
			return uint16(port), err == nil
		}
	}
	return 0, false
}

// parsePort reads a number from 0 to 65535 or a well-known name.
func parsePort(text string) (uint16, error) {
	if port, err := strconv.ParseUint(text, 10, 16); err == nil {
		return uint16(port), nil
	}
	if port, ok := namedPort(text); ok {
		return port, nil
	}
	return 0, fault.Errorf("write a number from 1 to 65535", "unknown port %s", fault.Quote(text))
}

// endpoint is host:port, [v6]:port or a host alone.
type endpoint struct {
	host     host
	port     uint16
	portText string // portText is the text of the port. It is empty if there is no port.
}

func parseEndpoint(text string) (endpoint, error) {
	hostText, portText, err := splitPort(text)
	if err != nil {
		return endpoint{}, err
	}
	e := endpoint{portText: portText}
	if e.host, err = parseHost(hostText); err != nil {
		return endpoint{}, err
	}
	if portText != "" {
		e.port, err = parsePort(portText)
	}
	return e, err
}

// splitPort separates the port; the brackets of an IPv6 address stay.
func splitPort(text string) (hostText, portText string, err error) {
	found := false
	if strings.HasPrefix(text, "[") {
		end := strings.IndexByte(text, ']') + 1
		if end == 0 {
			return "", "", fault.Errorf("write [ADDRESS]:PORT", "%s has no closing bracket", fault.Quote(text))
		}
		hostText = text[:end]
		if text[end:] != "" && text[end] != ':' {
			return "", "", fault.Errorf("write [ADDRESS]:PORT", "%s after the closing bracket", fault.Quote(text[end:]))
		}
		portText, found = strings.CutPrefix(text[end:], ":")
	} else {
		if strings.Count(text, ":") > 1 {
			return "", "", tooManyColons(text)
		}
		hostText, portText, found = strings.Cut(text, ":")
	}
	if found && portText == "" {
		return "", "", fault.Errorf("write the port after the colon", "%s has no port", fault.Quote(text))
	}
	return hostText, portText, nil
}

func tooManyColons(text string) error {
	before, after, _ := strings.Cut(text, "::")
	if addr, err := netip.ParseAddr(before); err == nil && addr.Is4() {
		return fault.Errorf("write "+before+":"+fault.Short(after), "two colons in %s", fault.Quote(text))
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return fault.Errorf("write ["+addr.String()+"], with a port ["+addr.String()+"]:PORT", "IPv6 address %s without brackets", fault.Quote(text))
	}
	return fault.Errorf("write ADDRESS:PORT or [IPV6-ADDRESS]:PORT", "more than one colon in %s", fault.Quote(text))
}

func parseHost(text string) (host, error) {
	inner, bracketed := strings.CutPrefix(text, "[")
	inner = strings.TrimSuffix(inner, "]")
	if text == "" {
		return host{}, fault.Errorf("write ADDRESS:PORT", "no address")
	}
	if bracketed || numeric(text) {
		addr, err := parseAddr(inner, bracketed)
		return host{addr: addr}, err
	}
	if !validName(text) {
		return host{}, fault.Errorf("write ADDRESS:PORT", "%s is neither an address nor a host name", fault.Quote(text))
	}
	return host{name: text}, nil
}

func parseAddr(text string, ipv6 bool) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil && ipv6, err == nil && ipv6 && !addr.Is6():
		return netip.Addr{}, fault.Errorf("", "%s is not an IPv6 address", fault.Quote(text))
	case err != nil:
		return netip.Addr{}, fault.Errorf("", "%s is not an IPv4 address", fault.Quote(text))
	case addr.Zone() != "":
		return netip.Addr{}, fault.Errorf("write the address without %"+fault.Short(addr.Zone()), "IPVS has no zones, %s has one", fault.Quote(text))
	case addr.Is4In6():
		return netip.Addr{}, fault.Errorf("write "+addr.Unmap().String(), "%s is an IPv4 address in IPv6 form", fault.Quote(text))
	case addr.IsUnspecified():
		return netip.Addr{}, fault.Errorf("", "%s is not an address of a host", fault.Quote(text))
	}
	return addr, nil
}

func numeric(text string) bool { return strings.Trim(text, "0123456789.") == "" }

func validName(text string) bool {
	for i := range len(text) {
		c := text[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '-' && c != '_') {
			return false
		}
	}
	return text != "" && len(text) <= 253
}

// Target is what virtual= names: a firewall mark, or a host and port. It can have a range of
// addresses and a range of ports.
type Target struct {
	mark uint32
	endpoint
	last     host   // last is the end of the range of addresses. It is host for a single address.
	lastPort uint16 // lastPort is the end of the range of ports. It is port for a single port.
}

// maxTargets limits the services of one virtual= line. A longer range is probably a typing error.
const maxTargets = 4096

// ParseTarget reads the value of virtual=.
func ParseTarget(text string) (Target, error) {
	if text != "" && strings.Trim(text, "0123456789") == "" {
		mark, err := strconv.ParseUint(text, 10, 32)
		if err != nil || mark == 0 {
			return Target{}, fault.Errorf("", "firewall mark %s is not a number from 1 to 4294967295", fault.Quote(text))
		}
		return Target{mark: uint32(mark)}, nil
	}
	first, last, ranged := strings.Cut(text, "->")
	if !ranged {
		last = first
	}
	t, err := parseService(last)
	if err != nil || !ranged {
		return t, err
	}
	if t.host, err = parseHost(first); err != nil {
		return t, fault.Errorf("write FIRST->LAST:PORT", "%s: %v", fault.Quote(text), err)
	}
	if t.host.name != "" || t.last.name != "" {
		return t, fault.Errorf("write addresses", "a host name in the range %s", fault.Quote(text))
	}
	if _, err = config.Range(t.host.addr, t.last.addr); err != nil {
		return t, err
	}
	if n := config.RangeLen(t.host.addr, t.last.addr) * t.ports(); n > maxTargets {
		return t, fault.Errorf("write a shorter range, or a firewall mark", "%d virtual services in %s; at most %d", n, fault.Quote(text), maxTargets)
	}
	return t, nil
}

// parseService parses HOST:PORT or HOST:PORT-PORT.
func parseService(text string) (Target, error) {
	hostText, portText, err := splitPort(text)
	if err != nil {
		return Target{}, err
	}
	var t Target
	if t.host, err = parseHost(hostText); err != nil {
		return t, err
	}
	t.last, t.portText = t.host, portText
	if portText == "" {
		return t, fault.Errorf("write "+fault.Short(bracketed(t.host))+":PORT, or a number alone for a firewall mark", "no port")
	}
	low, high, ranged := strings.Cut(portText, "-")
	if !ranged || !numeric(low) {
		t.port, err = parsePort(portText)
		t.lastPort = t.port
		return t, err
	}
	if t.port, err = parsePort(low); err == nil {
		t.lastPort, err = parsePort(high)
	}
	if err == nil && t.Named() {
		err = fault.Errorf("write addresses", "a host name with a range")
	}
	if err == nil && (t.port == 0 || t.ports() < 1 || t.ports() > maxTargets) {
		err = fault.Errorf("", "%s is not a range of at most %d ports", fault.Quote(portText), maxTargets)
	}
	return t, err
}

// ports returns the number of ports.
func (t Target) ports() int { return int(t.lastPort) - int(t.port) + 1 }

// Each yields a target for each address and each port of the ranges.
func (t Target) Each() iter.Seq[Target] {
	return func(yield func(Target) bool) {
		if t.mark != 0 || t.Named() && t.ports() == 1 {
			yield(t)
			return
		}
		for addr := t.host.addr; ; addr = addr.Next() {
			for port := int(t.port); port <= int(t.lastPort); port++ {
				one := t
				one.host.addr, one.port = addr, uint16(port)
				one.last, one.lastPort = one.host, one.port
				if !yield(one) {
					return
				}
			}
			if addr == t.last.addr {
				return
			}
		}
	}
}

func bracketed(h host) string {
	if h.addr.Is6() {
		return "[" + h.addr.String() + "]"
	}
	return h.String()
}

// Named reports whether the target has a host name instead of an address.
func (t Target) Named() bool { return t.host.name != "" }

// protocolNames are the values of protocol=.
var protocolNames = map[string]lvs.Protocol{"tcp": lvs.TCP, "udp": lvs.UDP, "sctp": lvs.SCTP, "fwm": 0}

// Protocol returns the protocol of a target. If name is empty, it returns the default of
// ldirectord: UDP for the port 53 or domain, TCP for other ports and for ranges of ports, and no
// protocol for firewall marks.
func (t Target) Protocol(name string) (lvs.Protocol, error) {
	protocol, known := protocolNames[name]
	switch {
	case name == "" && t.mark != 0:
		return 0, nil
	case name == "" && (t.portText == "53" || t.portText == "domain"):
		return lvs.UDP, nil
	case name == "":
		return lvs.TCP, nil
	case !known:
		return 0, fault.Errorf("", "unknown protocol %s%s", fault.Quote(name), orUse(name, "tcp, udp or sctp, for a firewall mark fwm", "tcp", "udp", "sctp", "fwm"))
	case t.mark != 0 && name != "fwm":
		return 0, fault.Errorf("write fwm, or leave it out", "protocol %s does not fit firewall mark %d", fault.Quote(name), t.mark)
	case t.mark == 0 && name == "fwm":
		return 0, fault.Errorf("write tcp, udp or sctp", `protocol "fwm" needs a firewall mark, not an address`)
	}
	return protocol, nil
}

// orUse returns the fix for a word that is not in a short list of valid words.
func orUse(word, all string, candidates ...string) string {
	if hint := suggest.Hint(strings.ToLower(word), candidates); hint != "" {
		return hint
	}
	return "; use " + all
}

// ID returns the identity of the service in the kernel. If the target has a host name, the identity
// has no address.
func (t Target) ID(protocol lvs.Protocol, ipv6 bool) lvs.ServiceID {
	if t.mark != 0 {
		return lvs.MarkService(t.mark, ipv6)
	}
	return lvs.AddrService(protocol, netip.AddrPortFrom(t.host.addr, t.port))
}
