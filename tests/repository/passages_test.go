package repository

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// notOurWords matches files that the rules of docs/style.md do not cover: quotations, generated
// files, licences, and the style guide itself, which lists the refused forms.
var notOurWords = regexp.MustCompile(`(^|/)testdata/|^docs/(man/|style\.md|checks\.md|states\.md|ipaddr2\.md|adr/README\.md)|^LICENSE|^metadata/documents/`)

// A passage is a comment, a message, or a paragraph of a document. Each item of a list and each row
// of a table is a paragraph.
type passage struct {
	kind string // message, comment, document
	file string
	line int
	text string
}

var inlineCode = regexp.MustCompile("`[^`]*`")

// words returns the text of the passage, with an x instead of each piece of code.
func (p passage) words() string { return inlineCode.ReplaceAllString(p.text, "x") }

// passages returns all passages of the given files, sorted by file and line: comments and string
// literals of Go files, comments of scripts, and paragraphs of Markdown files.
func passages(files map[string]string) []passage {
	var all []passage
	for name, text := range files {
		switch {
		case notOurWords.MatchString(name):
		case strings.HasSuffix(name, ".go"):
			all = append(all, ofGo(name, text)...)
		case strings.HasSuffix(name, ".md"):
			all = append(all, ofMarkdown(name, text)...)
		case isScript(name, text):
			all = append(all, ofScript(name, text)...)
		}
	}
	slices.SortStableFunc(all, func(a, b passage) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line)) })
	return all
}

// isScript reports whether a file is a shell script or the Makefile. In these files, comments begin
// with #.
func isScript(name, text string) bool {
	return strings.HasPrefix(text, "#!") || name == "Makefile"
}

