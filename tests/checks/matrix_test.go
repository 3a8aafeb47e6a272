package checks

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/check"
	"lvs-agents/internal/check/epoll"
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/health"
)

// subject is a check that the matrix tests. right is the address of the real server that the check
// must report as up.
type subject struct {
	name   string
	block  []string // lines of ldirectord.cf
	port   int
	right  string // address of the correct real server; empty if the test has no such server
	wrong  [2]string
	udp    bool
	tlsNet int    // the servers with other certificates have addresses 127.0.tlsNet.x; 0 if the check does not use TLS
	like   []byte // first bytes of a correct reply, which fake servers send
	up     []string
}

func subjects() []*subject {
	credentials := []string{`login="` + login + `"`, `passwd="` + passwd + `"`}
	page := []string{`request="/health"`, `receive="all is well"`}
	secure := []string{"virtualhost=" + serverName, "verify=name"}
	tlsHello := []byte{22, 3, 3}
	join := func(parts ...[]string) (all []string) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	notFound := [2]string{"/health", "/hidden"}
	other := [2]string{"all is well", "maintenance"}
	return []*subject{
		{name: "connect", block: []string{"checktype=connect", "service=http"}, port: 80, right: "127.0.80.1", like: []byte("x"), up: []string{"silent", "dripping", "garbage", "oversized"}},
		{name: "udp", block: []string{"checktype=udp", "protocol=udp", `request="x"`}, port: 5060, right: "127.0.50.1", udp: true, up: []string{"silent", "garbage", "oversized"}},
		{name: "http", block: page, port: 80, right: "127.0.80.1", wrong: notFound, like: []byte("HTTP/1.1 200 OK\r\nX: ")},
		{name: "https", block: join(page, secure), port: 443, right: tlsAddr(80, "right"), wrong: other, tlsNet: 80, like: tlsHello},
		{name: "http_proxy", block: []string{`request="http://127.0.80.1/health"`, `receive="all is well"`}, port: 3128, right: "127.0.31.1", wrong: notFound, like: []byte("HTTP/1.1 200 OK\r\nX: ")},
		{name: "ftp", block: []string{`login="anonymous"`, `passwd="` + passwd + `"`, `request="/health"`, `receive="all is well"`}, port: 21, right: "127.0.21.1", wrong: other, like: []byte("220 ready")},
		{name: "smtp", port: 25, right: "127.0.25.1", like: []byte("220 mail ESMTP")},
		{name: "submission", port: 587, right: "127.0.25.1", like: []byte("220 mail ESMTP")},
		{name: "pop", block: credentials, port: 110, right: "127.0.143.1", like: []byte("+OK ready")},
		{name: "pops", block: join(credentials, secure), port: 995, right: "127.0.143.1", tlsNet: 143, like: tlsHello},
		{name: "imap", block: credentials, port: 143, right: "127.0.143.1", like: []byte("* OK ready")},
		{name: "imaps", block: join(credentials, secure), port: 993, right: "127.0.143.1", tlsNet: 143, like: tlsHello},
		{name: "nntp", port: 119, right: "127.0.119.1", like: []byte("200 ready")},
		{name: "ldap", block: []string{`login="cn=checker,dc=example,dc=org"`, `passwd="` + passwd + `"`, `request="dc=example,dc=org"`, `receive="example"`},
			port: 389, right: "127.0.38.1", wrong: [2]string{`request="dc=`, `request="dc=no,dc=`}, like: []byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x04, 0x84, 0x7f, 0xff, 0xff, 0x00}},
		{name: "ldaps", block: join([]string{`login="cn=checker,dc=example,dc=org"`, `passwd="` + passwd + `"`, `request="dc=example,dc=org"`}, secure),
			port: 636, right: "127.0.38.1", tlsNet: 38, like: tlsHello},
		{name: "dns", block: []string{"protocol=udp", `request="www.example.org"`, `receive="192\.0\.2\.10"`}, port: 53, right: "127.0.53.1", wrong: [2]string{"www.", "nowhere."}, udp: true},
		{name: "dns over tcp", block: []string{"protocol=tcp", "service=dns", `request="192.0.2.10"`, `receive="^www"`}, port: 53, right: "127.0.53.1", wrong: [2]string{"^www", "^mail"}, like: []byte{0xff, 0xff}},
		{name: "mysql", block: join(credentials, []string{`database="shop"`, `request="SELECT 1"`}), port: 3306, right: "127.0.33.1", wrong: [2]string{"SELECT 1", "SELECT a FROM empty"}, like: []byte{0xff, 0xff, 0xff, 0, 10}},
		{name: "pgsql", block: join(credentials, []string{`database="postgres"`, `request="SELECT 1"`}), port: 5432, right: "127.0.54.1", wrong: [2]string{"SELECT 1", "SELECT 1 WHERE false"}, like: []byte("NR\x7f\xff\xff\xff")},
		{name: "oracle", block: join(credentials, []string{`database="XE"`, `request="SELECT 1 FROM DUAL"`}), port: 1521, like: []byte{0x7f, 0xff, 0, 0, 2, 0, 0, 0}},
		{name: "sip", block: []string{"protocol=udp", `login="checker@127.0.50.1"`}, port: 5060, right: "127.0.50.1", wrong: [2]string{"checker@", "stranger@"}, udp: true},
		{name: "sip over tcp", block: []string{"protocol=tcp", "service=sip", `login="checker@127.0.50.1"`}, port: 5060, right: "127.0.50.1", wrong: [2]string{"checker@", "stranger@"}, like: []byte("SIP/2.0 200 OK\r\nX: ")},
		{name: "radius", block: join(credentials, []string{"protocol=udp", `secret="` + secret + `"`}), port: 1812, right: "127.0.18.1", udp: true},
		{name: "simpletcp", block: []string{"service=simpletcp", `request="GET /health HTTP/1.0\n\n"`, `receive="all is well"`}, port: 80, right: "127.0.80.1", wrong: other, like: []byte("all is")},
		{name: "ldap, no login", block: []string{"service=ldap"}, port: 389, right: "127.0.38.1", like: []byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x04, 0x84, 0x7f, 0xff, 0xff, 0x00}},
	}
}

