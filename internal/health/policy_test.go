package health

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/lvs"
)

func setup(t testing.TB, text string) Setup {
	t.Helper()
	cfg, problems := ldirectord.Parse("web.cf", []byte(text))
	if err := config.Err(problems); err != nil {
		t.Fatal(err)
	}
	s, err := NewSetup(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func table(t testing.TB, text string) lvs.Table {
	t.Helper()
	parsed, err := lvs.ParseTable(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

const web = `quiescent=yes
virtual=192.0.2.10:80
	real=192.0.2.21:80 gate 3
	real=192.0.2.22:80 gate
	fallback=127.0.0.1:80 gate
	service=http
	scheduler=rr
`

func TestWanted(t *testing.T) {
	const (
		fallback = "127.0.0.1:80 1"
		in1, in2 = "192.0.2.21:80 3", "192.0.2.22:80 1"
		out1     = "192.0.2.21:80 0"
		out2     = "192.0.2.22:80 0"
	)
	const adopted = `-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 9
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 0
`
	tests := []struct {
		name, verdicts, adopted string
		quiesce, remove         string
	}{
		{"both good", "gg", "", in1 + ", " + in2, in1 + ", " + in2},
		{"one bad", "bg", "", out1 + ", " + in2, in2},
		{"both bad", "bb", "", out1 + ", " + out2 + ", " + fallback, fallback},
		{"nothing known on an empty table", "uu", "", fallback, fallback},
		{"one good, one unknown", "ug", "", in2, in2},
		{"adopted", "uu", adopted, in1 + ", " + out2, in1 + ", " + out2},
		{"adopted, one bad", "bu", adopted, out1 + ", " + out2 + ", " + fallback, out2 + ", " + fallback},
		{"adopted, one good", "ug", adopted, in1 + ", " + in2, in1 + ", " + in2},
		{"adopted, both bad", "bb", adopted, out1 + ", " + out2 + ", " + fallback, fallback},
	}
	for _, tt := range tests {
		for quiescent, want := range map[string]string{"yes": tt.quiesce, "no": tt.remove} {
			t.Run(tt.name+", quiescent="+quiescent, func(t *testing.T) {
				s := setup(t, strings.Replace(web, "quiescent=yes", "quiescent="+quiescent, 1))
				verdict := func(p Real) Verdict {
					i := 0
					if p.Addr.String() == "192.0.2.22:80" {
						i = 1
					}
					return map[byte]Verdict{'g': Good, 'b': Bad, 'u': Unknown}[tt.verdicts[i]]
				}
				var got []string
				found, _ := table(t, tt.adopted).Lookup(s.Services[0].ID)
				for line := range strings.Lines(lvs.Table{s.Services[0].wanted(s.Services[0].stand(verdict, found.Destinations))}.String()) {
					words := strings.Fields(line)
					if words[0] == "-a" {
						got = append(got, words[4]+" "+words[7])
					}
				}
				if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
					t.Errorf("destinations (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestSetup(t *testing.T) {
	tests := []struct{ name, text, probes, warning string }{
		{"http", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\trequest=a\n", "negotiate 192.0.2.21:80 a", ""},
		{"checkport", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\tchecktype=connect\n\tcheckport=8080\n", "connect 192.0.2.21:8080 ", ""},
		{"request of a server", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate 1 \"b\", \"c\"\n\trequest=a\n", "negotiate 192.0.2.21:80 b", ""},
		{"mark", "virtual=5\n\treal=192.0.2.21 gate\n\tservice=http\n\tchecktype=negotiate\n", "negotiate 192.0.2.21:80 ", ""},
		{"ping", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\tchecktype=ping\n", "ping 192.0.2.21:0 ", ""},
		{"no port", "virtual=5\n\treal=192.0.2.21 gate\n\tchecktype=connect\n", "connect 192.0.2.21:0 ", ""},
		{"port that only masq could change", "virtual=192.0.2.10:80\n\treal=192.0.2.21:8080 gate\n", "negotiate 192.0.2.21:8080 ", ""},
		{"udp", "virtual=192.0.2.10:53\n\treal=192.0.2.21 gate\n\tprotocol=udp\n\tchecktype=connect\n", "ping 192.0.2.21:0 ", ""},
		{"mysql", "virtual=192.0.2.10:3306\n\treal=192.0.2.21 gate\n\tservice=mysql\n\tlogin=\"a\"\n\tpasswd=\"s3cret\"\n\trequest=\"select 1\"\n", "negotiate 192.0.2.21:3306 select 1", ""},
		{"external", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\tchecktype=external\n\tcheckcommand=/bin/x\nvirtual=5\n\treal=192.0.2.21 gate\n\tchecktype=external\n\tcheckcommand=/bin/x\n",
			"external 192.0.2.21:80 , external 192.0.2.21:0 ", ""},
		{"combined", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\tchecktype=3\n", "combined 192.0.2.21:80 ", ""},
		{"whole URL", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate 1 \"http://192.0.2.9:8080/x?y\", \"\"\n", "negotiate 192.0.2.9:8080 /x?y", ""},
		{"attempts count for pings only", "checkcount=3\nvirtual=192.0.2.10:80\n\treal=192.0.2.21 gate\nvirtual=192.0.2.11:80\n\tcheckcount=1\n\treal=192.0.2.21 gate\n", "negotiate 192.0.2.21:80 ", ""},
		{"one check for two services", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\nvirtual=192.0.2.11:80\n\treal=192.0.2.21 gate 5\n", "negotiate 192.0.2.21:80 ", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := setup(t, tt.text)
			var probes []string
			for _, p := range s.Probes() {
				probes = append(probes, string(p.Type)+" "+p.Addr.String()+" "+p.Request)
			}
			if diff := cmp.Diff(tt.probes, strings.Join(probes, ", ")); diff != "" {
				t.Errorf("probes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.warning, said(s.Problems)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLoginOfAURL checks that the login in a URL is removed from the request and becomes the login
// of the check. An HTTP check gets its login only from the URL, not from login= and passwd=.
func TestLoginOfAURL(t *testing.T) {
	tests := []struct{ block, request, host, login, passwd string }{
		{`real=192.0.2.21 gate 1 "http://us%20er:p%3Aw@192.0.2.9/x@y", ""`, "/x@y", "192.0.2.9", "us er", "p:w"},
		{`real=192.0.2.21 gate 1 "http://user@192.0.2.9:8080", ""`, "/", "192.0.2.9:8080", "user", ""},
		{"service=http_proxy\n\trequest=\"http://user:hunter2@www.example.org/x\"\n\treal=192.0.2.21 gate", "http://www.example.org/x", "", "user", "hunter2"},
		{"request=\"/http://user:hunter2@192.0.2.9/\"\n\treal=192.0.2.21 gate", "/http://user:hunter2@192.0.2.9/", "", "", ""},
		{"login=user\n\tpasswd=hunter2\n\treal=192.0.2.21 gate", "", "", "", ""},
		{"service=pop\n\tlogin=user\n\tpasswd=hunter2\n\treal=192.0.2.21 gate", "", "", "user", "hunter2"},
	}
	for _, tt := range tests {
		p := setup(t, "virtual=192.0.2.10:80\n\t"+tt.block+"\n").Probes()[0]
		got := []string{p.Request, p.VirtualHost, p.Login.Reveal(), p.Passwd.Reveal()}
		if diff := cmp.Diff([]string{tt.request, tt.host, tt.login, tt.passwd}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.block, diff)
		}
	}
}

// TestTimeoutsOfCombinedChecks checks the timeouts of a probe whose check is combined.
func TestTimeoutsOfCombinedChecks(t *testing.T) {
	const text = "virtual=192.0.2.10:%s\n\treal=192.0.2.21 gate\n\tchecktype=3\n"
	// ldirectord has no application for port 8080, so the check there is a connect check.
	for port, want := range map[string]string{"80": "30s: 30s, 5s", "8080": "5s: 0s, 0s"} {
		p := setup(t, fmt.Sprintf(text, port)).Probes()[0]
		if got := fmt.Sprintf("%s: %s, %s", p.Timeout, p.NegotiateTimeout, p.ConnectTimeout); got != want {
			t.Errorf("port %s: got %s, want %s", port, got, want)
		}
	}
}

func TestCheckWithoutAPort(t *testing.T) {
	for _, text := range []string{"checktype=connect", "service=simpletcp", "checktype=2", "checktype=udp"} {
		probe := setup(t, "virtual=5\n\treal=192.0.2.21 gate\n\t"+text+"\n").Probes()[0]
		checker, err := Checkers(Tools{})(probe)
		if err != nil {
			t.Fatal(err)
		}
		if err := checker.Check(t.Context()); err == nil || err.Error() != "no port to check; add checkport=PORT" {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// said returns problems as text, one problem on each line.
func said(problems []config.Problem) string {
	var all []string
	for _, p := range problems {
		all = append(all, p.String())
	}
	return strings.Join(all, "\n")
}

// TestWhatCannotBeUsedIsNeverUp checks that a real server whose check cannot be used is never up.
// All other real servers keep their checks.
func TestWhatCannotBeUsedIsNeverUp(t *testing.T) {
	const other = "virtual=192.0.2.11:80\n\treal=192.0.2.29 gate\n\tchecktype=connect\n"
	tests := []struct{ name, text, problem, reason string }{
		{"receive of a service", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\treceive=\"a(*SKIP)\"\n", "",
			`receive "a(*SKIP)" cannot be used: (*SKIP) is not understood at character 2; write the expression without it`},
		{"receive of a real server", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate 1 \"/\", \"(\"\n", "",
			`receive "(" cannot be used: no closing parenthesis at character 1`},
		{"receive of UDP", "virtual=192.0.2.10:53\n\treal=192.0.2.21 gate\n\tchecktype=udp\n\trequest=\"a\"\n\treceive=\"[\"\n", "",
			`receive "[" cannot be used: no closing bracket at character 1; write \[ for a bracket`},
		{"URL with a bad login", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate 1 \"http://user:hun/ter2@192.0.2.9/\", \"\"\n", "",
			"request is not a URL; write special characters of a login as %XX"},
		{"URL with a bad port", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate 1 \"http://192.0.2.9:70000/\", \"\"\n", "",
			"request: port 70000 is not a number from 1 to 65535"},
		{"URL with an unknown name", "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate 1 \"http://page.invalid/\", \"\"\n",
			"web.cf:2: real server 192.0.2.21:80 of -t 192.0.2.10:80: request: names are not looked up here; write an address, so it is never up",
			"request: names are not looked up here; write an address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := setup(t, tt.text+other)
			if got := said(s.Problems); got != tt.problem {
				t.Errorf("got  %s\nwant %s", got, tt.problem)
			}
			for i, want := range []string{tt.reason, ""} {
				checker, err := Checkers(Tools{})(s.Services[i].Reals[0].Probes[0])
				if err != nil {
					t.Fatal(err)
				}
				never, is := checker.(check.Never)
				if is != (want != "") || is && never.Reason.Error() != want {
					t.Errorf("service %d: %v, want %s", i, checker, want)
				}
			}
		})
	}
}

func TestSetupErrors(t *testing.T) {
	for text, want := range map[string]string{
		"virtual=192.0.2.10:80\n\treal=web gate\n": "web.cf:2: real server web: names are not looked up here, and no real server is left; write an address",
		"virtual=web:80\n\treal=192.0.2.21 gate\n": "web.cf:1: virtual server web: names are not looked up here, and no virtual service is left; write an address",
	} {
		cfg, problems := ldirectord.Parse("web.cf", []byte(text))
		if cfg == nil {
			t.Fatal(problems)
		}
		if _, err := NewSetup(t.Context(), cfg, nil); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
