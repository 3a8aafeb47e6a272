package heartbeat

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

// parsers are the functions of this package by the name of their file.
var parsers = map[string]func(string, []byte) (*config.Config, []config.Problem){
	"ha.cf": ParseMembers, "haresources": ParseResources, "authkeys": ParseKeys,
}

// describe returns a configuration and its problems as text.
func describe(c *config.Config, problems []config.Problem) string {
	var b strings.Builder
	if c != nil {
		for _, n := range c.Cluster.Nodes {
			fmt.Fprintf(&b, "node %s\n", n.Name)
		}
		for _, g := range c.Cluster.Groups {
			fmt.Fprintf(&b, "group preferences %v\n", g.Preferences)
			for _, a := range g.Addresses {
				fmt.Fprintf(&b, "  address %s/%d on %q label %q broadcast %q\n", a.IP, a.Bits, a.NIC, a.Label, a.Broadcast)
			}
		}
		for _, n := range c.Cluster.NodeChecks {
			fmt.Fprintf(&b, "ping %v weight %d\n", n.Hosts, n.Weight)
		}
		for _, f := range c.Cluster.Files {
			fmt.Fprintf(&b, "services %s of %s in line %d\n", f.Path, f.Resource, f.Line)
		}
		fmt.Fprintf(&b, "stays %v sync %v\n", c.Cluster.Stays, c.Cluster.Sync != nil)
	}
	for _, p := range problems {
		fmt.Fprintf(&b, "%s: %s\n", p.Severity, p)
	}
	return b.String()
}

// TestParse compares the configuration and the problems of each file NAME.FORMAT in testdata with
// the text in NAME.FORMAT.txt.
func TestParse(t *testing.T) {
	tested := 0
	for format, parse := range parsers {
		files, err := filepath.Glob("testdata/*." + format)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			tested++
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := describe(parse(format, text))
			if *update {
				if err := os.WriteFile(file+".txt", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		}
	}
	if tested < 4 {
		t.Errorf("only %d files", tested)
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ format, text, want string }{
		{"ha.cf", "nodes a\n", `ha.cf:1: unknown directive "nodes", so heartbeat does not start; delete the line`},
		{"ha.cf", "deadtime soon\n", "ha.cf:1: the arguments of deadtime are wrong; correct the line"},
		{"ha.cf", "deadtime 10\n", "ha.cf: no node in this file; write \"node NAME\" for each director, as `uname -n` prints the name"},
		{"haresources", "", `haresources: no resources in this file; write "NODE RESOURCE ..." in a line`},
		{"haresources", "director1\n", `haresources:1: "director1" has no resources in this line; write "NODE RESOURCE ..."`},
		{"haresources", "IPaddr::192.0.2.10 ldirectord\n", `haresources:1: the line begins with "IPaddr::192.0.2.10" instead of the name of a node; write "NODE RESOURCE ..."`},
		{"haresources", "a IPaddr::x\n", `haresources:1: "IPaddr::x" has no valid address; write IPaddr::192.0.2.10/24/eth0, and an IPv6 address without "::"`},
		{"haresources", "a IPaddr::192.0.2.10/24/eth0/x\n", `haresources:1: IPaddr::192.0.2.10/24/eth0/x: "x" is neither a prefix length, an interface nor a broadcast address; write IP/BITS/INTERFACE/BROADCAST`},
		{"authkeys", "1 secret\n", `authkeys:1: the line is not in the form of authkeys; write "auth 1" and "1 sha1 SECRET" in two lines`},
		{"authkeys", "auth 1\n", `authkeys: no key in this file; write "auth 1" and "1 sha1 SECRET" in two lines`},
	} {
		c, problems := parsers[tt.format](tt.format, []byte(tt.text))
		if err := config.Err(problems); c != nil || err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q:\ngot  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

// FuzzParse checks that no text makes a parser panic or hang. It also checks that every problem has
// a text, and that no problem has the secret of authkeys.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, parse := range parsers {
			c, problems := parse(name, text)
			if (c == nil) != (config.Err(problems) != nil) {
				t.Errorf("%s: configuration %v, problems %v", name, c, problems)
			}
			for _, p := range problems {
				if p.What == "" || p.Severity == 0 {
					t.Errorf("%s: problem without text: %+v", name, p)
				}
			}
		}
		const secret = "s3cr3t"
		_, problems := ParseKeys("authkeys", append([]byte("auth 22 sha1 "+secret+"\n2 sha1 "+secret+"\nx "+secret+"\n"), text...))
		for _, p := range problems {
			if strings.Contains(p.String(), secret) && !strings.Contains(string(text), secret) {
				t.Errorf("a problem has the secret: %s", p)
			}
		}
	})
}
