package doctor

import (
	"fmt"
	"maps"
	"slices"

	"lvs-agents/internal/lvs"
)

// ExamineHashTables returns a finding for each other director whose hash tables differ from the
// tables of this director. own and the values of others are texts of lvs.Table.HashTables; the keys
// are names of nodes. An empty text says nothing: that director may not have finished its checks.
func ExamineHashTables(own string, others map[string]string) []Finding {
	var findings []Finding
	if own == "" {
		return nil
	}
	for _, node := range slices.Sorted(maps.Keys(others)) {
		if others[node] == "" {
			continue
		}
		for _, id := range lvs.UnequalHashTables(own, others[node]) {
			findings = append(findings, Finding{
				What: fmt.Sprintf("a take-over from or by node %s breaks connections of virtual service %s", node, id),
				Why:  "the service or its real servers differ between the two directors, so they choose different real servers for the same client",
				Fix:  "give both directors the same configuration, then compare lvsctl status on both",
			})
		}
	}
	return findings
}
