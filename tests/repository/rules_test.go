package repository

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRulesFindFaults applies rules of this package to a small repository with known faults. Each
// rule must find these faults.
func TestRulesFindFaults(t *testing.T) {
	page := "# Page\n\n| a | b |\n|---|---|\n| `internal/a` | text |\n"
	tests := []struct {
		name  string
		files map[string]string
		rule  func(files map[string]string) []string
		want  []string
	}{
		{"package without a row", map[string]string{"docs/architecture.md": page, "internal/a/a.go": "", "internal/b/c/c.go": "", "internal/d/d_test.go": ""}, missingPackages,
			[]string{"docs/architecture.md: package internal/b/c has no row; add one line about it"}},
		{"row without a package", map[string]string{"docs/architecture.md": page}, missingPackages,
			[]string{"docs/architecture.md: internal/a is not a package; remove its row"}},
		{"dependency without a reason", map[string]string{"go.mod": "require (\n\tgithub.com/a/b/v3 v3.1.0\n\tc.d/e v1.0.0\n)\nrequire (\n\tx.y/z v1.0.0 // indirect\n)\n", "docs/design.md": "\n## Dependencies\n\n| a/b | text |\n| f/g | text |\n"}, unexplained,
			[]string{"docs/design.md: dependency c.d/e has no row; say what it is for and what it replaces", "docs/design.md: f/g is not a dependency; remove its row"}},
		{"page without an entry", map[string]string{"docs/README.md": "[a](a.md)", "docs/a.md": "", "docs/b.md": "", "docs/howto/c.md": "", "docs/adr/d.md": ""}, unlisted,
			[]string{"docs/README.md: no link to b.md", "docs/README.md: no link to howto/c.md"}},
		{"decision without parts", map[string]string{"docs/adr/0007-a.md": "# 8. A\n\nStatus: accepted\n\n## Decision\n" + strings.Repeat("\n", 60)}, incomplete,
			[]string{`docs/adr/0007-a.md: 65 lines are more than a page of 60`, `docs/adr/0007-a.md: no "## Consequences"`, `docs/adr/0007-a.md: no "## Context"`, `docs/adr/0007-a.md: the title does not begin with "# 7. "`}},
		{"generated file without a mark", map[string]string{".gitattributes": "* text=auto\ndocs/b.md linguist-generated\n", "docs/a.md": "<!-- Generated from x -->"}, unmarked,
			[]string{".gitattributes: docs/a.md is generated and not marked; add linguist-generated", ".gitattributes: docs/b.md names no file"}},
		{"generator that make docs does not run", map[string]string{"Makefile": "\nTESTED := tests\n", "tests/b_test.go": "package b\n\nfunc TestGenerated(t *testing.T) {}\n", "crm/a/a_test.go": "package a\n\nfunc TestGenerated(t *testing.T) {}\n"}, forgotten,
			[]string{"Makefile: make docs does not search for func TestGenerated(", "crm/a/a_test.go: make docs does not run its TestGenerated; add crm to TESTED"}},
		{"path that does not exist", map[string]string{"internal/a/a.go": ""}, ruleOf(deadPaths, "docs/a.md", "`internal/a/a.go`, internal/{a,b}, `internal/a/*.go`, agents/NAME/NAME.go, [x](../tests/x.md), see /usr/lib/ocf/x."),
			[]string{"docs/a.md: there is no internal/b", "docs/a.md: there is no tests/x.md"}},
		{"document that does not exist", map[string]string{"docs/b.md": ""}, ruleOf(deadDocuments, "internal/a.go", "// see b.md, docs/b.md, -Xdocs/b.md, reference/c.md, ../../other/d.md, https://example.org/e.md"),
			[]string{"internal/a.go: there is no document reference/c.md in this repository", "internal/a.go: there is no document ../../other/d.md in this repository"}},
		{"link to nothing", map[string]string{"docs/b.md": "# A title: two\n"}, ruleOf(deadLinks, "docs/a.md", "[1](b.md#a-title-two) [2](b.md#other) [3](c.md) [4](../../x) [5](/etc) [6](https://example.org) `[7](d.md)`"),
			[]string{"docs/a.md: link b.md#other: no such heading", "docs/a.md: link c.md leads nowhere", "docs/a.md: link ../../x leads out of the repository", "docs/a.md: link /etc leads out of the repository"}},
		{"path of one machine", nil, ruleOf(func(_ map[string]string, name, text string) []string { return foreignPaths(name, text) }, "docs/a.md", "see `/home/me/notes` and /etc/ha.d"),
			[]string{"docs/a.md: /home/me is outside of the repository"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.rule(test.files)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// ruleOf turns a rule for one document into a rule for a whole repository. The rule gets the
// document name with this text.
func ruleOf(rule func(files map[string]string, name, text string) []string, name, text string) func(map[string]string) []string {
	return func(files map[string]string) []string { return rule(files, name, text) }
}

func TestPictureFaults(t *testing.T) {
	for source, want := range map[string]string{
		"row a\nbox b | B\nb -> c":                       "arrow b -> c does not lead from a box to a box of the next row",
		"row a\nbox b | B\nbox c | C\nb -> c":            "arrow b -> c does not lead from a box to a box of the next row",
		"row a\n# text\n\nbox b | B\nline":               `line 5: "line" is not a row, a box or an arrow`,
		"row a\nbox b | B\nrow c\nbox d | D\nb -> d | e": "",
		"row a\nbox b | B\nbox c | C\nbox d | D\nbox e | far too long for a quarter of the picture": `"far too long for a quarter of the picture" is wider than its box`,
		"row a title that is too long\nbox b | B":                                                   `"a title that is too long" is wider than its column`,
	} {
		_, err := generated(map[string]string{"docs/architecture.txt": source})
		if got := strings.TrimPrefix(text(err), "docs/architecture.txt: "); got != want {
			t.Errorf("source %q: error %q, want %q", source, got, want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestStaleFileIsFound(t *testing.T) {
	files := repository(t)
	before, err := generated(files)
	if err != nil {
		t.Fatal(err)
	}
	files["docs/architecture.txt"] += "\nrow more\nbox more | More\n"
	files["docs/adr/9999-x.md"] = "# 9999. X\n\nStatus: accepted\n"
	after, err := generated(files)
	if err != nil {
		t.Fatal(err)
	}
	var changed []string
	for name := range before {
		if before[name] != after[name] {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	if diff := cmp.Diff([]string{"docs/adr/README.md", "docs/architecture.svg"}, changed); diff != "" {
		t.Errorf("changed files (-want +got):\n%s", diff)
	}
}
