package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/lvs"
	"lvs-agents/metadata"
)

// Metadata returns the parameters and actions of the agent.
func (a *Agent) Metadata() metadata.Agent {
	return metadata.Agent{
		Name:  "vip",
		Short: "Virtual IP address of an LVS director",
		Long: `Adds a virtual IP address to a network interface and announces it, so that clients send their packets to this director. The announcements are gratuitous ARP for IPv4, and unsolicited neighbour advertisements for IPv6.

The agent accepts the parameters of ocf:heartbeat:IPaddr2. Their texts say which of them have no effect, and which value start refuses. Start waits until the kernel's duplicate address detection of an IPv6 address has ended. By default, an IPv6 address is marked as deprecated, so that the kernel does not choose it as the source of the director's connections.`,
		Params:    a.params(),
		Arguments: []string{"ip", "cidr_netmask", "nic", "broadcast"},
		Actions:   actions,
		Examples: []metadata.Example{
			{Title: "Interface and prefix length from the connected network", ID: "web-vip", Params: [][2]string{{"ip", "192.0.2.10"}}},
			{Title: "Everything given", ID: "web-vip", Params: [][2]string{{"ip", "192.0.2.10"}, {"nic", "eth0"}, {"cidr_netmask", "24"}}},
			{Title: "Only if no other host has the address and the gateway learns it", ID: "web-vip", Params: [][2]string{
				{"ip", "192.0.2.10"}, {"duplicate", "fail"}, {"confirm", "gateway"}, {"confirm_policy", "fail"},
			}},
		},
	}
}

var actions = []metadata.Action{
	{Name: "start", Timeout: 20 * time.Second},
	{Name: "stop", Timeout: 20 * time.Second},
	{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second},
	{Name: "reload-agent", Timeout: 20 * time.Second},
	{Name: "validate-all", Timeout: 10 * time.Second},
	{Name: "meta-data", Timeout: 5 * time.Second},
}

func (a *Agent) params() []metadata.Param {
	return slices.Concat(a.placeParams(), a.announceParams(), a.proofParams(), a.unsupportedParams())
}

