package packaging

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// file is one entry of a package, as a line of the output of ls -l shows it. target is the target
// of a symbolic link.
type file struct{ mode, owner, path, target string }

// content lists the files of a package. It runs a command that prints lines like ls -l. In each
// line the first field is the mode, and the last field is the path. An arrow (->) separates a link
// from its target.
func content(t *testing.T, owner func(fields []string) string, name string, args ...string) []file {
	t.Helper()
	var files []file
	for _, line := range lines(must(t, name, args...)) {
		line, target, _ := strings.Cut(line, " -> ")
		fields := strings.Fields(line)
		path := "/" + strings.Trim(strings.TrimPrefix(fields[len(fields)-1], "."), "/")
		files = append(files, file{fields[0], owner(fields), path, target})
	}
	return files
}

func rpmContent(t *testing.T, name string) []file {
	return content(t, func(f []string) string { return f[2] + "/" + f[3] }, "rpm", "-qplv", rpmOf(t, name))
}

func debContent(t *testing.T, name string) []file {
	return content(t, func(f []string) string { return f[1] }, "dpkg-deb", "-c", debOf(t, name))
}

// comparable returns the paths of a package in a form that is equal for RPM and Debian packages. It
// leaves out directories, documents, build ids and lintian overrides. It writes /lib as /usr/lib,
// and Debian's directory for completions of zsh as the usual one.
func comparable(files []file) []string {
	var paths []string
	for _, f := range files {
		if f.mode[0] == 'd' || strings.HasPrefix(f.path, "/usr/share/doc/") || strings.Contains(f.path, "/.build-id") || strings.HasPrefix(f.path, "/usr/share/lintian/") {
			continue
		}
		if strings.HasPrefix(f.path, "/lib/") {
			f.path = "/usr" + f.path
		}
		f.path = strings.Replace(f.path, "/zsh/vendor-completions/", "/zsh/site-functions/", 1)
		paths = append(paths, f.mode+" "+f.path+" "+f.target)
	}
	slices.Sort(paths)
	return paths
}

func TestBothFormatsHaveTheSameFiles(t *testing.T) {
	for _, name := range names {
		rpm, deb := comparable(rpmContent(t, name)), comparable(debContent(t, name))
		if diff := cmp.Diff(rpm, deb); diff != "" || len(rpm) == 0 {
			t.Errorf("lvs-agents%s: %d files (-rpm +deb):\n%s", name, len(rpm), diff)
		}
	}
}

// TestOwnersAndModes checks that programs, scripts and directories have mode 755, other regular
// files have mode 644, and root owns all of them.
func TestOwnersAndModes(t *testing.T) {
	program := regexp.MustCompile(`^/usr/sbin/|^/usr/lib/ocf/resource\.d/lvs/|^/etc/ha\.d/resource\.d/`)
	for _, name := range names {
		for _, f := range append(rpmContent(t, name), debContent(t, name)...) {
			want := "-rw-r--r--"
			switch {
			case f.mode[0] == 'd':
				want = "drwxr-xr-x"
			case f.mode[0] == 'l':
				want = "lrwxrwxrwx"
			case program.MatchString(f.path):
				want = "-rwxr-xr-x"
			}
			if f.mode != want || f.owner != "root/root" {
				t.Errorf("lvs-agents%s: %s %s %s, want %s root/root", name, f.mode, f.owner, f.path, want)
			}
			if strings.Contains(f.path, "lib64") {
				t.Errorf("lvs-agents%s: %s", name, f.path)
			}
		}
	}
}

// TestEveryProgramHasItsPage checks that every program has a manual page, and that man displays
// each page without a warning.
func TestEveryProgramHasItsPage(t *testing.T) {
	dir := unpacked(t)
	for _, agent := range agents(t) {
		if _, err := os.Stat(dir + "/usr/share/man/man7/ocf_lvs_" + agent + ".7.gz"); err != nil {
			t.Error(err)
		}
		must(t, dir+"/usr/lib/ocf/resource.d/lvs/"+agent, "meta-data")
	}
	programs, err := filepath.Glob(dir + "/usr/sbin/*")
	if err != nil || len(programs) < 5 {
		t.Fatal(programs, err)
	}
	for _, program := range programs {
		if _, err := os.Stat(dir + "/usr/share/man/man8/" + filepath.Base(program) + ".8.gz"); err != nil {
			t.Error(err)
		}
	}
	pages, err := filepath.Glob(dir + "/usr/share/man/man*/*.gz")
	if err != nil || len(pages) < len(programs)+5 {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		if out := must(t, "sh", "-c", "zcat "+page+" | groff -man -ww -z -Tutf8 2>&1"); out != "" {
			t.Errorf("%s: %s", page, out)
		}
		if out := must(t, "sh", "-c", "man --warnings=w -l "+page+" 2>&1 >/dev/null"); out != "" {
			t.Errorf("man -l %s: %s", page, out)
		}
	}
}

