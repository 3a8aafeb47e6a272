package packaging

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// debian is the root directory of a Debian system for one test. It has the same Debian release as
// the test host.
type debian struct {
	*testing.T
	root string
}

// bootstrapped is the directory with the system that tests/debian has created. Each test uses it,
// read-only, as the lower layer of an overlay.
const bootstrapped = "/var/cache/lvs-agents/debian"

// newDebian creates a root directory for one test. In it, programs that manage services, for
// example systemctl, are replaced by scripts that only log their arguments.
func newDebian(t *testing.T) debian {
	t.Helper()
	if !exists(bootstrapped) {
		t.Fatalf("%s is not there: run tests/debian %[1]s", bootstrapped)
	}
	work := t.TempDir()
	must(t, "mount", "-t", "tmpfs", "-o", "mode=755", "packaging", work)
	t.Cleanup(func() { _ = syscall.Unmount(work, syscall.MNT_DETACH) })
	d := debian{t, work + "/root"}
	must(t, "mkdir", work+"/upper", work+"/work", d.root)
	must(t, "mount", "-t", "overlay", "-o", "lowerdir="+bootstrapped+",upperdir="+work+"/upper,workdir="+work+"/work", "debian", d.root)
	t.Cleanup(func() { _ = syscall.Unmount(d.root, syscall.MNT_DETACH) })
	for _, dir := range []string{"proc", "sys", "dev"} {
		must(t, "mount", "--rbind", "/"+dir, d.root+"/"+dir)
	}
	write(t, d.root+"/run/systemd/system/.keep", "", 0o644) // maintainer scripts check this directory to find out whether systemd runs
	for _, name := range []string{"systemctl", "deb-systemd-invoke", "invoke-rc.d", "service", "systemd-tmpfiles", "systemd-sysusers"} {
		write(t, d.root+"/usr/local/bin/"+name, "#!/bin/sh\necho "+name+` "$@" >>/called`+"\n", 0o755)
	}
	return d
}

// in runs a shell command in the root directory, and returns its output. The command uses the
// test's network namespace.
func (d debian) in(script string) string {
	d.Helper()
	return must(d.T, "env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "chroot", d.root, "sh", "-ec", script)
}

// files returns all paths of the root directory where a package can have created files.
func (d debian) files() []string {
	d.Helper()
	return lines(d.in(`find / \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/lib/dpkg -o -path /var/cache -o -path /var/log -o -path /called \) -prune -o -print | sort; ls -d /var/log/*`))
}

func (d debian) install(files ...string) {
	d.Helper()
	var names []string
	for _, file := range files {
		must(d.T, "cp", file, d.root+"/tmp/")
		names = append(names, "/tmp/"+filepath.Base(file))
	}
	d.in("dpkg --force-confold -i " + strings.Join(names, " "))
}

// previous returns our packages as an older version. Each of these packages also has a file that
// the new version does not have.
func previous(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	var older []string
	for _, file := range all(t, debOf) {
		tree, name := dir+"/tree", filepath.Base(file)
		must(t, "sh", "-ec", `dpkg-deb -R "$1" "$2"
sed -i -e 's/^Version: .*/Version: 0.0/' -e 's/\(lvs-agents[a-z-]* ([>=]*\) [^)]*)/\1 0.0)/' "$2"/DEBIAN/control
echo 0.0 >"$2"/usr/share/doc/$(basename "$1" | sed 's/_.*//')/old
dpkg-deb --root-owner-group -Zgzip -z1 -b "$2" "$3" >/dev/null
rm -r "$2"`, "older", file, tree, dir+"/"+name)
		older = append(older, dir+"/"+name)
	}
	return older
}

// perl returns a package ldirectord without dependencies. It has the files of Debian's package
// ldirectord, which is installed on the test host.
func perl(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, "sh", "-ec", `mkdir -p "$1"/tree/DEBIAN
dpkg-query -L ldirectord | while read -r path; do
	[ -d "$path" ] || mkdir -p "$1/tree$(dirname "$path")"
	[ -d "$path" ] || cp -a "$path" "$1/tree$path"
done
printf 'Package: ldirectord\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: stub\n' >"$1"/tree/DEBIAN/control
(cd "$1"/tree && find etc -type f | sed 's,^,/,') >"$1"/tree/DEBIAN/conffiles
dpkg-deb --root-owner-group -b "$1"/tree "$1"/ldirectord.deb >/dev/null`, "perl", dir)
	return dir + "/ldirectord.deb"
}

