package clustertools

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cibGroup is the XML of a group in a CIB: its resources with their parameters and operations.
type cibGroup struct {
	ID         string     `xml:"id,attr"`
	Meta       []cibPair  `xml:"meta_attributes>nvpair"`
	Primitives []cibChild `xml:"primitive"`
}

type cibChild struct {
	ID       string    `xml:"id,attr"`
	Class    string    `xml:"class,attr"`
	Provider string    `xml:"provider,attr"`
	Type     string    `xml:"type,attr"`
	Params   []cibPair `xml:"instance_attributes>nvpair"`
	Ops      []struct {
		Name     string `xml:"name,attr"`
		Interval string `xml:"interval,attr"`
		Timeout  string `xml:"timeout,attr"`
	} `xml:"operations>op"`
}

type cibPair struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

// groupOf returns the resources of a CIB's group, with their parameters and operations, one per
// line.
func groupOf(t *testing.T, cib string) string {
	t.Helper()
	text, err := os.ReadFile(cib)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Groups []cibGroup `xml:"configuration>resources>group"`
	}
	if err := xml.Unmarshal(text, &document); err != nil || len(document.Groups) != 1 {
		t.Fatalf("not one group in %s: %v", cib, err)
	}
	g := document.Groups[0]
	lines := []string{"group " + g.ID}
	for _, p := range g.Primitives {
		lines = append(lines, fmt.Sprintf("%s %s:%s:%s", p.ID, p.Class, p.Provider, p.Type))
		inner := []string{}
		for _, param := range p.Params {
			inner = append(inner, "  "+param.Name+"="+param.Value)
		}
		for _, op := range p.Ops {
			if op.Name == "start" || op.Name == "stop" || op.Name == "monitor" { // pcs also adds the other operations of the agent
				inner = append(inner, fmt.Sprintf("  %s interval=%s timeout=%s", op.Name, strings.TrimSuffix(op.Interval, "s"), op.Timeout))
			}
		}
		lines = append(lines, slices.Sorted(slices.Values(inner))...)
	}
	return strings.Join(lines, "\n")
}

// translate converts a CIB of heartbeat 2 to a CIB of Pacemaker.
func translate(t *testing.T, cib string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pacemaker.xml")
	mustCommand(t, "xsltproc", "-o", path, "../../crm/examples/heartbeat2.xsl", cib)
	return path
}

func TestGroupOfTheGUIIsThatOfCrmAndPcs(t *testing.T) {
	want := groupOf(t, translate(t, "../../crm/examples/hb_gui.xml"))
	for _, example := range []string{"group.crm", "group.pcs"} {
		if diff := cmp.Diff(want, groupOf(t, load(t, "../../crm/examples/"+example))); diff != "" {
			t.Errorf("%s is another group (-hb_gui.xml +it):\n%s", example, diff)
		}
	}
}

func TestGroupOfTheGUILoads(t *testing.T) {
	cib := translate(t, "../../crm/examples/hb_gui.xml")
	for name, command := range map[string][]string{
		"crm": {"crm", "configure", "load", "xml", "update", cib}, "cibadmin": {"cibadmin", "--replace", "--xml-file", cib},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cib.xml")
			if err := os.WriteFile(file, []byte(mustCommand(t, "cibadmin", "--empty")), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("CIB_file", file)
			mustCommand(t, "crm", "-F", "configure", "property", "stonith-enabled=false")
			mustCommand(t, command[0], command[1:]...)
			mustCommand(t, "crm_attribute", "--name", "stonith-enabled", "--update", "false") // cibadmin --replace has deleted the option stonith-enabled
			mustCommand(t, "cibadmin", "--upgrade", "--force")
			mustCommand(t, "crm_verify", "-VV", "-x", file)
			out := mustCommand(t, "crm_simulate", "-x", file, "-S", "--node-up", "director1", "--node-up", "director2", "--quorum", "true")
			at := 0
			for _, want := range []string{"web-ipvs        start on director", "web-vip         start on director", "web-health      start on director"} {
				next := strings.Index(out[at:], want)
				if next < 0 {
					t.Fatalf("no %q in that place:\n%s", want, out)
				}
				at += next
			}
		})
	}
}

