package health

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// markedDown is a virtual service of TestConnectionsOfAFailedServer.
type markedDown struct {
	virtual string
	value   string // value is the value of on_marked_down.
	forward string
	mark    string // mark is the firewall mark that names the service, if it is not empty.
	tail    string
}

var markedDownByAddress = []markedDown{
	{virtual: "192.0.2.10:80", value: "keep", forward: "gate"},
	{virtual: "192.0.2.13:80", value: "expire", forward: "gate"},
	{virtual: "192.0.2.14:80", value: "reset", forward: "gate"},
	{virtual: "192.0.2.15:80", value: "reset", forward: "masq"},
	{virtual: "192.0.2.16:80", value: "reset", forward: "ipip"},
	{virtual: "192.0.2.18:80", value: "reset", forward: "gate", tail: "\tpersistent=600\n"},
	{virtual: "[2001:db8::10]:80", value: "reset", forward: "gate"},
}

// markedDownByMark is alone: the connection table does not have the mark, so clients of other
// services with the same real server would get the reset, too.
var markedDownByMark = []markedDown{
	{virtual: "192.0.2.17:80", value: "reset", forward: "gate", mark: "7"},
}

// markedDownFile returns a configuration with services.
func (d director) markedDownFile(services []markedDown) string {
	var b strings.Builder
	fmt.Fprintf(&b, "checktimeout=2\ncheckinterval=1\nlogfile=%q\n", d.log)
	for _, s := range services {
		fmt.Fprintf(&b, "virtual=%s\n\tscheduler=rr\n\tservice=http\n\trequest=%q\n\treceive=OK\n\ton_marked_down=%s\n%s", cmp.Or(s.mark, s.virtual), lab.HealthPage, s.value, s.tail)
		for _, name := range []string{"rs1", "rs2"} {
			fmt.Fprintf(&b, "\treal=%s %s\n", d.address(name, s.virtual), s.forward)
		}
	}
	return strings.ReplaceAll(b.String(), "virtual=[", "virtual6=[")
}

// prepareMarkedDown gives the hosts the addresses and the routes that services need.
func (d director) prepareMarkedDown(t *testing.T, services []markedDown) {
	t.Helper()
	var hidden []string
	for _, s := range services {
		vip := strings.Trim(strings.TrimSuffix(s.virtual, ":80"), "[]")
		prefix := "/32"
		if strings.Contains(vip, ":") {
			prefix = "/128 nodad"
		}
		d.Script(t, "ip addr add "+strings.Replace(prefix, "/", vip+"/", 1)+" dev eth0")
		if s.forward != "masq" {
			hidden = append(hidden, vip)
		}
		if s.mark != "" {
			d.agent(t, 0, "fwmark", "web-mark", "start", "mark="+s.mark, "ip="+vip, "ports=80")
		}
	}
	d.topology.StartRealServers(t, hidden...)
	// Clients are in the network of the real servers, so a redirect would show them a shorter way.
	d.Script(t, "cd /proc/sys/net/ipv4; echo 1 >ip_forward; echo 0 | tee conf/*/send_redirects")
	for _, name := range []string{"rs1", "rs2"} {
		rs := d.topology.Host(name)
		rs.Script(t, "ip link set tunl0 up; echo 0 | tee /proc/sys/net/ipv4/conf/*/rp_filter; ip route add default via "+d.Addr+" table 100")
		for _, from := range clients {
			rs.Script(t, "ip rule add from "+rs.Addr+" to "+d.topology.Host(from).Addr+" lookup 100")
		}
	}
}

// clients are the hosts that open connections. With persistence, each has its real server.
var clients = []string{"client", "director2"}

// address returns the address of a real server of a virtual service.
func (d director) address(name, virtual string) string {
	if strings.HasPrefix(virtual, "[") {
		return "[" + d.topology.Host(name).Addr6 + "]:80"
	}
	return d.topology.Host(name).Addr + ":80"
}

// session is a client's open connection to a virtual service.
type session struct {
	net.Conn
	replies *bufio.Reader
	virtual string
	server  string // server is the name of the real server.
}

// session opens a connection from a host and requests a page.
func (d director) session(t *testing.T, from, virtual string) *session {
	t.Helper()
	conn, err := d.topology.Host(from).Dial(t.Context(), "tcp", virtual)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &session{Conn: conn, replies: bufio.NewReader(conn), virtual: virtual}
	if s.server, err = s.page(); err != nil {
		t.Fatal(err)
	}
	return s
}

// page requests a page over the open connection, and returns the name of the real server in it.
func (s *session) page() (string, error) {
	_ = s.SetDeadline(time.Now().Add(10 * time.Second)) // the read or write reports a closed connection
	if _, err := fmt.Fprintf(s, "GET / HTTP/1.1\r\nHost: lab\r\n\r\n"); err != nil {
		return "", err
	}
	reply, err := http.ReadResponse(s.replies, nil)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	var name string
	_, err = fmt.Fscan(reply.Body, &name)
	for err == nil { // The rest of the page must not stay in front of the next reply.
		_, err = reply.Body.Read(make([]byte, 64))
	}
	return name, nil
}