// at returns a configuration with one real server, which has the address addr.
func (c *subject) at(addr string) string {
	if addr == "" {
		return ""
	}
	text := fmt.Sprintf("virtual=192.0.2.10:%d\n\treal=%s:%d masq\n", c.port, addr, c.port)
	for _, line := range c.block {
		text += "\t" + line + "\n"
	}
	return text
}

// six returns a configuration with the real server ::1. It returns "" if the test server does not
// listen on IPv6.
func (c *subject) six() string {
	switch c.name {
	case "connect", "http", "https", "ldap", "ldap, no login", "ldaps", "dns", "dns over tcp", "mysql", "pgsql", "simpletcp":
		return replace(replace(c.at("[::1]"), "virtual=192.0.2.10", "virtual6=[2001:db8::10]"), "real=", "real6=")
	}
	return ""
}

// changed returns the configuration for the correct server with another request or another expected
// reply. In the configuration, the text what[0] becomes what[1].
func (c *subject) changed(what [2]string) string {
	if what[0] == "" || c.right == "" {
		return ""
	}
	before := c.at(c.right)
	if after := replace(before, what[0], what[1]); after != before {
		return after
	}
	return ""
}

// redirected returns a configuration whose page is an endless redirection. For protocols without
// redirections it returns "".
func (c *subject) redirected() string {
	if !strings.HasPrefix(c.name, "http") {
		return ""
	}
	return c.changed([2]string{"/health", "/loop"})
}

func replace(text, from, to string) string { return strings.ReplaceAll(text, from, to) }

