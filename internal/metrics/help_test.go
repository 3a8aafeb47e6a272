package metrics

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lvs-agents/metadata/metadatatest"
)

// TestRulesAndDashboardNameRealMetrics checks that every metric in the rules and in the dashboard
// exists, and that the dashboard uses only results that the rules record.
func TestRulesAndDashboardNameRealMetrics(t *testing.T) {
	texts := map[string]string{}
	for _, name := range []string{"rules.yml", "rules_test.yml", "dashboard.json"} {
		text, err := os.ReadFile("../../docs/monitoring/" + name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
		found := regexp.MustCompile(`\b(lvs|node)_\w+`).FindAllString(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric", name)
		}
		for _, metric := range found {
			if helps[metric] == "" {
				t.Errorf("%s: there is no metric %s", name, metric)
			}
		}
	}
	for _, result := range regexp.MustCompile(`lvs:\w+:\w+`).FindAllString(texts["dashboard.json"], -1) {
		if !strings.Contains(texts["rules.yml"], "record: "+result+"\n") {
			t.Errorf("dashboard.json: no rule records %s", result)
		}
	}
}

// TestGenerated writes the list of metrics at the end of their page.
func TestGenerated(t *testing.T) {
	const page = "docs/monitoring.md"
	text, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(text), "| metric | value |\n")
	if !found {
		before = string(text)
	}
	var table strings.Builder
	table.WriteString("| metric | value |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(helps)) {
		fmt.Fprintf(&table, "| `%s` | %s |\n", name, helps[name])
	}
	metadatatest.Golden(t, page, before+table.String())
}
