package ldirectord

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

var example = names{
	"ip4 web": "192.0.2.10", "ip4 10abc": "192.0.2.11", "ip4 rs2": "192.0.2.22", "ip4 my_host": "192.0.2.23",
	"ip4 www": "192.0.2.10", "ip6 www": "2001:db8::10", "ip4 sql01": "192.0.2.21", "ip4 sql03": "192.0.2.23", "ip4 localhost": "127.0.0.1",
}

func TestParse(t *testing.T) {
	for _, tt := range parseRows {
		t.Run(tt.text, func(t *testing.T) {
			cfg, problems := Parse("web.cf", []byte(tt.text))
			got := "\n" + lines(problems)
			if cfg != nil {
				table, problems := cfg.Table(t.Context(), config.NewNames(example))
				if len(problems) > 0 {
					t.Error(lines(problems))
				}
				got += table.String()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// withReal returns a file whose service has a real server.
func withReal(text string) string {
	return regexp.MustCompile(`(?m)^virtual=\S+`).ReplaceAllString(text, "$0\n\treal=192.0.2.21:80 masq")
}

// checkOf returns the check of the first real server.
func checkOf(cfg *config.Config) config.Check { return cfg.Services[0].Reals[0].Checks[0] }

func TestChecks(t *testing.T) {
	base := config.Check{Type: config.Negotiate, Application: "http", Timeout: 30 * time.Second, Interval: 10 * time.Second, Fall: 1, Rise: 1, Attempts: 1}
	with := func(change func(*config.Check)) config.Check {
		c := base
		change(&c)
		return c
	}
	tests := []struct {
		name, text string
		want       config.Check
	}{
		{"defaults", "virtual=192.0.2.10:80", base},
		{"default of a mark", "virtual=5", with(func(c *config.Check) { c.Application = config.NoApplication })},
		{"default of an unknown port", "virtual=192.0.2.10:8080", with(func(c *config.Check) { c.Application = config.NoApplication })},
		{"connect", "virtual=192.0.2.10:80\n\tchecktype=connect", with(func(c *config.Check) { c.Type, c.Timeout = config.Connect, 5*time.Second })},
		{"checktimeout of the file", "checktimeout=3\nvirtual=192.0.2.10:80", with(func(c *config.Check) { c.Timeout = 3 * time.Second })},
		{"negotiatetimeout of the file comes first", "negotiatetimeout=4\nchecktimeout=3\nvirtual=192.0.2.10:80", with(func(c *config.Check) { c.Timeout = 4 * time.Second })},
		{"any timeout of the block comes before the file's", "negotiatetimeout=4\nvirtual=192.0.2.10:80\n\tchecktimeout=3", with(func(c *config.Check) { c.Timeout = 3 * time.Second })},
		{"combined has two timeouts", "negotiatetimeout=4\nchecktimeout=9\nvirtual=192.0.2.10:80\n\tchecktype=2", with(func(c *config.Check) {
			c.Type, c.Connects = config.Combined, 2
			c.NegotiateTimeout, c.ConnectTimeout, c.Timeout = 4*time.Second, 9*time.Second, 9*time.Second
		})},
		{"settings behind the block", "virtual=192.0.2.10:80\ncheckinterval=2\nfailurecount=3", with(func(c *config.Check) { c.Interval, c.Fall = 2*time.Second, 3 })},
		{"settings of the block", "checkinterval=2\nfailurecount=3\nvirtual=192.0.2.10:80\n\tcheckinterval=7\n\tfailurecount=4", with(func(c *config.Check) { c.Interval, c.Fall = 7*time.Second, 4 })},
		{"everything else", `virtual=192.0.2.10:80
	service=mysql
	checktype=3
	checkport=8080
	request="/a?b=c"
	receive="x"y"
	virtualhost="www.example.org"
	login="me"
	passwd="s3cret"
	database="db"`, config.Check{Type: config.Combined, Connects: 3, Application: "mysql", Port: 8080, Timeout: 30 * time.Second, NegotiateTimeout: 30 * time.Second, ConnectTimeout: 5 * time.Second, Interval: 10 * time.Second, Fall: 1, Rise: 1, Attempts: 1,
			Request: "/a?b=c", Receive: `x"y`, VirtualHost: "www.example.org", Login: config.NewSecret("me"), Passwd: config.NewSecret("s3cret"), Database: "db"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, problems := Parse("web.cf", []byte(withReal(tt.text)))
			if cfg == nil {
				t.Fatal(lines(problems))
			}
			if diff := cmp.Diff(tt.want, checkOf(cfg), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestsOfRealServers(t *testing.T) {
	cfg, problems := Parse("web.cf", []byte("virtual=192.0.2.10:80\n\treal=192.0.2.21 masq 3 \"a b\", \"c\" l:5 u:10 # note\n"))
	if cfg == nil || len(problems) != 0 {
		t.Fatal(lines(problems))
	}
	want := config.Real{Line: 2, Destination: lvs.Destination{
		Addr: netip.MustParseAddrPort("192.0.2.21:80"), Forward: lvs.Masq, Weight: 3, Lower: 5, Upper: 10}}
	got := cfg.Services[0].Reals[0]
	c := checkOf(cfg)
	if got.Checks = nil; !reflect.DeepEqual(got, want) || c.Request != "a b" || c.Receive != "c" {
		t.Errorf("got  %+v %+v\nwant %+v", got, c, want)
	}
}

// TestChecksOfRealServers checks that a real server has the check of its service, unless its line
// has a port, or a request and a receive text.
func TestChecksOfRealServers(t *testing.T) {
	const text = `virtual=192.0.2.10:80
	virtualhost=www.example.org
	request="/all"
	receive="OK"
	login="of no use"
	real=192.0.2.21 gate
	real=192.0.2.22:8080 gate
	real=192.0.2.23->192.0.2.24 gate 1 "one", ""
	real=192.0.2.25 gate 1 "http://me:s3cret@check.example.org:81/page", "up"
	real=192.0.2.26 gate 1 "http://192.0.2.9", "up"
`
	type own struct{ host, request, receive, virtualhost, login string }
	cfg, problems := Parse("web.cf", []byte(text))
	if cfg == nil {
		t.Fatal(lines(problems))
	}
	reals := cfg.Services[0].Reals
	var got []own
	var ports []uint16
	for _, r := range reals {
		c := r.Checks[0]
		got = append(got, own{c.Host, c.Request, c.Receive, c.VirtualHost, c.Login.Reveal()})
		ports = append(ports, r.CheckedPort(c))
	}
	const host = "www.example.org"
	want := []own{
		{"", "/all", "OK", host, ""}, {"", "/all", "OK", host, ""}, {"", "one", "", host, ""}, {"", "one", "", host, ""},
		{"check.example.org", "/page", "up", host, "me"}, {"192.0.2.9", "/", "up", host, ""},
	}
	if !slices.Equal(got, want) || !slices.Equal(ports, []uint16{80, 8080, 80, 80, 81, 80}) {
		t.Errorf("got  %q %d\nwant %q", got, ports, want)
	}
	if &reals[2].Checks[0] != &reals[3].Checks[0] {
		t.Error("a range has more than one check")
	}
}

func TestFallbackOfTheService(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"none", "virtual=192.0.2.10:80", "none"},
		{"of the file", "fallback=127.0.0.1\nvirtual=192.0.2.10:443", "127.0.0.1:443 -g -w 1"},
		{"of the file behind the block", "virtual=192.0.2.10:443\nfallback=127.0.0.1:8080 masq", "127.0.0.1:8080 -m -w 1"},
		{"of the block", "fallback=127.0.0.1\nvirtual=192.0.2.10:80\n\tfallback=www:http ipip", "192.0.2.10:80 -i -w 1"},
		{"direct routing keeps the port", "fallback=127.0.0.1:80\nvirtual=192.0.2.10:443", "127.0.0.1:443 -g -w 1"},
		{"of a mark", "fallback=127.0.0.1:80\nvirtual=5", "127.0.0.1:80 -g -w 1"},
		{"of a mark without a port", "fallback=127.0.0.1\nvirtual=5", "127.0.0.1:0 -g -w 1"},
		{"IPv6 services have their own", "fallback=127.0.0.1\nvirtual6=[2001:db8::10]:80", "none"},
		{"fallback6", "fallback6=www\nvirtual6=[2001:db8::10]:80", "[2001:db8::10]:80 -g -w 1"},
		{"IPv6 address in fallback", "fallback=[::1]\nvirtual6=[2001:db8::10]:80", "[::1]:80 -g -w 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, problems := Parse("web.cf", []byte(tt.text))
			if cfg == nil {
				t.Fatal(lines(problems))
			}
			resolved, problems := cfg.Resolve(t.Context(), config.NewNames(example))
			if len(problems) > 0 {
				t.Fatal(lines(problems))
			}
			got, s := "none", resolved.Services[0]
			for _, f := range s.Fallbacks {
				d := f.Destination()
				got = fmt.Sprintf("%s %s -w %d", d.Addr, d.Forward, d.Weight)
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestNumericFilesNeedNoResolver(t *testing.T) {
	cfg, _ := Parse("web.cf", []byte("fallback=127.0.0.1\nvirtual=192.0.2.10:80\n\treal=192.0.2.21->192.0.2.22 gate"))
	if _, problems := cfg.Table(t.Context(), nil); len(problems) > 0 {
		t.Error(lines(problems))
	}
	cfg, _ = Parse("web.cf", []byte("virtual=www:80"))
	const want = "web.cf:1: virtual server www: names are not looked up here, and no virtual service is left; write an address"
	if _, problems := cfg.Table(t.Context(), nil); config.Err(problems) == nil || config.Err(problems).Error() != want {
		t.Errorf("got  %v\nwant %s", config.Err(problems), want)
	}
}

func TestServiceName(t *testing.T) {
	for text, want := range map[string]string{
		"virtual=192.0.2.10:80": "-t 192.0.2.10:80", "virtual=www:53": "-u www:53", "virtual6=[2001:db8::10]:80": "-t [2001:db8::10]:80",
		"virtual=5": "-f 5", "virtual6=5": "-f 5 -6", "virtual=www:80\n\tprotocol=sctp": "--sctp-service www:80",
	} {
		if cfg, problems := Parse("", []byte(text)); cfg == nil || cfg.Services[0].Name() != want {
			t.Errorf("%s: want %s\n%s", text, want, lines(problems))
		}
	}
}

func TestNamesOfDirectivesFitTheirLimit(t *testing.T) {
	for name := range directives() {
		if len(name) >= longestName {
			t.Errorf("%s has %d characters", name, len(name))
		}
	}
	_, problems := Parse("web.cf", []byte("expire_quiescent_templat=yes\nlogfile=/var/log/x expire_quiescent_template=yes\nvirtual=5\n"))
	const want = `error: web.cf:1:1: unknown directive "expire_quiescent_templat"; did you mean "expire_quiescent_template"?` + "\n" +
		"error: web.cf:2:9: two directives on one line; write two lines: logfile=\"/var/log/x\" and expire_quiescent_template=yes\n"
	if got := lines(problems); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestErr(t *testing.T) {
	_, problems := Parse("web.cf", []byte("fork=\"yes\"\nx=1\ny=1\nvirtual=5"))
	const want = `web.cf:2:1: unknown directive "x" (and 1 more, see lvsctl check web.cf)`
	if err := config.Err(problems); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := config.Err(problems[:1]); err != nil {
		t.Error(err)
	}
	if got := problems[0]; got.Line != 1 || got.Column != 6 || got.Severity != config.Warning {
		t.Errorf("%+v", got)
	}
}

// hidden is a secret. No other text of these tests contains it.
const hidden = "hunterXYZZY"

func TestSecretsAreNeverShown(t *testing.T) {
	damaged := []string{
		`passwd="%s"`, `passwd=%s`, `passwd="%s`, `passwd=%s"`, `passwd=“%s”`, `passwd=“%s`, `passwd='%s'`, `passwd="%s" > note`,
		`passwd="%s" %[1]s`, `passwd="%s"%[1]s`, `passwd="a" # %s`, `passwd="a#%s"`, `paswd="%s"`, `passwd"%s"`, `passwd %s`, `passwd%s`, `passwd%s=1`, `pass"wd=%s`,
		`login="%s"passwd="%[1]s"`, `protocol=tcppasswd="%s"`, `protocol=tcp passwd = "%s"`, `protocol=tcpsecret=%s`, `secret="%s"`, `secret=%s`,
		`request="x"login = "%s"`, `request=x login=%s`, `real=192.0.2.21 gate passwd="%s"`, `real=192.0.2.21 gate login=%s`, `real=192.0.2.21 gate 1 "a", "b"passwd="%s"`,
		`scheduler=rr passwd="%s"`, `fallback=127.0.0.1 gate login="%s"`, `login="%s`, `login=“%s"`, `Passwd="%s"`, "passwd=\"%s\"\n\tpasswd=\"%[1]s\"", `checkport=80passwd=%s`,
	}
	for _, format := range damaged {
		text := "virtual=192.0.2.10:80\n\t" + fmt.Sprintf(format, hidden) + "\n"
		if i := strings.Index(text, "%!"); i >= 0 { // Sprintf adds %! for an unused argument.
			text = text[:i]
		}
		cfg, problems := Parse("web.cf", []byte(text))
		shown := lines(problems) + fmt.Sprintf("%v %+v %#v %s", problems, problems, problems, config.Err(problems))
		if cfg != nil {
			encoded, _ := json.Marshal(cfg)
			shown += fmt.Sprintf("%v %+v %#v %s", *cfg, cfg.Services, cfg.Services[0], encoded)
		}
		if strings.Contains(shown, hidden) {
			t.Errorf("%q shows it:\n%s", text, lines(problems))
		}
	}
}

// large is a file with n real servers in services of a hundred.
func large(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		if i%100 == 0 {
			fmt.Fprintf(&b, "virtual=192.0.2.%d:%d\n\tscheduler=rr\n\tchecktype=connect\n", 1+i/100%250, 80+i/25000)
		}
		fmt.Fprintf(&b, "\treal=10.%d.%d.%d masq 1\n", i/62500, i/250%250, 1+i%250)
	}
	return b.Bytes()
}

func BenchmarkParse10000RealServers(b *testing.B) {
	text := large(10000)
	for b.Loop() {
		cfg, problems := Parse("web.cf", text)
		if cfg == nil {
			b.Fatal(lines(problems))
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/seeds/*.cf", "testdata/cases/*.cf"} {
		files, _ := filepath.Glob(pattern)
		for _, path := range files {
			f.Add(file(f, path))
		}
	}
	for _, row := range parseRows {
		f.Add([]byte(row.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, problems := Parse("web.cf", text)
		_, again := Parse("web.cf", text)
		if diff := cmp.Diff(problems, again); diff != "" {
			t.Fatalf("two runs differ:\n%s", diff)
		}
		if (cfg == nil) != (config.Err(problems) != nil) {
			t.Fatalf("config and problems disagree:\n%s", lines(problems))
		}
		for _, p := range problems {
			if p.What == "" || p.Line < 0 || p.Column < 0 || len(p.String()) > 2000 || strings.ContainsAny(p.String(), "\n\r") {
				t.Fatalf("odd problem %+v", p)
			}
		}
		if cfg == nil {
			return
		}
		if table, _ := cfg.Table(t.Context(), config.NewNames(anyName{})); table.Validate() != nil {
			t.Fatalf("%v\n%s", table.Validate(), table)
		}
	})
}

// anyName resolves every name, to an address that depends on it.
type anyName struct{}

func (anyName) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	sum := byte(0)
	for i := range len(host) {
		sum += host[i]
	}
	if network == "ip6" {
		return []netip.Addr{netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 15: 1 + sum%16})}, nil
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1 + sum%16})}, nil
}

func TestSecretsStayHiddenWhateverHappensToALine(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	parts := []string{`passwd="` + hidden + `"`, `login=`, `"`, `“`, `'`, ` `, "\t", `#`, ` > `, `=`, `request="x"`, `scheduler=rr`, `real=192.0.2.21 gate`, `protocol=`, "\n\t", `,`}
	for range 20000 {
		text := "virtual=192.0.2.10:80\n\t"
		for range r.IntN(4) {
			text += parts[r.IntN(len(parts))]
		}
		text += parts[0]
		for range r.IntN(4) {
			text += parts[r.IntN(len(parts))]
		}
		if _, problems := Parse("web.cf", []byte(text)); strings.Contains(lines(problems), hidden) {
			t.Fatalf("%q shows it:\n%s", text, lines(problems))
		}
	}
}
