package clustertools

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvs-agents/tests/pages"
)

// TestPcsCommandsOfPages runs the pcs commands of each page on the file of a CIB. At first the CIB
// has the group that the how-tos replace. After the commands, the CIB must have the resources ipvs,
// vip and health in this order, and not ldirectord.
func TestPcsCommandsOfPages(t *testing.T) {
	all, err := pages.All("../..")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, page := range all {
		cib := ""
		for _, step := range page.Steps {
			rest, found := strings.CutPrefix(step.Command, "pcs ")
			if !found {
				continue
			}
			if cib == "" {
				cib = classic(t)
			}
			current(t, "sh", "-c", "pcs -f "+cib+" "+rest)
			ran++
		}
		if cib == "" {
			continue
		}
		mustCommand(t, "crm_verify", "-VV", "-x", cib)
		lines := groupOf(t, cib)
		at := 0
		for _, want := range []string{"\nweb-ipvs ocf:lvs:ipvs\n", "\nweb-vip ocf:", "\nweb-health ocf:lvs:health\n"} {
			next := strings.Index(lines[at:], want)
			if next < 0 {
				t.Fatalf("%s: no %q in that place:\n%s", page.Name, want, lines)
			}
			at += next
		}
		if strings.Contains(lines, "ldirectord ocf:") {
			t.Errorf("%s: ldirectord is still there:\n%s", page.Name, lines)
		}
	}
	if ran == 0 {
		t.Error("no page has a pcs command; delete this test")
	}
}

// classic returns the path of a CIB file with the group that the how-tos replace.
func classic(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cib, resources := filepath.Join(dir, "cib.xml"), filepath.Join(dir, "resources.xml")
	for path, text := range map[string]string{cib: mustCommand(t, "cibadmin", "--empty"), resources: pages.Classic} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("CIB_file", cib)
	mustCommand(t, "cibadmin", "--replace", "--scope", "resources", "--xml-file", resources)
	mustCommand(t, "crm_attribute", "--name", "stonith-enabled", "--update", "false")
	return cib
}