// placeParams returns the parameters of the address and its interface.
func (a *Agent) placeParams() []metadata.Param {
	return []metadata.Param{
		{Name: "ip", Value: metadata.Address(&a.IP), Required: true, UniqueGroup: "ip", Short: "Virtual IP address",
			Long: "The IPv4 or IPv6 address that clients connect to, 192.0.2.10 for example."},
		{Name: "nic", Value: interfaceName{&a.NIC, &a.nicLabel}, Short: "Network interface",
			Long: "The interface that gets the address. When unset, the interface whose connected network holds the address. Needed for IPv6 link-local addresses. An alternative name (ip link property) also works, and eth0@if7, as ip prints it, means eth0. A label after a colon, eth0:web for example, sets iflabel."},
		{Name: "cidr_netmask", Alias: "netmask", Value: prefixLength{&a.Bits, &a.dotted}, Short: "Prefix length",
			Long: "The prefix length of the address, 24 for example, or an IPv4 netmask like 255.255.255.0. When unset, the prefix length of the connected network. A shorter prefix length needs nic as well. So does an IPv6 prefix length that is neither 128 nor the length of the connected network."},
		{Name: "broadcast", Value: broadcastAddress{&a.Broadcast}, Short: "Broadcast address",
			Long: "The IPv4 broadcast address of the virtual address, or + or - for the last or first address of its network. When unset, the broadcast address of the interface's own address in the network."},
		{Name: "iflabel", Value: word{&a.Label}, Short: "Interface label",
			Long: "A label for the IPv4 address. ip and ifconfig show it after the interface's name and a colon. Name, colon and label have at most 15 characters together. When unset, the address has no label."},
		{Name: "network_namespace", Value: word{&a.Namespace}, Short: "Network namespace",
			Long: "The network namespace of the interface, by its name in ip netns list. The namespace must exist. When unset, the namespace of the cluster manager."},
		{Name: "proto", Value: routeProtocol{&a.Protocol}, Short: "Route protocol filter",
			Long: "When the agent searches the network of the address, it reads only routes with this protocol: kernel for example, or a number, as in the field proto of ip route. When unset, it reads all routes."},
		{Name: "noprefixroute", Value: metadata.Boolean(&a.NoPrefixRoute), Short: "Address without a route",
			Long: "With true, the kernel does not add a route to the network of the address."},
		{Name: "flush_routes", Value: metadata.Boolean(&a.FlushRoutes), Reloadable: true, Short: "Flush of the route cache",
			Long: "With true, stop flushes the kernel's route cache, as ip route flush cache does."},
		{Name: "check_link_status", Value: metadata.Boolean(&a.CheckLink), Reloadable: true, Short: "Carrier required",
			Long: "Whether start and monitor fail while the interface has no carrier. With false, start only logs a warning about a missing carrier. With true, the resource fails on all nodes that use a switch while this switch reboots."},
		{Name: "nodad", Value: metadata.Boolean(&a.NoDAD), Reloadable: true, Short: "IPv6 without duplicate address detection",
			Long: "With true, the kernel uses an IPv6 address at once. Otherwise start waits one to two seconds for the kernel's duplicate address detection."},
		{Name: "preferred_lft", Value: lifetime{&a.PreferredLft}, Reloadable: true, Short: "Preferred lifetime",
			Long: "For IPv6, the seconds after which the address is no longer chosen as the source of new connections, or forever. With the default 0, the kernel does not choose it as the source of the director's own connections and health checks. It does so only if the director has no other address."},
		{Name: "lvs_support", Value: metadata.Boolean(&a.LVSSupport), Short: "Address moved off lo",
			Long: "Whether start removes the address from lo, and stop adds it to lo again, as it was. For directors that are also real servers of the service."},
		{Name: "lvs_ipv6_addrlabel", Value: metadata.Boolean(&a.AddrLabel), Short: "IPv6 address label",
			Long: "Whether start adds a label for the address to the IPv6 address label table (ip addrlabel). The label also keeps the kernel from choosing the address as a source. Ignored for IPv4."},
		{Name: "lvs_ipv6_addrlabel_value", Value: metadata.Integer(&a.AddrLabelValue, 0, 1<<31-1), Short: "Value of the IPv6 address label",
			Long: "The label for lvs_ipv6_addrlabel. Choose a label that ip addrlabel list does not show."},
	}
}

// announceParams returns the parameters of the announcements.
func (a *Agent) announceParams() []metadata.Param {
	return []metadata.Param{
		{Name: "arp_count", Value: metadata.Integer(&a.ArpCount, 1, 1000), Reloadable: true, Short: "Number of announcements",
			Long: "How many announcements start sends after it has added the address. For IPv4, each is a broadcast ARP request and a broadcast ARP reply; for IPv6, one unsolicited neighbour advertisement. They end when the address leaves the interface."},
		{Name: "arp_interval", Value: metadata.Integer(&a.ArpInterval, 1, 60000), Reloadable: true, Short: "Time between announcements",
			Long: "Milliseconds between two announcements."},
		{Name: "arp_count_refresh", Value: metadata.Integer(&a.ArpCountRefresh, 0, 1000), Reloadable: true, Short: "Number of announcements of a refresh",
			Long: "How many announcements a recurring monitor sends while the address is there, at most once per arp_refresh_interval. They reach neighbours that missed the first announcements, for example because the network was split. 0 sends none."},
		{Name: "arp_refresh_interval", Value: metadata.Integer(&a.RefreshInterval, 0, 86400), Reloadable: true, Short: "Time between refreshes",
			Long: "Seconds between two refreshes by recurring monitors, see arp_count_refresh. 0 refreshes at every recurring monitor."},
		{Name: "arp_bg", Value: metadata.Boolean(&a.ArpBackground), Reloadable: true, Short: "Announcements in the background",
			Long: "Whether start returns before the last announcement was sent."},
		{Name: "arp_sender", Value: metadata.Select(&a.ArpSender, "send_arp", "iputils_arping", "libnet_arping", "ipoibarping"), Reloadable: true,
			Short: "Program for ARP", Long: "Accepted without effect: the agent sends ARP packets itself, without these programs."},
		{Name: "send_arp_opts", Value: metadata.String(&a.SendArpOpts), Reloadable: true, Short: "Options of the program for ARP",
			Long: "Accepted without effect, with a warning."},
	}
}

