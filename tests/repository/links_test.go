package repository

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func TestDocumentsNameWhatExists(t *testing.T) {
	files := repository(t)
	for name, text := range files {
		if isDocument(name) {
			report(t, deadPaths(files, name, text))
			report(t, deadLinks(files, name, text))
			report(t, foreignPaths(name, text))
		}
		report(t, deadDocuments(files, name, text))
	}
}

// isDocument reports whether a file is a text for people: these files can name other files.
func isDocument(name string) bool {
	return strings.HasSuffix(name, ".md") || name == "docs/architecture.txt"
}

// inTree matches a path in this repository: a path that begins with one of the directories at the
// top.
var inTree = regexp.MustCompile("(?:^|[\\s`(\\[\"'|,])((?:\\.\\./)*(?:agents|cmd|crm|deb|docs|internal|metadata|ocf|rpm|tests|\\.ci)/[\\w.*{},/-]*)")

// deadPaths returns an error text for each path in a document that names neither a file nor a
// directory. It ignores the types of resources in heartbeat's GUI, which look like paths: ocf/lvs.
func deadPaths(files map[string]string, name, text string) (problems []string) {
	for _, match := range inTree.FindAllStringSubmatch(text, -1) {
		named := strings.TrimRight(strings.TrimLeft(match[1], "./"), "./,-")
		if placeholder(named) || named == "tests/out" || slices.Contains([]string{"ocf/lvs", "ocf/heartbeat"}, named) {
			continue
		}
		for _, one := range alternatives(named) {
			if !exists(files, one) {
				problems = append(problems, fmt.Sprintf("%s: there is no %s", name, one))
			}
		}
	}
	return problems
}

// placeholder reports whether a path contains a part that the reader must replace, for example
// NAME.
func placeholder(name string) bool {
	return strings.Contains(name, "NAME") || strings.Contains(name, "NNNN")
}

// alternatives expands the first {a,b} of a path into one path for each choice. It returns a path
// without braces unchanged.
func alternatives(name string) []string {
	before, rest, open := strings.Cut(name, "{")
	choices, after, closed := strings.Cut(rest, "}")
	if !open || !closed {
		return []string{name}
	}
	var all []string
	for choice := range strings.SplitSeq(choices, ",") {
		all = append(all, before+choice+after)
	}
	return all
}

// exists reports whether a path is a file, or a directory with at least one file. The path can
// contain the wildcard *.
func exists(files map[string]string, name string) bool {
	parts := strings.Count(name, "/") + 1
	for file := range files {
		fields := strings.Split(file, "/")
		if len(fields) < parts {
			continue
		}
		if ok, err := path.Match(name, strings.Join(fields[:parts], "/")); ok && err == nil {
			return true
		}
	}
	return false
}

// document matches the path of a Markdown file.
var document = regexp.MustCompile(`[\w./~-]*\w\.md\b`)

// deadDocuments returns an error text for each name of a Markdown file that does not exist. A name
// can be relative to the directory of the file that contains it, to the top directory, or to docs.
func deadDocuments(files map[string]string, name, text string) (problems []string) {
	if strings.HasPrefix(name, "tests/repository/") || strings.HasSuffix(name, ".sum") {
		return nil
	}
	for _, named := range document.FindAllString(text, -1) {
		named = strings.TrimPrefix(named, "-X") // -X of debhelper has its argument without a space
		if strings.Contains(named, "//") || placeholder(named) {
			continue
		}
		if !slices.ContainsFunc([]string{path.Dir(name), ".", "docs"}, func(dir string) bool {
			_, found := files[path.Join(dir, named)]
			return found
		}) {
			problems = append(problems, fmt.Sprintf("%s: there is no document %s in this repository", name, named))
		}
	}
	return problems
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]*)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```|`[^`\n]*`")
)

// deadLinks returns an error text for each link of a document to a file or a heading that does not
// exist.
func deadLinks(files map[string]string, name, text string) (problems []string) {
	for _, match := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		file, anchor, _ := strings.Cut(match[1], "#")
		if strings.Contains(file, "://") || strings.HasPrefix(file, "mailto:") {
			continue
		}
		target := path.Join(path.Dir(name), file)
		if file == "" {
			target = name
		}
		switch {
		case strings.HasPrefix(file, "/") || strings.HasPrefix(target, "../"):
			problems = append(problems, fmt.Sprintf("%s: link %s leads out of the repository", name, match[1]))
		case !exists(files, target):
			problems = append(problems, fmt.Sprintf("%s: link %s leads nowhere", name, match[1]))
		case anchor != "" && strings.HasSuffix(target, ".md") && !slices.Contains(anchors(files[target]), anchor):
			problems = append(problems, fmt.Sprintf("%s: link %s: no such heading", name, match[1]))
		}
	}
	return problems
}

// anchors returns the anchors that GitHub and similar sites give to the headings of a page.
func anchors(text string) (found []string) {
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		found = append(found, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, match[1]))
	}
	return found
}

func TestMakeDocsRunsEveryGenerator(t *testing.T) {
	report(t, forgotten(repository(t)))
}

// forgotten returns an error text for each generator that "make docs" does not run. A generator is
// a function TestGenerated, and make docs runs the generators below the directories in the
// Makefile's variable TESTED.
func forgotten(files map[string]string) (problems []string) {
	const declaration = "func TestGenerated("
	if !strings.Contains(files["Makefile"], "'^"+declaration+"' $(TESTED)") {
		problems = append(problems, "Makefile: make docs does not search for "+declaration)
	}
	_, rest, _ := strings.Cut(files["Makefile"], "\nTESTED ")
	line, _, _ := strings.Cut(rest, "\n")
	for name, text := range files {
		top, _, _ := strings.Cut(name, "/")
		if strings.Contains(text, "\n"+declaration) && !slices.Contains(strings.Fields(line), top) {
			problems = append(problems, name+": make docs does not run its TestGenerated; add "+top+" to TESTED")
		}
	}
	return problems
}

// outside matches a path that exists only on the machine of one developer.
var outside = regexp.MustCompile("(?:^|[\\s`(\"'=])((?:/work|/home|/root)/[\\w.-]+)")

// foreignPaths returns an error text for each path in a file that exists only on the machine of one
// developer.
func foreignPaths(name, text string) (problems []string) {
	for _, match := range outside.FindAllStringSubmatch(text, -1) {
		problems = append(problems, fmt.Sprintf("%s: %s is outside of the repository", name, match[1]))
	}
	return problems
}
