package fwmark

import (
	"testing"

	"lvs-agents/internal/host"
	"lvs-agents/internal/state/statetest"
	"lvs-agents/ocf"
)

// TestStopInEveryConditionOfTheLedger checks stop in every condition of the ledger. Stop must
// always return 0, and remove the rules. Their name contains the id of the resource.
func TestStopInEveryConditionOfTheLedger(t *testing.T) {
	for _, condition := range statetest.Conditions() {
		for _, left := range []bool{true, false} {
			t.Run(condition.Name+map[bool]string{true: ", left", false: ", not left"}[left], func(t *testing.T) {
				n := newNode(t)
				n.state = statetest.Dir(t, condition.Root)
				n.must(t, 0, "web", "start", web...)
				if !left {
					n.Put(host.Setting{Kind: host.NFTMarks, Name: "fwmark-web"}, host.Off)
				}
				condition.Apply(t, n.state, n.ledgerFile(t))
				for range 2 {
					if code, reason, log := n.run("web", "stop", web...); code != ocf.Success || n.marks() != "" {
						t.Errorf("stop gives %d (%s)\n%s\nkernel:\n%s", code, reason, log, n.marks())
					}
				}
			})
		}
	}
}