// TestTranslationOfHeartbeat2 checks the translation of parts that a CIB of heartbeat 2 can have
// and the example does not have: options as attributes, master_slave, constraints, and ids without
// a prefix.
func TestTranslationOfHeartbeat2(t *testing.T) {
	const old = `<cib admin_epoch="3" epoch="9" num_updates="1"><configuration>
<crm_config><cluster_property_set id="o"><attributes><nvpair id="1" name="no_quorum_policy" value="stop"/></attributes></cluster_property_set></crm_config>
<nodes><node id="x" uname="a" type="normal"/></nodes>
<resources>
<group id="g" ordered="true" collocated="false" is_managed="false"><primitive id="p" class="heartbeat" type="apache" provider="heartbeat"><instance_attributes id="i"><attributes><nvpair id="2" name="1" value="a_b"/></attributes></instance_attributes>
<operations><op id="4f" name="monitor" interval="5s" timeout="3s" on_fail="restart" start_delay="7" disabled="true" role="Started"/></operations></primitive></group>
<master_slave id="m"><meta_attributes id="mm"><attributes><nvpair id="t" name="target_role" value="stopped"/></attributes></meta_attributes><instance_attributes id="mi"><attributes/></instance_attributes><primitive id="d" class="ocf" type="drbd" provider="heartbeat"/></master_slave>
</resources>
<constraints><rsc_order id="c1" from="g" to="m"/><rsc_order id="c2" from="m" type="before" to="g"/><rsc_colocation id="c3" from="g" to="m" score="INFINITY"/>
<rsc_location id="c4" rsc="g"><rule id="r" score="100"><expression id="e" attribute="#uname" operation="eq" value="a"/></rule></rsc_location></constraints>
</configuration><status/></cib>`
	const want = `<cib validate-with="pacemaker-2.0" admin_epoch="4" epoch="0" num_updates="0"><configuration>
<crm_config/>
<nodes/>
<resources>
<group id="g"><meta_attributes id="g-options"><nvpair id="g-option-collocated" name="collocated" value="false"/><nvpair id="g-option-is-managed" name="is-managed" value="false"/></meta_attributes>
<primitive id="p" class="heartbeat" type="apache" provider="heartbeat"><instance_attributes id="i"><nvpair id="id-2" name="1" value="a_b"/></instance_attributes>
<operations><op id="id-4f" name="monitor" interval="5s" timeout="3s" start-delay="7" enabled="false" on-fail="restart"/></operations></primitive></group>
<master id="m"><meta_attributes id="mm"><nvpair id="t" name="target-role" value="Stopped"/></meta_attributes><primitive id="d" class="ocf" type="drbd" provider="heartbeat"/></master>
</resources>
<constraints><rsc_order id="c1" first="m" then="g"/><rsc_order id="c2" first="m" then="g"/><rsc_colocation id="c3" rsc="g" with-rsc="m" score="INFINITY"/>
<rsc_location id="c4" rsc="g"><rule id="r" score="100"><expression id="e" attribute="#uname" operation="eq" value="a"/></rule></rsc_location></constraints>
</configuration><status/></cib>`
	path := filepath.Join(t.TempDir(), "old.xml")
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	wanted := filepath.Join(t.TempDir(), "want.xml")
	if err := os.WriteFile(wanted, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	flat := func(file string) string {
		return strings.ReplaceAll(mustCommand(t, "xmllint", "--noblanks", file), "><", ">\n<")
	}
	if diff := cmp.Diff(flat(wanted), flat(translate(t, path))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestScripts calls the four scripts of /etc/ha.d/resource.d as heartbeat does. These scripts are
// links to the installed agents. An agent reads from the name of the link which script it is.
func TestScripts(t *testing.T) {
	root := t.TempDir()
	mustCommand(t, "make", "-s", "-C", "../..", "install-heartbeat", "DESTDIR="+root)
	for script, agent := range map[string]string{"lvsvip": "vip", "lvsipvs": "ipvs", "lvshealth": "health", "lvsrs": "realserver"} {
		link := root + "/etc/ha.d/resource.d/" + script
		target, err := os.Readlink(link)
		if err != nil || target != "/usr/lib/ocf/resource.d/lvs/"+agent {
			t.Errorf("%s leads to %q, %v", script, target, err)
		}
		here := filepath.Join(root, script)
		if err := os.Symlink(agentDir+"/"+agent, here); err != nil {
			t.Fatal(err)
		}
		out, err := command(t, "sh", "-c", here+" nosuch=thing status; echo $?")
		if err != nil || out != "stopped\n3\n" {
			t.Errorf("%s: %q", script, out)
		}
	}
}
