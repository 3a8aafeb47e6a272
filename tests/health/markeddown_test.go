package health

import (
	"bufio"
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

// markedDown are the virtual services of TestConnectionsOfAFailedServer. Each service has another
// value of on_marked_down.
var markedDown = []struct{ virtual, value, tail string }{
	{"192.0.2.10:80", "keep", ""},
	{"192.0.2.13:80", "expire", ""},
	{"192.0.2.14:80", "reset", ""},
	{"[2001:db8::10]:80", "reset", ""},
}

// markedDownFile returns a configuration with the services of markedDown.
func (d director) markedDownFile() string {
	var b strings.Builder
	fmt.Fprintf(&b, "checktimeout=2\ncheckinterval=1\nlogfile=%q\n", d.log)
	for _, s := range markedDown {
		fmt.Fprintf(&b, "virtual=%s\n\tscheduler=rr\n\tservice=http\n\trequest=%q\n\treceive=OK\n\ton_marked_down=%s\n%s", s.virtual, lab.HealthPage, s.value, s.tail)
		for _, name := range []string{"rs1", "rs2"} {
			fmt.Fprintf(&b, "\treal=%s gate\n", d.address(name, s.virtual))
		}
	}
	return strings.ReplaceAll(b.String(), "virtual=[", "virtual6=[")
}

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

// session opens a connection and requests a page.
func (d director) session(t *testing.T, virtual string) *session {
	t.Helper()
	conn, err := d.topology.Host("client").Dial(t.Context(), "tcp", virtual)
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
	var vips []string
	for _, s := range markedDown {
		vip := strings.Trim(strings.TrimSuffix(s.virtual, ":80"), "[]")
		vips = append(vips, vip)
		prefix := "/32"
		if strings.Contains(vip, ":") {
			prefix = "/128 nodad"
		}
		d.Script(t, "ip addr add "+strings.Replace(prefix, "/", vip+"/", 1)+" dev eth0")
	}
	d.topology.StartRealServers(t, vips...)
	d.write(t, d.markedDownFile())
	config := "config=" + d.config
	d.agent(t, 0, "ipvs", "web-ipvs", "start", config)
	d.agent(t, 0, "health", "web-health", "start", config)
	if got := strings.TrimSpace(d.Script(t, "cat /proc/sys/net/ipv4/vs/expire_nodest_conn")); got != "1" {
		t.Errorf("expire_nodest_conn is %s", got)
	}
	const each = 4
	sessions := map[string][]*session{}
	for _, s := range markedDown {
		count := map[string]int{}
		for range each {
			open := d.session(t, s.virtual)
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
		for _, s := range markedDown {
			kept := strings.Contains(table, s.virtual+" -r "+d.address("rs1", s.virtual))
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
	for _, s := range markedDown {
		for range each {
			if open := d.session(t, s.virtual); open.server != "rs2" {
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