// expected reports whether the check must report the real server as up in the named situation.
func (c *subject) expected(name string) bool {
	for _, up := range append([]string{"right", "right, IPv6", "wrong name, verify=chain", "self-signed, verify=no"}, c.up...) {
		if up == name {
			return true
		}
	}
	return false
}

// cell is one cell of the matrix: the result of one check in one situation.
type cell struct {
	asked  bool
	reason string // reason of the failure; empty if the check reports the server as up
	took   time.Duration
}

// runCheck runs the check of a configuration once, as the daemon does, with a time limit.
func runCheck(t *testing.T, text string, limit time.Duration) cell {
	t.Helper()
	checker, err := checkerOf(t, fmt.Sprintf("negotiatetimeout=%dms\n%s", limit.Milliseconds(), text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	err = checker.Check(ctx)
	c := cell{asked: true, took: time.Since(began)}
	if err != nil {
		c.reason = err.Error()
	}
	return c
}

// checkerOf parses a configuration file and returns the check of its only real server.
func checkerOf(t *testing.T, text string) (check.Checker, error) {
	t.Helper()
	cfg, problems := ldirectord.Parse("checks.cf", []byte(text))
	for _, p := range problems {
		if p.Severity == config.Error || p.What != "" && !strings.Contains(p.What, "without login") && !strings.Contains(p.What, "checktype=udp without receive") {
			return nil, fmt.Errorf("%s:%d: %s", p.File, p.Line, p.What)
		}
	}
	setup, err := health.NewSetup(t.Context(), cfg, nil)
	if err != nil {
		return nil, err
	}
	sources := check.NewSources()
	sources.Avoid(setup.Virtual())
	pinger := check.NewPinger(sources, uint16(os.Getpid()))
	t.Cleanup(pinger.Close)
	helper, err := filepath.Abs("../../bin/directord-oracle")
	if err != nil {
		return nil, err
	}
	dialer, err := epoll.Open()
	if err != nil {
		return nil, err
	}
	t.Cleanup(dialer.Close)
	return health.Checkers(health.Tools{Source: sources, Pinger: pinger, Dialer: dialer, Oracle: helper,
		Roots: check.SystemRoots(os.Getenv("SSL_CERT_FILE"), "")})(setup.Probes()[0])
}

func TestMatrix(t *testing.T) {
	if _, err := os.Stat("../../bin/directord-oracle"); err != nil {
		t.Fatalf("%v; run make build", err)
	}
	startAll(t)
	all := subjects()
	results := make([]map[string]cell, len(all))
	var lock sync.Mutex
	for i := range all {
		results[i] = map[string]cell{}
	}
	t.Run("all", func(t *testing.T) {
		for i, c := range all {
			for _, s := range situations() {
				t.Run(c.name+"/"+s.name, func(t *testing.T) {
					t.Parallel()
					text := s.make(t, c, i)
					if text == "" {
						return
					}
					got := runCheck(t, text, s.limit)
					if up := got.reason == ""; up != c.expected(s.name) {
						t.Errorf("up is %t (%s) with\n%s", up, got.reason, text)
					}
					if most := s.limit + 20*time.Second; got.took > most { // the extra 20 s are for a busy test host; a check that ignores its time limit never ends
						t.Errorf("took %s, its limit is %s", got.took, s.limit)
					}
					t.Logf("%s: %s", got.took.Round(time.Millisecond), got.reason)
					if s.name == "dripping" && c.name != "oracle" {
						// On a busy test host the time limit can pass before the first byte. The
						// error text of the page has the other case.
						got.reason = replace(got.reason, "no answer in time", "no whole answer in time")
					}
					lock.Lock()
					defer lock.Unlock()
					results[i][s.name] = got
				})
			}
		}
	})
	document(t, "The checks", matrix(all, results))
	print(overview(all, results))
}

// TestOversizedAnswersTakeNoMemory runs every check against a server that sends endless data, one
// check after another. The checks must not store all this data.
func TestOversizedAnswersTakeNoMemory(t *testing.T) {
	const most = 16 << 20
	for i, c := range subjects() {
		t.Run(c.name, func(t *testing.T) {
			text := fake(7, flood)(t, c, i)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			runCheck(t, text, long)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > most {
				t.Errorf("allocated %d bytes", used)
			}
		})
	}
}

// TestPing tests checks with ping. The matrix has no ping, because the test of a silent server
// stops all ICMP replies of the kernel.
func TestPing(t *testing.T) {
	const text = "checktimeout=%dms\nvirtual=192.0.2.10:80\n\treal=127.0.0.7:80 masq\n\tchecktype=ping\n"
	check := func(limit time.Duration) error {
		checker, err := checkerOf(t, fmt.Sprintf(text, limit.Milliseconds()))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		return checker.Check(ctx)
	}
	if err := check(long); err != nil {
		t.Error(err)
	}
	const silence = "/proc/sys/net/ipv4/icmp_echo_ignore_all" // sysctl of this namespace
	if err := os.WriteFile(silence, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.WriteFile(silence, []byte("0"), 0) }()
	if err := check(short); err == nil || err.Error() != "ping 127.0.0.7: no answer in time" {
		t.Errorf("silent: %v", err)
	}
}

// overview returns a Markdown table with a row for each check and a column for each situation: up
// or down.
func overview(all []*subject, results []map[string]cell) string {
	var b strings.Builder
	names := []string{"check"}
	for _, s := range situations() {
		names = append(names, s.name)
	}
	b.WriteString("| " + strings.Join(names, " | ") + " |\n|" + strings.Repeat("---|", len(names)) + "\n")
	for i, c := range all {
		b.WriteString("| " + c.name)
		for _, s := range situations() {
			r := results[i][s.name]
			switch {
			case !r.asked:
				b.WriteString(" | –")
			case r.reason == "":
				b.WriteString(" | up")
			default:
				b.WriteString(" | down")
			}
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

// matrix returns the chapter of docs/checks.md: the overview, and for each check its configuration
// and its errors.
func matrix(all []*subject, results []map[string]cell) string {
	var b strings.Builder
	b.WriteString(overview(all, results))
	for i, c := range all {
		fmt.Fprintf(&b, "\n### %s\n\n```\n%s```\n\n", c.name, strings.ReplaceAll(c.at(cmpOr(c.right, "127.0.0.1")), passwd, "…"))
		for _, s := range situations() {
			if r := results[i][s.name]; r.reason != "" {
				fmt.Fprintf(&b, "* %s: `%s`\n", s.name, r.reason)
			}
		}
	}
	return b.String()
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

const page = "../../docs/checks.md"

const intro = `<!-- Written by tests/checks; go test ./tests/checks -update after a change. -->
# Checks

This page has the result of every kind of check against real server programs of Debian 12 and against servers that
misbehave. The programs are nginx, vsftpd, postfix, dovecot, slapd, leafnode, named, mariadbd, postgres, freeradius,
kamailio and squid. The log and lvsctl status show the same reasons. The test runs natively, on addresses of 127/8 and
on ::1.

* refused: no program listens. black hole: the kernel drops the connection. silent: the server accepts and sends nothing.
* dripping: a correct beginning, one byte per second. garbage: 4 KiB of random bytes. oversized: a correct beginning and
  endless data.
* expired, wrong name, self-signed: faults of the TLS certificate. These checks run with verify=name, unless the column
  has another value.
* oracle: the test has no Oracle server. It tests only that the check reaches its driver, and replies that are not Oracle's.
* Other tests cover ping and external programs: TestPing, and the tests in internal/check.
`

// document compares a chapter with docs/checks.md. With the flag -update it writes the page
// instead.
func document(t *testing.T, title, text string) {
	t.Helper()
	want, err := os.ReadFile(page)
	if err != nil && !*update {
		t.Fatal(err)
	}
	got := intro + "\n## " + title + "\n\n" + text
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", page, diff)
	}
}
