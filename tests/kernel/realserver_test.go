package kernel

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/tests/lab"
)

// site is a director, two real servers and a client. The real servers run nginx and have no other
// configuration.
type site struct {
	director, rs1, rs2 director
	client             *lab.Host
	topology           *lab.Topology
}

func newSite(t *testing.T) site {
	t.Helper()
	lab.Require(t, "ipvsadm", "nginx", "arping", "arptables-legacy")
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	topology := lab.NewTopology(t)
	host := func(name string) director { return director{topology.Host(name), bin, t.TempDir()} }
	s := site{host("director1"), host("rs1"), host("rs2"), topology.Host("client"), topology}
	for _, rs := range s.servers() {
		rs.Serve(t)
	}
	return s
}

func (s site) servers() []director { return []director{s.rs1, s.rs2} }

// balance starts the resources ipvs and vip on the director, with the given forwarding method.
func (s site) balance(t *testing.T, forward string) {
	t.Helper()
	s.director.must(t, 0, "ipvs", "web", "start", "virtual=192.0.2.10:80",
		fmt.Sprintf("real=192.0.2.21 %[1]s, 192.0.2.22 %[1]s", forward), "scheduler=rr")
	s.director.must(t, 0, "ipvs", "web6", "start", "virtual=[2001:db8::10]:80",
		fmt.Sprintf("real=[2001:db8::21] %[1]s, [2001:db8::22] %[1]s", forward), "scheduler=rr")
	s.director.must(t, 0, "vip", "web", "start", vip...)
}

// serves fails the test unless the client gets the pages of both real servers in turn.
func (s site) serves(t *testing.T, url string) {
	t.Helper()
	var pages []string
	for range 4 {
		page, err := s.client.Get(t.Context(), url)
		if err != nil {
			t.Fatalf("%s: %v\n%s", url, err, s.director.Run(t, "ipvsadm", "-Ln", "--stats"))
		}
		pages = append(pages, strings.TrimSpace(page))
	}
	if got := strings.Join(pages, " "); got != "rs1 rs2 rs1 rs2" && got != "rs2 rs1 rs2 rs1" {
		t.Errorf("%s: the client got %s", url, got)
	}
}

// answer returns the names of the hosts that reply to the client's ARP requests for the VIP, in
// alphabetical order.
func (s site) answer(t *testing.T) []string {
	t.Helper()
	// arping ends after four replies. Two requests are enough for this test, and each host replies
	// at most once to each.
	out := s.client.Script(t, "arping -b -c 4 -w 2 -I eth0 "+lab.VIP+" || true")
	var names []string
	for _, h := range []*lab.Host{s.director.Host, s.rs1.Host, s.rs2.Host} {
		if strings.Contains(strings.ToLower(out), mac(t, h)) {
			names = append(names, h.Name)
		}
	}
	return names
}

func mac(t *testing.T, h *lab.Host) string {
	t.Helper()
	return strings.TrimSpace(h.Run(t, "cat", "/sys/class/net/eth0/address"))
}

// learnt makes the client resolve the address again, by ARP or by neighbour solicitation. It
// returns the host whose MAC address is then in the client's neighbour table. It returns "" if the
// table has no MAC address of the director or of a real server for the address.
func (s site) learnt(t *testing.T, address string) string {
	t.Helper()
	entry := s.client.Script(t, fmt.Sprintf(`
		ip neigh flush dev eth0
		ping -c 1 -W 1 %[1]s >/dev/null || true
		ip neigh show dev eth0 %[1]s`, address))
	for _, h := range []*lab.Host{s.director.Host, s.rs1.Host, s.rs2.Host} {
		if strings.Contains(entry, mac(t, h)) {
			return h.Name
		}
	}
	return ""
}

// only calls f while the named host is connected and the other hosts are disconnected.
func (s site) only(t *testing.T, name string, f func()) {
	t.Helper()
	for _, h := range []*lab.Host{s.director.Host, s.rs1.Host, s.rs2.Host} {
		if h.Name != name {
			h.Cut(t)
			defer h.Heal(t)
		}
	}
	f()
}

