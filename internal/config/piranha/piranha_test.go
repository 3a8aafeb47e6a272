package piranha

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/config"
)

var update = flag.Bool("update", false, "write the expected files")

// describe returns a configuration as text, a line for each thing.
func describe(c *config.Config) string {
	if c == nil {
		return "no configuration\n"
	}
	var b strings.Builder
	for _, n := range c.Cluster.Nodes {
		fmt.Fprintf(&b, "node %s links %v\n", n.Name, n.Links)
	}
	for _, g := range c.Cluster.Groups {
		fmt.Fprintf(&b, "group %s preferences %v\n", g.Name, g.Preferences)
		for _, a := range g.Addresses {
			fmt.Fprintf(&b, "  address %s/%d on %s label %q\n", a.IP, a.Bits, a.NIC, a.Label)
		}
	}
	for _, n := range c.Cluster.NodeChecks {
		fmt.Fprintf(&b, "node check %d of %s\n", n.Kind, n.NIC)
	}
	if s := c.Cluster.Sync; s != nil {
		fmt.Fprintf(&b, "sync on %s id %d\n", s.Interface, s.ID)
	}
	fmt.Fprintf(&b, "timeouts %v\n", c.Timeouts)
	for _, s := range c.Services {
		fmt.Fprintf(&b, "%s %s persistent %v/%d quiescent %v fallbacks %+v\n", s.ID, s.Scheduler, s.Persistence, s.Granularity, s.Quiescent, s.Fallbacks)
		for _, r := range s.Reals {
			check := r.Checks[0]
			statuses := 0
			for n := range 600 {
				if check.Status.Good(n) {
					statuses++
				}
			}
			fmt.Fprintf(&b, "  real %s %s weight %d: %s %s port %d request %q receive %q %d statuses interval %v rise %d\n",
				r.Addr, r.Forward, r.Weight, check.Type, check.Application, check.Port, check.Request, check.Receive, statuses, check.Interval, check.Rise)
		}
	}
	return b.String()
}

// TestParse compares the configuration and the problems of each file NAME.cf in testdata with the
// text in NAME.txt.
func TestParse(t *testing.T) {
	files, err := filepath.Glob("testdata/*.cf")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, problems := Parse("lvs.cf", text)
			got := describe(c)
			for _, p := range problems {
				got += fmt.Sprintf("%s: %s\n", p.Severity, p)
			}
			golden := strings.TrimSuffix(file, ".cf") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestDamageHasOneReading checks that a damaged text has the same services as the whole text.
func TestDamageHasOneReading(t *testing.T) {
	const whole = `primary = 192.0.2.2
service = lvs
network = direct
virtual www {
active = 1
address = 192.0.2.10 eth0:1
port = 80
scheduler = rr
server RS1 {
address = 192.0.2.21
active = 1
}
server RS2 {
address = 192.0.2.22
active = 1
weight = 2
}
}
`
	want, problems := Parse("lvs.cf", []byte(whole))
	if want == nil {
		t.Fatal(problems)
	}
	for name, text := range map[string]string{
		"without line breaks": strings.ReplaceAll(whole, "\n", " "),
		"glued":               strings.NewReplacer(" = ", "=", " {", "{").Replace(whole),
		"CRLF":                strings.ReplaceAll(whole, "\n", "\r\n"),
	} {
		got, problems := Parse("lvs.cf", []byte(text))
		if got == nil {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		if diff := cmp.Diff(describe(want), describe(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"primary = 192.0.2.2\nnonsense\n", `lvs.cf:2: "nonsense" is not "key = value", the start of a block or its end; write one statement, or delete the line`},
		{"primary = 192.0.2.2\nxyzzy = 1\n", `lvs.cf:2: unknown key "xyzzy", so piranha does not load the file; delete the line`},
		{"primary = x\n", "lvs.cf:1: primary = x is not an IPv4 address; write 192.0.2.10, for example"},
		{"service = lvs\n", `lvs.cf: no address of the primary director; write "primary = ADDRESS"`},
		{"primary = 192.0.2.2\nservice = fos\n", "lvs.cf:2: service = fos moves programs, and has no virtual service; convert a file with service = lvs"},
		{"primary = 192.0.2.2\n}\n", `lvs.cf:2: "}" ends no block; delete it`},
		{"primary = 192.0.2.2\nvirtual a {\n", `lvs.cf:2: the block has no "}"; end it with a line "}"`},
		{"primary = 192.0.2.2\nserver a {\n}\n", `lvs.cf:2: a server block cannot stand here: a block above has no "}"; end that block with a line "}"`},
		{"primary = 192.0.2.2\ntcp_timeout =\n", `lvs.cf:2: tcp_timeout has no value; write "tcp_timeout = VALUE", or delete the line`},
		{"primary = 192.0.2.2\nnetwork = other\n", `lvs.cf:2: unknown network "other"; write direct, nat or tunnel`},
		{"primary = 192.0.2.2\ndeadtime = \"1\n", "lvs.cf:2: a quote is not closed; close it on the same line"},
		{"primary = 192.0.2.2\nvirtual a {\nactive = 1\n}\n", `lvs.cf:2: no address; write "address = ADDRESS INTERFACE"`},
		{"primary = 192.0.2.2\nvirtual a {\nactive = 1\naddress = 192.0.2.10 eth0\nscheduler = x\n}\n", `lvs.cf:5: unknown scheduler "x"`},
		{"primary = 192.0.2.2\nvirtual a {\nactive = 1\naddress = 192.0.2.10 eth0\nserver b {\nweight = 70000\naddress = 192.0.2.21\n}\n}\n", "lvs.cf:6: weight = 70000 is not a number from 0 to 65535"},
	} {
		c, problems := Parse("lvs.cf", []byte(tt.text))
		if err := config.Err(problems); c != nil || err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q:\ngot  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

// FuzzParse checks that no text makes Parse panic or hang, and that a problem always has a text.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.cf")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, problems := Parse("lvs.cf", text)
		if (c == nil) != (config.Err(problems) != nil) {
			t.Errorf("configuration %v, problems %v", c, problems)
		}
		for _, p := range problems {
			if p.What == "" || p.Severity == 0 {
				t.Errorf("problem without text: %+v", p)
			}
		}
	})
}
