package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stubs are the spec files of small packages that replace packages of a RHEL system: the base
// system, and the package of the Perl program ldirectord.
const stubs = `
Name: base
Version: 1
Release: 1
Summary: stub
License: none
BuildArch: noarch
Provides: /bin/sh
Provides: logrotate
%description
Stub.
%package -n ldirectord
Version: 4.16.0
Summary: stub
%description -n ldirectord
Stub.
%install
mkdir -p %{buildroot}/usr/sbin %{buildroot}/usr/lib/systemd/system %{buildroot}/etc/logrotate.d %{buildroot}/etc/ha.d/resource.d
echo perl >%{buildroot}/usr/sbin/ldirectord
echo unit >%{buildroot}/usr/lib/systemd/system/ldirectord.service
echo rotate >%{buildroot}/etc/logrotate.d/ldirectord
ln -s /usr/sbin/ldirectord %{buildroot}/etc/ha.d/resource.d/ldirectord
%files
%files -n ldirectord
/usr/sbin/ldirectord
/usr/lib/systemd/system/ldirectord.service
%config(noreplace) /etc/logrotate.d/ldirectord
/etc/ha.d/resource.d/ldirectord
`

// guest is an empty root directory where dnf installs packages.
type guest struct {
	*testing.T
	root, repo string
}

func newGuest(t *testing.T) guest {
	g := guest{t, t.TempDir(), t.TempDir()}
	work := t.TempDir()
	write(t, work+"/stubs.spec", stubs, 0o644)
	must(t, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+work, "--define", "_rpmdir "+g.repo, work+"/stubs.spec")
	for _, file := range all(t, rpmOf) {
		must(t, "cp", file, g.repo)
	}
	must(t, "createrepo_c", "-q", g.repo)
	return g
}

func (g guest) dnf(args ...string) string {
	g.Helper()
	return must(g.T, "dnf", append([]string{"-y", "-q", "--installroot=" + g.root, "--releasever=9", "--repofrompath=built,file://" + g.repo, "--repo=built",
		"--nogpgcheck", "--setopt=tsflags=noscripts", "--setopt=cachedir=" + g.root + "/var/cache/dnf", "--setopt=reposdir=/nonexistent", "--setopt=pluginpath=/nonexistent"}, args...)...)
}

func (g guest) installed() string {
	g.Helper()
	return must(g.T, "rpm", "--root="+g.root, "-qa", "--qf", "%{name} ")
}

func TestDnfInstalls(t *testing.T) {
	g := newGuest(t)
	g.dnf("install", "base", "lvs-agents-ldirectord", "lvs-agents-heartbeat")
	for _, agent := range agents(t) {
		golden, err := os.ReadFile("../../metadata/documents/" + agent + ".xml")
		if err != nil {
			t.Fatal(err)
		}
		if out := must(t, "chroot", g.root, "/usr/lib/ocf/resource.d/lvs/"+agent, "meta-data"); out != string(golden) {
			t.Errorf("%s meta-data:\n%s", agent, out)
		}
	}
	for _, command := range []string{"/usr/sbin/directord --version", "/usr/sbin/ldirectord --version", "/etc/ha.d/resource.d/ldirectord --version", "/usr/sbin/lvsctl version"} {
		if out := must(t, "chroot", append([]string{g.root}, strings.Fields(command)...)...); len(strings.Fields(out)) != 2 {
			t.Errorf("%s: %q", command, out)
		}
	}
	must(t, "rpm", "--root="+g.root, "-V", "lvs-agents", "lvs-agents-realserver", "lvs-agents-ldirectord", "lvs-agents-heartbeat")
}

// TestDnfSwap replaces the Perl program by directord with "dnf swap", and directord by the Perl
// program. A plain "dnf upgrade" must not replace one by the other.
func TestDnfSwap(t *testing.T) {
	g := newGuest(t)
	g.dnf("install", "base", "ldirectord")
	g.dnf("upgrade")
	if got := g.installed(); strings.Contains(got, "lvs-agents") {
		t.Errorf("an upgrade installed %s", got)
	}
	g.dnf("swap", "ldirectord", "lvs-agents-ldirectord")
	if got := g.installed(); strings.Contains(" "+got, " ldirectord ") || !strings.Contains(got, "lvs-agents-ldirectord ") {
		t.Errorf("swapped: %s", got)
	}
	must(t, "chroot", g.root, "/usr/sbin/ldirectord", "--version")
	g.dnf("swap", "lvs-agents-ldirectord", "ldirectord")
	if got := must(t, "cat", g.root+"/usr/sbin/ldirectord"); got != "perl\n" {
		t.Errorf("swapped back: %s", got)
	}
}

// TestRemovalKeepsConfiguration removes our packages. Configuration files that the administrator
// wrote must stay. Files of the package that the administrator changed must stay with the ending
// that rpm gives them (.rpmsave).
func TestRemovalKeepsConfiguration(t *testing.T) {
	g := newGuest(t)
	g.dnf("install", "base", "lvs-agents-ldirectord", "lvs-agents-heartbeat")
	written := map[string]string{
		"/etc/logrotate.d/lvs-agents": "# changed\n", "/etc/lvsrs.d/web.conf": "ip=192.0.2.10\n", "/etc/ha.d/ldirectord.cf": "checktimeout=1\n", "/etc/ha.d/haresources": "director1 lvsvip\n",
	}
	for path, text := range written {
		write(t, g.root+path, text, 0o644)
	}
	g.dnf("reinstall", "lvs-agents", "lvs-agents-realserver")
	if got := must(t, "cat", g.root+"/etc/logrotate.d/lvs-agents"); got != "# changed\n" {
		t.Errorf("after a new installation: %q", got)
	}
	g.dnf("remove", "lvs-agents*")
	for path, text := range written {
		kept, err := os.ReadFile(g.root + path)
		if err != nil {
			kept, err = os.ReadFile(g.root + path + ".rpmsave")
		}
		if err != nil || string(kept) != text {
			t.Errorf("%s: %q, %v", path, kept, err)
		}
	}
	if left, _ := filepath.Glob(g.root + "/usr/*/*lvs*"); left != nil {
		t.Errorf("left: %q", left)
	}
}
