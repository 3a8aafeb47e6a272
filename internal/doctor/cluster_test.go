package doctor

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// right is crm_mon's output for a pair without faults.
const right = `<pacemaker-result><summary><current_dc present="true" with_quorum="true"/>
<cluster_options stonith-enabled="true" no-quorum-policy="stop" maintenance-mode="false"/></summary>
<nodes><node name="director1" online="true" standby="false" maintenance="false" unclean="false"/></nodes>
<resources><resource id="fence" resource_agent="stonith:fence_ipmilan" managed="true" blocked="false" failed="false"/>
<clone><group><resource id="web" resource_agent="ocf:lvs:ipvs" managed="true" blocked="false" failed="false"/></group></clone></resources>
<node_history><node name="director1"><resource_history id="web" fail-count="0"/></node></node_history>
<bans><ban id="web-not-on-3" resource="web" node="node3"/></bans></pacemaker-result>`

func TestCluster(t *testing.T) {
	const web = `ipvs" managed="true" blocked="false" failed="false"`
	tests := []struct{ name, old, planted, want string }{
		{"a right pair", "", "", ""},
		{"no controller", `present="true"`, `present="false"`, "Pacemaker has no designated controller"},
		{"no quorum", `with_quorum="true"`, `with_quorum="false"`, "too few nodes reach each other"},
		{"quorum ignored", `policy="stop"`, `policy="ignore"`, "no-quorum-policy is ignore"},
		{"fencing off", `stonith-enabled="true"`, `stonith-enabled="false"`, "stonith-enabled is false"},
		{"no fence device", "stonith:fence_ipmilan", "ocf:heartbeat:Dummy", "stonith-enabled is true, and no fence device is configured"},
		{"maintenance mode", `maintenance-mode="false"`, `maintenance-mode="true"`, "maintenance-mode is true"},
		{"unclean", `unclean="false"`, `unclean="true"`, "the node is unclean: it is not fenced yet"},
		{"offline", `online="true"`, `online="false"`, "Pacemaker does not run there, or the node is not reachable"},
		{"standby", `standby="false"`, `standby="true"`, "the node is in standby"},
		{"a node in maintenance", ` maintenance="false"`, ` maintenance="true"`, "the node is in maintenance"},
		{"blocked", web, strings.Replace(web, `blocked="false"`, `blocked="true"`, 1), "the resource is blocked after a failure"},
		{"failed", web, strings.Replace(web, `failed="false"`, `failed="true"`, 1), "its last action failed"},
		{"not managed", web, strings.Replace(web, `managed="true"`, `managed="false"`, 1), "the resource is not managed"},
		{"a clone that is not managed", "<clone>", `<clone id="cl" managed="false">`, "the resource is not managed"},
		{"both instances of a clone", "</clone>", `</clone><resource id="x" blocked="true"/><resource id="x" blocked="true"/>`, "the resource is blocked after a failure"},
		{"fail count", `fail-count="0"`, `fail-count="INFINITY"`, "its fail count there is INFINITY"},
		{"banned", "web-not-on-3", "cli-ban-web-on-node3", "a command has banned it: constraint cli-ban-web-on-node3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(right, tt.old) {
				t.Fatalf("the right pair does not contain %s", tt.old)
			}
			var f Facts
			if err := f.ReadMonitor(strings.Replace(right, tt.old, tt.planted, 1)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, causes(Answer(f))); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestClusterReadsPacemaker reads the output of crm_mon of Pacemaker for a CIB with faults.
func TestClusterReadsPacemaker(t *testing.T) {
	text, err := os.ReadFile("testdata/crm_mon.xml")
	if err != nil {
		t.Fatal(err)
	}
	var f Facts
	if err := f.ReadMonitor(string(text)); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"too few nodes reach each other", "no-quorum-policy is ignore", "stonith-enabled is false", "maintenance-mode is true",
		"Pacemaker does not run there, or the node is not reachable", "its fail count there is 3",
		"a command has banned it: constraint cli-ban-web-on-director1",
	}, "\n")
	if diff := cmp.Diff(want, causes(Answer(f))); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
}

func TestClusterRefusesOtherText(t *testing.T) {
	var f Facts
	if f.ReadMonitor("Cluster is not running") == nil || f.ReadCIB("Cluster is not running") == nil {
		t.Error("text that is not XML has no error")
	}
}

func causes(findings []Finding) string {
	var list []string
	for _, f := range findings {
		list = append(list, f.Why)
	}
	return strings.Join(list, "\n")
}