// ofGo returns the passages of a Go file. Each paragraph of a comment is a passage. String literals
// with a blank are passages too, but not in files of tests.
func ofGo(name, text string) []passage {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments)
	if err != nil {
		return []passage{{"comment", name, 1, err.Error()}}
	}
	var all []passage
	for _, group := range file.Comments {
		b := builder{kind: "comment", file: name, line: set.Position(group.Pos()).Line}
		for line := range strings.Lines(group.Text()) {
			b.addComment(line)
		}
		all = append(all, b.all()...)
	}
	if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "tests/") || strings.HasSuffix(path.Dir(name), "test") {
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

// ofScript returns the comments of a script or of the Makefile as passages.
func ofScript(name, text string) []passage {
	b := builder{kind: "comment", file: name}
	for i, line := range strings.Split(text, "\n") {
		comment, ok := strings.CutPrefix(strings.TrimSpace(line), "#")
		if !ok || strings.HasPrefix(line, "#!") || strings.HasPrefix(comment, " shellcheck ") {
			b.flush()
			continue
		}
		b.at(i + 1)
		b.addComment(strings.TrimPrefix(comment, " "))
	}
	return b.all()
}

// item matches the first line of a list item.
var item = regexp.MustCompile(`^\s*([-*]|\d+\.) `)

// ofMarkdown returns the paragraphs of a Markdown file as passages. It leaves out code blocks.
func ofMarkdown(name, text string) []passage {
	b := builder{kind: "document", file: name}
	code := false
	for i, line := range strings.Split(text, "\n") {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence {
			code = !code
		}
		if fence || code || strings.TrimSpace(line) == "" {
			b.flush()
			continue
		}
		if strings.HasPrefix(line, "|") {
			b.flush()
			b.at(i + 1)
			if strings.Trim(line, "|-: ") != "" {
				b.add(strings.Trim(line, "| "))
			}
			b.flush()
			continue
		}
		if item.MatchString(line) {
			b.flush()
		}
		b.at(i + 1)
		b.add(line)
		if strings.HasPrefix(line, "#") {
			b.flush()
		}
	}
	return b.all()
}

// A builder collects the lines of a file and joins them to passages.
type builder struct {
	kind, file string
	line       int // line number of the first line of the next passage
	lines      []string
	passages   []passage
}

// at sets the line number of the next passage. If the passage already has a line, at does nothing.
func (b *builder) at(line int) {
	if b.lines == nil {
		b.line = line
	}
}

func (b *builder) add(line string) { b.lines = append(b.lines, line) }

// addComment adds one line of a comment. An empty line or the first line of a list item ends the
// current passage. Lines that begin with a tab are code, and addComment ignores them.
func (b *builder) addComment(line string) {
	switch {
	case item.MatchString(line) || strings.TrimSpace(line) == "":
		b.flush()
	case strings.HasPrefix(line, "\t"):
		return
	}
	b.add(line)
}

// flush ends a passage.
func (b *builder) flush() {
	if text := strings.Join(strings.Fields(strings.Join(b.lines, " ")), " "); text != "" {
		b.passages = append(b.passages, passage{b.kind, b.file, b.line, text})
	}
	b.lines = nil
}

func (b *builder) all() []passage {
	b.flush()
	return b.passages
}

// maxColumns is how many columns a line of a comment or of Markdown can have.
const maxColumns = 100

var (
	target    = regexp.MustCompile(`\]\([^)]*\)|https?://\S+`)
	directive = regexp.MustCompile(`^\s*(//(go:|nolint|lint:)|# shellcheck )`)
)

// longLines returns an error text for each line of a comment or of Markdown that has more than
// maxColumns columns, by the kind of text. It ignores tables, code blocks, links and generated
// files.
func longLines(files map[string]string) map[string][]string {
	long := map[string][]string{}
	for name, text := range files {
		if notOurWords.MatchString(name) || isGenerated(name, text[:min(len(text), 400)]) {
			continue
		}
		kind, lines := proseLines(name, text)
		for _, i := range lines {
			if n := utf8.RuneCountInString(target.ReplaceAllString(i.text, "")); n > maxColumns {
				long[kind] = append(long[kind], fmt.Sprintf("%s:%d: %s, line of %d columns", name, i.number, kind, n))
			}
		}
	}
	for _, found := range long {
		slices.Sort(found)
	}
	return long
}

type numbered struct {
	number int
	text   string
}

// proseLines returns the lines of a file that can have at most maxColumns columns: lines of
// comments or of Markdown. kind is "comment" or "document".
func proseLines(name, text string) (kind string, prose []numbered) {
	comment := "//"
	switch {
	case strings.HasSuffix(name, ".md"):
		code := false
		for i, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				code = !code
			}
			if !code && !strings.HasPrefix(line, "|") {
				prose = append(prose, numbered{i + 1, line})
			}
		}
		return "document", prose
	case isScript(name, text):
		comment = "#"
	case !strings.HasSuffix(name, ".go"):
		return "comment", nil
	}
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), comment) && !directive.MatchString(line) {
			prose = append(prose, numbered{i + 1, line})
		}
	}
	return "comment", prose
}

var (
	draw  = flag.Int("draw", 0, "print so many passages, drawn at random")
	seed  = flag.Uint64("seed", 1, "which passages -draw prints")
	under = flag.String("under", "", "draw from the files whose path begins so")
)

// TestDraw prints passages that are drawn at random. The script tests/passages calls it.
func TestDraw(t *testing.T) {
	if *draw == 0 {
		return
	}
	files := repository(t)
	drawn := drawPassages(passages(files), *under, *seed, *draw)
	fmt.Printf("seed %d, %d passages\n", *seed, len(drawn))
	for i, p := range drawn {
		fmt.Printf("\n%d. %s:%d (%s)\n%s%s\n", i+1, p.file, p.line, p.kind, place(strings.Split(files[p.file], "\n"), p), p.text)
	}
}