// TestDebianLife installs an older version of our packages on a system that has the Perl program
// ldirectord. Then it upgrades, removes and purges our packages while a real server runs.
func TestDebianLife(t *testing.T) {
	d := newDebian(t)
	d.install(perl(t))
	program := d.in("cat /usr/sbin/ldirectord")
	before := d.files()

	d.install(previous(t)...)
	if got := d.in("dpkg-query -W -f '${Version} ' 'lvs-agents*'; ls /usr/share/doc/lvs-agents/old"); !strings.HasPrefix(got, "0.0 0.0 0.0 0.0 ") {
		t.Fatalf("installed: %s", got)
	}
	written := map[string]string{"/etc/lvsrs.d/web.conf": "ip=192.0.2.10\n", "/etc/ha.d/ldirectord.cf.mine": "checktimeout=1\n", "/etc/ha.d/haresources": "director1 lvsvip\n"}
	for path, text := range written {
		write(t, d.root+path, text, 0o644)
	}
	d.in("echo '# changed' >>/etc/logrotate.d/lvs-agents; lvsrs start web")

	d.install(all(t, debOf)...)
	if got := d.in("dpkg-query -W -f '${Version} ' 'lvs-agents*'; tail -n 1 /etc/logrotate.d/lvs-agents; lvsrs status; ls /usr/share/doc/lvs-agents"); strings.Contains(got, "0.0") || strings.Contains(got, "old") ||
		!strings.Contains(got, "# changed\nweb: running\n") {
		t.Errorf("upgraded: %s", got)
	}
	for _, agent := range agents(t) {
		d.in("/usr/lib/ocf/resource.d/lvs/" + agent + " meta-data")
	}
	if got := d.in("readlink /usr/sbin/ldirectord; ldirectord --version; cat /usr/sbin/ldirectord.perl"); !strings.HasPrefix(got, "directord\ndirectord ") || !strings.HasSuffix(got, program) {
		t.Errorf("ldirectord: %.200s", got)
	}

	d.in("lvsrs stop web; lvsrs start web; dpkg -r lvs-agents-heartbeat lvs-agents-ldirectord lvs-agents lvs-agents-realserver")
	if got := must(t, "ip", "-o", "addr", "show", "to", "192.0.2.10"); got == "" {
		t.Error("the removal took the address away")
	}
	if got := d.in("cat /usr/sbin/ldirectord"); got != program {
		t.Errorf("the Perl program is not back: %.200s", got)
	}
	written["/etc/logrotate.d/lvs-agents"] = ""
	for path, text := range written {
		got, err := os.ReadFile(d.root + path)
		if err != nil || text != "" && string(got) != text {
			t.Errorf("removed: %s: %q, %v", path, got, err)
		}
	}
	delete(written, "/etc/logrotate.d/lvs-agents")

	d.in("dpkg -P lvs-agents-heartbeat lvs-agents-ldirectord lvs-agents lvs-agents-realserver")
	must(t, "ip", "addr", "del", "192.0.2.10/32", "dev", "lo")
	for path := range written {
		before = append(before, path)
	}
	before = append(before, "/etc/lvsrs.d")
	slices.Sort(before)
	after := slices.DeleteFunc(d.files(), func(path string) bool { return strings.HasPrefix(path, "/run/lvs-agents") }) // the running real server keeps its state in /run/lvs-agents
	slices.Sort(after)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("purged (-before +after):\n%s", diff)
	}
	calls := d.in("cat /called")
	t.Log("called by scripts:\n" + calls)
	for _, call := range lines(calls) {
		if !strings.Contains(call, "daemon-reload") && !strings.HasPrefix(call, "systemd-tmpfiles") && call != "systemd-sysusers lvs-agents.conf" {
			t.Errorf("a script called %s", call)
		}
	}
}

// TestDebianAgentRuns checks the installed agent vip with ocf-tester.
func TestDebianAgentRuns(t *testing.T) {
	d := newDebian(t)
	d.install(debOf(t, ""), debOf(t, "-realserver"))
	must(t, "sh", "-ec", "ip link add eth0 type veth peer name cable; ip link set cable up; ip link set eth0 up; ip addr add 192.0.2.11/24 dev eth0")
	defer func() { must(t, "ip", "link", "del", "eth0") }()
	out := d.in("ocf-tester -n web-vip -o ip=192.0.2.10 /usr/lib/ocf/resource.d/lvs/vip")
	if !strings.Contains(out, "/usr/lib/ocf/resource.d/lvs/vip passed all tests") {
		t.Error(out)
	}
	if left := must(t, "ip", "addr", "show", "to", "192.0.2.10"); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// TestDebianPerlComesLater installs the Perl program ldirectord after our package, and purges both.
// The command ldirectord must run, and no log and no diversion may stay.
func TestDebianPerlComesLater(t *testing.T) {
	d := newDebian(t)
	d.install(debOf(t, ""), debOf(t, "-realserver"), debOf(t, "-ldirectord"))
	d.install(perl(t))
	d.in("ldirectord --version; dpkg -P ldirectord; ldirectord --version; dpkg -P lvs-agents-ldirectord")
	if left := d.in("touch /var/log/ldirectord.log /var/log/ldirectord.log.1; dpkg -P lvs-agents; ls /var/log/ldirectord* 2>/dev/null || true"); strings.Contains(left, "\n/var/log") {
		t.Error(fmt.Sprint("left: ", left))
	}
	if left := d.in("dpkg-divert --list 'lvs-agents*'; ls -d /usr/sbin/ldirectord* || true"); strings.Contains(left, "\n/") || strings.Contains(left, "diversion") {
		t.Error(fmt.Sprint("left: ", left))
	}
}
