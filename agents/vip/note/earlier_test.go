package note

import (
	"testing"

	"lvs-agents/internal/state/statetest"
)

func TestNotesOfEarlierVersions(t *testing.T) {
	for _, version := range statetest.Versions {
		dir := statetest.Earlier(t, version)
		for kind, want := range map[string]string{
			Loopback: "192.0.2.10/32 dev lo label lo:vip scope host\n",
			Proof:    "192.0.2.10 on eth0: neighbour 192.0.2.254 sends to this node\n",
		} {
			if text, err := Of(dir, kind, "vip/1").Read(); err != nil || text != want {
				t.Errorf("%s, %s: got %q, %v", version, kind, text, err)
			}
			if all, err := All(dir, kind); err != nil || len(all) != 1 {
				t.Errorf("%s, %s: got %q, %v", version, kind, all, err)
			}
		}
	}
}
