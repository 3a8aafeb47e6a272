package kernel

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestReloadKeepsAnOpenConnection makes each change in place with reload-agent, while a client has
// a connection open. The kernel must have the change, and the connection must continue.
func TestReloadKeepsAnOpenConnection(t *testing.T) {
	s := newShop(t)
	for _, server := range s.servers {
		go echo(server.Listen(t, "tcp", ":7"))
	}
	settings := func(changes ...string) []string {
		return append([]string{"virtual=192.0.2.10:7", "real=192.0.2.21 gate 1", "scheduler=wrr"}, changes...)
	}
	s.must(t, 0, "ipvs", "web", "start", settings()...)
	conn, err := s.client.Dial(t.Context(), "tcp", "192.0.2.10:7")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, tt := range []struct{ name, change, want string }{
		{"nothing", "scheduler=wrr", "-A -t 192.0.2.10:7 -s wrr\n"},
		{"weight", "real=192.0.2.21 gate 5", "-r 192.0.2.21:7 -g -w 5\n"},
		{"weight 0", "real=192.0.2.21 gate 0", "-r 192.0.2.21:7 -g -w 0\n"},
		{"thresholds", "real=192.0.2.21 gate 1 l:10 u:100", " 100        10 "},
		{"another server", "real=192.0.2.21 gate 1, 192.0.2.22 gate 1", "-r 192.0.2.22:7 -g -w 1\n"},
		{"scheduler", "scheduler=lc", "-A -t 192.0.2.10:7 -s lc\n"},
		{"scheduler that hashes", "scheduler=sh", "-A -t 192.0.2.10:7 -s sh -b sh-fallback\n"},
		{"persistence", "persistent=60", "-s wrr -p 60\n"},
		{"timeouts", "lvs_timeouts=tcp 600 tcpfin 20 udp 5", "Timeout (tcp tcpfin udp): 600 20 5\n"},
		{"sysctl", "sloppy_tcp=yes", "sloppy_tcp 1\n"},
		{"another service", "virtual=192.0.2.10:7 192.0.2.10:9", "-A -t 192.0.2.10:9 -s wrr\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, params := range [][]string{settings(tt.change), settings()} {
				s.must(t, 0, "ipvs", "web", "reload-agent", params...)
				if got := s.all(t); params[len(params)-1] == tt.change && !strings.Contains(got, tt.want) {
					t.Errorf("no %q in\n%s", tt.want, got)
				}
				say(t, conn, strings.Join(params, " "))
			}
		})
	}
	s.must(t, 0, "ipvs", "web", "stop")
}

// all returns the settings of ipvs that a reload can change.
func (s shop) all(t *testing.T) string {
	t.Helper()
	return s.Script(t, "ipvsadm -Sn; ipvsadm -Ln --thresholds; ipvsadm -Ln --timeout") + s.sysctls(t)
}

// echo sends everything back on each connection.
func echo(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}()
	}
}

// say writes a text to an open connection and expects it back.
func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(long))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatalf("the connection has ended: %v", err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("got %q, want %q: %v", got, text, err)
	}
}
