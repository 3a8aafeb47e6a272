package format

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lvs-agents/internal/config"
)

func TestFormatOfAText(t *testing.T) {
	for text, want := range map[string]string{
		"checkinterval=2\nvirtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n":                     "ldirectord",
		"\ufeff  virtual6 = [2001:db8::10]:80\r\n":                                             "ldirectord",
		"director1 192.0.2.10 httpd\ndirector2 192.0.2.11/24/eth0\n":                           "haresources",
		"director1 192.0.2.10\nother words\n":                                                  "",
		"ping 192.0.2.254\n":                                                                   "",
		"nameserver 192.0.2.53\n":                                                              "",
		"# virtual=192.0.2.10:80\n":                                                            "",
		"virtual_server 192.0.2.10 80 {\n}\n":                                                  "keepalived",
		"! director\nvrrp_instance VI_1 {state MASTER\n}\n":                                    "keepalived",
		"serial_no = 60\nprimary = 192.0.2.2\nvirtual web {\n}\n":                              "piranha",
		"director1 IPaddr::192.0.2.10/24 \\\n ldirectord::web.cf\n":                            "haresources",
		"keepalive 2\nnode director1 director2\nauto_failback off\n":                           "ha.cf",
		"logfacility local0auto_failback onnode node1.example.com\n":                           "ha.cf",
		"# one line virtual=192.0.2.10:80 real=192.0.2.21:80 gate scheduler=rr service=http\n": "ldirectord",
		"auth 1\n1 sha1 x\n":                                                                   "authkeys",
		"<?xml version=\"1.0\"?>\n<cib><node/></cib>":                                          "cib",
		"1: lo    inet6 ::1/128 scope host \\\n2: eth0    inet 192.0.2.10/24\n":                "commands",
		"nodes = web\n":                   "",
		"virtual web {\n active = 1\n}\n": "",
		"":                                "",
	} {
		f, err := Of([]byte(text))
		if f.Name != want || (err == nil) == (want == "") {
			t.Errorf("%q: got %q, %v; want %q", text, f.Name, err, want)
		}
	}
}

// TestStrict tests that each damaged text has a repair without Strict, and an error with Strict.
func TestStrict(t *testing.T) {
	for name, text := range map[string]string{
		"piranha":    "primary = 192.0.2.2 service = lvs\n",
		"ha.cf":      "logfacility local0node a b\n",
		"authkeys":   "auth 22 sha1 hidden\n",
		"keepalived": "vrrp_instance web {\n\tinterface eth0\n\tauthentication {\n\t\tauth_pass hidden\n\t}\n\tvirtual_ipadress {\n\t\t192.0.2.10\n\t}\n}\n",
	} {
		f, err := Named(name)
		if err != nil {
			t.Fatal(err)
		}
		if c, problems := f.Parse("FILE", []byte(text)); c == nil || !slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Severity == config.Repaired }) {
			t.Errorf("%s: not repaired: %v", name, problems)
		}
		c, problems := f.Strict("FILE", []byte(text))
		if c != nil || config.Err(problems) == nil || strings.Contains(config.Err(problems).Error(), "hidden") {
			t.Errorf("%s: not refused: %v", name, problems)
		}
	}
}

func TestNamedFormat(t *testing.T) {
	if f, err := Named("ldirectord"); err != nil || f.Parse == nil {
		t.Error(err)
	}
	for name, want := range map[string]string{
		"ldirector": `unknown format "ldirector"; did you mean "ldirectord"?`,
		"x":         `unknown format "x"; use ` + strings.Join(Names(), ", "),
	} {
		if _, err := Named(name); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// TestReadersCountProblems checks that a reader keeps the first problems, and counts the others.
func TestReadersCountProblems(t *testing.T) {
	var lines strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&lines, "udpport %d\nkeyword%d = 1\n", i, i)
	}
	for _, name := range []string{"keepalived", "piranha", "ha.cf"} {
		f, err := Named(name)
		if err != nil {
			t.Fatal(err)
		}
		_, problems := f.Parse("FILE", []byte(lines.String()))
		if last := problems[len(problems)-1]; len(problems) > 1000 || !strings.HasSuffix(last.What, " more problems") {
			t.Errorf("%s: %d problems, the last one is %s", name, len(problems), last)
		}
	}
}