// TestClientLearnsOnlyTheDirector checks that only the director replies to the client's ARP
// requests for the VIP when the real servers run the agent realserver. The test first checks the
// opposite: without the agent, all three hosts reply.
func TestClientLearnsOnlyTheDirector(t *testing.T) {
	s := newSite(t)
	s.balance(t, "gate")
	for _, rs := range s.servers() { // this operator adds the VIP to the real servers and forgets the ARP sysctls
		rs.Run(t, "ip", "addr", "add", lab.VIP+"/32", "dev", "lo")
	}
	all := []string{"director1", "rs1", "rs2"}
	if diff := cmp.Diff(all, s.answer(t)); diff != "" {
		t.Errorf("the symptom: hosts that reply (-want +got):\n%s", diff)
	}
	for _, name := range all {
		s.only(t, name, func() {
			if got := s.learnt(t, lab.VIP); got != name {
				t.Errorf("the symptom: with only %s connected the client learns %q", name, got)
			}
		})
	}
	for _, rs := range s.servers() {
		rs.Run(t, "ip", "addr", "del", lab.VIP+"/32", "dev", "lo")
	}
	for _, method := range []string{"sysctl", "arptables"} {
		t.Run(method, func(t *testing.T) { s.hidden(t, method) })
	}
	t.Run("IPv6", s.hiddenIPv6)
}

func (s site) hidden(t *testing.T, method string) {
	params := []string{"ip=" + lab.VIP, "method=" + method}
	before := map[string]string{}
	for _, rs := range s.servers() {
		before[rs.Name] = rs.dump(t)
		rs.must(t, 0, "realserver", "web", "start", params...)
	}
	if diff := cmp.Diff([]string{"director1"}, s.answer(t)); diff != "" {
		t.Errorf("hosts that reply (-want +got):\n%s", diff)
	}
	for _, name := range []string{"rs1", "rs2"} {
		s.only(t, name, func() {
			if got := s.learnt(t, lab.VIP); got != "" {
				t.Errorf("with only %s connected the client learns %q", name, got)
			}
		})
	}
	if got := s.learnt(t, lab.VIP); got != "director1" {
		t.Errorf("the client learns %q", got)
	}
	// A real server that has no neighbour entry of the client sends an ARP request. This request
	// must not have the VIP as its sender, because the client would then store the real server's
	// MAC address for the VIP.
	for _, rs := range s.servers() {
		rs.Run(t, "ip", "neigh", "flush", "dev", "eth0")
	}
	s.serves(t, "http://192.0.2.10/")
	if entry := s.client.Run(t, "ip", "neigh", "show", "dev", "eth0", lab.VIP); !strings.Contains(entry, mac(t, s.director.Host)) {
		t.Errorf("after traffic the client has %s", entry)
	}
	for _, rs := range s.servers() {
		rs.must(t, 0, "realserver", "web", "monitor", append(params, "OCF_CHECK_LEVEL=10")...)
		rs.must(t, 0, "realserver", "web", "stop", params...)
		if diff := cmp.Diff(before[rs.Name], rs.dump(t)); diff != "" {
			t.Errorf("%s (-before +after):\n%s", rs.Name, diff)
		}
	}
}

func (s site) hiddenIPv6(t *testing.T) {
	s.director.must(t, 0, "vip", "web6", "start", "ip="+lab.VIP6)
	s.rs1.Run(t, "ip", "addr", "add", lab.VIP6+"/64", "dev", "eth0", "nodad") // wrong
	s.only(t, "rs1", func() {
		if got := s.learnt(t, lab.VIP6); got != "rs1" {
			t.Errorf("the symptom: the client learns %q", got)
		}
	})
	s.rs1.Run(t, "ip", "addr", "del", lab.VIP6+"/64", "dev", "eth0")
	for _, rs := range s.servers() {
		rs.must(t, 0, "realserver", "web6", "start", "ip="+lab.VIP6)
	}
	s.only(t, "rs1", func() {
		if got := s.learnt(t, lab.VIP6); got != "" {
			t.Errorf("the client learns %q", got)
		}
	})
	if got := s.learnt(t, lab.VIP6); got != "director1" {
		t.Errorf("the client learns %q", got)
	}
	s.serves(t, "http://[2001:db8::10]/")
	for _, rs := range s.servers() {
		rs.must(t, 0, "realserver", "web6", "monitor", "OCF_CHECK_LEVEL=10")
		rs.must(t, 0, "realserver", "web6", "stop")
	}
}

