package metrics

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"lvs-agents/metadata/metadatatest"
)

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
