package control

import (
	"net"
	"testing"
	"time"
)

// TestStates checks that a daemon that never replies does not delay the others beyond the limit.
func TestStates(t *testing.T) {
	dir := stateDir(t)
	serving(t, dir, "web", fake{snapshot: Snapshot{PID: 7}})
	slow, err := net.Listen("unix", Path(dir, "slow"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	begin := time.Now()
	states, err := States(t.Context(), dir, 100*time.Millisecond)
	if err != nil || len(states) != 2 || states[0].ID != "slow" || states[0].Err == nil || states[1].Snapshot.PID != 7 {
		t.Errorf("%v, %v", states, err)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %v", took)
	}
}
