package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// elsewhere lists the commands of pages that the lab cannot run, each with a rule that judges the
// command from files of the repository. The nodes of the lab already have all packages, so they
// cannot run "apt install". They are Debian systems, so they cannot run commands for RHEL.
var elsewhere = []struct {
	form  *regexp.Regexp
	judge func(files Files, words []string) error
}{
	{regexp.MustCompile(`^apt install (.*)`), debian},
	{regexp.MustCompile(`^dnf (?:install|swap) (.*)`), rhel},
	{regexp.MustCompile(`^sh /usr/share/doc/lvs-agents/(\S+\.pcs)$`), example},
	{regexp.MustCompile(`^pcs (.*)`), anything}, // tests/clustertools runs the pcs commands on the group Classic
}

// Files is a function that returns the text of a file of the repository.
type Files func(name string) string

// Elsewhere reports whether the lab cannot run the command of a step. In that case, the rule in
// elsewhere judges the command, and the error is nil if the rule accepts it.
func (s Step) Elsewhere(files Files) (bool, error) {
	for _, e := range elsewhere {
		if match := e.form.FindStringSubmatch(s.Command); match != nil {
			return true, e.judge(files, strings.Fields(match[1]))
		}
	}
	if s.RHEL {
		return true, fmt.Errorf("no rule of tests/pages judges this command of the RHEL family")
	}
	return false, nil
}

// debian checks the names in a command like "apt install". Each name must be one of our Debian
// packages, or a package that tests/packages lists.
func debian(files Files, words []string) error {
	return known(words, "_*.deb", names(files("deb/control"), `(?m)^Package: (\S+)`), names(files("tests/packages"), `(?m)^([a-z][\w.+-]*) `))
}

// rhel checks the names in a command like "dnf install". Each name must be one of our RPMs,
// ldirectord, or a package that tests/packages lists. In that file, the names of the RHEL family
// follow "dnf:".
func rhel(files Files, words []string) error {
	ours := []string{"lvs-agents-[0-9]*.rpm"}
	for _, name := range names(files("rpm/lvs-agents.spec"), `(?m)^%package (\S+)`) {
		ours = append(ours, "lvs-agents-"+name+"-*.rpm", "lvs-agents-"+name)
	}
	var theirs []string
	for line := range strings.Lines(files("tests/packages")) {
		switch _, name, found := strings.Cut(line, "(dnf: "); {
		case found:
			theirs = append(theirs, strings.TrimSuffix(strings.TrimSpace(name), ")"))
		case !strings.HasPrefix(line, "#"):
			theirs = append(theirs, strings.Fields(line)[0])
		}
	}
	return known(words, "", ours, append(theirs, "ldirectord"))
}

func known(words []string, ending string, ours, theirs []string) error {
	for _, word := range words {
		if strings.HasPrefix(word, "-") {
			continue
		}
		name, file := strings.CutPrefix(word, "./")
		if list := map[bool][]string{true: ours, false: theirs}[file]; !slices.Contains(list, strings.TrimSuffix(name, ending)) && !slices.Contains(ours, name) {
			return fmt.Errorf("%s is not a package that this repository builds or its tests install", word)
		}
	}
	return nil
}

func names(text, form string) (found []string) {
	for _, match := range regexp.MustCompile(form).FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	return found
}

func anything(Files, []string) error { return nil }

// example checks that a command names a file of crm/examples. tests/clustertools loads these files.
func example(files Files, words []string) error {
	if files("crm/examples/"+words[0]) == "" {
		return fmt.Errorf("%s is not in crm/examples", words[0])
	}
	return nil
}

// Repository returns a function that reads files of the repository in the directory root. For a
// file that does not exist, the function returns "".
func Repository(root string) Files {
	return func(name string) string {
		text, _ := os.ReadFile(filepath.Join(root, name))
		return string(text)
	}
}
