package sync

import (
	"io"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/statetest"
	"lvs-agents/ocf"
)

func quiet() logrus.FieldLogger {
	log := logrus.New()
	log.Out = io.Discard
	return log
}

// TestStopInEveryConditionOfTheLedger checks stop in every condition of the ledger. Stop must
// return 0 and end the daemons. Without the ledger, stop must return 0 and leave the daemons.
// Sysctls can stay changed, because their earlier values are only in the ledger.
func TestStopInEveryConditionOfTheLedger(t *testing.T) {
	for _, condition := range statetest.Conditions() {
		for _, left := range []bool{true, false} {
			t.Run(condition.Name+map[bool]string{true: ", left", false: ", not left"}[left], func(t *testing.T) {
				stopInCondition(t, condition, left)
			})
		}
	}
}

func stopInCondition(t *testing.T, condition statetest.Condition, left bool) {
	n := newNode(t)
	n.state = statetest.Dir(t, condition.Root)
	n.must(t, 0, "sync", "start", pair...)
	if !left {
		n.put("sync_threshold", "3 50")
		n.put("sync_refresh_period", "0")
		n.put("sync_retries", "0")
		for _, role := range []lvs.SyncRole{lvs.SyncMaster, lvs.SyncBackup} {
			if err := n.StopSync(t.Context(), role); err != nil {
				t.Fatal(err)
			}
		}
	}
	condition.Apply(t, n.state, n.ledgerFile(t))
	for range 2 {
		got := n.run("sync", "stop", pair...)
		daemons, _ := n.SyncDaemons(t.Context())
		gone := strings.HasPrefix(condition.Name, statetest.Absent)
		known := strings.HasPrefix(condition.Name, "as it was") || condition.Name == "full"
		switch {
		case gone && (got.code != ocf.Success || (len(daemons) == 2) != left): // Without a ledger, stop cannot find out that this resource started the daemons, so the daemons stay.
			t.Errorf("stop gives %d (%s); kernel:\n%s", got.code, got.reason, n.kernel)
		case !gone && (got.code != ocf.Success || len(daemons) > 0):
			t.Errorf("stop gives %d (%s); kernel:\n%s", got.code, got.reason, n.kernel)
		case known && n.String() != before:
			t.Errorf("not everything was put back:\n%s", n.kernel)
		}
	}
}
