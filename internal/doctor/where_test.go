package doctor

import (
	"strings"
	"testing"
)

const whereXML = `<pacemaker-result><summary><current_dc present="true" with_quorum="true"/></summary>
<nodes><node name="director1" online="true" standby="false"/><node name="director2" online="true" standby="false"/></nodes>
<resources><group id="web"><resource id="web-ipvs" resource_agent="ocf:lvs:ipvs"/><resource id="web-health" resource_agent="ocf:lvs:health" target_role="Started"><node name="director2"/></resource></group>
<clone id="all"><resource id="dns-health" resource_agent="ocf::lvs:health"><node name="director2"/></resource><resource id="dns-health" resource_agent="ocf::lvs:health"><node name="director1"/></resource></clone></resources>
<node_history><node name="director1"><resource_history id="web-ipvs" fail-count="0"/></node><node name="director2"><resource_history id="web-ipvs" fail-count="7"/></node></node_history>
<bans><ban id="not-on-2" resource="web" node="director2"/></bans></pacemaker-result>`

// TestWhere checks the reason why a health resource does not run on this node.
func TestWhere(t *testing.T) {
	const runs, own, serves = "web-health runs on director2; ", "dns-health runs on director2 and director1, and its daemon does not reply here", "director2"
	for _, tt := range []struct{ name, old, wrong, want string }{
		{"idle", "", "", runs + "this node can take over"},
		{"standby", `name="director1" online="true" standby="false"`, `name="director1" online="true" standby="true"`, runs + "this node is in standby"},
		{"offline", `name="director1" online="true"`, `name="director1" online="false"`, runs + "this node is offline"},
		{"banned", `id="not-on-2" resource="web" node="director2"`, `id="cli-ban-web" resource="web" node="director1"`, runs + "constraint cli-ban-web bans it from this node"},
		{"failed", `fail-count="0"`, `fail-count="INFINITY"`, runs + "web-ipvs has the fail count INFINITY on this node"},
		{"stopped", `target_role="Started"><node name="director2"/>`, `target_role="Stopped">`, "web-health runs on no node; its target-role is Stopped"},
		{"no controller", `present="true"`, `present="false"`, runs + "Pacemaker has no designated controller"},
		{"nowhere", `target_role="Started"><node name="director2"/>`, `>`, "web-health runs on no node; crm_mon -1rf shows the failures and the roles"},
	} {
		f := Facts{Node: "director1"}
		if err := f.ReadMonitor(strings.Replace(whereXML, tt.old, tt.wrong, 1)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(f.Where(), "|"); got != tt.want+"|"+own {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		want := map[bool]string{true: serves}[strings.HasPrefix(tt.want, runs)]
		if got := strings.Join(f.Elsewhere(), " "); got != want {
			t.Errorf("%s: got the nodes %q, want %q", tt.name, got, want)
		}
	}
}
