package doctor

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// fakeDirector is a fake kernel of a director in 192.0.2.0/24. Each read of the traffic and of the
// handshakes returns the next element. The last element is repeated.
type fakeDirector struct {
	fakeHost
	traffic    [][]lvs.Traffic
	handshakes [][]host.Handshake
	drops      []int
	down       bool // down says that no server accepts connections.
}

func next[T any](list *[]T) (first T) {
	if len(*list) > 0 {
		first = (*list)[0]
	}
	if len(*list) > 1 {
		*list = (*list)[1:]
	}
	return first
}

func (d *fakeDirector) Traffic(context.Context) ([]lvs.Traffic, error) { return next(&d.traffic), nil }
func (d *fakeDirector) Handshakes() []host.Handshake                   { return next(&d.handshakes) }
func (d *fakeDirector) SourceDrops() int                               { return next(&d.drops) }
func (d *fakeDirector) Accepts(context.Context, netip.AddrPort) (int, bool) {
	return 1460, !d.down
}

func (d *fakeDirector) Network(_ context.Context, s host.Search) (host.Network, error) {
	if !netip.MustParsePrefix("192.0.2.0/24").Contains(s.IP) {
		return host.Network{}, host.ErrNoNetwork
	}
	return host.Network{NIC: "eth1", Bits: 24, MTU: 1500}, nil
}

func (d *fakeDirector) Source(context.Context, netip.Addr) (netip.Addr, error) {
	return netip.MustParseAddr("192.0.2.11"), nil
}

func TestReturnPath(t *testing.T) {
	server := netip.MustParseAddrPort("192.0.2.21:80")
	counted := func(in, out uint32) []lvs.Traffic {
		id := lvs.ServiceID{Protocol: lvs.TCP, Addr: netip.MustParseAddrPort("198.51.100.10:80")}
		return []lvs.Traffic{{Service: id, Server: server, In: in, Out: out}}
	}
	from := func(client string) []host.Handshake {
		return []host.Handshake{{Client: netip.MustParseAddrPort(client), Virtual: netip.MustParseAddrPort("198.51.100.10:80"), Server: server}}
	}
	bypassed := Finding{"replies of masq server 192.0.2.21:80 do not pass through this director",
		"virtual service -t 198.51.100.10:80 has sent it 12 packets and no reply has passed, although it accepts connections of this host",
		"on 192.0.2.21: lvsctl doctor --gateway 192.0.2.11, then the command that it prints"}
	near := Finding{"clients in the network of masq server 192.0.2.21:80 get no replies",
		"the connection of 192.0.2.100:4000 to 198.51.100.10:80 waits in SYN_RECV, because the server is in 192.0.2.0/24 too and replies past this director",
		"sysctl -w net.ipv4.vs.conntrack=1; iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -d 192.0.2.21 -p tcp --dport 80 -j MASQUERADE"}
	filtered := bypassed
	filtered.Why, filtered.Fix = "in 3s, rp_filter has dropped 4 packets, because the route to their source uses another interface", "sysctl -w net.ipv4.conf.all.rp_filter=2"
	for _, tt := range []struct {
		name     string
		director fakeDirector
		want     []Finding
	}{
		{"no traffic", fakeDirector{traffic: [][]lvs.Traffic{counted(0, 0)}}, nil},
		{"replies pass", fakeDirector{traffic: [][]lvs.Traffic{counted(12, 10)}}, nil},
		{"the first reply is under way", fakeDirector{traffic: [][]lvs.Traffic{counted(1, 0), counted(2, 1)}}, nil},
		{"no reply", fakeDirector{traffic: [][]lvs.Traffic{counted(9, 0), counted(12, 0)}}, []Finding{bypassed}},
		{"the counters lack the last packets", fakeDirector{traffic: [][]lvs.Traffic{counted(0, 0), counted(12, 0)}, handshakes: [][]host.Handshake{from("203.0.113.7:4000")}}, []Finding{bypassed}},
		{"the server is down", fakeDirector{traffic: [][]lvs.Traffic{counted(12, 0)}, down: true}, nil},
		{"rp_filter", fakeDirector{traffic: [][]lvs.Traffic{counted(12, 0)}, drops: []int{3, 7}}, []Finding{filtered}},
		{"other packets dropped before", fakeDirector{traffic: [][]lvs.Traffic{counted(12, 0)}, drops: []int{3}}, []Finding{bypassed}},
		{"a client in the servers' network", fakeDirector{traffic: [][]lvs.Traffic{counted(12, 0)}, handshakes: [][]host.Handshake{from("192.0.2.100:4000")}}, []Finding{near}},
		{"such a client, besides others", fakeDirector{traffic: [][]lvs.Traffic{counted(12, 9)}, handshakes: [][]host.Handshake{from("192.0.2.100:4000")}}, []Finding{near}},
		{"such a client gets replies", fakeDirector{handshakes: [][]host.Handshake{from("192.0.2.100:4000"), nil}}, nil},
		{"another client waits", fakeDirector{handshakes: [][]host.Handshake{from("203.0.113.7:4000")}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.director.fakeHost = fakeHost{masq: []netip.Addr{server.Addr()}, forwards: true}
				got, err := ExamineDirector(t.Context(), &tt.director)
				if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
			})
		})
	}
}

