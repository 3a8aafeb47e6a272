// Package repository tests the repository as a whole, without root and without a network. Documents
// must name only files that exist, pages must list every package, and generated files must be
// current.
package repository

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write generated files")

const root = "../.."

// notOurs lists directories that a build or another tool writes. The tests ignore them.
var notOurs = []string{".git", "bin", "dist", "vendor", "debian", "tests/out"}

// repository returns the text of each file of the repository, by its path.
func repository(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	tree := os.DirFS(root)
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(notOurs, name):
			return fs.SkipDir
		case entry.IsDir() || entry.Type()&fs.ModeType != 0:
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// report fails the test with each of the given error texts.
func report(t *testing.T, problems []string) {
	t.Helper()
	for _, problem := range problems {
		t.Error(problem)
	}
}

func TestPackagesAreOnTheArchitecturePage(t *testing.T) {
	report(t, missingPackages(repository(t)))
}

// missingPackages returns an error text for each package that has no row in docs/architecture.md,
// and for each row without a package.
func missingPackages(files map[string]string) (problems []string) {
	page := files["docs/architecture.md"]
	packages := map[string]bool{}
	for name := range files {
		top, _, _ := strings.Cut(name, "/")
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && slices.Contains([]string{"internal", "agents", "ocf", "metadata", "crm"}, top) {
			packages[path.Dir(name)] = true
		}
	}
	for name := range packages {
		if !strings.Contains(page, "\n| `"+name+"` |") {
			problems = append(problems, fmt.Sprintf("docs/architecture.md: package %s has no row; add one line about it", name))
		}
	}
	for _, row := range regexp.MustCompile("\n\\| `([^`]*)`").FindAllStringSubmatch(page, -1) {
		if !packages[row[1]] {
			problems = append(problems, fmt.Sprintf("docs/architecture.md: %s is not a package; remove its row", row[1]))
		}
	}
	slices.Sort(problems)
	return problems
}

func TestDependenciesHaveAReason(t *testing.T) {
	report(t, unexplained(repository(t)))
}

// unexplained returns an error text for each direct dependency that has no row in docs/design.md,
// and for each row without a dependency.
func unexplained(files map[string]string) (problems []string) {
	direct, _, _ := strings.Cut(files["go.mod"], "// indirect")
	for _, match := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(direct, -1) {
		name := regexp.MustCompile(`/v\d+$`).ReplaceAllString(strings.TrimPrefix(match[1], "github.com/"), "")
		if !strings.Contains(files["docs/design.md"], "| "+name+" ") {
			problems = append(problems, fmt.Sprintf("docs/design.md: dependency %s has no row; say what it is for and what it replaces", name))
		}
	}
	_, table, _ := strings.Cut(files["docs/design.md"], "\n## Dependencies\n")
	for _, row := range regexp.MustCompile(`(?m)^\| (\S+/\S+) `).FindAllStringSubmatch(table, -1) {
		if !strings.Contains(direct, row[1]) {
			problems = append(problems, fmt.Sprintf("docs/design.md: %s is not a dependency; remove its row", row[1]))
		}
	}
	return problems
}

func TestEveryPageIsInTheIndex(t *testing.T) {
	report(t, unlisted(repository(t)))
}

// unlisted returns an error text for each document of docs, except decisions, that docs/README.md
// does not link.
func unlisted(files map[string]string) (problems []string) {
	for name := range files {
		page, found := strings.CutPrefix(name, "docs/")
		found = found && strings.HasSuffix(page, ".md") && page != "README.md" && path.Dir(page) != "adr"
		if found && !strings.Contains(files["docs/README.md"], "]("+page+")") {
			problems = append(problems, fmt.Sprintf("docs/README.md: no link to %s", page))
		}
	}
	slices.Sort(problems)
	return problems
}

func TestDecisionsHaveTheirParts(t *testing.T) {
	report(t, incomplete(repository(t)))
}

// incomplete returns an error text for each decision (docs/adr) that lacks a section or is longer
// than a page.
func incomplete(files map[string]string) (problems []string) {
	for name, text := range files {
		if path.Dir(name) != "docs/adr" || path.Base(name) == "README.md" {
			continue
		}
		if number := strings.TrimLeft(path.Base(name)[:4], "0"); !strings.HasPrefix(text, "# "+number+". ") {
			problems = append(problems, fmt.Sprintf("%s: the title does not begin with \"# %s. \"", name, number))
		}
		for _, part := range []string{"\nStatus: ", "\n## Context\n", "\n## Decision\n", "\n## Consequences\n"} {
			if !strings.Contains(text, part) {
				problems = append(problems, fmt.Sprintf("%s: no %q", name, strings.TrimSpace(part)))
			}
		}
		if lines := strings.Count(text, "\n"); lines > 60 {
			problems = append(problems, fmt.Sprintf("%s: %d lines are more than a page of 60", name, lines))
		}
	}
	slices.Sort(problems)
	return problems
}

// generated returns the current text of the picture and of the index of decisions, by path.
func generated(files map[string]string) (map[string]string, error) {
	p, err := parsePicture(files["docs/architecture.txt"])
	if err != nil {
		return nil, fmt.Errorf("docs/architecture.txt: %w", err)
	}
	svg, err := p.svg()
	if err != nil {
		return nil, fmt.Errorf("docs/architecture.txt: %w", err)
	}
	return map[string]string{"docs/architecture.svg": svg, "docs/adr/README.md": decisions(files)}, nil
}

// decisions returns the index of docs/adr: the text of docs/adr/README.md.
func decisions(files map[string]string) string {
	var b strings.Builder
	b.WriteString("<!-- Generated from the files of this directory by make docs; do not edit. -->\n\n# Decisions\n\n" +
		"Each page has context, decision, figures where we measured, and consequences. A decision that\n" +
		"changes gets a new page, and the old one names it.\n\n| | decision | status |\n|---|---|---|\n")
	var names []string
	for name := range files {
		if path.Dir(name) == "docs/adr" && path.Base(name) != "README.md" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		title, rest, _ := strings.Cut(strings.TrimPrefix(files[name], "# "), "\n")
		number, title, _ := strings.Cut(title, ". ")
		_, status, _ := strings.Cut(rest, "Status: ")
		status, _, _ = strings.Cut(status, "\n\n")
		fmt.Fprintf(&b, "| %s | [%s](%s) | %s |\n", number, title, path.Base(name), strings.Join(strings.Fields(status), " "))
	}
	return b.String()
}

func TestGenerated(t *testing.T) {
	files := repository(t)
	texts, err := generated(files)
	if err != nil {
		t.Fatal(err)
	}
	if texts[".golangci.yml"], err = withImports(files); err != nil {
		t.Fatal(err)
	}
	for name, text := range texts {
		if *update {
			if err := os.WriteFile(path.Join(root, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if files[name] != text {
			t.Errorf("%s is stale; run make docs", name)
		}
	}
}

func TestGeneratedFilesAreMarked(t *testing.T) {
	report(t, unmarked(repository(t)))
}

// unmarked returns an error text for each generated file that .gitattributes does not mark as
// generated, and for each mark without a file.
func unmarked(files map[string]string) (problems []string) {
	attributes := files[".gitattributes"]
	used := map[string]bool{}
	for name, text := range files {
		first := text[:min(len(text), 400)]
		marks := matching(attributes, name)
		for _, pattern := range marks {
			used[pattern] = true
		}
		if isGenerated(name, first) && len(marks) == 0 {
			problems = append(problems, fmt.Sprintf(".gitattributes: %s is generated and not marked; add linguist-generated", name))
		}
	}
	for _, pattern := range patterns(attributes) {
		if !used[pattern] {
			problems = append(problems, fmt.Sprintf(".gitattributes: %s names no file", pattern))
		}
	}
	slices.Sort(problems)
	return problems
}

// isGenerated reports whether a file is generated. The first lines of a generated file say which
// program wrote it.
func isGenerated(name, first string) bool {
	return !strings.HasSuffix(name, ".go") && (strings.Contains(first, "Generated from") || strings.HasPrefix(first, "<!-- Generated by") || strings.HasPrefix(first, "<!-- Written by"))
}

// patterns returns the file patterns that .gitattributes marks with linguist-generated.
func patterns(attributes string) (found []string) {
	for line := range strings.Lines(attributes) {
		if pattern, rest, _ := strings.Cut(strings.TrimSpace(line), " "); strings.Contains(rest, "linguist-generated") {
			found = append(found, pattern)
		}
	}
	return found
}

func matching(attributes, name string) (found []string) {
	for _, pattern := range patterns(attributes) {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			found = append(found, pattern)
		}
	}
	return found
}
