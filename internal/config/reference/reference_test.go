package reference

import (
	"strings"
	"testing"

	"lvs-agents/internal/config"
	"lvs-agents/metadata/metadatatest"
)

func TestGenerated(t *testing.T) {
	metadatatest.Golden(t, "docs/ldirectord.cf.md", Markdown())
	metadatatest.Golden(t, "docs/man/ldirectord.cf.5", Man())
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
