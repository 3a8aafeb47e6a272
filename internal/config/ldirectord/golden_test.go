package ldirectord

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/configtest"
	"lvs-agents/internal/lvs"
)

// names is a resolver.
type names map[string]string

func (n names) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	if addr, ok := n[network+" "+host]; ok {
		return []netip.Addr{netip.MustParseAddr(addr)}, nil
	}
	return nil, fmt.Errorf("lookup %s: no such host", host)
}

var tutorial = names{"ip4 sql01": "192.168.10.1", "ip4 sql03": "192.168.10.3"}

func lines(problems []config.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s: %s\n", p.Severity, p)
	}
	return b.String()
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// golden compares a text with a file, or writes the text to the file.
func golden(t testing.TB, name, got string) {
	t.Helper()
	configtest.Compare(t, name, got)
}

// tableOf returns the table of a configuration file. For a file with errors, it returns an empty
// text.
func tableOf(t testing.TB, cfg *config.Config) string {
	t.Helper()
	if cfg == nil {
		return ""
	}
	table, problems := cfg.Table(t.Context(), config.NewNames(tutorial))
	if err := config.Err(problems); err != nil {
		t.Fatal(err)
	}
	if err := table.Validate(); err != nil {
		t.Error(err)
	}
	return table.String()
}

// TestRecordedCases checks files that ldirectord 4.12.0 has also read. For each file NN.cf, the
// file NN.row has the result and the table of ldirectord. It also has our problems and our table,
// and the reason why the two tables are the same or differ.
func TestRecordedCases(t *testing.T) {
	files, _ := filepath.Glob("testdata/cases/*.cf")
	if len(files) != 40 {
		t.Fatalf("%d cases, want 40", len(files))
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			row := strings.TrimSuffix(path, "cf") + "row"
			head, body, _ := strings.Cut(string(file(t, row)), "-- recorded --\n")
			recorded, _, _ := strings.Cut(body, "-- here --\n")
			cfg, problems := Parse(filepath.Base(path), file(t, path))
			got := tableOf(t, cfg)
			verdict := "accept\n"
			if cfg == nil {
				verdict = "refuse\n"
			}
			golden(t, row, head+"-- recorded --\n"+recorded+"-- here --\n"+verdict+lines(problems)+"-- table --\n"+got)
			differs := recorded != got || strings.Contains(head, "ldirectord: accept") != (cfg != nil)
			same := strings.Contains(head, "why: as ldirectord") || strings.Contains(head, "why: same table")
			if differs == same {
				t.Errorf("the reason is not what it says:\n%s", cmp.Diff(recorded, got))
			}
		})
	}
}

// TestTutorials checks samples of tutorials as they are printed. For each sample, a row file has
// the problems and the table. Most samples have a clean form, which must give the same
// configuration.
func TestTutorials(t *testing.T) {
	for name, clean := range map[string]string{
		"000": "000-clean", "001-directives": "001-directives-clean", "001-dr": "001-dr-clean",
		"001-mysql": "001-mysql-clean", "001-mysql-commented": "", "002": "", "003-one-line": "",
	} {
		t.Run(name, func(t *testing.T) {
			cfg, problems := Parse(name+".cf", file(t, "testdata/seeds/"+name+".cf"))
			golden(t, "testdata/seeds/"+name+".row", lines(problems)+"-- table --\n"+tableOf(t, cfg))
			if clean == "" {
				return
			}
			want, _ := Parse(name+".cf", file(t, "testdata/seeds/"+clean+".cf"))
			ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Line" }, cmp.Ignore())
			addr := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
			if diff := cmp.Diff(want, cfg, ignore, addr); diff != "" {
				t.Errorf("differs from the clean form (-clean +damaged):\n%s", diff)
			}
		})
	}
}

func TestCleanFormsHaveNoProblems(t *testing.T) {
	files, _ := filepath.Glob("testdata/seeds/*-clean.cf")
	for _, path := range files {
		if cfg, problems := Parse(path, file(t, path)); len(problems) != 0 || len(cfg.Services) != 1 {
			t.Errorf("%s:\n%s", path, lines(problems))
		}
	}
}

func TestTutorialMeansWhatItSays(t *testing.T) {
	cfg, _ := Parse("mysql.cf", file(t, "testdata/seeds/001-mysql-clean.cf"))
	s, c := cfg.Services[0], checkOf(cfg)
	if s.Name() != "-t 192.168.10.74:3306" || c.Application != "mysql" || c.Login.Reveal() != "readuser" ||
		c.Passwd.Reveal() != "genericpassword" || c.Database != "portal" || c.Request != "SELECT * FROM link" ||
		s.Fallbacks[0] != (config.Fallback{Host: "127.0.0.1", Port: 3306, Forward: lvs.Route, Line: 3}) {
		t.Errorf("%+v %+v", s, s.Fallbacks[0])
	}
	cfg, _ = Parse("dr.cf", file(t, "testdata/seeds/001-dr-clean.cf"))
	s, c = cfg.Services[0], checkOf(cfg)
	if !cfg.AutoReload || cfg.LogFile != "/var/log/ldirectord.log" || s.Quiescent || c.Port != 80 || c.Receive != "RS" ||
		s.Fallbacks[0].Host != "www.baidu.com" || c.Timeout.Seconds() != 3 || c.Interval.Seconds() != 1 || c.Fall != 1 {
		t.Errorf("%+v %+v %+v", cfg, s, s.Fallbacks[0])
	}
	cfg, _ = Parse("003.cf", file(t, "testdata/seeds/003-clean.cf"))
	if !cfg.Services[0].Quiescent {
		t.Error("seed 003 is not quiescent")
	}
}

// TestNoOptionIsLost checks the directives of ldirectord.cf.
func TestNoOptionIsLost(t *testing.T) {
	configtest.Options(t, "testdata/options.table", Parse)
}
