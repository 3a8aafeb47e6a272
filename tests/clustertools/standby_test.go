package clustertools

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHotStandbyScores reads from Pacemaker's scheduler on which director the VIP runs. The VIP
// begins on director1, and then the node attributes change. An empty value means that the node does
// not have the attribute.
func TestHotStandbyScores(t *testing.T) {
	const absent = ""
	tests := []struct {
		name             string
		health1, health2 string
		synced1, synced2 string
		stays            bool
		prefer           int // score of a location rule that prefers director2
	}{
		{"both see all servers", "1000", "1000", "100", "100", true, 0},
		{"less than the stickiness", "800", "1000", "100", "100", true, 0},
		{"more than the stickiness", "790", "1000", "100", "100", false, 0},
		{"both see none", "0", "0", "100", "100", true, 0},
		{"it sees none, the other sees one of a hundred", "0", "505", "100", "100", false, 0},
		{"no daemon publishes", absent, absent, absent, absent, true, 0},
		{"only the other publishes", absent, "505", "100", "100", false, 0},
		{"the other has no connections", "625", "1000", "100", "98", true, 0},
		{"the other has no synchronisation", "625", "1000", "100", absent, true, 0},
		{"it lacks connections", "1000", "1000", "98", "100", true, 0},
		{"it sees none, the other has no connections", "0", "505", "100", absent, false, 0},
		{"the preferred director has all", "1000", "1000", "100", "100", false, 300},
		{"the preferred director has no connections", "1000", "1000", "100", "98", true, 300},
		{"the preferred director has no verdicts", "1000", absent, "100", "100", true, 300},
	}
	for _, ending := range []string{".crm", ".pcs"} {
		running := standbyRunning(t, load(t, "../../crm/examples/hot-standby"+ending))
		for _, tt := range tests {
			t.Run(tt.name+ending, func(t *testing.T) {
				cib := filepath.Join(t.TempDir(), "cib.xml")
				if err := os.WriteFile(cib, running, 0o600); err != nil {
					t.Fatal(err)
				}
				t.Setenv("CIB_file", cib)
				setAttribute(t, "director1", "lvs-health-web-health", tt.health1)
				setAttribute(t, "director2", "lvs-health-web-health", tt.health2)
				setAttribute(t, "director1", "lvs-sync-web-sync", tt.synced1)
				setAttribute(t, "director2", "lvs-sync-web-sync", tt.synced2)
				mustCommand(t, "cibadmin", "--create", "--scope", "constraints", "--xml-text",
					fmt.Sprintf(`<rsc_location id="prefer" rsc="web-vip" node="director2" score="%d"/>`, tt.prefer))
				out := mustCommand(t, "crm_simulate", "-x", cib, "-S")
				if moves := strings.Contains(out, "web-vip         start on director2"); moves == tt.stays {
					t.Errorf("moves: %v, want %v:\n%s\n%s", moves, !tt.stays, out, mustCommand(t, "crm_simulate", "-x", cib, "-s", "-S"))
				}
			})
		}
	}
}

// standbyRunning returns a CIB with the resources of an example. All of them run, and the VIP is on
// director1.
func standbyRunning(t *testing.T, cib string) []byte {
	t.Helper()
	for _, node := range []string{"director1", "director2"} {
		mustCommand(t, "cibadmin", "--create", "--scope", "nodes", "--xml-text", `<node id="`+node+`" uname="`+node+`"/>`)
	}
	out := mustCommand(t, "crm_simulate", "-x", cib, "-S", "-O", cib, "--node-up", "director1", "--node-up", "director2", "--quorum", "true")
	if !strings.Contains(out, "web-vip         start on director1") {
		t.Fatalf("the VIP does not start on director1:\n%s", out)
	}
	text, err := os.ReadFile(cib)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func setAttribute(t *testing.T, node, name, value string) {
	t.Helper()
	if value != "" {
		mustCommand(t, "crm_attribute", "--type", "nodes", "--node", node, "--name", name, "--update", value)
	}
}