// TestTunnels checks that the agent realserver prepares a real server for tunnels of the types ipip
// and GUE. At first, the real server would drop the packets: reverse path filtering is strict,
// tunl0 is down, and no UDP port receives GUE.
func TestTunnels(t *testing.T) {
	s := newSite(t)
	for _, tt := range []struct {
		forward string            // what follows the address in the parameter real
		room    int               // the size of the largest packet of a client that fits
		params  []string          // parameters of realserver
		faults  map[string]string // commands, with the cause that the doctor must find
	}{
		{"ipip", 1480, []string{"forward=ipip"}, map[string]string{
			"echo 1 >/proc/sys/net/ipv4/conf/tunl0/rp_filter": "net.ipv4.conf.all.rp_filter is 1, and the route back to clients does not use the tunnel",
			"ip link set tunl0 down":                          "tunl0 is down",
		}},
		{"gue port:5555", 1468, []string{"forward=gue", "port=5555"}, map[string]string{
			"ip fou del port 5555": "it does not receive GUE on UDP port 5555\n    fix: modprobe fou && ip fou add port 5555 gue",
		}},
	} {
		t.Run(tt.forward, func(t *testing.T) { s.tunnels(t, tt.forward, tt.room, tt.params, tt.faults) })
	}
}

func (s site) tunnels(t *testing.T, forward string, room int, params []string, faults map[string]string) {
	s.balance(t, forward)
	s.director.must(t, 0, "vip", "web6", "start", "ip="+lab.VIP6)
	params = append(params, "ip="+lab.VIP+" "+lab.VIP6)
	before := map[string]string{}
	for _, rs := range s.servers() {
		rs.Script(t, "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 >$f; done")
		before[rs.Name] = rs.dump(t)
		rs.must(t, 0, "realserver", "web", "start", params...)
		rs.must(t, 0, "realserver", "web", "monitor", append(params, "OCF_CHECK_LEVEL=10")...)
	}
	s.serves(t, "http://192.0.2.10/")
	s.serves(t, "http://[2001:db8::10]/")
	s.sizes(t, room)
	for fault, want := range faults {
		s.rs1.must(t, 0, "realserver", "web", "start", params...)
		s.rs1.Script(t, fault)
		if out := s.rs1.doctor(t); !strings.Contains(out, "the kernel drops packets that arrive through the tunnel\n    why: "+want) {
			t.Errorf("after %s the doctor reports\n%s", fault, out)
		}
		s.rs1.must(t, 1, "realserver", "web", "monitor", params...)
	}
	for _, rs := range s.servers() {
		rs.must(t, 0, "realserver", "web", "start", params...)
		rs.must(t, 0, "realserver", "web", "stop", params...)
		if diff := cmp.Diff(before[rs.Name], rs.dump(t)); diff != "" {
			t.Errorf("%s (-before +after):\n%s", rs.Name, diff)
		}
	}
	s.director.must(t, 0, "ipvs", "web", "stop")
	s.director.must(t, 0, "ipvs", "web6", "stop")
}

// sizes checks that the doctor and the kernel have the same size of packets that fit into a tunnel.
// The kernel tells a client this size if the client sends larger packets. A server that limits the
// segments of its clients has no fault.
func (s site) sizes(t *testing.T, room int) {
	finding := fmt.Sprintf("packets of clients with more than %d bytes do not fit into the tunnel from 192.0.2.10 to %s, ", room, s.rs1.Addr)
	if out := s.director.doctor(t); !strings.Contains(out, finding) {
		t.Errorf("the doctor does not print %q, but\n%s", finding, out)
	}
	upload := `ip link set dev eth0 gso_max_segs 1; ip route flush cache
		head -c 20000 /dev/zero | curl -s -m 10 -o /dev/null -H Expect: --data-binary @- http://192.0.2.10/ || echo failed
		ip route get 192.0.2.10`
	if out, want := s.client.Script(t, upload), fmt.Sprintf("mtu %d", room); !strings.Contains(out, want) || strings.Contains(out, "failed") {
		t.Errorf("an upload does not set %s:\n%s", want, out)
	}
	for _, rs := range s.servers() {
		rs.Script(t, fmt.Sprintf("ip route change 192.0.2.0/24 dev eth0 proto kernel scope link src %s advmss %d", rs.Addr, room-40))
		defer rs.Script(t, fmt.Sprintf("ip route change 192.0.2.0/24 dev eth0 proto kernel scope link src %s", rs.Addr))
	}
	if out := s.director.doctor(t); strings.Contains(out, "from 192.0.2.10 to") {
		t.Errorf("the servers limit the segments, but the doctor prints\n%s", out)
	}
	if out := s.client.Script(t, upload); strings.Contains(out, "mtu") || strings.Contains(out, "failed") {
		t.Errorf("the servers limit the segments, but after an upload the client has\n%s", out)
	}
}

