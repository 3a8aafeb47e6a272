package clustertools

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestOCFTesterPassesVip(t *testing.T) {
	for _, ip := range []string{"192.0.2.10", "2001:db8::10"} {
		t.Run(ip, func(t *testing.T) {
			out := mustCommand(t, "ocf-tester", "-n", "web-vip", "-o", "ip="+ip, agentDir+"/vip")
			if !strings.Contains(out, agentDir+"/vip passed all tests") {
				t.Errorf("ocf-tester:\n%s", out)
			}
			if left := mustCommand(t, "ip", "addr", "show", "to", ip); left != "" {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}

// examples returns the paths of the files below crm/examples whose names have this ending.
func examples(t *testing.T, ending string) []string {
	t.Helper()
	files, err := filepath.Glob("../../crm/examples/*" + ending)
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	return files
}

// load loads an example into an empty cluster configuration (CIB), and returns the path of the
// CIB's file.
func load(t *testing.T, example string) string {
	t.Helper()
	cib := filepath.Join(t.TempDir(), "cib.xml")
	empty := mustCommand(t, "cibadmin", "--empty")
	if err := os.WriteFile(cib, []byte(empty), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CIB_file", cib)
	// The examples do not configure fencing: the administrator must do that. crm_verify refuses a
	// configuration without fencing, unless stonith-enabled is false.
	mustCommand(t, "crm", "-F", "configure", "property", "stonith-enabled=false")
	if strings.HasSuffix(example, ".crm") {
		current(t, "crm", "-F", "configure", "load", "update", example)
		return cib
	}
	if strings.HasSuffix(example, ".xml") {
		current(t, "cibadmin", "--modify", "--allow-create", "--xml-file", example)
		return cib
	}
	script, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	current(t, "sh", "-c", strings.ReplaceAll(string(script), "\npcs ", "\npcs -f "+cib+" "))
	return cib
}

// current runs a command that an example or a page recommends. The command must not print that
// something is deprecated. pcs 0.12 prefers a rule as one argument, but pcs 0.11 refuses this form,
// so the examples do not use it.
func current(t *testing.T, name string, args ...string) {
	t.Helper()
	for line := range strings.Lines(mustCommand(t, name, args...)) {
		if strings.Contains(strings.ToLower(line), "deprecat") && !strings.Contains(line, "Specifying a rule as multiple arguments") {
			t.Errorf("%s %s: %s", name, strings.Join(args, " "), line)
		}
	}
}

func TestExamplesLoadAndVerify(t *testing.T) {
	for _, example := range append(examples(t, ".crm"), examples(t, ".pcs")...) {
		t.Run(filepath.Base(example), func(t *testing.T) {
			cib := load(t, example)
			current(t, "crm_verify", "-VV", "-x", cib)
			text, err := os.ReadFile(cib)
			if err != nil {
				t.Fatal(err)
			}
			wants := []string{`type="ipvs"`, `type="vip"`, `type="health"`}
			if forServers(example) {
				wants = []string{`type="realserver"`}
			}
			for _, want := range wants {
				if !strings.Contains(string(text), want) {
					t.Errorf("no %s in\n%s", want, text)
				}
			}
			if strings.Contains(string(text), `name="no-quorum-policy"`) {
				t.Error("an example sets no-quorum-policy")
			}
		})
	}
}

// forServers reports whether an example configures real servers. The other examples configure
// directors.
func forServers(example string) bool {
	return strings.HasPrefix(filepath.Base(example), "realserver")
}

// TestCloneRunsOnlyOnRealServers checks where Pacemaker's scheduler starts the clone of realserver:
// only on nodes with the attribute of a real server.
func TestCloneRunsOnlyOnRealServers(t *testing.T) {
	for _, ending := range []string{".crm", ".pcs"} {
		cib := load(t, "../../crm/examples/realserver"+ending)
		out := mustCommand(t, "crm_simulate", "-x", cib, "-S", "--node-up", "director1", "--node-up", "rs1", "--node-up", "rs2", "--quorum", "true")
		if strings.Contains(out, "start on rs1") {
			t.Errorf("%s: it starts without the attribute:\n%s", ending, out)
		}
		for _, node := range []string{"rs1", "rs2"} { // a node must be in the CIB before it can have an attribute
			mustCommand(t, "cibadmin", "--create", "--scope", "nodes", "--xml-text", `<node id="`+node+`" uname="`+node+`"/>`)
			mustCommand(t, "crm_attribute", "--type", "nodes", "--node", node, "--name", "role", "--update", "web")
		}
		out = mustCommand(t, "crm_simulate", "-x", cib, "-S", "--node-up", "director1", "--node-up", "rs1", "--node-up", "rs2", "--quorum", "true")
		for _, want := range []string{"web-rs:0        start on rs", "web-rs:1        start on rs"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", ending, want, out)
			}
		}
		if strings.Contains(out, "start on director1") {
			t.Errorf("%s: it starts on the director:\n%s", ending, out)
		}
	}
}

// TestExamplesStartTableBeforeAddress checks that Pacemaker's scheduler starts the ipvs resource
// before the vip resource. It checks the crm form and the pcs form of each example.
func TestExamplesStartTableBeforeAddress(t *testing.T) {
	for _, example := range append(examples(t, ".crm"), examples(t, ".pcs")...) {
		if forServers(example) {
			continue
		}
		t.Run(filepath.Base(example), func(t *testing.T) {
			cib := load(t, example)
			out := mustCommand(t, "crm_simulate", "-x", cib, "-S", "--node-up", "director1", "--node-up", "director2", "--quorum", "true")
			address := strings.Index(out, "web-vip         start on director")
			table := regexp.MustCompile(`web-ipvs(:\d)? +start on director`).FindAllStringIndex(out, -1)
			if len(table) == 0 || address < table[len(table)-1][0] {
				t.Errorf("the address does not start after the table:\n%s", out)
			}
		})
	}
}

func TestCrmResourceValidates(t *testing.T) {
	good := map[string][]string{
		"vip":        {"--option", "ip=192.0.2.10"},
		"realserver": {"--option", "ip=192.0.2.10"},
		"fwmark":     {"--option", "mark=10", "--option", "ip=192.0.2.10"},
		"ipvs":       {"--option", "virtual=192.0.2.10:80", "--option", "real=192.0.2.21 gate"},
	}
	for agent, options := range good {
		args := append([]string{"--validate", "--class", "ocf", "--provider", "lvs", "--agent", agent}, options...)
		mustCommand(t, "crm_resource", args...)
		out, err := command(t, "crm_resource", "--validate", "--class", "ocf", "--provider", "lvs", "--agent", agent)
		if err == nil || !strings.Contains(out, "ocf-exit-reason:") {
			t.Errorf("%s without parameters: %v\n%s", agent, err, out)
		}
	}
}