// TestEveryPageForUsersIsInstalled checks that both package formats contain the how-tos and other
// documents for users, at the path where links in other documents expect them.
func TestEveryPageForUsersIsInstalled(t *testing.T) {
	howtos, err := filepath.Glob("../../docs/howto/*.md")
	if err != nil || len(howtos) == 0 {
		t.Fatal(howtos, err)
	}
	want := []string{"tutorial.md", "ldirectord.cf.md", "vip.md"}
	for _, page := range howtos {
		want = append(want, "howto/"+filepath.Base(page))
	}
	for format, files := range map[string][]file{"rpm": rpmContent(t, ""), "deb": debContent(t, "")} {
		var have []string
		for _, f := range files {
			have = append(have, strings.TrimSuffix(f.path, ".gz"))
		}
		for _, page := range want {
			if path := "/usr/share/doc/lvs-agents/" + page; !slices.Contains(have, path) {
				t.Errorf("%s: no %s", format, path)
			}
		}
	}
}

// TestCompletions loads each completion file into bash, and requests a completion for its command.
func TestCompletions(t *testing.T) {
	dir := unpacked(t) + "/usr/share/bash-completion/completions/"
	for name, want := range map[string]string{"lvsctl": "check", "directord": "try-restart", "ldirectord": "try-restart", "lvsrs": "status"} {
		out := must(t, "bash", "-c", `. "$0" && set -- $(complete -p `+name+`) && COMP_WORDS=(`+name+` "") COMP_CWORD=1 && ${@: -2:1} && echo "${COMPREPLY[@]}"`, dir+name)
		if !slices.Contains(strings.Fields(out), want) {
			t.Errorf("%s: %q does not have %s", name, out, want)
		}
	}
}

// TestOtherShells checks that zsh and fish can parse their completion files. fish must complete a
// command with each of them.
func TestOtherShells(t *testing.T) {
	dir := unpacked(t) + "/usr/share/"
	for name, want := range map[string]string{"lvsctl": "check", "directord": "try-restart", "lvsrs": "status"} {
		must(t, "zsh", "-n", dir+"zsh/vendor-completions/_"+name)
		out := must(t, "fish", "-N", "-c", "source "+dir+"fish/vendor_completions.d/"+name+".fish; complete -C '"+name+" '")
		if !strings.Contains(out, want+"\t") {
			t.Errorf("%s: %q does not have %s", name, out, want)
		}
	}
}

// TestUnits checks every unit file of the packages with systemd-analyze, while the programs of the
// packages exist. A threshold is ten times the exposure level.
func TestUnits(t *testing.T) {
	dir := unpacked(t)
	units, err := filepath.Glob(dir + "/lib/systemd/system/*.service")
	if err != nil || len(units) != 4 {
		t.Fatal(units, err)
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), strings.Replace(filepath.Base(unit), "@.", "@web.", 1))
		write(t, path, strings.ReplaceAll(string(text), "/usr/sbin/", dir+"/usr/sbin/"), 0o644)
		out := must(t, "systemd-analyze", "verify", "--man=no", path)
		if strings.Contains(out, filepath.Base(path)) { // systemd-analyze also verifies units that our unit wants, and prints errors in them
			t.Errorf("verify %s: %s", unit, out)
		}
		threshold := "40"
		if filepath.Base(unit) == "lvsctl-serve.service" {
			threshold = "20"
		}
		must(t, "systemd-analyze", "security", "--offline=yes", "--threshold="+threshold, path)
	}
}

// TestLogIsRotatedOnce checks that logrotate accepts our configuration file, even if the package of
// the Perl program has a configuration file for the same log.
func TestLogIsRotatedOnce(t *testing.T) {
	dir := t.TempDir()
	ours, err := os.ReadFile(unpacked(t) + "/etc/logrotate.d/lvs-agents")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/d/lvs-agents", string(ours), 0o644)
	write(t, dir+"/d/ldirectord", "/var/log/ldirectord.log {\n    missingok\n}\n", 0o644)
	write(t, dir+"/conf", "include "+dir+"/d\n", 0o644)
	out := must(t, "logrotate", "-d", "-s", dir+"/state", dir+"/conf")
	if strings.Contains(out, "error") || strings.Count(out, "rotating pattern: /var/log/") != 2 {
		t.Error(out)
	}
}
