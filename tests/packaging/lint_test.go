package packaging

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestRpmlintFindsNoError(t *testing.T) {
	out := must(t, "rpmlint", append([]string{"-r", "../../rpm/lvs-agents.rpmlintrc"}, all(t, rpmOf)...)...)
	if !strings.Contains(out, "4 packages and 0 specfiles checked; 0 errors") {
		t.Error(out)
	}
}

func TestLintianFindsNothing(t *testing.T) {
	out := must(t, "lintian", append([]string{"--allow-root", "--fail-on", "error,warning"}, all(t, debOf)...)...)
	if strings.Contains(out, "W:") || strings.Contains(out, "E:") {
		t.Error(out)
	}
}

// TestEveryFilterHasItsReason checks the filters that suppress warnings of rpmlint and lintian.
// Each filter must be in the list of this test, and the line above it must be a comment with the
// reason.
func TestEveryFilterHasItsReason(t *testing.T) {
	allowed := map[string][]string{
		"../../rpm/*.rpmlintrc":        {"statically-linked-binary", "no-signature", "no-group-tag", "position-independent-executable-suggested", "build-id"},
		"../../deb/*lintian-overrides": {"statically-linked-binary"},
	}
	name := regexp.MustCompile(`^addFilter\("([a-z-]+)"\)$|^[a-z-]+: ([a-z-]+)$`)
	for pattern, want := range allowed {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			before := ""
			for _, line := range lines(string(text)) {
				if !strings.HasPrefix(line, "#") {
					found := name.FindStringSubmatch(line)
					if found == nil || !slices.Contains(want, found[1]+found[2]) || !strings.HasPrefix(before, "# ") {
						t.Errorf("%s: %q is not allowed or has no reason before it", file, line)
					}
				}
				before = line
			}
		}
	}
}

// TestScriptsLeaveServicesAlone checks the scripts of the packages. They must be valid shell, and
// must not start, stop or restart a service.
func TestScriptsLeaveServicesAlone(t *testing.T) {
	touches := regexp.MustCompile(`\bsystemctl\b.*\b(start|stop|\w*restart|reload|kill|isolate|enable|disable|mask)\b|\b(deb-systemd-invoke|invoke-rc\.d|update-rc\.d|kill|killall|pkill)\b|^\s*service `)
	dir := t.TempDir()
	for _, name := range names {
		scripts := []string{dir + "/rpm" + name}
		write(t, scripts[0], must(t, "rpm", "-qp", "--scripts", rpmOf(t, name)), 0o644)
		must(t, "dpkg-deb", "-e", debOf(t, name), dir+"/deb"+name)
		for _, script := range []string{"preinst", "postinst", "prerm", "postrm"} {
			if path := dir + "/deb" + name + "/" + script; exists(path) {
				scripts = append(scripts, path)
			}
		}
		for _, script := range scripts {
			must(t, "sh", "-n", script)
			text, err := os.ReadFile(script)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range lines(string(text)) {
				if !strings.HasPrefix(strings.TrimSpace(line), "#") && !strings.Contains(line, "daemon-reload") && touches.MatchString(line) {
					t.Errorf("%s: %s", script, line)
				}
			}
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
