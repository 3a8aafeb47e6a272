package ldirectord

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/config"
)

// TestRepair checks samples of tutorials that have lost line breaks. Each must give the
// configuration of its clean form.
func TestRepair(t *testing.T) {
	for name, want := range map[string]struct{ clean, problems string }{
		"002": {"002-clean", `repaired: 002.cf:9: several directives on one line
  - protocol=tcpchecktype=negotiate
  + protocol=tcp  |  checktype=negotiate
`},
		"003-one-line": {"003-clean", `virtual=172.16.31.180:80  |  real=172.16.31.13:80 gate  |  real=172.16.31.14:80 gate  |  fallback=127.0.0.1:80 gate  |  service=http  |  request=".health.html"  |  receive="OK"  |  scheduler=rr  |  protocol=tcp  |`},
	} {
		cfg, problems := Repair(name+".cf", file(t, "testdata/seeds/"+name+".cf"))
		if got := lines(problems); !strings.Contains(got, want.problems) {
			t.Errorf("%s: got\n%s", name, got)
		}
		clean, _ := Parse(name+".cf", file(t, "testdata/seeds/"+want.clean+".cf"))
		ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Line" }, cmp.Ignore())
		addr := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
		if diff := cmp.Diff(clean, cfg, ignore, addr); diff != "" {
			t.Errorf("%s differs from the clean form (-clean +damaged):\n%s", name, diff)
		}
	}
}

func TestRepairedLines(t *testing.T) {
	for text, want := range map[string]string{
		"checktimeout=3checkinterval=1 # both":   "checktimeout=3\ncheckinterval=1\n",
		"\trequest=\"a\"receive=\"b\"":           "\trequest=\"a\"\n\treceive=\"b\"\n",
		"# a=1 checktimeout=3 checkinterval=1":   "",
		"request=\"/?receive=1\"":                "",
		strings.Repeat("checktimeout=3", 10_000): "",
		"nonsense=checktimeout=3":                "",
	} {
		got := ""
		for _, part := range newParser("").parts(text) {
			got += part + "\n"
		}
		if got != want {
			t.Errorf("%.60q: got %q, want %q", text, got, want)
		}
	}
}

func TestRepairHidesSecrets(t *testing.T) {
	_, problems := Repair("web.cf", []byte("virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\tscheduler=rrpasswd=\"hidden\"\n"))
	if got := lines(problems); strings.Contains(got, "hidden") || !strings.Contains(got, `  + scheduler=rr  |  passwd="***"`) {
		t.Error(got)
	}
}

func TestRepairOfALongLineEnds(t *testing.T) {
	for _, text := range []string{strings.Repeat("checktimeout=3", 100_000), "#" + strings.Repeat("checktimeout=3", 100_000)} {
		began := time.Now()
		Repair("web.cf", []byte(text))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%.30q took %v", text, took)
		}
	}
}

func FuzzRepair(f *testing.F) {
	for _, name := range []string{"002", "003-one-line", "001-directives"} {
		f.Add(file(f, "testdata/seeds/"+name+".cf"))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, problems := Repair("web.cf", text)
		if (cfg == nil) != (config.Err(problems) != nil) {
			t.Fatalf("config and problems disagree:\n%s", lines(problems))
		}
	})
}
