package realserver

import (
	"time"

	"lvs-agents/metadata"
)

// Metadata returns the parameters and actions of the agent.
func (a *Agent) Metadata() metadata.Agent {
	return metadata.Agent{
		Name:  "realserver",
		Short: "Real server of an LVS cluster",
		Long: `Makes this host a real server: it accepts packets for the virtual IP addresses from the director, and its neighbours do not learn these addresses from it. Use it as a clone on the real servers, or as the command lvsrs on hosts without a cluster.

With direct routing (gate), start adds the addresses to lo; with tunnels (ipip, gue), to tunl0 or ip6tnl0. With gue, start also opens the UDP port of the tunnels. Sysctls, arptables or nftables prevent ARP replies for these addresses. With NAT (masq), the default route goes through the director.

Start records each setting that it changes, with the value that it found. Stop restores that value when the last resource that needs the setting stops. If another program has changed a setting in between, stop leaves it as it is. A monitor with OCF_CHECK_LEVEL=10 sends packets to prove that the host neither answers for the addresses nor announces them.`,
		Params:    a.params(),
		Arguments: []string{"ip"},
		Actions:   actions,
		Examples: []metadata.Example{
			{Title: "Direct routing", ID: "web-rs", Params: [][2]string{{"ip", "192.0.2.10"}}},
			{Title: "Two addresses, ARP rules instead of sysctls", ID: "web-rs", Params: [][2]string{{"ip", "192.0.2.10 2001:db8::10"}, {"method", "arptables"}}},
			{Title: "Tunnels", ID: "web-rs", Params: [][2]string{{"ip", "192.0.2.10"}, {"forward", "ipip"}}},
			{Title: "Tunnels of type GUE", ID: "web-rs", Params: [][2]string{{"ip", "192.0.2.10"}, {"forward", "gue"}}},
			{Title: "NAT, the director has 198.51.100.1 on the inside", ID: "web-rs", Params: [][2]string{{"forward", "masq"}, {"gateway", "198.51.100.1"}}},
		},
	}
}

var actions = []metadata.Action{
	{Name: "start", Timeout: 20 * time.Second},
	{Name: "stop", Timeout: 20 * time.Second},
	{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second},
	{Name: "monitor", Timeout: 30 * time.Second, Interval: 5 * time.Minute, Depth: 10},
	{Name: "validate-all", Timeout: 10 * time.Second},
	{Name: "meta-data", Timeout: 5 * time.Second},
}

func (a *Agent) params() []metadata.Param {
	return []metadata.Param{
		{Name: "ip", Value: metadata.Addresses(&a.IP), Short: "Virtual IP addresses",
			Long: "One or several IPv4 and IPv6 addresses that clients connect to, separated by blanks or commas. Required with gate, ipip and gue; not used with masq."},
		{Name: "forward", Value: metadata.Select(&a.Forward, string(Gate), string(IPIP), string(GUE), string(Masq)), Short: "Forwarding method of the director",
			Long: "The method that the director's configuration gives for this real server: gate (direct routing), ipip or gue (tunnels) or masq (NAT)."},
		{Name: "method", Value: metadata.Select(&a.Method, string(BySysctl), string(ByARPTables), string(ByNFTables)), Short: "How ARP replies are prevented",
			Long: "sysctl sets net.ipv4.conf.all.arp_ignore=1 and arp_announce=2. arptables and nftables drop ARP requests for the address, and replace a virtual sender address by the host's own address. Their rules are for all interfaces of the host, so use sysctl if the host can also be the director. IPv6 needs none of these methods, because a host replies only for addresses of the interface that receives the query."},
		{Name: "nic", Value: metadata.String(&a.NIC), Short: "Interface that gets the addresses",
			Long: "When unset, lo with gate; with ipip and gue, tunl0 for IPv4 and ip6tnl0 for IPv6. Start refuses an interface that has neighbours."},
		{Name: "scope", Value: metadata.Select(&a.Scope, "global", "link", "host"), Short: "Scope of IPv4 addresses",
			Long: "With host, the kernel does not choose the address on its own as the source of connections to other hosts. For the same purpose, IPv6 addresses are deprecated (preferred_lft 0)."},
		{Name: "source", Value: metadata.Address(&a.Source), Short: "Own IPv4 address for ARP rules",
			Long: "In ARP requests of this host, arptables and nftables replace a virtual address by this address. When unset, the host's own address in the network of the virtual address."},
		{Name: "gateway", Value: metadata.Addresses(&a.Gateway), Short: "Director's address for masq",
			Long: "With masq, the default route goes to this address. It is the address of the director on the network of the real servers, which moves with the director; give one IPv4 and one IPv6 address if you use both. Other default routes stay, and the kernel prefers this route."},
		{Name: "port", Value: metadata.Integer(&a.Port, 1, 65535), Short: "UDP port of gue",
			Long: "With gue, the UDP port that the director's configuration gives for this real server. The port must not be in use. Not used with other methods."},
	}
}
