package ipvs

import (
	"time"

	"lvs-agents/internal/lvs"
	"lvs-agents/metadata"
)

// Metadata declares the agent.
func (a *Agent) Metadata() metadata.Agent {
	return metadata.Agent{
		Name:  "ipvs",
		Short: "IPVS virtual services of an LVS director",
		Long: `Puts IPVS virtual services and their real servers into the kernel of the director: from a configuration file in ldirectord's syntax (config), or from parameters (virtual, real and the others), which the cluster then carries to every node.

Only services of this resource are ever looked at or changed: no table is flushed, and services that other programs or resources made stay as they are. A service that stands in the kernel already is adopted if it is equal; if it differs, start fails and names the difference.

A real server that a health daemon of this node found bad less than a minute before start begins with weight 0, unless all of its service were; the next health daemon brings it back or, if none comes, a monitor after that minute.

While a health daemon lives, it decides about the real servers of its services, and monitor asks it to repair what is wrong. A minute after it has ended without another one, they have the weights of the configuration again. A service that has real servers, none of which gets connections, is failed unless the health daemon found all of them bad. A reload is one of the health daemon, too; it fails if that refuses its configuration.

Start this resource before the virtual IP address and stop it after: a client then never reaches a director that has no table.`,
		Params:    a.params(),
		Arguments: []string{"config"},
		Actions:   actions,
		Examples: []metadata.Example{
			{Title: "Services from a file that every director has", ID: "web-ipvs", Params: [][2]string{{"config", "/etc/ha.d/ldirectord.cf"}}},
			{Title: "One service, carried by the cluster's configuration", ID: "web-ipvs", Params: [][2]string{
				{"virtual", "192.0.2.10:80"}, {"real", "192.0.2.21 gate 1, 192.0.2.22 gate 1"}, {"scheduler", "rr"},
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
	return []metadata.Param{
		{Name: "config", Value: metadata.String(&a.Config), Reloadable: true, Short: "Configuration file",
			Long: "A file in the syntax of ldirectord.cf with the virtual services. A relative name is looked up in /etc/ha.d. Every director needs the same file. Not together with virtual; one of the two is needed. The file is read at start and reload only."},
		{Name: "virtual", Value: metadata.String(&a.Virtual), UniqueGroup: "virtual", Short: "Virtual services",
			Long: "One or several of address:port, [IPv6 address]:port or a firewall mark (a number), separated by blanks. All of them get the same real servers, scheduler and persistence. Not together with config."},
		{Name: "real", Value: metadata.String(&a.Real), Reloadable: true, Short: "Real servers",
			Long: "Real servers separated by commas or semicolons, each as: address[:port] method [weight]. The method is gate (direct routing), masq (NAT) or ipip (tunnel); the port is the virtual service's and the weight 1 when unset. address->address is a range."},
		{Name: "scheduler", Value: metadata.Select(&a.Scheduler, lvs.Schedulers()...), Reloadable: true, Short: "IPVS scheduler",
			Long: "How the kernel chooses a real server for a new connection. With config the file's scheduler lines count instead."},
		{Name: "persistent", Value: metadata.Integer(&a.Persistent, 0, int(lvs.MaxPersistence/time.Second)), Reloadable: true, Short: "Persistence in seconds",
			Long: "For how many seconds a client stays with the real server that it got; 0 is no persistence."},
		{Name: "netmask", Value: metadata.String(&a.Netmask), Reloadable: true, Short: "Persistence netmask",
			Long: "Clients of one network stay together: a mask like 255.255.255.0 for IPv4, a prefix length for IPv6. Every client counts by itself when unset. Only with persistent."},
		{Name: "protocol", Value: metadata.Select(&a.Protocol, "tcp", "udp", "fwm"), Short: "Protocol of the virtual services",
			Long: "tcp or udp for addresses, fwm for firewall marks. When unset: fwm for a mark, udp for port 53, tcp for the rest."},
	}
}
