package check

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// fuzzed returns a target with secrets, which must not be in a reason.
func fuzzed() Target {
	return Target{
		Addr: netip.MustParseAddrPort("192.0.2.21:80"), Source: anywhere{}, Method: "GET", Request: "/a",
		Login: "the-login", Passwd: "the-passwd", Secret: "the-secret",
	}
}

// judgeReason fails the test if a reason is too long, has unprintable characters, or contains a
// secret.
func judgeReason(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	text := err.Error()
	if len(text) > 1000 || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("reason %q", text)
	}
	if strings.Contains(text, "the-passwd") || strings.Contains(text, "the-secret") {
		t.Errorf("the reason has a secret: %s", text)
	}
}

// FuzzDialogue checks the reasons of the protocols over a connection if the server sends any bytes.
func FuzzDialogue(f *testing.F) {
	for i, text := range []string{
		"220 ready\r\n331 password\r\n230 in\r\n221 bye\r\n", "* OK ready\r\na OK in\r\n", "0\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00",
		"200 ready\r\n", "+OK\r\n+OK\r\n+OK\r\n+OK 0 0\r\n", "220 ready\r\n250-mail\r\n250 HELP\r\n", "OK\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", "SIP/2.0 200 OK\r\n\r\n",
		"\x4a\x00\x00\x00\x0a8.0.30\x00\x08\x00\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08\x00\xff\xff\xff\x02\x00\xff\xdf\x15" + strings.Repeat("\x00", 10) + "123456789012\x00caching_sha2_password\x00",
		"220 ready\r\n331 password\r\n530 unknown: PASS the-passwd\r\n",
	} {
		f.Add(byte(i), []byte(text))
	}
	f.Add(byte(4), []byte("+OK\r\n+OK\r\n-ERR unknown command \"PASS the-passwd\"\r\n"))
	f.Add(byte(1), []byte("* OK ready\r\na BAD LOGIN \"the-login\" \"the-passwd\"\r\n"))
	f.Fuzz(func(t *testing.T, which byte, said []byte) {
		target := fuzzed()
		simpleTarget := target
		simpleTarget.Receive, _ = Compile("OK", nil)
		page, err := newHTTP("http", target)
		if err != nil {
			t.Fatal(err)
		}
		database, err := newMySQL("mysql", target)
		if err != nil {
			t.Fatal(err)
		}
		dialogues := []dialogue{
			ftpControl, imap, ldapSearch, nntp, pop, smtp,
			func(ctx context.Context, c *conn, _ Target) error { return simple(ctx, c, simpleTarget) },
			func(ctx context.Context, c *conn, _ Target) error {
				location, err := page.(HTTP).talk(ctx, c, "/a")
				if location != "" && err == nil {
					_, err = page.(HTTP).follow("/a", location)
				}
				return page.(HTTP).named("/a", err)
			},
			SIP{target}.over,
			// In a check, the type careful calls the function carefully, which turns a panic of the
			// library into an error.
			func(ctx context.Context, c *conn, t Target) error {
				return carefully("mysql", t.Addr, func() error { return database.(MySQL).talk(ctx, c) })
			},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		go func() {
			_, _ = theirs.Write(said)
			_ = theirs.Close()
		}()
		c := ending(ctx, ours)
		defer func() { _ = c.Close() }()
		err = c.reason(ctx, dialogues[int(which)%len(dialogues)](ctx, c, target))
		if ctx.Err() != nil {
			t.Error("the dialogue does not end with the connection")
		}
		judgeReason(t, target.secrets().hide(err))
	})
}

// ftpControl runs the commands of ftp without a data connection. Then it requests a data port.
func ftpControl(ctx context.Context, c *conn, t Target) error {
	t.Request = ""
	if err := ftp(ctx, c, t); err != nil {
		return err
	}
	_, err := newLines(c).passive()
	return err
}

// FuzzDatagram checks the reasons of the protocols whose whole reply is one message or one line.
func FuzzDatagram(f *testing.F) {
	f.Add([]byte("\x00\x00\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\xc0\x00\x02\x15"))
	f.Add([]byte("SIP/2.0 200 OK\r\nCall-ID: id\r\n\r\n"))
	f.Add([]byte("\x02\x00\x00\x14" + strings.Repeat("\x00", 16)))
	f.Add([]byte("Entering Passive Mode (192,0,2,21,7,208)"))
	d, err := newDNS("dns", Target{Request: "a"})
	if err != nil {
		f.Fatal(err)
	}
	r := RADIUS{fuzzed()}
	request, err := r.request(net.IPv4zero)
	if err != nil {
		f.Fatal(err)
	}
	question, err := request.Encode()
	if err != nil {
		f.Fatal(err)
	}
	c := &conn{raw: &raw{}} // The function reason uses the connection to explain an error.
	f.Fuzz(func(t *testing.T, answer []byte) {
		_, err := d.(DNS).verdict(t.Context(), 0, answer)
		judgeReason(t, c.reason(t.Context(), err))
		_, err = SIP{fuzzed()}.verdict("id", answer)
		judgeReason(t, c.reason(t.Context(), err))
		_, err = r.verdict(request, question, answer)
		judgeReason(t, c.reason(t.Context(), err))
		_, err = pasvPort(string(answer))
		judgeReason(t, c.reason(t.Context(), err))
	})
}

// FuzzCompile checks that Compile and Match do not panic for any regular expression and any text.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{"^OK$", "(?i)test (?=page)", `(a+)+\1$`, "[[:alpha:]]", `\p{Greek}`, "(?<n>a)|(?<!b)c", "a{1000}"} {
		f.Add(text, []byte("Test Page\n"))
	}
	f.Fuzz(func(t *testing.T, text string, answer []byte) {
		if p, err := Compile(text, nil); err == nil {
			_, _ = p.Match(t.Context(), answer) // The result of Match does not matter: Match must only not panic.
		}
	})
}
