package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSecretsAreHiddenInReasons(t *testing.T) {
	tests := []struct{ name, secret, reason, want string }{
		{"repeated", "hunter2", `PASS: answered "-ERR unknown command \"PASS hunter2\""`, `PASS: answered "-ERR unknown command \"PASS ***\""`},
		{"twice", "hunter2", "hunter2hunter2 hunter", "****** hunter"},
		{"quoted", `a"b\c`, `answered "a NO \"a\\\"b\\\\c\""`, `answered "a NO \"***\""`},
		{"no ASCII", "grün-kalt", `answered "PASS gr?n-kalt"`, `answered "PASS ***"`},
		{"cut", "hunter2", "refused with 500 hun…", "refused with 500 ***…"},
		{"cut and no ASCII", "hunter2", `answered "PASS hunt?"`, `answered "PASS ***?"`},
		{"cut too early to tell", "hunter2", "refused with 500 hu…", "refused with 500 hu…"},
		{"short", "ok", "not ok", "not ok"},
		{"none", "", "refused", "refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, target := range []Target{{Passwd: tt.secret}, {Secret: tt.secret}} {
				err := target.secrets().hide(fmt.Errorf("%s%w", tt.reason, quiet{}))
				if err.Error() != tt.want || !errors.Is(err, syscall.EPIPE) {
					t.Errorf("got  %s\nwant %s", err, tt.want)
				}
			}
		})
	}
	if got := fmt.Sprintf("%v %+v %#v", secrets{"hunter2"}, secrets{"hunter2"}, secrets{"hunter2"}); strings.Contains(got, "hunter2") {
		t.Error(got)
	}
}

// quiet is an error without a text. errors.Is finds EPIPE in it.
type quiet struct{}

func (quiet) Error() string        { return "" }
func (quiet) Is(target error) bool { return target == syscall.EPIPE }

// TestServerThatRepeatsGetsNoSecretOut checks that a reason has no secret if the server repeats the
// command of the client.
func TestServerThatRepeatsGetsNoSecretOut(t *testing.T) {
	tests := []struct{ name, greeting, again, want string }{
		{"pop", "+OK\r\n+OK\r\n", "-ERR unknown command %q\r\n", `PASS: answered "-ERR unknown command \"PASS ***\""`},
		{"ftp", "220 a\r\n331 b\r\n", "500 %s?\r\n", "PASS: refused with 500 PASS ***?"},
		{"imap", "* OK\r\n", "a BAD %s\r\n", `LOGIN: answered "a BAD a LOGIN \"me\" \"***\""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := server(t, func(conn net.Conn) {
				_, _ = io.WriteString(conn, tt.greeting)
				for told := bufio.NewScanner(conn); told.Scan(); {
					if told.Text() == "CAPA" {
						_, _ = io.WriteString(conn, "-ERR\r\n")
					}
					if strings.Contains(told.Text(), "hunter2") {
						_, _ = fmt.Fprintf(conn, tt.again, told.Text())
					}
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			err := negotiation(t, tt.name, Target{Addr: addr, Login: "me", Passwd: "hunter2"}).Check(ctx)
			if want := fmt.Sprintf("%s %s: %s", tt.name, addr, tt.want); err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestURLsAreShownWithoutLogins(t *testing.T) {
	tests := []struct{ url, want string }{
		{"http://user:hunter2@host/a", "http://***@host/a"},
		{"http://user:hun/ter2@host/a", "http://***@host/a"},
		{"http://user:hun%zzter2@host/a", "http://***@host/a"},
		{"/http://user:hunter2@host/a", "/http://***@host/a"},
		{"http://host/a", "http://host/a"},
		{"/a?b=c@d", "/a?b=c@d"},
	}
	for _, tt := range tests {
		if got := Shown(tt.url); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.url, got, tt.want)
		}
	}
}
