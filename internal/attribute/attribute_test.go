package attribute

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// fake writes a program that notes its arguments and runs script. It returns the node and a
// function that returns the arguments.
func fake(t *testing.T, script string) (Node, func() string) {
	t.Helper()
	dir := t.TempDir()
	path, noted := filepath.Join(dir, "attrd_updater"), filepath.Join(dir, "args")
	text := "#!/bin/sh\nprintf '%s\\n' \"$*\" >>" + noted + "\n" + script + "\n"
	for _, name := range []string{"attrd_updater", "crm_attribute", "crm_node", "cibadmin"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return Node{Program: path}, func() string {
		out, err := os.ReadFile(noted)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
}

func TestArguments(t *testing.T) {
	tests := []struct {
		name, want string
		call       func(Node) error
	}{
		{"set at once", "-n lvs-health-web -B 1000 -d 0ms\n", func(n Node) error {
			return n.Set(t.Context(), "lvs-health-web", "1000", 0)
		}},
		{"set dampened", "-n lvs-health-web -B 750 -d 18000ms\n", func(n Node) error {
			return n.Set(t.Context(), "lvs-health-web", "750", 18*time.Second)
		}},
		{"set private", "-n lvs-connections-web -U 2:abcd= -p\n", func(n Node) error {
			return n.SetPrivate(t.Context(), "lvs-connections-web", "2:abcd=")
		}},
		{"remove", "-n lvs-health-web -D\n", func(n Node) error {
			return n.Remove(t.Context(), "lvs-health-web")
		}},
		{"keep", "-N director2 -n lvs-order-a -v drain 0 -l forever\n", func(n Node) error {
			return n.Keep(t.Context(), "director2", "lvs-order-a", "drain 0")
		}},
		{"forget", "-N director2 -n lvs-order-a -D -l forever\n", func(n Node) error {
			return n.Forget(t.Context(), "director2", "lvs-order-a")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			node, args := fake(t, "")
			if err := tt.call(node); err != nil {
				t.Error(err)
			}
			if got := args(); got != tt.want {
				t.Errorf("arguments %q, want %q", got, tt.want)
			}
		})
	}
}

// TestAll checks the values in the recorded output of a query.
func TestAll(t *testing.T) {
	tests := []struct {
		name, script string
		want         map[string]string
	}{
		{"two nodes", `cat testdata/two-nodes`, map[string]string{"director1": "1000", "director2": "750"}},
		{"one node has removed it", `cat testdata/removed`, map[string]string{"director2": "750"}},
		{"no such attribute", `cat testdata/no-such >&2; exit 105`, map[string]string{}},
		{"no such attribute, with another exit code", `cat testdata/no-such >&2; exit 1`, map[string]string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			node, args := fake(t, tt.script)
			got, err := node.All(t.Context(), "lvs-health-web")
			if err != nil || !maps.Equal(got, tt.want) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
			if got, want := args(), "-n lvs-health-web -Q -A\n"; got != want {
				t.Errorf("arguments %q, want %q", got, want)
			}
		})
	}
}

func TestGet(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"a value", `head -n 1 testdata/two-nodes`, "1000"},
		{"removed", `head -n 1 testdata/removed`, ""},
		{"no such attribute", `cat testdata/no-such >&2; exit 105`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			node, args := fake(t, tt.script)
			if got, err := node.Get(t.Context(), "lvs-health-web"); err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
			if got, want := args(), "-n lvs-health-web -Q\n"; got != want {
				t.Errorf("arguments %q, want %q", got, want)
			}
		})
	}
}

// TestErrors checks the texts of errors, and which errors are ErrNoCluster.
func TestErrors(t *testing.T) {
	tests := []struct {
		name, script, want string
		is                 error
	}{
		{
			"no daemon", `echo "attrd_updater: Could not update x=1: Connection refused (111)" >&2; exit 102`,
			" -n x -D: Pacemaker does not run on this host", ErrNoCluster,
		},
		{"another error", `echo "no permission" >&2; exit 4`, " -n x -D: no permission", nil},
		{"it hangs", `sleep 60`, " -n x -D: context deadline exceeded", context.DeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			node, _ := fake(t, tt.script)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := node.Remove(ctx, "x")
			if err == nil || err.Error() != node.Program+tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("wrong kind of error: %v", err)
			}
		})
	}
	if err := (Node{Program: "/nonexistent/attrd_updater"}).Remove(t.Context(), "x"); !errors.Is(err, ErrNoCluster) {
		t.Errorf("no program: %v", err)
	}
}

func TestPermanentAttributes(t *testing.T) {
	node, args := fake(t, `case $1 in -n) echo director1 ;; *) cat <<'END'
<nodes>
  <node id="1" uname="director1">
    <instance_attributes id="nodes-1">
      <nvpair id="nodes-1-standby" name="standby" value="off"/>
      <nvpair id="nodes-1-lvs-order-a" name="lvs-order-a" value="drain 0 &quot;x&quot;"/>
    </instance_attributes>
  </node>
  <node id="2" uname="director2"/>
</nodes>
END
esac`)
	if name, err := node.Name(t.Context()); name != "director1" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	kept, err := node.Kept(t.Context(), "lvs-order-")
	if err != nil || len(kept) != 2 || len(kept["director2"]) != 0 || !maps.Equal(kept["director1"], map[string]string{"lvs-order-a": `drain 0 "x"`}) {
		t.Errorf("%v, %v", kept, err)
	}
	if got := args(); got != "-n\n-Q -o nodes\n" {
		t.Errorf("arguments %q", got)
	}
	node, _ = fake(t, "echo '<nodes>'")
	if _, err := node.Kept(t.Context(), "lvs-order-"); err == nil {
		t.Error("half a document")
	}
}
