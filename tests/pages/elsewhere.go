package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// elsewhere are the commands that only a real machine can run. The nodes of the lab have the
// packages of this machine and the tree of "make stage", so they install nothing. They are
// Debian, so they run no command for RHEL. Files of the repository judge each of these commands.
var elsewhere = []struct {
	form  *regexp.Regexp
	judge func(files Files, words []string) error
}{
	{regexp.MustCompile(`^apt install (.*)`), debian},
	{regexp.MustCompile(`^dnf (?:install|swap) (.*)`), rhel},
	{regexp.MustCompile(`^sh /usr/share/doc/lvs-agents/(\S+\.pcs)$`), example},
	{regexp.MustCompile(`^pcs (.*)`), anything}, // tests/clustertools runs them on Classic
}

// Files reads a file of the repository.
type Files func(name string) string

// Elsewhere reports whether only a real machine can run a command. The error is a fault in it.
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

// debian returns an error unless each name is one of our Debian packages, or a package that the
// tests install.
func debian(files Files, words []string) error {
	return known(words, "_*.deb", names(files("deb/control"), `(?m)^Package: (\S+)`), names(files("tests/packages"), `(?m)^([a-z][\w.+-]*) `))
}

// rhel returns an error unless each name is one of our RPMs, or a package that the tests install.
// tests/packages has the names of the RHEL family after "dnf:".
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

// example is a file of crm/examples, which tests/clustertools runs.
func example(files Files, words []string) error {
	if files("crm/examples/"+words[0]) == "" {
		return fmt.Errorf("%s is not in crm/examples", words[0])
	}
	return nil
}

// Repository returns the files of the repository at root. A file that does not exist is empty.
func Repository(root string) Files {
	return func(name string) string {
		text, _ := os.ReadFile(filepath.Join(root, name))
		return string(text)
	}
}
