package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/tests/lab"
)

var mark = []string{"mark=10", "ip=192.0.2.10", "ports=80,443"}

// shop is a director, real servers and a client. Both real servers reply with their name to every
// connection to port 80, 443 and 8080.
type shop struct {
	director
	client  *lab.Host
	servers []*lab.Host
}

func newShop(t *testing.T) shop {
	t.Helper()
	s := shop{director: newDirector(t)}
	topology := lab.NewTopology(t)
	s.Host, s.client = topology.Host("director1"), topology.Host("client")
	for _, name := range []string{"rs1", "rs2"} {
		rs := topology.Host(name)
		s.servers = append(s.servers, rs)
		rs.HideVIP(t, "192.0.2.10", "2001:db8::10")
		for _, port := range []string{"80", "443", "8080"} {
			go reply(rs.Listen(t, "tcp", ":"+port), name)
		}
	}
	s.client.Script(t, "for i in 1 2 3 4 5 6 7 8; do ip addr add 192.0.2.20$i/24 dev eth0; done")
	s.must(t, 0, "vip", "web-vip", "start", "ip=192.0.2.10", "nic=eth0")
	return s
}

// reply writes a text to each connection and closes the connection when the client does.
func reply(l net.Listener, text string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.WriteString(conn, text)
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}()
	}
}

// request connects from an address of a host to a port of the virtual address. It returns the name
// of the real server, "refused", or another error.
func request(t *testing.T, from *lab.Host, source, address string, limit time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var conn net.Conn
	err := from.Do(func() (err error) {
		conn, err = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}).DialContext(ctx, "tcp", address)
		return err
	})
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case err != nil:
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(limit))
	text, err := io.ReadAll(conn)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// long is a time limit for requests that must succeed.
const long = 10 * time.Second

// ten makes ten requests of one client, to several ports in turn, and counts the replies.
func (s shop) ten(t *testing.T, source string, ports ...string) string {
	t.Helper()
	counts := map[string]int{}
	for i := range 10 {
		counts[request(t, s.client, source, "192.0.2.10:"+ports[i%len(ports)], long)]++
	}
	return fmt.Sprint(counts)
}

var weighted = []string{"virtual=10", "real=192.0.2.21 gate 1, 192.0.2.22 gate 4", "scheduler=wrr"}

// TestMarkedPortsAreOneService sends traffic to a mark over two ports of one address.
func TestMarkedPortsAreOneService(t *testing.T) {
	s := newShop(t)
	s.must(t, 0, "ipvs", "web", "start", weighted...)
	if got := s.ten(t, "192.0.2.100", "80", "443"); got != "map[refused:10]" {
		t.Errorf("without the rules: %s", got)
	}
	s.must(t, 0, "fwmark", "web", "start", mark...)
	t.Logf("ipvsadm -Sn\n%srules\n%s", s.table(t), s.Script(t, "iptables-legacy -t mangle -S PREROUTING; iptables-legacy -t mangle -S fwmark-web; true"))
	const want = "-A -f 10 -s wrr\n-a -f 10 -r 192.0.2.21:0 -g -w 1\n-a -f 10 -r 192.0.2.22:0 -g -w 4\n"
	if diff := cmp.Diff(want, s.table(t)); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	for _, ports := range [][]string{{"80", "443"}, {"80"}, {"443"}} {
		if got := s.ten(t, "192.0.2.100", ports...); got != "map[rs1:2 rs2:8]" {
			t.Errorf("ports %v: %s", ports, got)
		}
	}
	if got := s.ten(t, "192.0.2.100", "8080"); got != "map[refused:10]" {
		t.Errorf("port 8080: %s", got)
	}
	s.must(t, 0, "fwmark", "web", "monitor", mark...)
	s.localClient(t)

	s.Script(t, "iptables-legacy -t mangle -F; nft flush ruleset 2>/dev/null || true")
	if out := s.must(t, 1, "fwmark", "web", "monitor", mark...); !strings.Contains(out, "ocf-exit-reason:nothing of this resource is left on this host: ") &&
		!strings.Contains(out, "is empty and not mark=10 ip=192.0.2.10 proto=tcp ports=80,443") {
		t.Error(out)
	}
	if got := request(t, s.client, "192.0.2.100", "192.0.2.10:443", long); got != "refused" {
		t.Errorf("after a flush: %s", got)
	}
	s.must(t, 0, "fwmark", "web", "start", mark...)
	if got := s.ten(t, "192.0.2.100", "80", "443"); got != "map[rs1:2 rs2:8]" {
		t.Errorf("after a start: %s", got)
	}
	s.must(t, 0, "fwmark", "web", "stop", mark...)
	if got := s.ten(t, "192.0.2.100", "80", "443"); got != "map[refused:10]" {
		t.Errorf("after a stop: %s", got)
	}
	s.overIPv6(t)
}