// The policies that duplicate and confirm_policy accept.
const (
	policyOff  = "off"
	policyFail = "fail"
	policyWarn = "warn"
	policyTake = "take"
)

// proofParams returns the parameters that detect a duplicate or a failed take-over.
func (a *Agent) proofParams() []metadata.Param {
	return []metadata.Param{
		{Name: "run_arping", Value: metadata.Boolean(&a.RunArping), Reloadable: true, Short: "Duplicate detection for IPv4",
			Long: "With true, start does the same as with duplicate=fail. If duplicate is warn or take, run_arping has no effect."},
		{Name: "duplicate", Value: metadata.Select(&a.Duplicate, policyOff, policyFail, policyWarn, policyTake), Reloadable: true, Short: "Reaction to another owner",
			Long: "What start does when another host has the address. To find that host, start sends ARP probes (RFC 5227) before it adds an IPv4 address. fail: start fails. warn: start logs the other host's link-layer address and continues. take: as warn, and for IPv4 a unicast copy of each announcement is sent to that host. off: start sends no ARP probes. For IPv6, the kernel detects duplicates unless nodad is true; off means fail."},
		{Name: "duplicate_wait", Value: metadata.Integer(&a.DuplicateWait, 3, 60000), Reloadable: true, Short: "Time for duplicate detection",
			Long: "Milliseconds that start waits for replies to three ARP probes. The first reply ends the wait."},
		{Name: "confirm", Value: &a.Confirm, Reloadable: true, Short: "Neighbours that must confirm",
			Long: "Neighbours by address, or gateway for the next hops of the default routes over the interface, separated by blanks or commas. After start has added the address, it sends each neighbour an echo request from the address. The reply arrives only if the neighbour has learned that this node has the address. Until then, start sends the announcement again, to that neighbour alone. When unset, start sends no echo requests."},
		{Name: "confirm_wait", Value: metadata.Integer(&a.ConfirmWait, 1, 60000), Reloadable: true, Short: "Time for confirmations",
			Long: "Milliseconds that start waits for the replies of all neighbours of confirm."},
		{Name: "confirm_policy", Value: metadata.Select(&a.ConfirmPolicy, policyWarn, policyFail), Reloadable: true, Short: "Reaction to a missing confirmation",
			Long: "What start does when a neighbour of confirm has not replied in time. warn: start logs a warning and continues. fail: start removes the address and fails."},
	}
}

// unsupportedParams returns the parameters of IPaddr2 for load sharing without a director. This
// agent ignores them, and refuses unique_clone_address=true.
func (a *Agent) unsupportedParams() []metadata.Param {
	names := []string{"mac", "clusterip_hash", "clusterip_firewall", "clusterip_hash_seed", "clusterip_table", "clusterip_chain", "clusterip_mac_mangle"}
	params := make([]metadata.Param, 0, len(names)+1)
	for _, name := range names {
		params = append(params, metadata.Param{Name: name, Value: noted{&a.ignored, name}, Reloadable: true, Short: "Not supported: CLUSTERIP",
			Long: "Accepted without effect, with a warning: an address on several nodes at once is not supported, because the kernel has no CLUSTERIP any more. Use ocf:lvs:ipvs to share load."})
	}
	return append(params, metadata.Param{Name: "unique_clone_address", Value: refusal{&a.refused, "unique_clone_address"}, Short: "Not supported: address of a clone instance",
		Long: "Accepted when false. When true, start fails: a clone whose instances have different addresses is not supported, because the cluster cannot see these addresses. Use one resource for each address."})
}

