package reference

import (
	"regexp"
	"strings"
	"testing"

	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/metadata/metadatatest"
)

func TestGenerated(t *testing.T) {
	metadatatest.Golden(t, "docs/ldirectord.cf.md", Markdown())
	metadatatest.Golden(t, "docs/man/ldirectord.cf.5", Man())
}

// TestExamples loads the example of every directive. The parser reports problems only about
// directives that have no effect or are refused.
func TestExamples(t *testing.T) {
	noUse := map[string]string{
		"load":           "warning: FILE:3:7: load has no effect; delete the line",
		"timeout":        "error: FILE:1:9: timeout is not a directive any more; write checktimeout= or negotiatetimeout=",
		"connecttimeout": "error: FILE:1:16: connecttimeout is not a directive any more; write checktimeout= or negotiatetimeout=",
	}
	for _, d := range ldirectord.Directives() {
		cfg, _ := ldirectord.Parse("FILE", []byte(d.Example))
		if got := strings.Join(said(d), "\n"); got != noUse[d.Name] {
			t.Errorf("%s:\n%sgot  %s\nwant %s", d.Name, d.Example, got, noUse[d.Name])
		}
		if refused := strings.HasPrefix(noUse[d.Name], "error"); refused != (cfg == nil) || !refused && len(cfg.Services) != 1 {
			t.Errorf("%s is not loaded as it should be:\n%s", d.Name, d.Example)
		}
		if value := regexp.MustCompile(`(?m)^\t?` + d.Name + `=(.*)$`).FindStringSubmatch(d.Example); value == nil || strings.Trim(value[1], `"`) == "" {
			t.Errorf("%s has no example", d.Name)
		}
		if d.About == "" || d.Values == "" || !strings.HasSuffix(d.About, ".") && !strings.HasSuffix(d.About, ")") {
			t.Errorf("%s is not described", d.Name)
		}
	}
}
