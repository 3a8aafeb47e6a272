package keepalived

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/configtest"
)

// describe returns a configuration as text, a line for each thing.
func describe(c *config.Config) string {
	if c == nil {
		return "no configuration\n"
	}
	var b strings.Builder
	for _, n := range c.Cluster.Nodes {
		fmt.Fprintf(&b, "node %q links %v\n", n.Name, n.Links)
	}
	for _, g := range c.Cluster.Groups {
		fmt.Fprintf(&b, "group %s preferences %v stays %v\n", g.Name, g.Preferences, g.Stays)
		for _, a := range g.Addresses {
			a.Line = 0
			fmt.Fprintf(&b, "  address %+v\n", a)
		}
	}
	for _, n := range c.Cluster.NodeChecks {
		fmt.Fprintf(&b, "node check %+v\n", n)
	}
	for _, n := range c.Cluster.Notices {
		fmt.Fprintf(&b, "notice %+v\n", n)
	}
	if s := c.Cluster.Sync; s != nil {
		fmt.Fprintf(&b, "sync %+v\n", *s)
	}
	fmt.Fprintf(&b, "timeouts %v\n", c.Timeouts)
	for _, s := range c.Services {
		fmt.Fprintf(&b, "%s %s %v persistent %v/%d quiescent %v fallbacks %+v mail %v\n",
			s.ID, s.Scheduler, s.SchedulerFlags(), s.Persistence, s.Granularity, s.Quiescent, s.Fallbacks, s.Alert.To)
		if s.Policy.Quorum > 0 {
			fmt.Fprintf(&b, "  quorum %d hysteresis %d\n", s.Policy.Quorum, s.Policy.Hysteresis)
		}
		if n := s.Notify; n.Up != nil || n.Down != nil || n.Quorum() {
			fmt.Fprintf(&b, "  notify %q %q quorum %q %q\n", n.Up, n.Down, n.QuorumUp, n.QuorumDown)
		}
		for _, r := range s.Reals {
			fmt.Fprintf(&b, "  real %s %s %v weight %d upper %d\n", r.Addr, r.Forward, r.Encapsulation, r.Weight, r.Upper)
			for _, check := range r.Checks {
				statuses := 0
				for n := range 600 {
					if check.Status.Good(n) {
						statuses++
					}
				}
				fmt.Fprintf(&b, "    %s %s host %q port %d vhost %q request %q receive %q command %q %d statuses interval %v fast %v timeout %v fall %d\n",
					check.Type, check.Application, check.Host, check.Port, check.VirtualHost, check.Request, check.Receive, check.Command,
					statuses, check.Interval, check.FastInterval, check.Timeout, check.Fall)
			}
		}
	}
	return b.String()
}

// TestParse compares the configuration and the problems of each file NAME.conf in testdata with
// the text in NAME.txt.
func TestParse(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, problems := Parse("keepalived.conf", text)
			got := describe(c)
			for _, p := range problems {
				got += fmt.Sprintf("%s: %s\n", p.Severity, p)
			}
			configtest.Compare(t, strings.TrimSuffix(file, ".conf")+".txt", got)
		})
	}
}