// noted is the value of a parameter that has no effect. If a user gives the parameter, Set adds its
// name to a list, so that the agent can log a warning.
type noted struct {
	list *[]string
	name string
}

// Set adds the name of the parameter to the list, and ignores the text.
func (n noted) Set(string) error { *n.list = append(*n.list, n.name); return nil }

// String returns an empty text, because the parameter has no value.
func (noted) String() string { return "" }

// Type returns the content type of the parameter in the metadata of OCF.
func (noted) Type() string { return "string" }

// refusal is the value of a boolean parameter that this agent does not support. If the value is
// true, Set adds the name of the parameter to a list.
type refusal struct {
	list *[]string
	name string
}

// Set parses a boolean. If it is true, Set adds the name of the parameter to the list of refused
// parameters.
func (r refusal) Set(text string) error {
	var on bool
	err := metadata.Boolean(&on).Set(text)
	if on {
		*r.list = append(*r.list, r.name)
	}
	return err
}

// String returns false, which is the default.
func (refusal) String() string { return "false" }

// Type returns the content type of the parameter in the metadata of OCF.
func (refusal) Type() string { return "boolean" }

// prefixLength is the value of cidr_netmask: a prefix length or a dotted IPv4 netmask, as in
// IPaddr2.
type prefixLength struct {
	target *int
	dotted *bool
}

// Set parses a prefix length or an IPv4 netmask.
func (p prefixLength) Set(text string) error {
	text = strings.TrimPrefix(strings.TrimSpace(text), "/")
	bits, err := strconv.Atoi(text)
	dotted := err != nil
	if dotted {
		bits, err = lvs.ParseNetmask(text, false)
	}
	if err != nil || bits < 1 || bits > 128 {
		return errors.New("not a prefix length from 1 to 32 (IPv6: 128), nor an IPv4 netmask")
	}
	*p.target, *p.dotted = bits, dotted
	return nil
}

// String returns the prefix length, or an empty text if it is unset.
func (p prefixLength) String() string {
	if *p.target == 0 {
		return ""
	}
	return strconv.Itoa(*p.target)
}

// Type returns the content type of the parameter in the metadata of OCF.
func (p prefixLength) Type() string { return "string" }

// interfaceName is the value of nic: a name, or a name, a colon and a label, as in IPaddr2.
type interfaceName struct{ name, label *string }

// Set parses the name of an interface, which can have a colon and a label after it.
func (n interfaceName) Set(text string) error {
	name, label, _ := strings.Cut(strings.TrimSpace(text), ":")
	const longest = 127 // longest is ALTIFNAMSIZ of linux/if.h without the zero byte at its end.
	if name == "" || len(name) > longest || strings.ContainsAny(name, "/ \t") {
		return errors.New("not the name of a network interface")
	}
	*n.name, *n.label = name, label
	return nil
}

// String returns the name without the label.
func (n interfaceName) String() string { return *n.name }

// Type returns the content type of the parameter in the metadata of OCF.
func (n interfaceName) Type() string { return "string" }

// word is the value of a text parameter. Set removes the blanks before and after the text.
type word struct{ target *string }

// Set stores the text without the blanks before and after it.
func (w word) Set(text string) error { *w.target = strings.TrimSpace(text); return nil }

// String returns the stored text.
func (w word) String() string { return *w.target }

// Type returns the content type of the parameter in the metadata of OCF.
func (w word) Type() string { return "string" }

// broadcastAddress is the value of broadcast: an IPv4 address, + or -.
type broadcastAddress struct{ target *string }