// silence waits for data and sends nothing. It returns nil if the connection is still open.
func (s *session) silence(d time.Duration) error {
	_ = s.SetDeadline(time.Now().Add(d)) // the read reports a closed connection
	_, err := s.replies.Peek(1)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return nil
	}
	return err
}

// TestConnectionsOfAFailedServer fails the health page of rs1. Each service does something else
// with the open connections to rs1. Connections to rs2 must continue.
func TestConnectionsOfAFailedServer(t *testing.T) {
	d := newBareDirector(t, "yes")
	d.failServer(t, markedDownByAddress)
	d.loseSetting(t)
}

func TestConnectionsOfAFailedServerOfAMark(t *testing.T) {
	newBareDirector(t, "yes").failServer(t, markedDownByMark)
}

// failServer starts the services, opens connections and fails the health page of rs1.
func (d director) failServer(t *testing.T, services []markedDown) {
	t.Helper()
	d.prepareMarkedDown(t, services)
	d.write(t, d.markedDownFile(services))
	config := "config=" + d.config
	d.agent(t, 0, "ipvs", "web-ipvs", "start", config)
	d.agent(t, 0, "health", "web-health", "start", config)
	if got := strings.TrimSpace(d.Script(t, "cat /proc/sys/net/ipv4/vs/expire_nodest_conn")); got != "1" {
		t.Errorf("expire_nodest_conn is %s", got)
	}
	const each = 4
	sessions := map[string][]*session{}
	for _, s := range services {
		count := map[string]int{}
		for i := range each {
			open := d.session(t, clients[i%len(clients)], s.virtual)
			sessions[s.value+" "+open.server] = append(sessions[s.value+" "+open.server], open)
			count[open.server]++
		}
		if count["rs1"] == 0 || count["rs2"] == 0 {
			t.Fatalf("%s: %v", s.virtual, count)
		}
	}

	d.topology.Host("rs1").SetHealthy(t, false)
	lab.Wait(t, 10*time.Second, "table", func() error {
		table := d.table(t)
		for _, s := range services {
			kept := strings.Contains(table, cmp.Or(s.mark, s.virtual)+" -r "+d.address("rs1", s.virtual))
			if kept != (s.value == "keep") {
				return errors.New(table)
			}
		}
		return nil
	})

	began := time.Now()
	for _, open := range sessions["reset rs1"] {
		if err := open.silence(5 * time.Second); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("reset: a client of %s that waits got %v", open.virtual, err)
		}
	}
	t.Logf("the resets came after %v", time.Since(began))
	for _, open := range sessions["keep rs1"] {
		if name, err := open.page(); err != nil || name != "rs1" {
			t.Errorf("keep: %q, %v", name, err)
		}
	}
	for _, open := range sessions["expire rs1"] {
		if err := open.silence(time.Second / 2); err != nil {
			t.Errorf("expire: a client that waits got %v", err)
		}
		if name, err := open.page(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("expire: a client that sends got %q, %v", name, err)
		}
	}
	for _, s := range services {
		for i := range each {
			if open := d.session(t, clients[i%len(clients)], s.virtual); open.server != "rs2" {
				t.Errorf("%s: a new connection goes to %s", s.value, open.server)
			}
		}
		for _, open := range sessions[s.value+" rs2"] {
			if name, err := open.page(); err != nil || name != "rs2" {
				t.Errorf("%s: a good server: %q, %v", s.value, name, err)
			}
		}
	}
	if strings.Contains(d.logText(), "expire_nodest_conn") {
		t.Errorf("a warning without a reason:\n%s", d.logText())
	}
}

// loseSetting sets the sysctl back, and checks that the daemon and the doctor report it.
func (d director) loseSetting(t *testing.T) {
	t.Helper()
	d.Script(t, "echo 0 >/proc/sys/net/ipv4/vs/expire_nodest_conn")
	if err := syscall.Kill(d.pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	lab.Wait(t, 10*time.Second, "warning", func() error {
		const want = "on_marked_down=expire of -t 192.0.2.13:80: net.ipv4.vs.expire_nodest_conn is 0"
		if !strings.Contains(d.logText(), want) {
			return errors.New(d.logText())
		}
		return nil
	})
	const fix = "    fix: sysctl -w net.ipv4.vs.expire_nodest_conn=1\n"
	if out := d.ctl(t, 1, "doctor"); !strings.Contains(out, "for example -t 192.0.2.13:80, get no answer") || !strings.Contains(out, fix) {
		t.Errorf("the doctor does not find the sysctl:\n%s", out)
	}
}