func TestRefused(t *testing.T) {
	const service = "virtual_server 192.0.2.10 80 {\nprotocol TCP\n"
	for _, tt := range []struct{ text, want string }{
		{"{\n", `keepalived.conf:1: "{" begins no block; write the keyword of the block before it`},
		{"real_server 192.0.2.21 80 {\n}\n", "keepalived.conf:1: real_server is not in a virtual_server; write the virtual_server before it"},
		{"include more.conf\n", "keepalived.conf:1: include more.conf: the statements of other files are not read here; give these files to the same command, or write their text into this file"},
		{"@lb1 state MASTER\n", "keepalived.conf:1: @lb1 state MASTER: the line depends on the director; give --host keepalived.conf=NAME with the name of the director"},
		{"script ${_RANDOM 1 2}\n", `keepalived.conf:1: the parameter "_RANDOM 1 2" is not converted; write its value`},
		{"$A=${A}x\n$A\n", "keepalived.conf:2: the parameter has itself in its value; write the text without parameters"},
		{"$A=x\n$B=${A}${A}${A}${A}\n$C= ${C}${B}\nscript a${C}\n", `keepalived.conf:4: the parameter "C" makes the line too long`},
		{"~SEQ(A, 1, 200000) a ${A}\n", "keepalived.conf:1: ~SEQ(A, 1, 200000) a ${A}: more than 131072 values"},
		{"~SEQ(A, 1, 1000) ~SEQ(B, 1, 1000) a ${A}\n", "keepalived.conf:1: the parameters make more than 131072 lines"},
		{"~LST({A, B}, {1}) a\n", "keepalived.conf:1: ~LST({A, B}, {1}) a: each list of values must have a value for each name"},
		{service + "real_server 192.0.2.21 80 {\nweight $W\n}\n}\n", "keepalived.conf:4: weight $W: not a number from 0 to 65535"},
		{service + "lvs_sched x\nreal_server 192.0.2.21 80 {\n}\n}\n", `keepalived.conf:3: unknown scheduler "x"`},
		{service + "lvs_method x\nreal_server 192.0.2.21 80 {\n}\n}\n", "keepalived.conf:3: lvs_method x: unknown forwarding method; write NAT, DR or TUN"},
		{service + "real_server x 80 {\n}\n}\n", `keepalived.conf:3: real_server x 80: not an address; write "real_server 192.0.2.21 80", for example`},
		{service + "real_server 192.0.2.21 80 {\nweight 70000\n}\n}\n", "keepalived.conf:4: weight 70000: not a number from 0 to 65535"},
		{service + "delay_loop x\nreal_server 192.0.2.21 80 {\n}\n}\n", "keepalived.conf:3: delay_loop x: not a number of seconds"},
		{service + "real_server 192.0.2.21 80 {\nHTTP_GET {\n}\n}\n}\n", `keepalived.conf:4: HTTP_GET: no url; write "url { path / }" in several lines`},
		{"virtual_server group a {\nreal_server 192.0.2.21 80 {\n}\n}\n", "keepalived.conf:1: virtual_server group a: no virtual_server_group has this name"},
		{"virtual_server fe80::1%eth0 80 {\nprotocol TCP\nreal_server 2001:db8::21 80 {\n}\n}\n", "keepalived.conf:1: an address with a zone; leave out % and the text after it, because IPVS has no zones"},
		{"virtual_server fwmark 0 {\nreal_server 192.0.2.21 80 {\n}\n}\n", "keepalived.conf:1: virtual_server fwmark 0: not a mark from 1 to 4294967295"},
		{"virtual_server 192.0.2.0/8 80 {\nreal_server 192.0.2.21 80 {\n}\n}\n", "keepalived.conf:1: virtual_server 192.0.2.0/8 80: range 192.0.0.0->192.255.255.255 has more than 4096 addresses"},
		{service + "delay_loop 5 6\nreal_server 192.0.2.21 80 {\n}\n}\n", `keepalived.conf:3: "delay_loop 5 6": more than one value; write one statement on each line`},
		{strings.Repeat("a {\n", 20), "keepalived.conf:9: too many blocks in blocks"},
	} {
		c, problems := Parse("keepalived.conf", []byte(tt.text))
		if err := config.Err(problems); c != nil || err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q:\ngot  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

// TestStatementsOfOneLine checks that no statement of a line is lost.
func TestStatementsOfOneLine(t *testing.T) {
	const text = "virtual_server 192.0.2.10 80 {\nprotocol TCP lvs_sched rr lvs_method DR\nreal_server 192.0.2.21 80 {\nweight 3 TCP_CHECK {\nconnect_timeout 3 delay_loop 7\n}\n}\n}\n"
	c, problems := Parse("keepalived.conf", []byte(text))
	if c == nil {
		t.Fatal(problems)
	}
	s := c.Services[0]
	if got := fmt.Sprint(s.ID, " ", s.Scheduler, " ", s.Reals[0].Forward, " ", s.Reals[0].Weight, " ", s.Reals[0].Checks[0].Interval); got != "-t 192.0.2.10:80 rr -g 3 7s" {
		t.Error(got, problems)
	}
	repaired := 0
	for _, p := range problems {
		if p.Severity == config.Repaired {
			repaired++
		}
	}
	if repaired != 3 {
		t.Error(problems)
	}
}

// TestNoSecret checks that a password is in no problem, even after damage.
func TestNoSecret(t *testing.T) {
	for _, text := range []string{
		"vrrp_instance a {\nauthentication {auth_pass hidden01\n}\n}\n",
		"vrrp_instance a {\nauthentication {\nauth_pas hidden01\n}\n}\n",
		"vrrp_instance a {\nauth_pass hidden01\n}\n",
		"vrrp_instance a {\nauth_pass hidden01 //x\n}\n",
		"auth_pass hidden01 }\n",
		"vrrp_instance a {\nadvert_int 1 auth_pass hidden01\n}\n",
	} {
		_, problems := Parse("keepalived.conf", []byte(text))
		if len(problems) == 0 || strings.Contains(fmt.Sprint(problems), "hidden01") {
			t.Errorf("%q: %v", text, problems)
		}
	}
}

// FuzzParse checks that no text makes Parse panic or hang, and that a problem always has a text.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.conf")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("include self.conf\nvirtual_server 192.0.2.10 80 {\ninclude r*.conf\n}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		files := memory(map[string]string{"self.conf": string(text), "real.conf": "real_server 192.0.2.21 80 {\n}\n"})
		c, problems := Options{Files: &files}.Parse("keepalived.conf", text)
		if (c == nil) != (config.Err(problems) != nil) {
			t.Errorf("configuration %v, problems %v", c, problems)
		}
		if c != nil {
			rewrites(t, c)
		}
		for _, p := range problems {
			if p.What == "" || p.Severity == 0 {
				t.Errorf("problem without text: %+v", p)
			}
		}
	})
}

// rewrites checks that a second conversion of a written configuration gives the same text.
func rewrites(t *testing.T, c *config.Config) {
	t.Helper()
	once, problems := Write(c, true)
	if config.Err(problems) != nil {
		return
	}
	again, problems := Parse("keepalived.conf", []byte(once))
	if again == nil {
		t.Fatalf("%v\n%s", problems, once)
	}
	if twice, _ := Write(again, true); twice != once {
		t.Errorf("%s\nthen\n%s", once, twice)
	}
}

// TestNoOptionIsLost checks the keywords of keepalived 2.4, as its manual lists them.
func TestNoOptionIsLost(t *testing.T) {
	configtest.Options(t, "testdata/options.table", Options{Strict: true}.Parse)
}
