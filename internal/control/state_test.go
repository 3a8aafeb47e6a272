package control

import (
	"net"
	"strings"
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
	states, err := States(t.Context(), dir, time.Second)
	if err != nil || len(states) != 2 || states[0].ID != "slow" || states[0].Err == nil || states[1].Snapshot.PID != 7 {
		t.Errorf("%v, %v", states, err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestStatesOfABusyDaemon checks that a daemon is not reported as silent because its real servers
// take longer than the limit.
func TestStatesOfABusyDaemon(t *testing.T) {
	dir := stateDir(t)
	limit := time.Second
	serveReplies(t, dir, func(request string) string {
		if !strings.Contains(request, "summary") {
			<-time.After(2 * limit)
		}
		return string(encodeReply(Snapshot{PID: 7}, nil)) + "\n"
	})
	states, err := States(t.Context(), dir, limit)
	if err != nil || len(states) != 1 || states[0].Err != nil || states[0].Snapshot.PID != 7 {
		t.Errorf("%v, %v", states, err)
	}
}
