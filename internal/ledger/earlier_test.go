package ledger

import (
	"testing"

	"lvs-agents/internal/host"
	"lvs-agents/internal/state/statetest"
)

// TestLedgerOfEarlierVersions checks that Load reads the ledger of earlier versions completely. The
// stop of its resources puts back the values that the earlier version found.
func TestLedgerOfEarlierVersions(t *testing.T) {
	for _, version := range statetest.Versions {
		t.Run(version, func(t *testing.T) {
			n := newNode(t)
			n.dir = statetest.Earlier(t, version)
			before := n.kernel.String()
			l, err := n.file().Load()
			if err != nil || len(l.Holders) != 2 || len(l.Entries) != 8 {
				t.Fatalf("%+v, %v", l, err)
			}
			for _, e := range l.Entries {
				n.kernel.Put(e.Setting, e.Set)
			}
			for _, id := range []string{"rs-web", `rs "mail"`} {
				n.report(id, false, "")
				n.must(n.resource(id).Release(t.Context()))
				n.report(id, true, "")
			}
			n.has(before)
			if value, _ := n.kernel.Get(t.Context(), setting("link nic=tunl0")); value != host.Off {
				t.Errorf("tunl0 is %s", value)
			}
		})
	}
}
