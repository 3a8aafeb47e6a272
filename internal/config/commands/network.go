package commands

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// mark reads a rule of iptables that gives packets a mark.
func (p *parser) mark(n int, six bool, args []string) {
	m := config.Mark{Line: n}
	protocols := []string{"tcp"}
	if six {
		m.Family = "ipv6"
	}
	for i := 0; i < len(args); i++ {
		word, value := args[i], ""
		if i+1 < len(args) {
			value = args[i+1]
		}
		var err error
		switch word {
		case "-t", "--table", "-m", "--match", "-j", "--jump", "-w", "--wait":
			i++
			continue
		case "-A", "-I", "--append", "--insert":
			if value != "PREROUTING" {
				err = fmt.Errorf("chain %s: the agent marks packets that arrive (PREROUTING)", fault.Short(value))
			}
		case "-d", "--destination", "--dst":
			err = destinations(&m, value)
		case "-p", "--protocol":
			protocols = []string{strings.ToLower(value)}
			if !slices.Contains(host.MarkProtocols, protocols[0]) {
				err = fmt.Errorf("protocol %s: IPVS balances %s", fault.Short(value), strings.Join(host.MarkProtocols, ", "))
			}
		case "--dport", "--dports", "--destination-port", "--destination-ports":
			err = ports(&m, value)
		case "-i", "--in-interface":
			m.Interface = value
		case "--set-mark", "--set-xmark":
			err = number(&m, value)
		default:
			err = fmt.Errorf("match %s has no equivalent in ocf:lvs:fwmark", fault.Short(word))
		}
		if err != nil {
			p.report(n, config.Dropped, fault.New("rule without a resource: "+err.Error(), "set the rule yourself on every director"))
			return
		}
		i++
	}
	if m.Mark == 0 {
		p.report(n, config.Dropped, fault.New("rule without a resource: it sets no mark", ""))
		return
	}
	m.Protocols = protocols
	p.join(m)
}

// join adds a mark. Two rules of one mark are one resource if they differ in one list only.
func (p *parser) join(m config.Mark) {
	marks := p.config.Cluster.Marks
	for i, other := range marks {
		if other.Mark != m.Mark || other.Interface != m.Interface || other.Family != m.Family {
			continue
		}
		ip, proto, port := slices.Equal(other.IP, m.IP), slices.Equal(other.Protocols, m.Protocols), slices.Equal(other.Ports, m.Ports)
		switch {
		case proto && port && len(other.IP) > 0 && len(m.IP) > 0:
			marks[i].IP = append(slices.Clip(other.IP), m.IP...)
		case ip && port:
			marks[i].Protocols = append(slices.Clip(other.Protocols), m.Protocols...)
		case ip && proto && len(other.Ports) > 0 && len(m.Ports) > 0:
			marks[i].Ports = append(slices.Clip(other.Ports), m.Ports...)
		default:
			continue
		}
		marks[i].Marks = marks[i].Normal()
		return
	}
	m.Marks = m.Normal()
	p.config.Cluster.Marks = append(marks, m)
}

func destinations(m *config.Mark, text string) error {
	for part := range strings.SplitSeq(text, ",") {
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			addr, failed := netip.ParseAddr(part)
			if failed != nil {
				return fmt.Errorf("destination %s is not an address", fault.Short(part))
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		m.IP = append(m.IP, prefix)
		m.Family = "" // the addresses have the family
	}
	return nil
}

func ports(m *config.Mark, text string) error {
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(part, ":")
		if !ranged {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 16)
		to, failed := strconv.ParseUint(last, 10, 16)
		if err != nil || failed != nil || from > to || from == 0 {
			return fmt.Errorf("port %s is not a number from 1 to 65535, or a range", fault.Short(part))
		}
		m.Ports = append(m.Ports, host.Ports{First: uint16(from), Last: uint16(to)})
	}
	return nil
}

