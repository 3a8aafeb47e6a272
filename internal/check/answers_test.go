package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// answered is the reply of a server, and the results of the check by ldirectord and by this
// package.
type answered struct {
	name    string
	service string
	// says is the whole reply of an HTTP server. Other servers send its first line as the greeting,
	// and the next line after each command.
	says string
	// perl says that ldirectord accepts the reply. TestPerlAnswers with the tag perl verifies it,
	// except for APOP and CRAM-MD5.
	perl bool
	want string // want is the reason of our check. It is empty if the check is good.
}

// answers returns replies of servers. Most replies differ from the standards. The check of a page
// expects the text "all is well".
func answers() []answered {
	const ok, page = "HTTP/1.1 200 OK\r\n", "\r\nall is well"
	return []answered{
		{"no reason phrase", "http", "HTTP/1.1 200\r\n" + page, true, ""},
		{"two blanks", "http", "HTTP/1.1  200  OK\r\n" + page, true, ""},
		{"a version of another form", "http", "HTTP/1 200 OK\r\n" + page, true, ""},
		{"a higher version", "http", "HTTP/2.0 200 OK\r\n" + page, true, ""},
		{"lines end in a newline", "http", "HTTP/1.1 200 OK\nX: y\n\nall is well\n", true, ""},
		{"blank before the colon", "http", ok + "Content-Length : 11\r\n" + page, true, ""},
		{"a line without a colon", "http", ok + "X-Broken header\r\n" + page, true, ""},
		{"a name with a blank", "http", ok + "X Broken: header\r\n" + page, true, ""},
		{"a name that is not ASCII", "http", ok + "\xfcber: x\r\n" + page, true, ""},
		{"no name", "http", ok + ": x\r\n" + page, true, ""},
		{"a folded line", "http", ok + "X: y\r\n z\r\n" + page, true, ""},
		{"a folded first line", "http", ok + " z: y\r\n" + page, true, ""},
		{"zero bytes in a value", "http", ok + "X: \x00\x01\r\n" + page, true, ""},
		{"200 lines of header", "http", ok + strings.Repeat("X: y\r\n", 200) + page, false, ""},
		{"a line of 10000 bytes", "http", ok + "X: " + strings.Repeat("x", 10000) + "\r\n" + page, false, ""},
		{"length twice", "http", ok + "Content-Length: 11\r\nContent-Length: 11\r\n" + page, true, ""},
		{"length twice in a line", "http", ok + "Content-Length: 11, 11\r\n" + page, true, ""},
		{"lengths that differ", "http", ok + "Content-Length: 11\r\nContent-Length: 12\r\n" + page, true, ""},
		{"no length", "http", ok + "Content-Length:\r\n" + page, true, ""},
		{"negative length", "http", ok + "Content-Length: -1\r\n" + page, true, ""},
		{"length with a unit", "http", ok + "Content-Length: 11 bytes\r\n" + page, true, ""},
		{"length that is too short", "http", ok + "Content-Length: 3\r\n" + page, false, `the page does not match "all is well"`},
		{"length that is too long", "http", ok + "Content-Length: 99\r\n" + page, true, "closed in the middle of the answer"},
		{"length and chunks", "http", ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nall is well\r\n0\r\n\r\n", true, ""},
		{"chunked twice", "http", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nall is well\r\n0\r\n\r\n", true, ""},
		{"chunked in capitals", "http", ok + "Transfer-Encoding: Chunked\r\n\r\nB\r\nall is well\r\n0\r\n\r\n", true, ""},
		{"identity and chunked", "http", ok + "Transfer-Encoding: identity, chunked\r\n\r\nb\r\nall is well\r\n0\r\n\r\n", true, ""},
		{"identity", "http", ok + "Transfer-Encoding: identity\r\n" + page, false, ""},
		{"no coding", "http", ok + "Transfer-Encoding:\r\n" + page, true, ""},
		{"unknown coding", "http", ok + "Transfer-Encoding: x, chunked\r\n\r\nb\r\nall is well\r\n0\r\n\r\n", false, `transfer coding "x, chunked" is not known`},
		{"chunks with extensions", "http", ok + "Transfer-Encoding: chunked\r\n\r\nb;a=b\r\nall is well\r\n0;x\r\n\r\n", true, ""},
		{"chunks with blanks", "http", ok + "Transfer-Encoding: chunked\r\n\r\nb  \r\nall is well\r\n0\r\n\r\n", true, ""},
		{"chunks with leading zeros", "http", ok + "Transfer-Encoding: chunked\r\n\r\n0000000b\r\nall is well\r\n000\r\n\r\n", true, ""},
		{"chunks whose lines end in a newline", "http", ok + "Transfer-Encoding: chunked\n\n5\nall i\n6\ns well\n0\n\n", true, ""},
		{"no end of the last chunk", "http", ok + "Transfer-Encoding: chunked\r\n\r\nb\r\nall is well\r\n0", true, ""},
		{"no last chunk", "http", ok + "Transfer-Encoding: chunked\r\n\r\nb\r\nall is well\r\n", true, "closed in the middle of the answer"},
		{"a chunk without a size", "http", ok + "Transfer-Encoding: chunked\r\n\r\nb\r\nall is well\r\nx\r\n\r\n", true, `the page broke off: "x" is not the size of a chunk`},
		{"a chunk longer than its size", "http", ok + "Transfer-Encoding: chunked\r\n\r\nb\r\nall is well!\r\n0\r\n\r\n", true, `the page broke off: a chunk is longer than its size: "!"`},
		{"no blank line", "http", ok, false, `the page does not match "all is well"`},
		{"blank lines before it", "http", "\r\n\r\n" + ok + page, true, ""},
		{"blank lines before an error", "http", "\r\n\r\nHTTP/1.1 500 No\r\n" + page, true, "status 500 No"},
		{"no header", "http", "all is well\n", true, ""},
		{"no header, no newline", "http", "all is well", true, ""},
		{"no header, another text", "http", "all is lost\n", false, `not an answer of HTTP: "all is lost"`},
		{"another header", "http", "ICY 200 OK\r\n" + page, true, ""},
		{"a header that breaks off", "http", "HTTP/1.1 200 OK\r\nX: all is well", false, "closed in the middle of the answer"},
		{"continue twice", "http", "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n" + ok + page, false, ""},
		{"no content, with a page", "http", "HTTP/1.1 204 No\r\n" + page, false, `the page does not match "all is well"`},
		{"status of 4 digits", "http", "HTTP/1.1 2000 OK\r\n" + page, true, ""},
		{"status that is none", "http", "HTTP/1.1 xxx OK\r\n" + page, true, ""},

		{"text", "smtp", "220 mail\n250 hello\n221 bye\n", true, ""},
		{"no text", "smtp", "220\n250\n221\n", true, ""},
		{"another separator", "smtp", "220\tmail\n250:hello\n221 bye\n", true, ""},
		{"several lines", "smtp", "220-a\r\n220-\r\n220\n250-x\r\n250-y\r\n250\n221 bye\n", true, ""},
		{"another good number", "smtp", "200 mail\n200 hello\n221 bye\n", true, ""},
		{"EHLO unknown", "smtp", "220 mail\n500\n250\n221 bye\n", true, ""},
		{"EHLO and HELO unknown", "smtp", "220 mail\n500\n501 no\n221 bye\n", false, "HELO: refused with 501 no"},
		{"not yet", "smtp", "421\n", false, "greeting: refused with 421"},
		{"no number", "smtp", "hello\n", false, `greeting: answered "hello"`},
		{"two digits", "smtp", "22\n", false, `greeting: answered "22"`},

		{"text", "nntp", "200 ready\n205 bye\n", true, ""},
		{"no text", "nntp", "200\n205\n", true, ""},
		{"read only", "nntp", "201\n205\n", true, ""},
		{"no number", "nntp", "2 is what it begins with\n", true, `greeting: answered "2 is what it begins with"`},
		{"refusal", "nntp", "502\n", false, "greeting: refused with 502"},

		{"text", "pop", "+OK ready\n+OK\n+OK x\n+OK 0 0\n+OK bye\n", true, ""},
		{"lower case", "pop", "+ok\n+OK\n+OK\n+OK 0 0\n+ok\n", true, ""},
		{"USER without OK", "pop", "+OK\n+ go on\n+OK\n+OK 0 0\n+OK\n", true, ""},
		{"refusal", "pop", "+OK\n+OK\n-ERR no\n-ERR\n-ERR\n", false, `PASS: answered "-ERR no"`},

		{"APOP", "pop", "+OK <1896.697170952@dbc.mtview.ca.us>\n-ERR [AUTH] no\n+OK\n+OK 0 0\n+OK\n", true, ""},
		{"APOP that is refused", "pop", "+OK <1@a>\n-ERR [AUTH] no\n-ERR\n-ERR\n+OK\n", false, `USER: answered "-ERR [AUTH] no"`},
		{"CRAM-MD5", "pop", "+OK\n-ERR [AUTH] no\n+OK\r\nSASL PLAIN CRAM-MD5\r\n.\n+ PDFAYT4=\n+OK\n+OK 0 0\n+OK\n", true, ""},
		{"CRAM-MD5 is not offered", "pop", "+OK\n-ERR [AUTH] no\n+OK\r\nSASL PLAIN\r\n.\n-ERR\n-ERR\n+OK\n", false, `USER: answered "-ERR [AUTH] no"`},

		{"text", "imap", "* OK ready\nTAG OK in\n", true, ""},
		{"lower case", "imap", "* ok\nTAG ok\n", true, ""},
		{"several blanks", "imap", "*   OK\nTAG   OK in\n", true, ""},
		{"more lines", "imap", "* OK\n* CAPABILITY x\r\n+ y\r\nz\r\nTAG OK in\n", true, ""},
		{"refusal", "imap", "* OK\nTAG no\n", false, `LOGIN: answered "a no"`},
		{"refused at once", "imap", "* BYE\n", false, `greeting: answered "* BYE"`},
		{"no blank", "imap", "*OK\nTAG OK\n", false, `greeting: answered "*OK"`},

		{"text", "ftp", "220 ready\n331 x\n230 in\n221 bye\n", true, ""},
		{"no text", "ftp", "220\n331\n230\n221\n", true, ""},
		{"no password", "ftp", "220\n230\n221\n", true, ""},
		{"another number", "ftp", "200\n330\n200\n221\n", true, ""},
		{"lines without a number", "ftp", "220-a\r\nb\r\n 220 c\r\n123 d\r\n220 e\n331\n230\n221\n", true, ""},
		{"refusal", "ftp", "220\n331\n530\n", true, "PASS: refused with 530"},
	}
}

// serve sends the answers to a client. It replaces TAG in an answer by the tag of the client's
// command.
func (a answered) serve(c net.Conn) {
	reader := bufio.NewReader(c)
	if a.service == "http" {
		for line := "x"; strings.TrimSpace(line) != ""; {
			var err error
			if line, err = reader.ReadString('\n'); err != nil {
				return
			}
		}
		_, _ = io.WriteString(c, a.says)
		return
	}
	said := strings.ReplaceAll(a.says, "\r\n", "\r")
	for turn, text := range strings.Split(strings.TrimSuffix(said, "\n"), "\n") {
		tag := ""
		if turn > 0 {
			command, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			tag, _, _ = strings.Cut(command, " ")
		}
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r", "\r\n"), "TAG", tag)
		_, _ = io.WriteString(c, text+"\r\n") // a write error is normal: the check can have closed the connection
	}
}

func TestAnswersOfServers(t *testing.T) {
	for _, tt := range answers() {
		t.Run(tt.service+"/"+tt.name, func(t *testing.T) {
			t.Parallel()
			addr := server(t, tt.serve)
			target := Target{Addr: addr}
			switch tt.service {
			case "http":
				target.Receive = perls(t, "all is well")
			case "imap", "pop", "ftp":
				target.Login, target.Passwd = "me", "secret"
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			err := negotiation(t, tt.service, target).Check(ctx)
			if err != nil {
				_, reason, _ := strings.Cut(err.Error(), addr.String())
				err = errors.New(strings.TrimLeft(reason, "/: "))
			}
			says(t, err, "", tt.want)
		})
	}
}

func TestRequestIsEscaped(t *testing.T) {
	for page, want := range map[string]string{
		"/":             "/",
		"/a b":          "/a%20b",
		"/a#b":          "/a",
		"/a%20b?c=d&e":  "/a%20b?c=d&e",
		"/\"<>\\^`{|}~": "/%22%3C%3E%5C%5E%60%7B%7C%7D~",
		"/ä\x7f[1]'":    "/%C3%A4%7F[1]'",
	} {
		if got := escaped(page); got != want {
			t.Errorf("%q: got %q, want %q", page, got, want)
		}
	}
	if got := fmt.Sprint(errOther{"\x00\xff"}); got != `not an answer of HTTP: "??"` {
		t.Error(got)
	}
}

// TestLineOfBlanksTakesLittleMemory checks that a long status line does not use much memory. A
// split of the whole line would use 16 bytes for each word.
func TestLineOfBlanksTakesLittleMemory(t *testing.T) {
	line := strings.Repeat("a ", maxBody/2)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if (&response{}).begin(line) {
		t.Error("is a status")
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > maxBody {
		t.Errorf("allocated %d bytes", used)
	}
}