// localClient makes requests of the director to its own virtual address. Its packets get the mark
// when they come back through lo. The replies have the virtual address as their source, so the
// kernel drops them, unless accept_local is set.
func (s shop) localClient(t *testing.T) {
	t.Helper()
	if got := request(t, s.Host, "192.0.2.11", "192.0.2.10:443", time.Second); !strings.Contains(got, "timeout") {
		t.Errorf("a local client without accept_local: %s", got)
	}
	s.Script(t, "echo 1 >/proc/sys/net/ipv4/conf/eth0/accept_local")
	if got := request(t, s.Host, "192.0.2.11", "192.0.2.10:443", long); got != "rs1" && got != "rs2" {
		t.Errorf("a local client with accept_local: %s", got)
	}
}

// overIPv6 sends traffic to a mark over IPv6.
func (s shop) overIPv6(t *testing.T) {
	t.Helper()
	params := []string{"mark=10", "ip=2001:db8::10", "ports=80,443"}
	s.must(t, 0, "vip", "vip6", "start", "ip=2001:db8::10", "nic=eth0")
	s.must(t, 0, "fwmark", "web6", "start", params...)
	s.must(t, 0, "ipvs", "web6", "start", "virtual=10/fwm6", "real=[2001:db8::21] gate, [2001:db8::22] gate", "scheduler=rr")
	counts := map[string]int{}
	for i := range 10 {
		counts[request(t, s.client, "", "[2001:db8::10]:"+[]string{"80", "443"}[i%2], long)]++
	}
	if got := fmt.Sprint(counts); got != "map[rs1:5 rs2:5]" {
		t.Errorf("IPv6: %s", got)
	}
	s.must(t, 0, "fwmark", "web6", "monitor", params...)
	s.must(t, 0, "fwmark", "web6", "stop", params...)
	if got := request(t, s.client, "", "[2001:db8::10]:443", long); got != "refused" {
		t.Errorf("IPv6 after a stop: %s", got)
	}
}

// TestPersistence checks the persistence of each port (PPC), of all ports (PCC) and of a mark
// (PFWMC): ten requests of one client reach one real server, and other clients also reach the other
// real server.
func TestPersistence(t *testing.T) {
	s := newShop(t)
	real := []string{"real=192.0.2.21 gate, 192.0.2.22 gate", "scheduler=rr", "persistent=60"}
	for _, tt := range []struct {
		name, virtual string
		ports         []string
		marked        bool
	}{
		{"PPC", "192.0.2.10:80", []string{"80"}, false},
		{"PCC", "192.0.2.10:0", []string{"80", "443", "8080"}, false},
		{"PFWMC", "10", []string{"80", "443"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.marked {
				s.must(t, 0, "fwmark", "web", "start", mark...)
			}
			s.must(t, 0, "ipvs", "web", "start", append(real, "virtual="+tt.virtual)...)
			seen := map[string]bool{}
			for client := range 8 {
				source := fmt.Sprintf("192.0.2.20%d", client+1)
				got := s.ten(t, source, tt.ports...)
				if got != "map[rs1:10]" && got != "map[rs2:10]" {
					t.Errorf("client %s: %s", source, got)
				}
				seen[got] = true
			}
			if len(seen) != 2 {
				t.Errorf("all clients reach the same real server: %v", seen)
			}
			t.Log(s.table(t))
			s.must(t, 0, "ipvs", "web", "stop")
		})
	}
}

// TestReloadOfMarksKeepsConnections changes the ports of a running resource under traffic.
func TestReloadOfMarksKeepsConnections(t *testing.T) {
	s := newShop(t)
	s.must(t, 0, "ipvs", "web", "start", weighted...)
	s.must(t, 0, "fwmark", "web", "start", mark...)
	stop, done := make(chan bool), make(chan string)
	go func() {
		requests := 0
		for {
			select {
			case <-stop:
				done <- fmt.Sprintf("%d requests", requests)
				return
			default:
			}
			if got := request(t, s.client, "192.0.2.201", "192.0.2.10:443", long); got != "rs1" && got != "rs2" {
				t.Errorf("a request during the reload: %s", got)
			}
			requests++
		}
	}()
	for range 3 {
		s.must(t, 0, "fwmark", "web", "reload-agent", "mark=10", "ip=192.0.2.10", "ports=80,443,8080")
		if got := request(t, s.client, "192.0.2.100", "192.0.2.10:8080", long); got == "refused" {
			t.Error("the new port is refused")
		}
		s.must(t, 0, "fwmark", "web", "reload-agent", mark...)
		if got := request(t, s.client, "192.0.2.100", "192.0.2.10:8080", long); got != "refused" {
			t.Errorf("the old port: %s", got)
		}
	}
	close(stop)
	t.Log(<-done)
}