// place returns the text around a passage that shows the reader where the passage is. For a comment
// or a message, the text is the line of code. For a document, it is the heading above the passage,
// and the header row of its table.
func place(lines []string, p passage) string {
	if p.kind == "document" {
		return headings(lines[:p.line-1], strings.HasPrefix(lines[p.line-1], "|"))
	}
	for _, line := range lines[p.line-1:] {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "//") || strings.HasPrefix(line, "#") {
			continue
		}
		if line == "" {
			break
		}
		return "[" + line + "]\n"
	}
	return ""
}

// headings returns the last heading in the lines above a passage. If the passage is in a table,
// headings also returns the table's header row.
func headings(above []string, inTable bool) string {
	var heading, header string
	for _, line := range above {
		switch {
		case strings.HasPrefix(line, "#"):
			heading = "[" + line + "]\n"
		case !strings.HasPrefix(line, "|"):
			header = ""
		case header == "":
			header = "[" + line + "]\n"
		}
	}
	if inTable {
		return heading + header
	}
	return heading
}

func TestPlace(t *testing.T) {
	page := strings.Split("# A title\n\n| old | new |\n|---|---|\n| a | b |\n\ntext", "\n")
	program := strings.Split("// Limit is long.\n// And constant.\nconst Limit = 3 // in seconds\n\n// end", "\n")
	for _, c := range []struct {
		lines []string
		p     passage
		want  string
	}{
		{page, passage{kind: "document", line: 5}, "[# A title]\n[| old | new |]\n"},
		{page, passage{kind: "document", line: 7}, "[# A title]\n"},
		{program, passage{kind: "comment", line: 1}, "[const Limit = 3 // in seconds]\n"},
		{program, passage{kind: "comment", line: 3}, "[const Limit = 3 // in seconds]\n"},
		{program, passage{kind: "comment", line: 5}, ""},
	} {
		if got := place(c.lines, c.p); got != c.want {
			t.Errorf("line %d: got %q, want %q", c.p.line, got, c.want)
		}
	}
}

// drawPassages returns n passages in random order, from the files whose path begins with under.
// Each passage has at least five words.
func drawPassages(all []passage, under string, seed uint64, n int) []passage {
	all = slices.DeleteFunc(slices.Clone(all), func(p passage) bool {
		return !strings.HasPrefix(p.file, under) || len(strings.Fields(p.text)) < 5
	})
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

func TestPassagesOfMarkdown(t *testing.T) {
	text := "# A title\n\nA paragraph\nof `two words` lines.\n* an item\n  with more\n* another\n\n```\ncode\n```\n| a cell | `b` |\n|---|---|\n"
	want := []passage{
		{"document", "x.md", 1, "# A title"},
		{"document", "x.md", 3, "A paragraph of `two words` lines."},
		{"document", "x.md", 5, "* an item with more"},
		{"document", "x.md", 7, "* another"},
		{"document", "x.md", 12, "a cell | `b`"},
	}
	if got := ofMarkdown("x.md", text); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPassagesOfComments(t *testing.T) {
	want := []passage{{"comment", "x", 2, "First and second."}, {"comment", "x", 6, "Third."}}
	if got := ofScript("x", "#!/bin/sh\n# First\n# and second.\n#\tcode\nset -eu\n# Third.\n"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLongLines(t *testing.T) {
	wide := strings.Repeat("wide ", 21)
	for name, text := range map[string]string{
		"x.md":     wide,
		"x.go":     "package x\n\n// " + wide + "\nvar x = 1 // short\n",
		"x":        "#!/bin/sh\n# " + wide,
		"table.md": "| " + wide + "|\n```\n" + wide + "\n```\n[x](https://" + strings.Repeat("long", 30) + ")\n",
		"code.go":  "package x\n\nconst x = `" + wide + "`\n",
	} {
		want := 1
		if name == "table.md" || name == "code.go" {
			want = 0
		}
		got := longLines(map[string]string{name: text})
		if n := len(got["comment"]) + len(got["document"]); n != want {
			t.Errorf("%s: %q, want %d", name, got, want)
		}
	}
}
