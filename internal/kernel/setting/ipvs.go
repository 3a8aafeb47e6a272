package setting

import (
	"bufio"
	"encoding/hex"
	"iter"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"lvs-agents/internal/host"
)

// Balances reports whether this host's IPVS table has a service at the address.
func (Kernel) Balances(ip netip.Addr) bool {
	for words := range tableLines() {
		if len(words) > 1 && isProtocol(words[0]) && serviceAddress(words[1]) == ip {
			return true
		}
	}
	return false
}

// Directs reports whether this host's IPVS table has a service.
func (Kernel) Directs() bool {
	for words := range tableLines() {
		if isProtocol(words[0]) || words[0] == "FWM" {
			return true
		}
	}
	return false
}

// Servers returns the real servers of this host's IPVS table.
func (Kernel) Servers() (list []netip.Addr) {
	for words := range tableLines() {
		if len(words) > 2 && words[0] == "->" && words[1] != "RemoteAddress:Port" {
			list = append(list, serviceAddress(words[1]))
		}
	}
	return list
}

// Unserved returns the virtual addresses of connections that other directors have sent and that
// have no virtual service on this host. It returns none if the host has no service. It also returns
// none if a service has a firewall mark, because the addresses of this service are unknown.
func (Kernel) Unserved() []netip.Addr {
	served := map[netip.Addr]bool{}
	for words := range tableLines() {
		if words[0] == "FWM" {
			return nil
		}
		if len(words) > 1 && isProtocol(words[0]) {
			served[serviceAddress(words[1])] = true
		}
	}
	if len(served) == 0 {
		return nil
	}
	return unserved(lines("ip_vs_conn_sync"), served)
}

// unserved returns the virtual addresses in the lines of other directors that are not in served,
// each address once. It also adds these addresses to served. A line has the protocol, then the
// client, the virtual address and the server with their ports. The state and the origin follow. The
// origin SYNC means that another director has sent the connection.
func unserved(lines iter.Seq[[]string], served map[netip.Addr]bool) (list []netip.Addr) {
	for words := range lines {
		if len(words) < 9 || words[8] != "SYNC" {
			continue
		}
		if ip := endpoint(words[3:]).Addr(); ip.IsValid() && !served[ip] {
			served[ip] = true
			list = append(list, ip)
		}
	}
	return list
}

// Masqueraded returns the real servers that this host reaches with masquerading.
func (Kernel) Masqueraded() (list []netip.Addr) {
	for words := range tableLines() {
		if len(words) > 2 && words[0] == "->" && words[2] == "Masq" {
			list = append(list, serviceAddress(words[1]))
		}
	}
	return list
}

// Handshakes returns the TCP connections of this director that wait for an ACK of the client.
func (Kernel) Handshakes() []host.Handshake { return handshakes(lines("ip_vs_conn")) }

// handshakes reads lines with the protocol, and then the client, the virtual address and the server
// with their ports. The state follows.
func handshakes(lines iter.Seq[[]string]) (list []host.Handshake) {
	for words := range lines {
		if len(words) > 7 && words[0] == "TCP" && words[7] == "SYN_RECV" {
			list = append(list, host.Handshake{Client: endpoint(words[1:]), Virtual: endpoint(words[3:]), Server: endpoint(words[5:])})
		}
	}
	return list
}

// endpoint parses an address and a port of /proc/net/ip_vs_conn. IPv6 addresses have no brackets
// there.
func endpoint(words []string) netip.AddrPort {
	address := words[0] + ":"
	if strings.Contains(words[0], ":") {
		address = "[" + words[0] + "]"
	}
	port, _ := strconv.ParseUint(words[1], 16, 16) // the kernel writes a number
	return netip.AddrPortFrom(serviceAddress(address), uint16(port))
}

// SourceDrops returns the number of packets that the kernel has dropped because of rp_filter: the
// route to their source uses another interface.
func (Kernel) SourceDrops() int {
	var names []string
	for words := range lines("netstat") {
		if i := slices.Index(names, "IPReversePathFilter"); i > 0 && words[0] == names[0] && i < len(words) {
			n, _ := strconv.Atoi(words[i]) // the kernel writes a number
			return n
		}
		names = slices.Clone(words)
	}
	return 0
}

// tableLines yields the words of each line of /proc/net/ip_vs. In this file, IPv4 addresses are
// hexadecimal, and IPv6 addresses are in brackets. A read of this file loads no module.
func tableLines() iter.Seq[[]string] { return lines("ip_vs") }

// lines yields the words of each line of a file in /proc/net. A missing file has no lines.
func lines(name string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		file, err := os.Open("/proc/thread-self/net/" + name)
		if err != nil {
			return
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if words := strings.Fields(lines.Text()); len(words) > 0 && !yield(words) {
				return
			}
		}
	}
}

func isProtocol(word string) bool { return word == "TCP" || word == "UDP" || word == "SCTP" }

// serviceAddress parses an address of /proc/net/ip_vs, for example C000020A:0050 or
// [2001:0db8:…]:0050.
func serviceAddress(text string) netip.Addr {
	host, _, _ := strings.Cut(strings.TrimPrefix(text, "["), "]")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip
	}
	raw, _, _ := strings.Cut(text, ":")
	bytes, err := hex.DecodeString(raw)
	ip, _ := netip.AddrFromSlice(bytes)
	if err != nil {
		return netip.Addr{}
	}
	return ip
}