// doctor returns what lvsctl doctor prints on the host.
func (d director) doctor(t *testing.T) string {
	t.Helper()
	return d.Script(t, "LVS_AGENTS_STATE_DIR="+d.state+"/lvs-agents "+d.bin+"/lvsctl doctor || true")
}

// TestNAT checks real servers with masquerading (masq). The client is in another network, on the
// other side of the director.
func TestNAT(t *testing.T) {
	s := newSite(t)
	s.director.Script(t, "ip addr add 198.51.100.11/24 dev eth0; echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 | tee /proc/sys/net/ipv4/conf/*/send_redirects")
	s.client.Script(t, "ip addr del 192.0.2.100/24 dev eth0; ip addr add 198.51.100.100/24 dev eth0")
	s.director.must(t, 0, "ipvs", "web", "start", "virtual=198.51.100.10:80", "real=192.0.2.21 masq, 192.0.2.22 masq", "scheduler=rr")
	s.director.must(t, 0, "vip", "web", "start", "ip=198.51.100.10", "nic=eth0", "cidr_netmask=24")
	params := []string{"forward=masq", "gateway=" + s.director.Addr}
	before := map[string]string{}
	for _, rs := range s.servers() {
		rs.Run(t, "ip", "route", "add", "default", "via", "192.0.2.254") // a default route to a gateway that does not exist; the agent must replace it
		before[rs.Name] = rs.dump(t)
		rs.must(t, 0, "realserver", "web", "start", params...)
		rs.must(t, 0, "realserver", "web", "monitor", append(params, "OCF_CHECK_LEVEL=10")...)
	}
	s.serves(t, "http://198.51.100.10/")
	// Before the last line, the doctor prints that it does not examine a cluster.
	if out := s.director.doctor(t); !strings.HasSuffix(out, "\nfine\n") {
		t.Errorf("with a right return path the doctor reports\n%s", out)
	}
	s.wrongReturns(t)
	s.replacedSource(t)
	for _, rs := range s.servers() {
		rs.must(t, 0, "realserver", "web", "stop", params...)
		if diff := cmp.Diff(before[rs.Name], rs.dump(t)); diff != "" {
			t.Errorf("%s (-before +after):\n%s", rs.Name, diff)
		}
	}
}

// wrongReturns makes faults on the way of the replies, one after the other. The doctor must find
// each of them on the director, and report none after the repair.
func (s site) wrongReturns(t *testing.T) {
	server := s.rs1.Addr + ":80"
	for _, tt := range []struct {
		name          string
		on            *lab.Host
		fault, repair string
		client        *lab.Host
		want          string
	}{
		{"default route", s.rs1.Host, "ip route del default via 192.0.2.11", "ip route prepend default via 192.0.2.11", s.client,
			"replies of masq server " + server + " do not pass through this director\n    why: virtual service -t 198.51.100.10:80 has sent it "},
		{"ip_forward", s.director.Host, "sysctl -q -w net.ipv4.ip_forward=0", "sysctl -q -w net.ipv4.ip_forward=1", s.client,
			"replies of the masq server " + s.rs1.Addr + " do not reach clients\n    why: net.ipv4.ip_forward is 0\n    fix: sysctl -w net.ipv4.ip_forward=1\n"},
		{"rp_filter", s.director.Host, `ip link add dummy7 type dummy; ip link set dummy7 up
			ip route add 192.0.2.21 dev dummy7 table 77; ip rule add from 198.51.100.100 to 192.0.2.21 lookup 77
			sysctl -q -w net.ipv4.conf.eth0.rp_filter=1`,
			"ip rule del lookup 77; ip link del dummy7; sysctl -q -w net.ipv4.conf.eth0.rp_filter=0", s.client,
			"packets, because the route to their source uses another interface\n    fix: sysctl -w net.ipv4.conf.all.rp_filter=2\n"},
		{"client in the network of the servers", s.rs2.Host, "ip route add 198.51.100.0/24 via 192.0.2.11", "ip route del 198.51.100.0/24 via 192.0.2.11", s.rs2.Host,
			"clients in the network of masq server " + server + " get no replies\n    why: the connection of 192.0.2.22:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.on.Script(t, tt.fault)
			// Only rs1 gets connections. Its counters start at 0, after the kernel has added up the
			// earlier packets.
			s.director.Script(t, "sleep 3; ipvsadm -Z; ipvsadm -e -t 198.51.100.10:80 -r 192.0.2.22:80 -m -w 0")
			tt.client.Script(t, "for i in 1 2 3 4 5 6; do curl -s -m 3 -o /dev/null http://198.51.100.10/ & done >/dev/null 2>&1; sleep 1")
			if out := s.director.doctor(t); !strings.Contains(out, tt.want) {
				t.Errorf("the doctor does not print %q, but\n%s%s", tt.want, out, s.director.Script(t, "ipvsadm -Ln --stats; ipvsadm -Lnc"))
			} else {
				t.Log(out)
			}
			tt.on.Script(t, tt.repair)
			s.director.Script(t, "ipvsadm -e -t 198.51.100.10:80 -r 192.0.2.22:80 -m -w 1; ipvsadm -Z")
		})
	}
}

