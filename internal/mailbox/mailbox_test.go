package mailbox

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/wneessen/go-mail"
)

// TestAddresses checks the result of Address. It also checks that the mail library accepts each
// result as recipient and as sender.
func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"admin@example.org":               "<admin@example.org>",
		" admin@example.org ":             "<admin@example.org>",
		"<admin@example.org>":             "<admin@example.org>",
		"root":                            "<root@director1>",
		"lvs+web@example.org":             "<lvs+web@example.org>",
		"a..b@example.org":                `<"a..b"@example.org>`,
		`"a b"@example.org`:               "",
		"LVS Admin <admin@example.org>":   `"LVS Admin" <admin@example.org>`,
		`"LVS Admin" <admin@example.org>`: `"LVS Admin" <admin@example.org>`,
		"LVS, prod <lvs@example.org>":     `"LVS, prod" <lvs@example.org>`,
		"Jörg <joerg@example.org>":        "=?utf-8?q?J=C3=B6rg?= <joerg@example.org>",
		"admin@[192.0.2.1]":               "<admin@[192.0.2.1]>",
		"":                                "",
		"@example.org":                    "",
		"admin@":                          "",
		"a b@example.org":                 "",
		"admin@exa mple.org":              "",
		"admin@example.org>":              "",
		"<admin@example.org":              "",
		"admin(at)example.org":            "",
		"a\r\nBcc: b@example.org":         "",
		"x\r\n <a@example.org>":           `=?utf-8?q?x?= <a@example.org>`,
	} {
		got, err := Address(text, "director1")
		if text == "x\r\n <a@example.org>" { // a header that is folded into two lines
			want = `"x" <a@example.org>`
		}
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
		if err == nil {
			m := mail.NewMsg()
			if err := m.To(got); err != nil {
				t.Errorf("%q cannot be sent to: %v", got, err)
			}
			if err := m.From(got); err != nil {
				t.Errorf("%q cannot be sent from: %v", got, err)
			}
		}
	}
}

func TestLists(t *testing.T) {
	for text, want := range map[string][]string{
		"a@x.org, b@x.org":                      {"a@x.org", "b@x.org"},
		"a@x.org b@x.org\tc":                    {"a@x.org", "b@x.org", "c"},
		"LVS Admin <a@x.org>":                   {"LVS Admin <a@x.org>"},
		`"LVS, Admin" <a@x.org>, root`:          {`"LVS, Admin" <a@x.org>`, "root"},
		"LVS Admin <a@x.org>,Ops <b@x.org>,c@x": {"LVS Admin <a@x.org>", "Ops <b@x.org>", "c@x"},
		" , ":                                   nil,
	} {
		if got := List(text); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestRelays(t *testing.T) {
	for text, want := range map[string]struct {
		host string
		port int
	}{
		"mail.example.org":      {"mail.example.org", 25},
		"mail.example.org:2500": {"mail.example.org", 2500},
		"192.0.2.1":             {"192.0.2.1", 25},
		"192.0.2.1:26":          {"192.0.2.1", 26},
		"::1":                   {"::1", 25},
		"[::1]":                 {"::1", 25},
		"[::1]:2500":            {"::1", 2500},
		"":                      {},
		":25":                   {},
		"mail:smtp":             {},
		"mail:0":                {},
		"[mail]:25":             {},
		"[::1:25":               {},
		"a b":                   {},
		"2001:db8::1:x":         {},
	} {
		host, port, err := Relay(text)
		if host != want.host || port != want.port || (err == nil) != (want.port != 0) {
			t.Errorf("%q: got %s, %d, %v; want %+v", text, host, port, err, want)
		}
	}
}

func TestHello(t *testing.T) {
	for _, tt := range []struct{ host, from, want string }{
		{"director1.example.org", "192.0.2.1", "director1.example.org"},
		{"director1", "192.0.2.1", "[192.0.2.1]"},
		{"director1", "2001:db8::1", "[IPv6:2001:db8::1]"},
		{"director1", "::ffff:192.0.2.1", "[192.0.2.1]"},
	} {
		if got := Hello(tt.host, netip.MustParseAddr(tt.from)); got != tt.want {
			t.Errorf("%s from %s: got %s, want %s", tt.host, tt.from, got, tt.want)
		}
	}
	if got := Hello("director1", netip.Addr{}); got != "director1" {
		t.Errorf("got %s", got)
	}
}
