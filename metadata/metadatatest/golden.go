// Package metadatatest holds the tests for the declaration of every agent. The tests also check
// that the files generated from the declaration are current.
package metadatatest

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/metadata"
	"lvs-agents/metadata/ocfxml"
	"lvs-agents/ocf"
)

var update = flag.Bool("update", false, "write the generated files instead of comparing them")

// Run checks the declaration of a new agent, and that the generated files (meta-data, reference
// page, man page) match it.
func Run(t *testing.T, fresh func() ocf.Agent) {
	t.Helper()
	agent := fresh()
	decl := agent.Metadata()
	t.Run("declaration", func(t *testing.T) { check(t, agent, decl) })
	t.Run("examples", func(t *testing.T) { examples(t, fresh) })
	var xml bytes.Buffer
	if err := ocfxml.Write(&xml, decl); err != nil {
		t.Fatal(err)
	}
	t.Run("meta-data", func(t *testing.T) { Golden(t, "metadata/documents/"+decl.Name+".xml", xml.String()) })
	t.Run("reference page", func(t *testing.T) { Golden(t, "docs/"+decl.Name+".md", decl.Markdown()) })
	t.Run("man page", func(t *testing.T) { Golden(t, "docs/man/ocf_lvs_"+decl.Name+".7", decl.Man()) })
}

// Golden compares a generated file with the text got. The name is relative to the top of the
// repository. With -update, Golden writes the text into the file first.
func Golden(t *testing.T, name, got string) {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(here), "../..", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not current; run make docs (-want +got):\n%s", name, diff)
	}
}

// check checks the names and texts of the parameters and the actions of a declaration.
func check(t *testing.T, agent ocf.Agent, decl metadata.Agent) {
	t.Helper()
	if len(decl.Params) == 0 {
		t.Error("OCF 1.1 wants at least one parameter")
	}
	for _, p := range decl.Params {
		if strings.Trim(p.Name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("parameter %q: only a-z, 0-9 and _ make portable environment names", p.Name)
		}
		sentence(t, p.Name, p.Short, p.Long)
	}
	sentence(t, decl.Name, decl.Short, decl.Long)
	var advertised []string
	for _, a := range decl.Actions {
		advertised = append(advertised, a.Name)
	}
	for _, name := range []string{"start", "stop", "monitor", "validate-all", "meta-data"} {
		if !slices.Contains(advertised, name) {
			t.Errorf("action %s is not advertised", name)
		}
	}
	_, reloads := agent.(ocf.Reloader)
	if reloads != slices.Contains(advertised, "reload-agent") {
		t.Errorf("reload-agent: advertised %v, there %v", !reloads, reloads)
	}
	if _, notifies := agent.(ocf.Notifier); notifies != slices.Contains(advertised, "notify") {
		t.Errorf("notify: advertised %v, there %v", !notifies, notifies)
	}
	for _, p := range decl.Params {
		if p.Reloadable && !reloads {
			t.Errorf("parameter %s is reloadable, but the agent does not reload", p.Name)
		}
	}
}

func sentence(t *testing.T, name, short, long string) {
	t.Helper()
	if short == "" || strings.HasSuffix(short, ".") || strings.Contains(short, "\n") {
		t.Errorf("%s: the short text %q is not a noun phrase on one line without a full stop", name, short)
	}
	if !strings.HasSuffix(long, ".") {
		t.Errorf("%s: the long text %q is not made of sentences", name, long)
	}
}

// examples loads every documented example into an agent, and reports unknown parameters. It
// validates the examples that read no file.
func examples(t *testing.T, fresh func() ocf.Agent) {
	t.Helper()
	for _, e := range fresh().Metadata().Examples {
		var environ []string
		agent := fresh()
		decl := agent.Metadata()
		for _, p := range e.Params {
			environ = append(environ, "OCF_RESKEY_"+p[0]+"="+p[1])
		}
		for _, err := range decl.Load(environ) {
			t.Errorf("%s: %v", e.Title, err)
		}
		if v, ok := agent.(ocf.Validator); ok && !readsAFile(e) {
			if err := v.Validate(t.Context(), ocf.Call{}, 0); err != nil {
				t.Errorf("%s: %v", e.Title, err)
			}
		}
		for _, warning := range decl.Unknown(environ) {
			t.Errorf("%s: %s", e.Title, warning)
		}
	}
}

// readsAFile reports whether an example names a file that exists only on a director.
func readsAFile(e metadata.Example) bool {
	return slices.ContainsFunc(e.Params, func(p [2]string) bool { return p[0] == "config" })
}
