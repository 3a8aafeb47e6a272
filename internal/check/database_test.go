package check

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// mysqlPacket has its length and number in front.
func mysqlPacket(number byte, body string) string {
	size := len(body)
	return string([]byte{byte(size), byte(size >> 8), byte(size >> 16), number}) + body
}

// TestMySQLRows has a server that lets everyone in and answers a query.
func TestMySQLRows(t *testing.T) {
	const okay = "\x00\x00\x00\x02\x00\x00\x00"
	greeting := mysqlPacket(0, "\x0a8.0.30\x00\x08\x00\x00\x0012345678\x00\xff\xf7\x2d\x02\x00\x08\x00\x15"+strings.Repeat("\x00", 10)+"123456789012\x00mysql_native_password\x00")
	column := mysqlPacket(1, "\x01") + mysqlPacket(2, "\x03def\x00\x00\x00\x01a\x00\x0c\x21\x00\xff\x00\x00\x00\xfd\x00\x00\x00\x00\x00") + mysqlPacket(3, "\xfe\x00\x00\x02\x00")
	tests := []struct{ name, answer, want string }{
		{"a row", column + mysqlPacket(4, "\x01x"), ""},
		{"no row", column + mysqlPacket(4, "\xfe\x00\x00\x02\x00"), "the query has no row"},
		{"a very large row", column + "\x00\x00\x20\x04", "a packet of 2097152 bytes: this is not MySQL, or a very large row"},
		{"a row before a very large one", column + mysqlPacket(4, "\x01x") + "\x00\x00\x20\x05", ""},
		{"a very large answer", "\x00\x00\x20\x01", "a packet of 2097152 bytes: this is not MySQL, or a very large row"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := server(t, func(conn net.Conn) {
				packet := make([]byte, 4<<10)
				for _, text := range []string{greeting, mysqlPacket(2, okay), tt.answer} {
					if _, err := io.WriteString(conn, text); err != nil {
						return
					}
					if _, err := conn.Read(packet); err != nil {
						return
					}
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			got, want := "", tt.want
			if err := negotiation(t, "mysql", Target{Addr: addr, Login: "a", Request: "SELECT 1"}).Check(ctx); err != nil {
				got = err.Error()
			}
			if want != "" {
				want = fmt.Sprintf("mysql %s: %s", addr, want)
			}
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
