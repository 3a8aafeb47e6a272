package repository

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// importMap is the content of docs/imports.txt. For each package of this module outside of tests,
// it lists the packages that the package can import.
type importMap []allowance

// An allowance is one line of the map: a package, and the packages that it can import.
type allowance struct {
	name    string
	imports []string // names of lines above
}

// parseImports parses docs/imports.txt. The comments at the beginning of that file describe its
// syntax.
func parseImports(text string) (importMap, error) {
	var all importMap
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, imports, found := strings.Cut(line, ":")
		if !found {
			return nil, fmt.Errorf("line %d: no colon after the package", i+1)
		}
		one := allowance{strings.TrimSpace(name), strings.Fields(imports)}
		for _, name := range one.imports {
			if !slices.ContainsFunc(all, func(a allowance) bool { return a.name == name }) {
				return nil, fmt.Errorf("line %d: %s imports %s, which is not on a line above", i+1, one.name, name)
			}
		}
		all = append(all, one)
	}
	return all, nil
}

// of returns the line of the map for a package.
func (m importMap) of(name string) (allowance, bool) {
	i := slices.IndexFunc(m, func(a allowance) bool { return a.name == name })
	if i < 0 {
		return allowance{}, false
	}
	return m[i], true
}

const module = "lvs-agents/"

// depguard returns the map as rules for the linter depguard, in the syntax of .golangci.yml.
func (m importMap) depguard() string {
	var b strings.Builder
	for _, a := range m {
		fmt.Fprintf(&b, "        imports-%s:\n", strings.ReplaceAll(a.name, "/", "-"))
		b.WriteString("          list-mode: lax\n")
		fmt.Fprintf(&b, "          files: [\"**/%s/*.go\", \"!$test\"]\n", a.name)
		if len(a.imports) > 0 {
			b.WriteString("          allow:\n")
		}
		for _, name := range a.imports {
			fmt.Fprintf(&b, "            - %s%s$\n", module, name)
		}
		fmt.Fprintf(&b, "          deny:\n            - {pkg: lvs-agents, desc: docs/imports.txt does not allow it}\n")
	}
	return b.String()
}

const (
	mapBegins = "        # Generated from docs/imports.txt by make docs; do not edit.\n"
	mapEnds   = "        # End of docs/imports.txt.\n"
)

// withImports returns the text of .golangci.yml with the rules of the map.
func withImports(files map[string]string) (string, error) {
	m, err := parseImports(files["docs/imports.txt"])
	if err != nil {
		return "", fmt.Errorf("docs/imports.txt: %w", err)
	}
	head, rest, begins := strings.Cut(files[".golangci.yml"], mapBegins)
	_, tail, ends := strings.Cut(rest, mapEnds)
	if !begins || !ends {
		return "", fmt.Errorf(".golangci.yml: no place for the rules of docs/imports.txt")
	}
	return head + mapBegins + m.depguard() + mapEnds + tail, nil
}

// TestImportsFollowTheMap checks that the imports of every package outside of tests follow the map,
// and that each package has a line. The linter depguard is not enough: it reads only the files of
// one build, and accepts packages without a line.
func TestImportsFollowTheMap(t *testing.T) {
	m, err := parseImports(repository(t)["docs/imports.txt"])
	if err != nil {
		t.Fatalf("docs/imports.txt: %v", err)
	}
	cmd := exec.Command("go", "list", "-deps", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	have := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		name, ours := strings.CutPrefix(words[0], module)
		if !ours || strings.HasPrefix(name, "tests/") {
			continue
		}
		have[name] = []string{}
		for _, imported := range words[1:] {
			if imported, ours := strings.CutPrefix(imported, module); ours {
				have[name] = append(have[name], imported)
			}
		}
	}
	report(t, m.differences(have))
}

// differences compares the map with the imports that the packages have, and returns an error text
// for each difference.
func (m importMap) differences(have map[string][]string) (problems []string) {
	for name, imports := range have {
		a, ok := m.of(name)
		if !ok {
			problems = append(problems, fmt.Sprintf("docs/imports.txt: %s has no line; say what it can import", name))
			continue
		}
		for _, imported := range imports {
			if !slices.Contains(a.imports, imported) {
				problems = append(problems, fmt.Sprintf("%s imports %s; docs/imports.txt does not allow it", name, imported))
			}
		}
		for _, allowed := range a.imports {
			if !slices.Contains(imports, allowed) {
				problems = append(problems, fmt.Sprintf("docs/imports.txt: %s does not import %s; remove it", name, allowed))
			}
		}
	}
	for _, a := range m {
		if _, exists := have[a.name]; !exists {
			problems = append(problems, fmt.Sprintf("docs/imports.txt: %s is not a package; remove its line", a.name))
		}
	}
	slices.Sort(problems)
	return problems
}

func TestFaultsOfTheImportMap(t *testing.T) {
	for source, want := range map[string]string{
		"a:\nb: a # low\n": "",
		"a: b\nb:\n":       "line 1: a imports b, which is not on a line above",
		"a\n":              "line 1: no colon after the package",
	} {
		_, err := parseImports(source)
		if got := text(err); got != want {
			t.Errorf("%q: error %q, want %q", source, got, want)
		}
	}
	m, err := parseImports("a:\nb:\nc: a b\nd:\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"a imports c; docs/imports.txt does not allow it",
		"docs/imports.txt: c does not import b; remove it",
		"docs/imports.txt: d is not a package; remove its line",
		"docs/imports.txt: e has no line; say what it can import",
	}
	got := m.differences(map[string][]string{"a": {"c"}, "b": {}, "c": {"a"}, "e": {}})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