// roads is a host whose interface eth0 has the virtual addresses, and whose interface eth1 leads to
// the real servers.
type roads struct{ inside int }

func (r roads) Network(_ context.Context, s host.Search) (host.Network, error) {
	if s.IP == netip.MustParseAddr("203.0.113.10") {
		return host.Network{}, host.ErrNoNetwork
	}
	return host.Network{NIC: "eth0", MTU: 1500}, nil
}

func (r roads) Route(context.Context, netip.Addr) (host.Route, error) {
	return host.Route{NIC: "eth1", MTU: r.inside}, nil
}

func TestTunnelsThatAreTooSmall(t *testing.T) {
	const at = "packets of clients with more than 1480 bytes do not fit into the tunnel from 192.0.2.10 to 192.0.2.21, and stall without ICMP: " +
		"clients can send 1500 bytes to eth0, but the route to the server over eth1 has MTU 1500, and ipip adds 20 bytes; " +
		"ip link set dev eth1 mtu 1520 here, and the same on the real servers and switches; " +
		"or on 192.0.2.21: iptables -t mangle -A OUTPUT -p tcp --sport 80 --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1440"
	const udp = "packets of clients with more than 1468 bytes do not fit into the tunnel from 192.0.2.10 to 192.0.2.21, and stall without ICMP: " +
		"clients can send 1500 bytes to eth0, but the route to the server over eth1 has MTU 1500, and gue adds 32 bytes; " +
		"ip link set dev eth1 mtu 1532 here, and the same on the real servers and switches"
	for _, tt := range []struct {
		name, table string
		inside, mss int
		want        string
	}{
		{"ipip", "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1\n", 1500, 1460, at},
		{"the server limits segments", "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1\n", 1500, 1440, ""},
		{"larger packets inside", "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1\n", 1520, 1460, ""},
		{"gate", "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n", 1500, 1460, ""},
		{"UDP over GUE", "-A -u 192.0.2.10:80 -s rr\n-a -u 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1 --tun-type gue --tun-port 6080\n", 1500, 1440, udp},
		{"unknown network", "-A -t 203.0.113.10:80 -s rr\n-a -t 203.0.113.10:80 -r 192.0.2.21:80 -i -w 1\n", 1500, 1460, ""},
		{"no route", "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1\n", 0, 1460, ""},
	} {
		table, err := lvs.ParseTable(tt.table)
		if err != nil {
			t.Fatal(err)
		}
		findings, err := ExamineTunnels(t.Context(), roads{tt.inside}, table, func(_ netip.AddrPort, segment int) bool { return tt.mss <= segment })
		got := ""
		for _, f := range findings {
			got += f.String()
		}
		if got != tt.want || err != nil {
			t.Errorf("%s: %v\ngot  %s\nwant %s", tt.name, err, got, tt.want)
		}
	}
}
