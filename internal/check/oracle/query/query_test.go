package query

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/check/oracle"
)

// server accepts connections and calls behave with each connection.
func server(t *testing.T, behave func(net.Conn)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go behave(conn)
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// input returns a Question about a server in the JSON that directord writes.
func input(t *testing.T, addr netip.AddrPort) io.Reader {
	t.Helper()
	text, err := json.Marshal(oracle.Question{
		Addr: addr, Source: netip.MustParseAddr("127.0.0.1"), Login: "scott", Passwd: "tiger", Database: "orcl", Query: "SELECT 1",
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReader(string(text))
}

func TestReasons(t *testing.T) {
	closed := server(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096)) // If the server closed with unread data, the kernel would send a reset.
		_ = conn.Close()
	})
	garbage := server(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, strings.Repeat("220 this is not Oracle\r\n", 100))
		_ = conn.Close()
	})
	unused := server(t, func(conn net.Conn) { _ = conn.Close() })
	unused = netip.AddrPortFrom(netip.MustParseAddr("127.9.9.9"), unused.Port())
	for name, tt := range map[string]struct {
		input io.Reader
		want  string
	}{
		"input that is not JSON":  {strings.NewReader("scott/tiger"), "question: invalid character 's' looking for beginning of value"},
		"server that closes":      {input(t, closed), "not an answer of Oracle"},
		"server of another kind":  {input(t, garbage), "not an answer of Oracle"},
		"port without a listener": {input(t, unused), "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := Run(ctx, tt.input); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestReplyWithoutEndIsCut(t *testing.T) {
	local, remote := net.Pipe()
	go func() {
		for {
			if _, err := remote.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}()
	n, err := io.Copy(io.Discard, &bounded{Conn: local})
	if err == nil || err.Error() != "too long an answer" || n < maxAnswer || n > maxAnswer+1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := errors.Join(local.Close(), remote.Close()); err != nil {
		t.Error(err)
	}
}
