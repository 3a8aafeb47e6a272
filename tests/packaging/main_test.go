// Package packaging tests the packages that "make rpm" and "make deb" have written into dist: their
// content, lint, installation, upgrade and removal. It needs root, and the programs in
// tests/packages.build and tests/packages.lint. The tests run in new root directories and
// namespaces.
package packaging

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// names lists our packages by the part of their name after lvs-agents.
var names = []string{"", "-ldirectord", "-heartbeat", "-realserver"}

func TestMain(m *testing.M) { os.Exit(lab.Sandbox(m, nil)) }

// built returns the newest file in dist whose name matches pattern.
func built(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob("../../dist/" + pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no dist/%s; make rpm deb", pattern)
	}
	newest := slices.MaxFunc(files, func(a, b string) int { return modified(t, a).Compare(modified(t, b)) })
	path, err := filepath.Abs(newest)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func modified(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

// rpmOf returns the path of a built RPM, debOf the path of a built Debian package. dist can also
// have packages for other architectures, from make rpm ARCH=aarch64.
func rpmOf(t *testing.T, name string) string {
	return built(t, "lvs-agents"+name+"-[0-9]*."+rpmArch(t, name)+".rpm")
}

func debOf(t *testing.T, name string) string {
	return built(t, "lvs-agents"+name+"_*_"+debArch(t, name)+".deb")
}

// programs lists the packages that have programs. The other packages have scripts and links only.
var programs = []string{"", "-realserver"}

// rpmArch and debArch return the architecture that a package for this host must name.
func rpmArch(t *testing.T, name string) string {
	t.Helper()
	if !slices.Contains(programs, name) {
		return "noarch"
	}
	return strings.TrimSpace(must(t, "rpm", "--eval", "%{_target_cpu}"))
}

func debArch(t *testing.T, name string) string {
	t.Helper()
	if !slices.Contains(programs, name) {
		return "all"
	}
	return strings.TrimSpace(must(t, "dpkg", "--print-architecture"))
}

func all(t *testing.T, of func(*testing.T, string) string) []string {
	var files []string
	for _, name := range names {
		files = append(files, of(t, name))
	}
	return files
}

// unpacked returns a directory with the unpacked content of all our Debian packages.
func unpacked(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range all(t, debOf) {
		must(t, "dpkg-deb", "-x", file, dir)
	}
	return dir
}

// run runs a program and returns its standard output and standard error as one text.
func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := run(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// lines returns the lines of a text that are not empty.
func lines(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// agents returns the names of our agents, which are the directories in agents/.
func agents(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("../../agents")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}
