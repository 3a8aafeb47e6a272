package repository

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// phrases are the forms that docs/style.md refuses, each with the rule or a better form.
var phrases = []struct {
	name string
	form *regexp.Regexp
	rule string
}{
	{"tells whether", regexp.MustCompile(`(?i)\b(tells?|says?) whether\b`), "reports whether"},
	{"is no", regexp.MustCompile(`(?i)(?:\bthere )?\b(?:is|are|was|were|be) no(?: [a-z]|$)`), "is not a"},
	{"is none", regexp.MustCompile(`(?i)\b(is|are|was|were) (none|nothing)\b`), "name what is missing, or: unknown …"},
	{"behind", regexp.MustCompile(`(?i)\bbehind\b`), "after, or name the place"},
	{"nobody", regexp.MustCompile(`(?i)\b(nobody|somebody|whoever|anybody|everybody|no one|whatever|wherever)\b`), "name the actor or the thing"},
	{"that of", regexp.MustCompile(`(?i)\b(that|those) of\b`), "name the noun"},
	{"by itself", regexp.MustCompile(`(?i)\bby (itself|themselves)\b`), "on its own, separately, alone"},
	{"shall", regexp.MustCompile(`(?i)\bshall\b`), "must, can, will"},
	{"for ever", regexp.MustCompile(`(?i)\bfor ever\b`), "forever, or without limit"},
	{"of ours", regexp.MustCompile(`(?i)\b(of|none of|all of) (ours|theirs|its own|his)\b`), "name the owner"},
	{"what is", regexp.MustCompile(`(?i)\bwhat (is|are|was)\b`), "name the noun"},
	{"such a", regexp.MustCompile(`(?i)\bsuch (a|an|one|ones)\b`), "name the noun"},
	{"nor", regexp.MustCompile(`(?i)(^|[.;] )nor\b`), "write a sentence with not"},
	{"one that", regexp.MustCompile(`(?:^|[.:;] )(One that|One of|Those|These|That is|That one|The one|Others)\b`), "begin with the noun"},
	{"of which", regexp.MustCompile(`(?i)\b(of|for|from|by|in|to|with|over|at) (which|whom)\b`), "two sentences, or where"},
	{"goes on", regexp.MustCompile(`(?i)\b(goes|go|went|going) on\b`), "continues"},
	{"stands", regexp.MustCompile(`(?i)\b(stands?|stood) (still|in|there|as|at|on|for)\b`), "hangs, is stopped, is"},
	{"gets to know", regexp.MustCompile(`(?i)\b(gets? to know|knows? nothing|is known|are known|nothing is known)\b`), "the field's word: read, receive, unknown"},
	{"said of", regexp.MustCompile(`(?i)\b(says? of|said of|said about|says so|said so|is said)\b`), "reports, shows, logs"},
	{"beneath", regexp.MustCompile(`(?i)\b(beneath|thereby|therein|whereof|hereby|thereof|whence)\b`), "name the noun"},
}

// notOurWords are files whose words others have chosen: quotations, generated files, licences, and the
// guide that lists the forms.
var notOurWords = regexp.MustCompile(`(^|/)testdata/|^docs/(man/|style\.md|checks\.md|states\.md|ipaddr2\.md|adr/README\.md)|^LICENSE|^metadata/documents/`)

// A passage is text that people read.
type passage struct {
	kind string // message, comment, document
	file string
	line int
	text string
}

// passages are the comments and string literals of Go files and the prose of Markdown files.
func passages(files map[string]string) []passage {
	var all []passage
	for name, text := range files {
		switch {
		case notOurWords.MatchString(name):
		case strings.HasSuffix(name, ".go"):
			all = append(all, ofGo(name, text)...)
		case strings.HasSuffix(name, ".md"):
			all = append(all, ofMarkdown(name, text)...)
		}
	}
	slices.SortFunc(all, func(a, b passage) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line)) })
	return all
}

