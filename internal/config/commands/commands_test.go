package commands

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

var update = flag.Bool("update", false, "write the expected files")

// describe returns a configuration as text, a line for each thing.
func describe(c *config.Config) string {
	if c == nil {
		return "no configuration\n"
	}
	var b strings.Builder
	for _, g := range c.Cluster.Groups {
		for _, a := range g.Addresses {
			fmt.Fprintf(&b, "address %s/%d on %s label %q\n", a.IP, a.Bits, a.NIC, a.Label)
		}
	}
	for _, m := range c.Cluster.Marks {
		fmt.Fprintf(&b, "mark %d for %v %v %v family %q\n", m.Mark, m.IP, m.Protocols, m.Ports, m.Family)
	}
	if s := c.Cluster.Sync; s != nil {
		fmt.Fprintf(&b, "sync on %s id %d\n", s.Interface, s.ID)
	}
	fmt.Fprintf(&b, "timeouts %v\n", c.Timeouts)
	for _, s := range c.Services {
		b.WriteString(lvs.Table{s.VirtualService()}.String())
		for _, r := range s.Reals {
			for _, check := range r.Checks {
				fmt.Fprintf(&b, "  %s: %s port %d\n", r.Addr, check.Type, check.Port)
			}
		}
	}
	return b.String()
}

// TestParse compares the configuration and the problems of each file NAME.txt in testdata with the
// text in NAME.want.
func TestParse(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !Guess(text) {
				t.Error("the text is not recognised")
			}
			c, problems := Parse("FILE", text)
			got := describe(c)
			for _, p := range problems {
				got += fmt.Sprintf("%s: %s\n", p.Severity, p)
			}
			_, problems = Strict("FILE", text)
			got += fmt.Sprintf("strict: %v\n", config.Err(problems))
			golden := strings.TrimSuffix(file, ".txt") + ".want"
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

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "no virtual service, packet mark or address",
		"ls -l\n":                 "no virtual service, packet mark or address",
		"ipvsadm -A -t $VIP:80\n": "variable VIP has no value in the file; write the value instead",
		"ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21\n": "no command before has added -t 192.0.2.10:80; add it with ipvsadm -A",
		"ipvsadm -A -t 192.0.2.10\n":                  `invalid`,
		"ipvsadm --set 1 2\n":                         "--set needs three numbers; write ipvsadm --set TCP TCPFIN UDP",
		strings.Repeat("ipvsadm -A -t x\n", 5000):     "too many problems",
	} {
		c, problems := Parse("FILE", []byte(text))
		all := ""
		for _, p := range problems {
			all += p.String() + "\n"
		}
		if c != nil || want != "invalid" && !strings.Contains(all, want) || len(problems) > mostProblems+10 {
			t.Errorf("%.60q: %d problems: %.300s\nwant %s", text, len(problems), all, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		Guess(text)
		for _, parse := range []func(string, []byte) (*config.Config, []config.Problem){Parse, Strict} {
			if c, problems := parse("FILE", text); (c == nil) != (config.Err(problems) != nil) {
				t.Errorf("configuration %v, problems %v", c, problems)
			}
		}
	})
}
