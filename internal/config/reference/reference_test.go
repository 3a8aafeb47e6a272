package reference

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/config"
)

var update = flag.Bool("update", false, "write the generated files instead of comparing them")

func TestGenerated(t *testing.T) {
	for name, text := range map[string]string{"docs/ldirectord.cf.md": Markdown(), "docs/man/ldirectord.cf.5": Man()} {
		path := "../../../" + name
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), text); diff != "" {
			t.Errorf("%s is not current; make docs writes it anew (-want +got):\n%s", name, diff)
		}
	}
}

// TestExamples loads the example of every directive, which must be free of problems.
func TestExamples(t *testing.T) {
	refused := map[string]bool{"timeout": true, "connecttimeout": true, "load": true}
	for _, d := range config.Directives() {
		if d.Example == "" {
			if !refused[d.Name] {
				t.Errorf("%s has no example", d.Name)
			}
			continue
		}
		cfg, problems := config.Parse(d.Name, []byte(d.Example))
		if cfg == nil || len(problems) > 0 || len(cfg.Services) != 1 || !strings.Contains(d.Example, d.Name+"=") {
			t.Errorf("%s:\n%s%v", d.Name, d.Example, problems)
		}
		if d.About == "" || d.Values == "" || !strings.HasSuffix(d.About, ".") && !strings.HasSuffix(d.About, ")") {
			t.Errorf("%s is not described", d.Name)
		}
	}
}