// replacedSource checks that a client in the network of the real servers gets the page after the
// command that the doctor prints for this fault.
func (s site) replacedSource(t *testing.T) {
	if out := s.director.Script(t, "iptables-legacy -t nat -S 2>&1 || true"); !strings.Contains(out, "-P POSTROUTING") {
		t.Logf("the kernel has no nat table for iptables: %s", out)
		return
	}
	s.director.Script(t, `sysctl -q -w net.ipv4.vs.conntrack=1
		for rs in 192.0.2.21 192.0.2.22; do iptables-legacy -t nat -A POSTROUTING -s 192.0.2.0/24 -d $rs -p tcp --dport 80 -j MASQUERADE; done`)
	s.rs2.Script(t, "ip route add 198.51.100.0/24 via 192.0.2.11")
	pages := strings.Fields(s.rs2.Script(t, "for i in 1 2 3 4; do curl -s -m 5 http://198.51.100.10/; done"))
	slices.Sort(pages)
	if got := strings.Join(pages, " "); got != "rs1 rs1 rs2 rs2" {
		t.Errorf("with the rule, rs2 got %q", got)
	}
	s.rs2.Script(t, "ip route del 198.51.100.0/24 via 192.0.2.11")
}

// TestRealServerAndVIPOnOneNode checks a node with a realserver resource and a vip resource, in
// every order of starts and stops. The node is the director and also a real server in its own
// table. It must reply to the client's ARP requests if and only if the VIP is on its network card.
func TestRealServerAndVIPOnOneNode(t *testing.T) {
	s := newSite(t)
	s.director.Serve(t)
	s.director.must(t, 0, "ipvs", "web", "start", "virtual=192.0.2.10:80", "real=192.0.2.11 gate", "scheduler=rr")
	before := s.director.have(t)
	orders := []string{
		"+vip +realserver -vip -realserver", "+vip +realserver -realserver -vip",
		"+realserver +vip -realserver -vip", "+realserver +vip -vip -realserver",
	}
	for _, order := range orders {
		running := []string{}
		for _, step := range strings.Fields(order) {
			agent := step[1:]
			params := map[string][]string{"vip": vip, "realserver": {"ip=" + lab.VIP}}[agent]
			if step[0] == '+' {
				s.director.must(t, 0, agent, "web", "start", params...)
				running = append(running, agent)
			} else {
				s.director.must(t, 0, agent, "web", "stop", params...)
				running = slices.DeleteFunc(running, func(a string) bool { return a == agent })
			}
			for _, a := range []string{"vip", "realserver"} {
				want := 7
				if slices.Contains(running, a) {
					want = 0
				}
				s.director.must(t, want, a, "web", "monitor", map[string][]string{"vip": vip, "realserver": {"ip=" + lab.VIP, "OCF_CHECK_LEVEL=10"}}[a]...)
			}
			if got, want := s.learnt(t, lab.VIP) != "", slices.Contains(running, "vip"); got != want {
				t.Errorf("%s: after %s the node answers: %v", order, step, got)
			}
			if slices.Contains(running, "vip") {
				s.client.Run(t, "ip", "neigh", "flush", "dev", "eth0")
				lab.Wait(t, 20*time.Second, "the page of director1", func() error {
					page, err := s.client.Get(t.Context(), "http://192.0.2.10/")
					if err == nil && page != "director1\n" {
						err = fmt.Errorf("page is %q", page)
					}
					return err
				})
			}
		}
		if diff := cmp.Diff(before, s.director.have(t)); diff != "" {
			t.Errorf("%s (-before +after):\n%s", order, diff)
		}
	}
}
