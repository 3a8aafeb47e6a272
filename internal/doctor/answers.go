package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lvs-agents/internal/lvs"
)

func controller(f Facts) []Finding {
	switch {
	case f.Silent != "":
		return []Finding{{"the state of the cluster is unknown", f.Silent,
			"type lvsctl doctor again; if it stays so, examine Pacemaker: systemctl status pacemaker; journalctl -u pacemaker"}}
	case f.monitor != nil && !f.monitor.DC.Present:
		return []Finding{{"the cluster starts and moves no resource", "Pacemaker has no designated controller",
			"examine the links between the directors: corosync-cfgtool -s; journalctl -u corosync -u pacemaker"}}
	}
	return nil
}

func lacking(f Facts) (findings []Finding) {
	for _, agent := range f.Lacking {
		findings = append(findings, Finding{"this node cannot run the resources of ocf:lvs:" + agent,
			"the agent is not in /usr/lib/ocf/resource.d/lvs", "install lvs-agents here, in the version of the other nodes"})
	}
	return findings
}

// name compares the names of this host. A host name and its form with a domain are equal.
func name(f Facts) []Finding {
	short := func(name string) string { name, _, _ = strings.Cut(name, "."); return strings.ToLower(name) }
	if f.Node == "" || f.Host == "" || short(f.Node) == short(f.Host) {
		return nil
	}
	return []Finding{{"commands with the name " + f.Host + " do not find this node",
		fmt.Sprintf("the host name is %s, and the cluster calls this node %s", f.Host, f.Node), "hostnamectl set-hostname " + f.Node}}
}

// interfaces returns the virtual addresses that this node cannot have on an interface.
func interfaces(f Facts) (findings []Finding) {
	if f.Links == nil {
		return nil
	}
	for _, v := range f.VIPs() {
		what := fmt.Sprintf("this node cannot serve %s (resource %s)", v.IP, v.Resource)
		i := slices.IndexFunc(f.Links, func(l Link) bool { return l.Name == v.NIC })
		in := slices.IndexFunc(f.Links, func(l Link) bool { return l.leads(v.IP) })
		switch {
		case v.NIC != "" && i < 0:
			findings = append(findings, Finding{what, "this node has no interface " + v.NIC,
				fmt.Sprintf("create %s, or crm_resource --resource=%s --set-parameter=nic --parameter-value=NIC", v.NIC, v.Resource)})
		case v.NIC != "" && !f.Links[i].Up:
			findings = append(findings, Finding{what, v.NIC + " is down", "ip link set dev " + v.NIC + " up"})
		case v.NIC == "" && in < 0:
			findings = append(findings, Finding{what, "no interface has an address in the network of " + v.IP.String(),
				"give the resource nic and cidr_netmask, or an interface an address in that network"})
		case v.NIC == "" && !f.Links[in].Up:
			findings = append(findings, Finding{what, f.Links[in].Name + " is down", "ip link set dev " + f.Links[in].Name + " up"})
		}
	}
	return findings
}

// leads reports whether an interface has another address whose network contains ip.
func (l Link) leads(ip netip.Addr) bool {
	return slices.ContainsFunc(l.Networks, func(p netip.Prefix) bool { return p.Addr() != ip && p.Contains(ip) })
}

func owners(f Facts) (findings []Finding) {
	for _, v := range f.VIPs() {
		if mac := f.Owners[v.IP]; mac != "" {
			findings = append(findings, Finding{
				"packets of clients for " + v.IP.String() + " bypass this director", "the host " + mac + " answers ARP for the address",
				fmt.Sprintf("find the host with: ip neigh | grep %s; on a real server: lvsctl doctor %s", mac, v.IP),
			})
		}
	}
	return findings
}

// noReply is the value of arp_ignore that makes the kernel answer no ARP query.
const noReply = "8"

func silent(f Facts) (findings []Finding) {
	if f.Sysctl == nil {
		return nil
	}
	for _, l := range f.Links {
		if !slices.ContainsFunc(f.VIPs(), func(v VIP) bool { return v.NIC == l.Name || v.NIC == "" && l.leads(v.IP) }) {
			continue
		}
		for _, nic := range []string{"all", l.Name} {
			if s := conf(nic, "arp_ignore"); f.Sysctl(s.Name) == noReply {
				findings = append(findings, Finding{"neighbours do not find the virtual addresses on " + l.Name, s.Dotted() + " is " + noReply, s.Command("0")})
			}
		}
	}
	return findings
}

// ParsePeers returns the names of the other nodes by their addresses. text is the output of
// corosync-cmapctl nodelist, and own the name of this node.
func ParsePeers(text, own string) map[netip.Addr]string {
	names, addresses := map[string]string{}, map[netip.Addr]string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, " (str) = ")
		id, field, _ := strings.Cut(strings.TrimPrefix(key, "nodelist.node."), ".")
		value = strings.TrimSpace(value)
		if ip, err := netip.ParseAddr(value); err == nil && strings.HasPrefix(field, "ring") {
			addresses[ip] = id
		}
		if field == "name" {
			names[id] = value
		}
	}
	for ip, id := range addresses {
		addresses[ip] = names[id]
		if names[id] == own {
			delete(addresses, ip)
		}
	}
	return addresses
}

// loop returns the real servers that are directors and send the packets on.
func loop(f Facts) (findings []Finding) {
	if f.config == nil || !f.config.everywhere() {
		return nil
	}
	for _, v := range f.Table {
		for _, d := range v.Destinations {
			if node := f.Peers[d.Addr.Addr()]; node != "" && d.Forward == lvs.Route {
				findings = append(findings, Finding{
					fmt.Sprintf("packets for %s can go around between the directors", v.ID),
					fmt.Sprintf("its real server %s is the director %s, which balances the same service", d.Addr, node),
					"remove this real server from the configuration, or make ipvs a part of the group with the address",
				})
			}
		}
	}
	return findings
}

// tracking compares the tracked connections with their limit.
func tracking(f Facts) []Finding {
	if f.Sysctl == nil {
		return nil
	}
	n, err := strconv.Atoi(f.Sysctl("net/netfilter/nf_conntrack_count"))
	limit, wrong := strconv.Atoi(f.Sysctl("net/netfilter/nf_conntrack_max"))
	if err != nil || wrong != nil || n <= limit*nearLimit/100 {
		return nil
	}
	return []Finding{{"the kernel soon drops packets of new connections", fmt.Sprintf("connection tracking has %d of %d entries", n, limit),
		fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", 2*limit)}}
}

// enoughRoom is the number of free bytes that the state of agents and daemons needs.
const enoughRoom = 1 << 20

func writable(f Facts) []Finding {
	const what = "resources cannot start, stop or reload on this node"
	switch {
	case f.State.Path == "":
	case f.State.ReadOnly:
		return []Finding{{what, "the file system of " + f.State.Path + " is read-only", "mount -o remount,rw " + f.State.Path}}
	case f.State.Free < enoughRoom:
		return []Finding{{what, fmt.Sprintf("the file system of %s has %d free bytes", f.State.Path, f.State.Free), "remove files there: du -x -a /run | sort -n | tail"}}
	}
	return nil
}
