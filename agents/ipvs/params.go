package ipvs

import (
	"time"

	"lvs-agents/internal/lvs"
	"lvs-agents/metadata"
)

// Metadata returns the parameters and actions of the agent.
func (a *Agent) Metadata() metadata.Agent {
	return metadata.Agent{
		Name:  "ipvs",
		Short: "IPVS virtual services of an LVS director",
		Long: `Puts IPVS virtual services and their real servers into the kernel of the director. The services come from a configuration file in ldirectord's syntax (config), or from the parameters virtual, real and others. The cluster copies parameters to every node.

This resource changes only its own services. It does not delete the whole table, and services of other programs or resources stay as they are. If a service is already in the kernel and equal, start adopts it. If it differs, start fails and names the difference.

A real server starts with weight 0 if a health daemon of this node found it bad less than a minute before. The same is true if an operator has drained it with lvsctl drain --on. If all real servers of a service are bad or drained, they start with their weights. The next health daemon that finds the real server good restores the weight of the real server. If no health daemon runs, a monitor restores the weight after that minute.

While a health daemon runs, only this daemon changes the real servers of its services, and monitor requests repairs from the daemon. When the health daemon has ended and no other starts within a minute, monitor gives the real servers the weights of the configuration. This resource fails if no real server of a service gets connections. It does not fail if the health daemon found all of them bad, or if the configuration gives all of them weight 0. Reload also reloads the health daemon, and fails if the daemon refuses its configuration.

With the schedulers mh, sh and dh, the kernel fills a hash table in the order of the real servers. Start and reload add the real servers in the order of their addresses, so that every director has the same table. With mh-fallback, a real server that is down keeps its places with weight 0. With sh-fallback, it keeps only one place, so use weight 1 for all real servers. With mh-port, sloppy_tcp=yes and no masq servers, a director that takes over also continues the open TCP connections. Then nothing needs to be synchronised.

Start this resource before the virtual IP address, and stop it after the address. Then no client reaches a director without a table.`,
		Params:    a.params(),
		Arguments: []string{"config"},
		Actions:   actions,
		Examples: []metadata.Example{
			{Title: "Services from a file that every director has", ID: "web-ipvs", Params: [][2]string{{"config", "/etc/ha.d/ldirectord.cf"}}},
			{Title: "One service, from the cluster's configuration", ID: "web-ipvs", Params: [][2]string{
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
			Long: "A file in the syntax of ldirectord.cf with the virtual services. A relative name is looked up in /etc/ha.d, then in /etc/ha.d/conf. Every director needs the same file. Exactly one of config and virtual is needed. A change of the file takes effect at start and reload."},
		{Name: "virtual", Value: metadata.String(&a.Virtual), UniqueGroup: "virtual", Reloadable: true, Short: "Virtual services",
			Long: "One or several of address:port, [IPv6 address]:port or a firewall mark (a number), separated by blanks or commas. Each can end with its protocol, as in 192.0.2.10:53/udp or 5/fwm6. address->address:port-port is a range of addresses, of ports, or of both. All services get the same real servers, scheduler and persistence. Port 0 is every port and needs persistent. Not together with config."},
		{Name: "real", Value: metadata.String(&a.Real), Reloadable: true, Short: "Real servers",
			Long: "Real servers separated by commas or semicolons, each as: address[:port] method [weight] [options]. The method is gate (direct routing), masq (NAT) or a tunnel (ipip, gue or gre). When unset, the port is the port of the virtual service and the weight is 1. address->address is a range of addresses. Options: u:N, with N connections the real server gets no new ones; l:N, with fewer than N it gets them again; for gue port:N (6080 when unset); for gue and gre csum, for gue also remcsum. A real server of the other address family needs a tunnel, and no synchronisation daemon can run."},
		{Name: "scheduler", Value: metadata.Select(&a.Scheduler, lvs.Schedulers()...), Reloadable: true, Short: "IPVS scheduler",
			Long: "How the kernel chooses a real server for a new connection. With config, the scheduler lines of the file apply instead."},
		{Name: "schedflags", Value: metadata.String(&a.SchedFlags), Reloadable: true, Short: "Flags of the scheduler",
			Long: "Flags of the schedulers mh and sh, joined by commas: mh-fallback and sh-fallback give the clients of a real server with weight 0 another real server; mh-port and sh-port also use the port of the client. When unset, mh and sh have the fallback flag only."},
		{Name: "ops", Value: metadata.Select(&a.OPS, "yes", "no"), Reloadable: true, Short: "Whether each UDP packet is scheduled separately",
			Long: "One-packet scheduling, for UDP services and firewall marks. The kernel keeps no connection, so the packets of one client go to several real servers. When unset, no."},
		{Name: "persistent", Value: metadata.Integer(&a.Persistent, 0, int(lvs.MaxPersistence/time.Second)), Reloadable: true, Short: "Persistence in seconds",
			Long: "For how many seconds a client stays with its real server. 0 turns persistence off."},
		{Name: "netmask", Value: metadata.String(&a.Netmask), Reloadable: true, Short: "Persistence netmask",
			Long: "Clients of one network stay with the same real server. The value is a mask like 255.255.255.0 for IPv4, or a prefix length for IPv6. When unset, each client address counts separately. Only with persistent."},
		{Name: "persistence_engine", Value: metadata.Select(&a.Engine, string(lvs.SIP)), Reloadable: true, Short: "Persistence engine",
			Long: "With sip, all SIP messages over UDP with the same Call-ID go to one real server. Only with persistent, and only for UDP services and firewall marks. When unset, the address identifies a client."},
		{Name: "lvs_timeouts", Value: metadata.String(&a.Timeouts), Reloadable: true, Short: "Timeouts of connections",
			Long: "After how many seconds without a packet the kernel forgets a connection, as: tcp 7200 tcpfin 120 udp 300. A part can be left out. The timeouts (ipvsadm --set) are for all services of the network namespace. Stop puts the previous values back. Start fails if another resource needs other values. When unset, they stay as they are. With config, the line lvs_timeouts of the file applies instead."},
		{Name: "sloppy_tcp", Value: metadata.Select(&a.SloppyTCP, "yes", "no"), Reloadable: true, Short: "Whether packets of unknown TCP connections are scheduled",
			Long: "With yes and the scheduler mh or sh, a director that takes over continues the open TCP connections. Start sets the sysctl net.ipv4.vs.sloppy_tcp, which is for all services of the network namespace. Stop puts the previous value back. Start fails if another resource needs the other value. When unset, the sysctl stays as it is. With config, the line sloppy_tcp of the file applies instead."},
		{Name: "sloppy_sctp", Value: metadata.Select(&a.SloppySCTP, "yes", "no"), Reloadable: true, Short: "Whether packets of unknown SCTP associations are scheduled",
			Long: "The same as sloppy_tcp for SCTP: the sysctl net.ipv4.vs.sloppy_sctp."},
		{Name: "expire_nodest_conn", Value: metadata.Select(&a.ExpireNodestConn, "yes", "no"), Reloadable: true, Short: "Whether the connections of removed real servers end",
			Long: "With yes, the clients of a removed real server get a reset, and their datagrams go to another real server. With no, they get no answer and no error. The sysctl net.ipv4.vs.expire_nodest_conn, which start sets and stop puts back, as for sloppy_tcp. Give yes if the health resource has quiescent=no or a fallback, and the scheduler is neither mh nor sh. When unset, the sysctl stays as it is. With config, the line expire_nodest_conn of the file applies instead."},
		{Name: "expire_quiescent_template", Value: metadata.Select(&a.ExpireQuiescentTemplate, "yes", "no"), Reloadable: true, Short: "Whether persistent clients leave a real server with weight 0",
			Long: "With yes, the next connection of a persistent client goes to another real server. With no, it goes to the real server with weight 0, even if that is down. The sysctl net.ipv4.vs.expire_quiescent_template. When unset, yes if persistent is set; otherwise the sysctl stays as it is. Choose no if a drained real server must keep the sessions of its clients."},
		{Name: "conn_reuse_mode", Value: metadata.Select(&a.ConnReuseMode, "0", "1", "3"), Reloadable: true, Short: "When a connection from a used port is scheduled",
			Long: "A client can connect again from a port that it has used a short time before. With 0, the connection goes to the same real server, even if that has weight 0 now. With 1, the kernel schedules it if both sides have closed the earlier connection, which it sees only with masq. With 3, it also does so with gate and ipip. The sysctl net.ipv4.vs.conn_reuse_mode. When unset, 3 if a service for TCP or a firewall mark without persistent has servers that are not masq, and net.ipv4.vs.conntrack is 0; otherwise the sysctl stays as it is."},
		{Name: "protocol", Value: metadata.Select(&a.Protocol, "tcp", "udp", "sctp", "fwm", "fwm4", "fwm6"), Reloadable: true, Short: "Protocol of the virtual services",
			Long: "tcp, udp or sctp for addresses. For firewall marks fwm4 for IPv4 packets, fwm6 for IPv6 packets, and fwm for the address family of the first real server. It applies to the services in virtual that have no protocol. When unset: fwm for a mark, udp for port 53, tcp for other ports."},
	}
}
