package check

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
)

// mysqlPacket returns a MySQL packet: the length, the number and the body.
func mysqlPacket(number byte, body string) string {
	size := len(body)
	return string([]byte{byte(size), byte(size >> 8), byte(size >> 16), number}) + body
}

// TestMySQLRows checks the result of a query. The server of the test accepts every login.
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
			c := negotiation(t, "mysql", Target{Addr: addr, Login: "a", Request: "SELECT 1"})
			says(t, c.Check(ctx), fmt.Sprintf("mysql %s: ", addr), tt.want)
		})
	}
}

// TestPgSQLAsksNobodyElse checks that settings in the environment and in the home directory do not
// change the configuration of the library.
func TestPgSQLAsksNobodyElse(t *testing.T) {
	made := func() *pgconn.Config {
		c, err := newPgSQL("pgsql", Target{Addr: netip.MustParseAddrPort("192.0.2.21:5432"), Login: "a", Passwd: "b"})
		if err != nil {
			t.Fatal(err)
		}
		return c.(PgSQL).config
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	want := made()
	if err := os.Mkdir(filepath.Join(home, ".postgresql"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".postgresql/postgresql.crt", ".postgresql/postgresql.key", ".postgresql/root.crt", ".pgpass"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte("no certificate"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"PGHOST": "192.0.2.9", "PGPORT": "1", "PGDATABASE": "c", "PGUSER": "d", "PGPASSWORD": "e", "PGPASSFILE": home + "/.pgpass",
		"PGAPPNAME": "f", "PGCONNECT_TIMEOUT": "1", "PGSSLMODE": "verify-full", "PGSSLKEY": home + "/.pgpass", "PGSSLCERT": home + "/.pgpass",
		"PGSSLCERTMODE": "require", "PGSSLSNI": "0", "PGSSLROOTCERT": home + "/.pgpass", "PGSSLPASSWORD": "g", "PGSSLNEGOTIATION": "direct",
		"PGTARGETSESSIONATTRS": "read-write", "PGTZ": "UTC", "PGOPTIONS": "-c x=y", "PGMINPROTOCOLVERSION": "3.2", "PGMAXPROTOCOLVERSION": "3.2",
		"PGCHANNELBINDING": "require", "PGREQUIREAUTH": "none",
	} {
		t.Setenv(name, value)
	}
	got := made()
	shape := func(c *pgconn.Config) string {
		text := fmt.Sprintln(c.Host, c.Port, c.Database, c.User, c.Password, c.ConnectTimeout, c.RuntimeParams, c.SSLNegotiation, c.SSLCertMode,
			c.ValidateConnect == nil, c.MinProtocolVersion, c.MaxProtocolVersion, c.ChannelBinding, c.RequireAuth, len(c.Fallbacks), c.Fallbacks[0].TLSConfig)
		return text + fmt.Sprintln(c.TLSConfig.ServerName, c.TLSConfig.InsecureSkipVerify, len(c.TLSConfig.Certificates), c.TLSConfig.RootCAs)
	}
	if diff := cmp.Diff(shape(want), shape(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