// Set parses an IPv4 address, + or -.
func (b broadcastAddress) Set(text string) error {
	text = strings.TrimSpace(text)
	ip, err := netip.ParseAddr(text)
	if text != "+" && text != "-" && (err != nil || !ip.Is4()) {
		return errors.New("neither an IPv4 address nor + nor -")
	}
	*b.target = text
	return nil
}

// String returns the address, + or -, or an empty text if the value is unset.
func (b broadcastAddress) String() string { return *b.target }

// Type returns the content type of the parameter in the metadata of OCF.
func (b broadcastAddress) Type() string { return "string" }

// lifetime is the value of a lifetime parameter: a number of seconds, or forever.
type lifetime struct{ target *string }

// Set parses a number of seconds or the word forever.
func (l lifetime) Set(text string) error {
	text = strings.TrimSpace(text)
	if _, err := strconv.ParseUint(text, 10, 31); err != nil && text != "forever" {
		return errors.New("neither a number of seconds nor forever")
	}
	*l.target = text
	return nil
}

// String returns the number of seconds or the word forever.
func (l lifetime) String() string { return *l.target }

// Type returns the content type of the parameter in the metadata of OCF.
func (l lifetime) Type() string { return "string" }

// lifetime converts PreferredLft to the fields of an address. The number preferred is in seconds.
// It is 0 for forever and for a deprecated address.
func (a *Agent) lifetime() (deprecated bool, preferred int) {
	if a.PreferredLft == "forever" {
		return false, 0
	}
	preferred, _ = strconv.Atoi(a.PreferredLft) // no error is possible: Set has already parsed the number
	return preferred == 0, preferred
}

// protocols maps the names of route protocols in iproute2's rt_protos to their numbers.
var protocols = map[string]int{
	"redirect": 1, "kernel": 2, "boot": 3, "static": 4, "gated": 8, "ra": 9, "mrt": 10, "zebra": 11, "bird": 12, "dnrouted": 13,
	"xorp": 14, "ntk": 15, "dhcp": 16, "keepalived": 18, "babel": 42, "openr": 99, "bgp": 186, "isis": 187, "ospf": 188, "rip": 189, "eigrp": 192,
}

// routeProtocol is the value of a route protocol parameter: a name in protocols, or a number.
type routeProtocol struct{ target *int }

// Set parses a name in protocols, or a number from 1 to 255.
func (p routeProtocol) Set(text string) error {
	text = strings.TrimSpace(text)
	number, known := protocols[text]
	if !known {
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil || n == 0 {
			return errors.New("neither a route protocol (kernel, static, ...) nor a number from 1 to 255")
		}
		number = int(n)
	}
	*p.target = number
	return nil
}

// String returns the number of the protocol, or an empty text if it is unset.
func (p routeProtocol) String() string {
	if *p.target == 0 {
		return ""
	}
	return strconv.Itoa(*p.target)
}

// Type returns the content type of the parameter in the metadata of OCF.
func (p routeProtocol) Type() string { return "string" }

// neighbourList is the value of the parameter confirm.
type neighbourList struct {
	gateway   bool
	addresses []netip.Addr
}

// Set parses a list of addresses and the word gateway, separated by blanks or commas.
func (n *neighbourList) Set(text string) error {
	var list neighbourList
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		if word == "gateway" {
			list.gateway = true
			continue
		}
		ip, err := netip.ParseAddr(word)
		if err != nil || ip.Zone() != "" {
			return fmt.Errorf("%q is neither gateway nor an address", word)
		}
		list.addresses = append(list.addresses, ip.Unmap())
	}
	*n = list
	return nil
}

// String returns the word gateway, if Set has found it, and then the addresses.
func (n *neighbourList) String() string {
	var words []string
	if n.gateway {
		words = append(words, "gateway")
	}
	for _, ip := range n.addresses {
		words = append(words, ip.String())
	}
	return strings.Join(words, " ")
}

// Type returns the content type of the parameter in the metadata of OCF.
func (n *neighbourList) Type() string { return "string" }
