package ldirectord

import (
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/config"
)

func TestOwnDirectives(t *testing.T) {
	const head = "virtual=192.0.2.10:443\n\treal=192.0.2.21 gate\n"
	tests := []struct {
		name, file string
		good       func(config.Check) bool
		want       string // want are the expected problems.
	}{
		{"defaults", head, func(c config.Check) bool {
			return c.Rise == 1 && c.Fall == 1 && c.Verify == "chain" && c.Status.Good(204) && !c.Status.Good(301)
		}, ""},
		{"rise and fall", "rise=2\nfall=4\n" + head + "\trise=3\n", func(c config.Check) bool { return c.Rise == 3 && c.Fall == 4 }, ""},
		{"milliseconds", "checkinterval=250ms\nnegotiatetimeout=100ms\n" + head, func(c config.Check) bool {
			return c.Interval == 250*time.Millisecond && c.Timeout == 100*time.Millisecond
		}, ""},
		{"too short", "checkinterval=5ms\n" + head, nil, `error: web.cf:1:15: checkinterval "5ms" is not a number of milliseconds from 10 to 2678400000`},
		{"verify", head + "\tverify=name\n", func(c config.Check) bool { return c.Verify == "name" }, ""},
		{"verify ldaps", "virtual=192.0.2.10:636\n\treal=192.0.2.21 gate\n", func(c config.Check) bool { return c.Verify == "no" }, ""},
		{"verify nothing", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n", func(c config.Check) bool { return c.Verify == "" }, ""},
		{"verify else", head + "\tverify=yes\n", nil, `error: web.cf:3:9: verify "yes" is neither no nor chain nor name; write no, chain or name`},
		{"statuses", head + "\thttpstatus=2xx, 301,400-404\n", func(c config.Check) bool {
			return c.Status.Good(299) && c.Status.Good(301) && c.Status.Good(400) && c.Status.Good(404) && !c.Status.Good(302) && !c.Status.Good(405) && !c.Status.Good(-1) && !c.Status.Good(999)
		}, ""},
		{"no status", head + "\thttpstatus=ok\n", nil, `error: web.cf:3:13: httpstatus "ok" has no status in "ok"; write 200, 2xx or 200-299, joined by commas`},
		{"reuse", "conn_reuse_mode=3\nexpire_nodest_conn=no\nexpire_quiescent_template=yes\n" + head, nil, ""},
		{"reuse of nothing", "conn_reuse_mode=2\n" + head, nil, `error: web.cf:1:17: conn_reuse_mode "2" is not a mode; write 0, 1 or 3`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, problems := Parse("web.cf", []byte(tt.file))
			if got := strings.TrimSpace(lines(problems)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if tt.good != nil && !tt.good(checkOf(cfg)) {
				t.Errorf("%+v", checkOf(cfg))
			}
		})
	}
}

func TestMeaninglessChecks(t *testing.T) {
	tests := []struct{ port, block, want string }{
		{"53", "", `service=dns has no name to query, so no real server is ever up; add request="NAME", and receive="ADDRESS" for the expected address`},
		{"53", "request=\"a\"", `service=dns without receive: any address is a good reply (for ldirectord, no reply is good); add receive="ADDRESS"`},
		{"53", "checktype=connect", ""},
		{"3306", "", `service=mysql cannot log in without a user, so no real server is ever up; give login and passwd`},
		{"5432", "login=\"a\"", `service=pgsql without request: a login alone is enough (for ldirectord, it is not); add request="SELECT 1"`},
		{"1812", "login=\"a\"", `service=radius cannot query without a user and the shared secret, so no real server is ever up; give login, passwd and secret`},
		{"110", "", `service=pop without login: a greeting is enough; give login and passwd`},
		{"21", "", `service=ftp without request: a login alone is enough, as anonymous; add request="FILE" and receive="TEXT"`},
		{"7", "service=simpletcp", `service=simpletcp without receive: any reply is good; add receive="TEXT"`},
		{"7", "service=simpletcp\n\tprotocol=udp", `service=simpletcp over udp has nothing to send, so no real server is ever up; add request="TEXT"`},
		{"3128", "", `service=http_proxy has no page to request from the proxy, so no real server is ever up; add request="http://HOST/PATH"`},
		{"80", "", ""},
		{"389", "", ""},
	}
	for _, tt := range tests {
		_, problems := Parse("web.cf", []byte("virtual=192.0.2.10:"+tt.port+"\n\treal=192.0.2.21 gate\n\t"+tt.block+"\n# end\n"))
		got := strings.TrimSpace(lines(problems))
		if _, text, found := strings.Cut(got, ": service="); found {
			got = "service=" + text
		}
		if got != tt.want {
			t.Errorf("%s %s:\ngot  %s\nwant %s", tt.port, tt.block, got, tt.want)
		}
	}
}
