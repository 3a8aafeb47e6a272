package sync

import (
	"math"
	"strconv"
	"time"

	"lvs-agents/metadata"
)

// Metadata returns the parameters and actions of the agent.
func (a *Agent) Metadata() metadata.Agent {
	return metadata.Agent{
		Name:  "sync",
		Short: "Connection synchronisation of IPVS",
		Long: `Runs the synchronisation daemons of IPVS, so that the connections of one director survive on the others. The master daemon sends the connections of this director, and the backup daemon receives the connections of the other directors. The agent starts both. Use it as a clone on all directors; no constraint with the virtual address is needed.

With the defaults of the agent, the master daemon sends a TCP connection when it is established. While packets of the connection arrive, the daemon repeats it up to three times in the next second, and later sends it again. So one lost datagram does no harm to a connection with traffic. An idle connection is sent only once. With the defaults of the kernel, the master daemon sends an open connection only at its third packet and then at every fiftieth packet. It does not send an open connection that had fewer than three packets. It also sends a TCP connection that closes.

The master daemon of the kernel sends a connection only while packets of the connection arrive. So a director that was away does not get idle connections. Give the clone the meta attribute notify=true. Then, when an instance starts on one node, the instances on the other nodes send all connections that their nodes serve, twice. The command lvsctl resync does the same by hand. A node serves the connections to its own addresses. The agent does not send connections that have ended, or entries of persistence engines. It also does not send FTP data connections that the client has not opened yet, or connections between IPv4 and IPv6. An FTP connection whose sequence numbers ip_vs_ftp has changed is sent, but breaks at a take-over.

In a Pacemaker cluster, the recurring monitor publishes the node attribute lvs-sync-ID, where ID is the id of the resource. Its value is how many per cent of the connections of the other nodes this node has; if there are several, the smallest share counts. Give the virtual address a location constraint with the rule "lvs-sync-ID gte 99" and a positive score. The cluster then prefers a node that has the connections. The agent estimates the value from a sample of 128 connections, which each node publishes in the private attribute lvs-connections-ID. If a node has less than 99, the node that serves the connections sends them again. Stop removes both attributes. The kernel needs seconds to read a table of 100,000 connections. With such large tables the agent measures at most once in a minute. An address on lo or tunl0 does not count as an address of the node, because the node can be a real server.

The datagrams are neither encrypted nor authenticated. A host that can send datagrams to the multicast group on this interface can create connections on the directors. Use an interface that only the directors share, or a packet filter: see peers.

Start records each daemon that it starts and each sysctl that it changes, with the value that it found. Stop stops only these daemons and restores only these sysctls. If another program has started a daemon with other options, start fails and names the daemon. With the same options, start uses the daemon, and stop does not stop it. A network namespace can have only one daemon of each kind, so start of a second resource fails.`,
		Params:  a.params(),
		Actions: actions,
		Examples: []metadata.Example{
			{Title: "Two directors with a cable between them on eth1", ID: "lvs-sync", Params: [][2]string{{"interface", "eth1"}, {"syncid", "7"}}},
			{Title: "The same over IPv6. The agent filters no datagrams: because of peers, start only logs an nft command that admits the other director alone", ID: "lvs-sync", Params: [][2]string{
				{"interface", "eth1"}, {"syncid", "7"}, {"group", "ff05::81"}, {"peers", "2001:db8::12"},
			}},
		},
	}
}

var actions = []metadata.Action{
	{Name: "start", Timeout: 20 * time.Second},
	{Name: "stop", Timeout: 20 * time.Second},
	{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second},
	{Name: "reload-agent", Timeout: 20 * time.Second},
	{Name: "notify", Timeout: 10 * time.Second},
	{Name: "validate-all", Timeout: 10 * time.Second},
	{Name: "meta-data", Timeout: 5 * time.Second},
}

// shortest is the least length that the kernel gives a backup daemon. longest fits into a UDP
// datagram over IPv6.
const (
	shortest = 1024
	longest  = 65535 - 40 - 8
)

func (a *Agent) params() []metadata.Param {
	return append(a.daemonParams(), a.sysctlParams()...)
}

