package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// build builds all packages of the current commit under the given version, and returns their
// directory. The build uses an empty cache, and another time zone and umask than "make rpm" and
// "make deb".
func build(t *testing.T, version string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	must(t, "env", "GOCACHE="+t.TempDir(), "TZ=Asia/Tokyo", "sh", "-ec", `
cd ../..
umask 077
epoch=$(git log -1 --format=%ct)
source=$1/lvs-agents-$2.tar.gz
rpm/dist "$2" "$epoch" "$source"
rpm/build "$source" "$1"
deb/build "$source" "$1"`, "build", dir, version)
	return dir
}

// TestSoakTwoBuildsAreEqual builds the packages in dist a second time. Both builds must be equal,
// byte by byte.
func TestSoakTwoBuildsAreEqual(t *testing.T) {
	first := filepath.Dir(built(t, "*.tar.gz"))
	version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(built(t, "*.tar.gz")), "lvs-agents-"), ".tar.gz")
	second := build(t, version)
	entries, err := os.ReadDir(second)
	if err != nil || len(entries) != 2*len(names)+1 { // each package as RPM and as Debian package, and the source archive
		t.Fatal(entries, err)
	}
	for _, entry := range entries {
		must(t, "cmp", first+"/"+entry.Name(), second+"/"+entry.Name())
	}
}

// TestSoakUpgrade builds the current commit as version 0.0.1, installs these packages, and upgrades
// them to the packages in dist.
func TestSoakUpgrade(t *testing.T) {
	older := build(t, "0.0.1")
	g := newGuest(t)
	must(t, "sh", "-ec", `cp "$1"/*.rpm "$2"; createrepo_c -q "$2"`, "repository", older, g.repo)
	g.dnf("install", "base", "lvs-agents-ldirectord-0.0.1", "lvs-agents-heartbeat-0.0.1")
	write(t, g.root+"/etc/logrotate.d/lvs-agents", "# changed\n", 0o644)
	write(t, g.root+"/etc/lvsrs.d/web.conf", "ip=192.0.2.10\n", 0o644)
	g.dnf("upgrade")
	if got := must(t, "rpm", "--root="+g.root, "-qa", "--qf", "%{version} ", "lvs-agents*"); strings.Contains(got, "0.0.1") || len(strings.Fields(got)) != len(names) {
		t.Errorf("upgraded to %s", got)
	}
	if got := must(t, "cat", g.root+"/etc/logrotate.d/lvs-agents", g.root+"/etc/lvsrs.d/web.conf"); got != "# changed\nip=192.0.2.10\n" {
		t.Errorf("configuration: %q", got)
	}

	d := newDebian(t)
	old, err := filepath.Glob(older + "/*.deb")
	if err != nil || len(old) != len(names) {
		t.Fatal(old, err)
	}
	d.install(old...)
	d.in("echo '# changed' >/etc/logrotate.d/lvs-agents")
	d.install(all(t, debOf)...)
	if got := d.in("dpkg-query -W -f '${Version} ' 'lvs-agents*'; cat /etc/logrotate.d/lvs-agents"); strings.Contains(got, "0.0.1") || !strings.HasSuffix(got, " # changed\n") {
		t.Errorf("upgraded: %s", got)
	}
}
