package keepalived

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lvs-agents/internal/config"
)

// memory returns the files of a map from paths to texts.
func memory(texts map[string]string) Files {
	return Files{
		Glob: func(pattern string) ([]string, error) {
			var found []string
			for _, path := range slices.Sorted(maps.Keys(texts)) {
				matches, err := filepath.Match(pattern, path)
				if err != nil {
					return nil, err
				}
				if matches {
					found = append(found, path)
				}
			}
			return found, nil
		},
		Read: func(path string) ([]byte, error) {
			if texts[path] == "unreadable" {
				return nil, fmt.Errorf("%s: %w", path, fs.ErrPermission)
			}
			return []byte(texts[path]), nil
		},
	}
}

const includedService = "virtual_server 192.0.2.10 80 {\nprotocol TCP\ninclude reals/*.conf\n}\n"

// TestInclude checks which files become a part of the text, and where.
func TestInclude(t *testing.T) {
	files := memory(map[string]string{
		"/etc/k/a.conf":         includedService,
		"/etc/k/reals/1.conf":   "real_server 192.0.2.21 80 {\nweight 3\n}",
		"/etc/k/reals/2.conf":   "$N=22\nreal_server 192.0.2.${N} 80 {\nMISC_CHECK {\nmisc_path ${_PWD}/check\n}\n}\n",
		"/etc/k/reals/.3.conf":  "real_server 192.0.2.23 80 {\n}\n",
		"/etc/k/reals/readme":   "text\n",
		"/srv/names/plain.conf": "virtual_server 192.0.2.11 80 {\nprotocol TCP\nreal_server 192.0.2.${N} 80 {\nMISC_CHECK {\nmisc_path ${_PWD}/check\n}\n}\n}\n",
	})
	const text = "# first\ninclude a.conf\ninclude \"/srv/names/[!q]lain.{conf,none}\" # comment\nvirtual_server 192.0.2.12 80 {\nprotocol TCP\nreal_server 192.0.2.${N} 80 {\n}\n}\n"
	c, problems := Options{Files: &files}.Parse("/etc/k/keepalived.conf", []byte(text))
	if c == nil {
		t.Fatal(problems)
	}
	var got []string
	for _, s := range c.Services {
		got = append(got, fmt.Sprintf("%s line %d", s.ID, s.Line))
		for _, r := range s.Reals {
			got = append(got, fmt.Sprintf("%s weight %d line %d", r.Addr, r.Weight, r.Line))
			for _, check := range r.Checks {
				got = append(got, check.Command)
			}
		}
	}
	const want = "-t 192.0.2.10:80 line 2|192.0.2.21:80 weight 3 line 2|192.0.2.22:80 weight 1 line 2|/etc/k/reals/check|" +
		"-t 192.0.2.11:80 line 3|192.0.2.22:80 weight 1 line 3|/srv/names/check|-t 192.0.2.12:80 line 4|192.0.2.22:80 weight 1 line 6"
	if got := strings.Join(got, "|"); got != want {
		t.Errorf("got  %s\nwant %s\n%v", got, want, problems)
	}
}

// TestIncludeProblems checks that a problem names the included file and the line there.
func TestIncludeProblems(t *testing.T) {
	deep := map[string]string{
		"bad.conf": "\nvirtual_server 192.0.2.10 80 {\nprotocol TCP\nreal_server x 80 {\n}\n}\n", "outer.conf": "\n\ninclude bad.conf\n",
		"cycle.conf": "include again.conf\n", "again.conf": "#\ninclude cycle.conf\n", "secret.conf": "unreadable", "open.conf": "virtual_server 192.0.2.10 80 {\n",
		"big.conf": strings.Repeat("#", mostIncludedText/2),
	}
	for i := range mostIncludes + 2 {
		deep[fmt.Sprintf("deep%d.conf", i)] = fmt.Sprintf("include deep%d.conf\n", i+1)
	}
	files := memory(deep)
	for _, tt := range []struct {
		text, want string
		fails      bool
	}{
		{"include bad.conf\n", `bad.conf:4: real_server x 80: not an address; write "real_server 192.0.2.21 80", for example`, true},
		{"include outer.conf\n", "bad.conf:4: real_server x 80: not an address", true},
		{"\ninclude missing.conf\n", "keepalived.conf:2: include missing.conf: no file matches, and keepalived continues without it; correct the name, or delete the line", false},
		{"includer missing.conf\n", "keepalived.conf:1: includer missing.conf: no file matches", false},
		{"includem missing.conf\n", "keepalived.conf:1: includem missing.conf: no file matches", true},
		{"include secret.conf\n", "keepalived.conf:1: include secret.conf: secret.conf: permission denied, and keepalived continues without the file", false},
		{"includer secret.conf\n", "keepalived.conf:1: includer secret.conf: secret.conf: permission denied", true},
		{"include cycle.conf\n", "again.conf:2: include cycle.conf: the file cycle.conf includes itself; delete the line", true},
		{"include deep0.conf\n", "include files more than 32 times; write the text into one file", true},
		{"include big.conf\ninclude big.conf\ninclude open.conf\n", "keepalived.conf:3: include open.conf: more than 1024 files or 16 MiB; divide the file", true},
		{"include open.conf\n", "open.conf:1: the block virtual_server has no \"}\"", false},
		{"include a b\n", "keepalived.conf:1: include a b: the statements of other files are not read here", true},
	} {
		c, problems := Options{Files: &files}.Parse("keepalived.conf", []byte(tt.text))
		if got := fmt.Sprintln(problems); !strings.Contains(got, tt.want) || (config.Err(problems) != nil) != tt.fails || (c == nil) != tt.fails {
			t.Errorf("%q: got %swant %s", tt.text, got, tt.want)
		}
	}
}

func TestBracesOfAPattern(t *testing.T) {
	for pattern, want := range map[string]string{
		"a": "a", "{a,b}.conf": "a.conf b.conf", "x{a,b}{c,d}": "xac xad xbc xbd", "{a,{b,c}}": "a b a c", "}a{": "}a{",
	} {
		if got := strings.Join(alternatives(pattern), " "); got != want {
			t.Errorf("%s: got %s, want %s", pattern, got, want)
		}
	}
	if n := len(alternatives(strings.Repeat("{a,b}", 40))); n > mostFiles {
		t.Errorf("%d patterns", n)
	}
}
