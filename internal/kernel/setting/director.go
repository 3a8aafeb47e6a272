package setting

import (
	"bufio"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
)

// Balances tells whether this host's IPVS table has a service at the address.
// It reads /proc/net/ip_vs, where an IPv4 address is in hexadecimal and an IPv6
// one in brackets, and asks nobody to load a module.
func (Kernel) Balances(ip netip.Addr) bool {
	file, err := os.Open("/proc/thread-self/net/ip_vs")
	if err != nil {
		return false
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[0] != "TCP" && words[0] != "UDP" && words[0] != "SCTP" {
			continue
		}
		if serviceAddress(words[1]) == ip {
			return true
		}
	}
	return false
}

// serviceAddress reads C000020A:0050 and [2001:0db8:…]:0050.
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