// daemonParams returns the parameters of the daemons. A change of one of these parameters restarts
// the daemons.
func (a *Agent) daemonParams() []metadata.Param {
	return []metadata.Param{
		{Name: "interface", Value: metadata.String(&a.NIC), Required: true, Short: "Network interface",
			Long: "The interface that the daemons send to and receive from. Without an address there, the datagrams come from an address of another interface. Start fails while the interface is missing or down; a missing carrier is accepted."},
		{Name: "syncid", Value: metadata.Integer(&a.ID, 1, math.MaxUint8), Required: true, Short: "Number of the group of directors",
			Long: "All directors of one cluster use the same number, and no other cluster on the same network uses it. A backup daemon ignores datagrams with other numbers. The kernel also has the number 0, which accepts the datagrams of every cluster; the agent refuses it."},
		{Name: "group", Value: metadata.Address(&a.Group), Short: "Multicast group",
			Long: "The multicast address of the datagrams, ff05::81 for example for IPv6. All directors need the same value."},
		{Name: "port", Value: metadata.Integer(&a.Port, 1, math.MaxUint16), Short: "UDP port",
			Long: "The UDP port of the datagrams. With sync_ports, it is the first of several ports. All directors need the same value."},
		{Name: "ttl", Value: metadata.Integer(&a.TTL, 1, math.MaxUint8), Short: "Time to live",
			Long: "How many networks a datagram can cross. With the default, datagrams stay in the network of the interface."},
		{Name: "maxlen", Value: optional{&a.MaxLen, shortest, longest, 0}, Short: "Length of datagrams",
			Long: "The largest number of bytes with connections in a datagram. When unset, the kernel fills packets of 1500 bytes. Give less if the MTU of the interface is smaller, and more for jumbo frames on all directors."},
		{Name: "peers", Value: metadata.Addresses(&a.Peers), Reloadable: true, Short: "Addresses of the other directors",
			Long: "Addresses of the other directors on the interface, separated by blanks or commas. Start logs an nft command for a rule that drops the datagrams of all other hosts. The agent never changes packet filters: make the rule part of the firewall of each director."},
	}
}

// sysctlParams returns the parameters that decide what the master daemon sends.
func (a *Agent) sysctlParams() []metadata.Param {
	const of = "The sysctl net.ipv4.vs."
	return []metadata.Param{
		{Name: "sync_threshold", Value: metadata.Integer(&a.Threshold, 0, math.MaxInt32), Reloadable: true, Short: "First packet that is sent",
			Long: "The first number of net.ipv4.vs.sync_threshold: within each sync_period, the master daemon sends the connection at the packet with this number. It must be smaller than sync_period, unless that is 0."},
		{Name: "sync_period", Value: metadata.Integer(&a.Period, 0, math.MaxInt32), Reloadable: true, Short: "Packets until a connection is sent again",
			Long: "The second number of net.ipv4.vs.sync_threshold: the master daemon sends a connection once in this number of packets. With 0, sync_refresh_period alone decides."},
		{Name: "sync_refresh_period", Value: metadata.Integer(&a.RefreshPeriod, 0, 86400), Reloadable: true, Short: "Seconds until a connection is sent again",
			Long: of + "sync_refresh_period: the master daemon sends a connection again, at its next packet, after the connection's timer has changed by this number of seconds. With 0, the daemon sends a connection only at the packets that sync_threshold and sync_period select, and many connections are lost at a take-over."},
		{Name: "sync_retries", Value: metadata.Integer(&a.Retries, 0, 3), Reloadable: true, Short: "Repetitions of a connection",
			Long: of + "sync_retries: how many times the master daemon repeats a connection while packets of the connection arrive. The time between two repetitions is an eighth of sync_refresh_period. Repetitions replace lost datagrams."},
		{Name: "sync_persist_mode", Value: metadata.Boolean(&a.PersistMode), Reloadable: true, Short: "Persistence without its connections",
			Long: of + "sync_persist_mode: with true, the master daemon sends only the persistence of a client, and not each of the client's connections. Then a connection of a persistent service can break at a take-over."},
		{Name: "sync_ports", Value: metadata.Integer(&a.Ports, 1, 64), Short: "Number of threads and ports",
			Long: of + "sync_ports: the number of threads of each daemon, a power of 2. Each thread uses one UDP port. All directors need the same number: a datagram to a port without a thread is lost."},
		{Name: "sync_sock_size", Value: optional{&a.SockSize, 0, math.MaxInt32, -1}, Short: "Socket buffer",
			Long: of + "sync_sock_size: bytes of the socket buffers of the daemons. 0 is the default of the kernel. When unset, the sysctl stays as it is."},
		{Name: "sync_qlen_max", Value: optional{&a.QueueLimit, 0, math.MaxInt32, -1}, Reloadable: true, Short: "Length of the send queue",
			Long: of + "sync_qlen_max: how many datagrams can wait for the master daemon. The kernel drops further datagrams without a message. When unset, the sysctl stays as it is: the kernel derives it from the size of the memory."},
	}
}

// optional is a whole number that can be unset.
type optional struct {
	target           *int
	low, high, unset int
}

// Set parses a whole number, and returns an error if the number is below low or above high.
func (v optional) Set(text string) error { return metadata.Integer(v.target, v.low, v.high).Set(text) }

// String returns the number, or an empty text if the number is unset.
func (v optional) String() string {
	if *v.target == v.unset {
		return ""
	}
	return strconv.Itoa(*v.target)
}

// Type returns the content type of the parameter in the metadata of OCF.
func (v optional) Type() string { return "integer" }
