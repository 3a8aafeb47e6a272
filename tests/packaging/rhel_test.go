package packaging

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// redHat are the macros of a RHEL build host that the spec file uses, besides rhel and dist. RHEL's
// __os_install_post also has scripts that rpm itself does not have (redhat-rpm-config, macros).
var redHat = map[string]string{
	"_libdir": "/usr/lib64", "_unitdir": "/usr/lib/systemd/system", "_tmpfilesdir": "/usr/lib/tmpfiles.d", "_pkgdocdir": "%{_docdir}/%{name}",
	"__os_install_post": "bash /usr/lib/rpm/brp-compress; bash /usr/lib/rpm/brp-strip %{__strip}; bash /usr/lib/rpm/brp-strip-static-archive %{__strip}",
}

// redHatBuild builds the packages with the macros of a RHEL release. The directory source has the
// sources in dist. Its first build builds the programs, and later builds find them there.
func redHatBuild(t *testing.T, source, release string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	flags := []string{"-C", source, "rpmbuild", "-bb", "--build-in-place", "--nodeps", "--quiet", "--define", "_topdir " + dir, "--define", "_binary_payload w0.ufdio"}
	for name, value := range redHat {
		flags = append(flags, "--define", name+" "+value)
	}
	flags = append(flags, "--define", "rhel "+release, "--define", "dist .el"+release, "rpm/lvs-agents.spec")
	must(t, "env", flags...)
	must(t, "rm", "-r", source+"/rpm/tree")
	return dir + "/RPMS"
}

// TestSpecOfRHEL builds the packages with the macros of each RHEL release. They must have the same
// files, programs and dependencies as the packages in dist, and the release in their name.
func TestSpecOfRHEL(t *testing.T) {
	source := t.TempDir()
	must(t, "tar", "-xzf", built(t, "*.tar.gz"), "-C", source, "--strip-components=1")
	for _, release := range []string{"8", "9", "10"} {
		dir := redHatBuild(t, source, release)
		for _, name := range names {
			files, err := filepath.Glob(dir + "/*/lvs-agents" + name + "-[0-9]*.el" + release + "." + rpmArch(t, name) + ".rpm")
			if err != nil || len(files) != 1 {
				t.Fatalf("RHEL %s, lvs-agents%s: %q, %v", release, name, files, err)
			}
			for what, query := range map[string][]string{
				"files":        {"--qf", `[%{filemodes:perms} %{filenames} %{filelinktos}\n]`},
				"dependencies": {"--requires", "--recommends", "--suggests", "--provides", "--conflicts", "--obsoletes"},
				"scripts":      {"--scripts", "--triggers"},
			} {
				want := must(t, "rpm", append(append([]string{"-qp"}, query...), rpmOf(t, name))...)
				got := must(t, "rpm", append(append([]string{"-qp"}, query...), files[0])...)
				got = strings.ReplaceAll(got, ".el"+release, "")
				if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
					t.Errorf("RHEL %s, lvs-agents%s: %s (-dist +RHEL):\n%s", release, name, what, diff)
				}
			}
			dist, rhel := extract(t, rpmOf(t, name)), extract(t, files[0])
			for path := range programsOf(t, dist) {
				must(t, "cmp", path, rhel+strings.TrimPrefix(path, dist))
			}
		}
	}
	for _, flags := range [][]string{nil, {"--define", "rhel 9"}} {
		wants := must(t, "rpmspec", append(flags, "-q", "--buildrequires", source+"/rpm/lvs-agents.spec")...)
		if got := strings.Contains(wants, "golang"); got != (flags != nil) {
			t.Errorf("rpmspec %q requires for the build: %q", flags, wants)
		}
	}
}