// ofGo are comments, each group as one passage, and, outside of tests, string literals.
func ofGo(name, text string) []passage {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments)
	if err != nil {
		return []passage{{"comment", name, 1, err.Error()}}
	}
	var all []passage
	for _, group := range file.Comments {
		all = append(all, passage{"comment", name, set.Position(group.Pos()).Line, strings.Join(strings.Fields(group.Text()), " ")})
	}
	if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "tests/") {
		return all
	}
	ast.Inspect(file, func(node ast.Node) bool {
		literal, ok := node.(*ast.BasicLit)
		if ok && literal.Kind == token.STRING {
			if value, err := strconv.Unquote(literal.Value); err == nil && strings.Contains(value, " ") {
				all = append(all, passage{"message", name, set.Position(literal.Pos()).Line, strings.Join(strings.Fields(value), " ")})
			}
		}
		return true
	})
	return all
}

var inlineCode = regexp.MustCompile("`[^`]*`")

// ofMarkdown are the paragraphs outside of code blocks, without code in the line.
func ofMarkdown(name, text string) []passage {
	var all []passage
	var paragraph []string
	code, first := false, 0
	flush := func() {
		if joined := strings.Join(strings.Fields(inlineCode.ReplaceAllString(strings.Join(paragraph, " "), "x")), " "); joined != "" {
			all = append(all, passage{"document", name, first, joined})
		}
		paragraph = nil
	}
	for i, line := range strings.Split(text, "\n") {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence {
			code = !code
		}
		if fence || code || strings.TrimSpace(line) == "" {
			flush()
			continue
		}
		if paragraph == nil {
			first = i + 1
		}
		paragraph = append(paragraph, line)
	}
	flush()
	return all
}

// faults are the refused forms of a passage.
func faults(p passage) []string {
	var all []string
	for _, phrase := range phrases {
		for _, match := range phrase.form.FindAllString(p.text, -1) {
			if strings.HasPrefix(strings.ToLower(match), "there ") {
				continue // "there is no X" is English
			}
			all = append(all, fmt.Sprintf("%s:%d: %s %q: %s", p.file, p.line, p.kind, match, phrase.rule))
		}
	}
	return all
}

var list = flag.String("words", "", "list the refused forms of the files whose path begins so")

const wordsFile = "tests/repository/testdata/words.tsv"

// counted are the refused forms by kind of text, as rows of words.tsv.
func counted(all []passage) map[string][]string {
	rows := map[string][]string{}
	for _, p := range all {
		row := p.kind
		if found := faults(p); len(found) > 0 {
			rows[row] = append(rows[row], found...)
		}
	}
	return rows
}

// TestGeneratedCountsOfRefusedForms holds the counts of words.tsv: a count can fall, and make docs then
// writes the lower one. No message has a refused form.
func TestGeneratedCountsOfRefusedForms(t *testing.T) {
	files := repository(t)
	have := counted(passages(files))
	want := map[string]int{}
	for line := range strings.Lines(files[wordsFile]) {
		cut := strings.LastIndex(line, "\t")
		n, err := strconv.Atoi(strings.TrimSpace(line[cut+1:]))
		if err != nil {
			t.Fatalf("%s: %q", wordsFile, line)
		}
		want[line[:cut]] = n
	}
	for row, found := range have {
		if len(found) > want[row] {
			t.Errorf("%s: %d forms that docs/style.md refuses, %d before:\n%s", row, len(found), want[row], strings.Join(found, "\n"))
		}
	}
	if *list != "" {
		for _, row := range slices.Sorted(maps.Keys(have)) {
			for _, found := range have[row] {
				if strings.HasPrefix(found, *list) {
					t.Log(found)
				}
			}
		}
	}
	if *update && !t.Failed() {
		var lines []string
		for _, row := range slices.Sorted(maps.Keys(have)) {
			lines = append(lines, fmt.Sprintf("%s\t%d\n", row, len(have[row])))
		}
		if err := os.WriteFile(path.Join(root, wordsFile), []byte(strings.Join(lines, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
