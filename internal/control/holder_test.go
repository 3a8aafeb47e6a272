package control

import (
	"testing"

	"lvs-agents/internal/state"
	"lvs-agents/internal/state/statetest"
)

// TestVerdictsOfEarlierVersions checks that the verdicts in the file of an earlier version count
// after its daemon has ended.
func TestVerdictsOfEarlierVersions(t *testing.T) {
	for _, version := range statetest.Versions {
		dir := statetest.Earlier(t, version)
		if presence, err := PresenceOf(dir, "web-health"); err != nil || presence != Ended {
			t.Errorf("%s: %v, %v", version, presence, err)
		}
		bad, err := state.LastBad(dir, Memory)
		if err != nil || len(bad) != 1 || !bad["-t 192.0.2.10:80 -r 192.0.2.22:80"] {
			t.Errorf("%s: %v, %v", version, bad, err)
		}
		if err := Pulse(dir, "web-health", 7); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
}
