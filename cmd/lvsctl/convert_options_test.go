package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/ldirectord"
)

// optionFiles returns files that use each directive, by the line of the directive. A line has the
// example of the directive, or another value that its writers treat in another way.
func optionFiles() map[string]string {
	files := map[string]string{}
	for _, d := range ldirectord.Directives() {
		for line := range strings.Lines(d.Example) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, d.Name+"=") {
				files[line] = d.Example
				break
			}
		}
	}
	for _, line := range []string{
		"on_marked_down=keep", "on_marked_down=reset", "quiescent=yes", "quiescent=no", "shortage=hold", "init_state=down", "minimum_healthy=1",
		"checktype=connect", "checktype=ping", "checktype=on", "checktype=off", "checktype=3", "checktype=external", "checktype=external-perl",
	} {
		files[line] = "virtual=192.0.2.10:80\n\treal=192.0.2.21:80 masq\n\t" + line + "\n"
	}
	return files
}

// TestConvertLosesNoOption converts a file with each directive to each format. The directive must
// change the output, or a problem must name it. Resources without --inline read the directive from
// a file.
func TestConvertLosesNoOption(t *testing.T) {
	t.Chdir(t.TempDir())
	type result struct{ output, problems string }
	converted := map[string]result{}
	convert := func(t *testing.T, text, to string) result {
		t.Helper()
		if _, known := converted[to+text]; !known {
			if err := os.WriteFile("lb.cf", []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"convert", "lb.cf", "--from=ldirectord"}, strings.Fields(to)...)
			_, stdout, stderr := lvsctl(t, fakeKernel{}, args...)
			converted[to+text] = result{stdout, stderr}
		}
		return converted[to+text]
	}
	files := optionFiles()
	for line, with := range files {
		name, _, _ := strings.Cut(line, "=")
		without := strings.Replace(with, line+"\n", "\n", 1)
		a, _ := ldirectord.Parse("lb.cf", []byte(with))
		b, _ := ldirectord.Parse("lb.cf", []byte(without))
		switch {
		case slices.Contains([]string{"virtual", "virtual6", "real", "real6"}, name): // A service needs them.
			continue
		case slices.Contains([]string{"timeout", "connecttimeout"}, name): // A file with them is refused.
			continue
		case a == nil || b == nil:
			t.Fatalf("%s: not a configuration, with it or without it", line)
		}
		if name == "fall" {
			name = "failurecount" // Both set the same number.
		}
		named := regexp.MustCompile(`\b` + name + `\b`)
		same := len(config.Lost(a, b, "")) == 0
		for _, to := range []string{"ldirectord.cf", "keepalived", "ipvsadm", "crm --inline", "pcs --inline", "cib --inline"} {
			if same || line == "checktype=on" && to == "ipvsadm" {
				continue // The line has the meaning of the default.
			}
			t.Run(fmt.Sprint(line, " ", to), func(t *testing.T) {
				got, base := convert(t, with, "--to="+to), convert(t, without, "--to="+to)
				refused := strings.Contains(got.problems, ": error: ") && got.output == "" // Nothing is lost silently.
				if got.output == base.output && !refused && !named.MatchString(got.problems) {
					t.Errorf("neither in the output nor in a problem:\n%s\n%s", got.output, got.problems)
				}
			})
		}
	}
}