// number reads the value of --set-mark and --set-xmark: decimal, or hexadecimal with 0x. A mask
// must have all bits of a mark.
func number(m *config.Mark, text string) error {
	text, mask, masked := strings.Cut(text, "/")
	value, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		return fmt.Errorf("mark %s is not a number", fault.Short(text))
	}
	if bits, err := strconv.ParseUint(mask, 0, 32); masked && (err != nil || bits != 1<<32-1) {
		return fmt.Errorf("mark with the mask %s: the agent sets the whole mark", fault.Short(mask))
	}
	m.Mark = uint32(value)
	return nil
}

// address reads the arguments of ip addr add.
func (p *parser) address(n int, args []string) {
	a := config.VirtualAddress{Line: n}
	for i := 0; i < len(args); i++ {
		value := ""
		if i+1 < len(args) {
			value = args[i+1]
		}
		switch args[i] {
		case "dev":
			a.NIC = value
			i++
		case "label":
			_, a.Label, _ = strings.Cut(value, ":")
			i++
		case "brd", "broadcast", "scope":
			i++
		default:
			a.IP, a.Bits = prefix(args[i], a.IP, a.Bits)
		}
	}
	p.add(config.HostAddress{VirtualAddress: a})
}

// listing returns the words of a line of ip -o addr: the interface, "inet" or "inet6", the address,
// and its properties. The line begins with the number of the interface.
func listing(words []string) (args []string, found bool) {
	if len(words) < 4 || words[2] != "inet" && words[2] != "inet6" {
		return nil, false
	}
	number, colon := strings.CutSuffix(words[0], ":")
	_, err := strconv.Atoi(number)
	return words[1:], colon && err == nil
}

// listed adds an address that ip -o addr has printed. The first address of an interface belongs to
// the director, unless it has a label or the prefix length of a single address.
func (p *parser) listed(n int, args []string) {
	a := config.HostAddress{VirtualAddress: config.VirtualAddress{Line: n}}
	a.NIC, _, _ = strings.Cut(args[0], "@")
	a.IP, a.Bits = prefix(args[2], a.IP, a.Bits)
	for _, word := range args[3:] {
		if label, found := strings.CutPrefix(word, a.NIC+":"); found {
			a.Label = strings.TrimRight(label, `\`)
		}
	}
	if a.IP.IsLoopback() || a.IP.IsLinkLocalUnicast() {
		return
	}
	first := !slices.ContainsFunc(p.config.Cluster.Addresses, func(b config.HostAddress) bool { return b.NIC == a.NIC && b.IP.Is4() == a.IP.Is4() })
	a.Own = first && a.NIC != "lo" && a.Label == "" && a.Bits < a.IP.BitLen()
	p.add(a)
}

// prefix returns the address and the prefix length in a word, or the former values.
func prefix(word string, ip netip.Addr, bits int) (netip.Addr, int) {
	if found, err := netip.ParsePrefix(word); err == nil {
		return found.Addr(), found.Bits()
	}
	if found, err := netip.ParseAddr(word); err == nil {
		return found, found.BitLen()
	}
	return ip, bits
}

// ifconfig reads ifconfig INTERFACE:LABEL ADDRESS netmask MASK.
func (p *parser) ifconfig(n int, args []string) {
	a := config.VirtualAddress{Line: n}
	a.NIC, a.Label, _ = strings.Cut(args[0], ":")
	a.IP, a.Bits = prefix(args[1], a.IP, a.Bits)
	if i := slices.Index(args, "netmask"); i > 0 && i+1 < len(args) {
		if bits, err := lvs.ParseNetmask(args[i+1], false); err == nil {
			a.Bits = bits
		}
	}
	p.add(config.HostAddress{VirtualAddress: a})
}

func (p *parser) add(a config.HostAddress) {
	if a.IP.IsValid() && !a.IP.IsUnspecified() {
		a.File = p.config.File
		p.config.Cluster.Addresses = append(p.config.Cluster.Addresses, a)
	}
}
