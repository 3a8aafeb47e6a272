package health

import (
	"path/filepath"
	"strings"
	"testing"

	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/record"
	"lvs-agents/internal/state/statetest"
	"lvs-agents/ocf"
	"lvs-agents/ocf/ocftest"
)

// TestStopInEveryConditionOfTheOwnRecord checks stop after the daemon has ended. The services are
// in the daemon's own record, not in the record of an ipvs resource. While the record exists, stop
// must return 0 if and only if the kernel has none of these services. Without the record, stop must
// return 0 and leave the services.
func TestStopInEveryConditionOfTheOwnRecord(t *testing.T) {
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
	table, err := lvs.ParseTable("-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n")
	if err != nil {
		t.Fatal(err)
	}
	store, err := record.In(n.state)
	if err != nil {
		t.Fatal(err)
	}
	own := record.Record{ID: record.OwnID("web"), State: record.Running, Generation: 1, Services: table, Holder: "web", Claimed: table.IDs()}
	if err := store.Save(own); err != nil {
		t.Fatal(err)
	}
	if left {
		if _, err := n.kernel.Apply(t.Context(), kerneltest.ParseOps(t, table.String())); err != nil {
			t.Fatal(err)
		}
	}
	condition.Apply(t, filepath.Dir(store.Path(own.ID)), store.Path(own.ID))
	for range 2 {
		agent := New(n.kernel, n, n)
		agent.configDirs = []string{n.config}
		code, reason, _ := ocftest.Run(agent, n.state, "web", "stop", "config=web.cf")
		clean := n.kernel.String() == ""
		switch {
		case strings.HasPrefix(condition.Name, statetest.Absent): // without a record, stop cannot find out that the services belong to the daemon
			if code != ocf.Success || clean == left {
				t.Errorf("stop gives %d (%s); the table is\n%s", code, reason, n.kernel)
			}
		case (code == ocf.Success) != clean:
			t.Errorf("stop gives %d (%s); the table is\n%s", code, reason, n.kernel)
		}
	}
}
