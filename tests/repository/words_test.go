package repository

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// phrases lists the forms that docs/style.md refuses. Each one has the violated rule or a better
// form.
var phrases = []struct {
	name string
	form *regexp.Regexp
	rule string
}{
	{"tells whether", regexp.MustCompile(`(?i)\b(tells?|says?) whether\b`), "reports whether"},
	{"is no", regexp.MustCompile(`(?i)\b(?:is|are|was|were|be) no(?: [a-z]|$)`), "is not a"},
	{"is none", regexp.MustCompile(`(?i)\b(is|are|was|were) (none|nothing)\b`), "name what is missing, or: unknown …"},
	{"behind", regexp.MustCompile(`(?i)(?:^|[^\w-])behind\b`), "after, or name the place"},
	{"nobody", regexp.MustCompile(`(?i)\b(nobody|somebody|whoever|anybody|everybody|no one|whatever|wherever)\b`), "name the actor or the thing"},
	{"that of", regexp.MustCompile(`(?i)\b(that|those) of\b`), "name the noun"},
	{"by itself", regexp.MustCompile(`(?i)\bby (itself|themselves)\b`), "on its own, separately, alone"},
	{"shall", regexp.MustCompile(`(?i)\bshall\b`), "must, can, will"},
	{"for ever", regexp.MustCompile(`(?i)\bfor ever\b`), "forever, or without limit"},
	{"of ours", regexp.MustCompile(`(?i)\b(of|none of|all of) (ours|theirs|its own|his)\b`), "name the owner"},
	{"what is", regexp.MustCompile(`(?i)\bwhat (is|are|was)\b`), "name the noun"},
	{"such a", regexp.MustCompile(`(?i)\bsuch (a|an|one|ones)\b`), "name the noun"},
	{"nor", regexp.MustCompile(`(?i)(^|[.;] )nor\b`), "write a sentence with not"},
	{"one that", regexp.MustCompile(`(?:^|[.:;] )(One that|One of|That is|That one|The one|Others|(?:Those|These) (?:are|were|have|had|can|do|will|must|of|that|who|which))\b`), "begin with the noun"},
	{"of which", regexp.MustCompile(`(?i)\b(of|for|from|by|in|to|with|over|at) (which|whom)\b`), "two sentences, or where"},
	{"goes on", regexp.MustCompile(`(?i)\b(goes|go|went|going) on\b`), "continues"},
	{"stands", regexp.MustCompile(`(?i)\b(stands?|stood) (still|in|there|as|at|on|for)\b`), "hangs, is stopped, is"},
	{"gets to know", regexp.MustCompile(`(?i)\b(gets? to know|knows? nothing|is known|are known|nothing is known)\b`), "the field's word: read, receive, unknown"},
	{"said of", regexp.MustCompile(`(?i)\b(says? of|said of|said about|says so|said so|is said)\b`), "reports, shows, logs"},
	{"ask", regexp.MustCompile(`(?i)\b(ask|asks|asked|asking)\b`), "query, request, read"},
	{"look", regexp.MustCompile(`(?i)\b(look|looks|looked|looking) (at|for|in|into|once|again)\b`), "read, check, search, or name who reads"},
	{"hear", regexp.MustCompile(`(?i)\b(hear|hears|heard)\b`), "receive"},
	{"beside", regexp.MustCompile(`(?i)\bbeside\b`), "next to, alongside, compared with, except"},
	{"anew", regexp.MustCompile(`(?i)\banew\b`), "again"},
	{"also if", regexp.MustCompile(`(?i)\balso (if|when|where|while|after|without|with)\b`), "even if, even when"},
	{"but for", regexp.MustCompile(`(?i)\b(all|every|everything|nothing|anything)( \w+)? but\b`), "except, only"},
	{"became of", regexp.MustCompile(`(?i)\b(become|becomes|became) of\b`), "name the event"},
	{"all that", regexp.MustCompile(`(?i)\ball that (is|are|was|were|the|a|it|they)\b`), "everything that, or name the things"},
	{"in the place of", regexp.MustCompile(`(?i)\bin (the place of|its place|their place)\b`), "instead of"},
	{"beneath", regexp.MustCompile(`(?i)\b(beneath|thereby|therein|whereof|hereby|thereof|whence)\b`), "name the noun"},
}

// english matches correct forms that contain a refused form, for example "there is no".
var english = regexp.MustCompile(`(?i)\b(there (is|are|was|were|can be|must be) no\b|(is|are|was|were) no longer\b)`)

// faults returns a text for each refused form in a passage.
func faults(p passage) []string {
	var all []string
	for _, phrase := range phrases {
		for _, match := range phrase.form.FindAllString(english.ReplaceAllString(p.words(), ""), -1) {
			all = append(all, fmt.Sprintf("%s:%d: %s %q: %s", p.file, p.line, p.kind, match, phrase.rule))
		}
	}
	return all
}

var list = flag.String("words", "", "list the refused forms of the files whose path begins so")

const wordsFile = "tests/repository/testdata/words.tsv"

// counted returns all refused forms, long lines and long sentences, by the row of words.tsv that
// counts them: a directory and a kind of text.
func counted(files map[string]string) map[string][]string {
	rows := map[string][]string{}
	add := func(kind string, found []string) {
		for _, finding := range found {
			file, _, _ := strings.Cut(finding, ":")
			row := path.Dir(file) + "\t" + kind
			rows[row] = append(rows[row], finding)
		}
	}
	for _, p := range passages(files) {
		add(p.kind, faults(p))
		add(p.kind+", long sentences", longSentences(p))
	}
	for kind, found := range longLines(files) {
		add(kind+", long lines", found)
	}
	return rows
}

// maxWords is how many words a sentence can have.
const maxWords = 25

var endOfSentence = regexp.MustCompile(`[.!?:;]["')”*_]*(\s|$)| \| `)

// mark matches the sign at the beginning of a list item or of a heading.
var mark = regexp.MustCompile(`^\s*([-*]|#+|\d+\.) `)

// longSentences returns a text for each sentence of a passage that has more than maxWords words. A
// colon, a semicolon and the end of a table cell end a sentence, too.
func longSentences(p passage) []string {
	var all []string
	for _, sentence := range endOfSentence.Split(p.words(), -1) {
		if words := strings.Fields(mark.ReplaceAllString(sentence, "")); len(words) > maxWords {
			all = append(all, fmt.Sprintf("%s:%d: %s of %d words: %q", p.file, p.line, p.kind, len(words), strings.Join(words[:8], " ")+" …"))
		}
	}
	return all
}

// TestGeneratedCountsOfRefusedForms compares the numbers of refused forms with words.tsv. A number
// can only fall. "make docs" stores the lower number. For a directory without a row, the number is
// zero.
func TestGeneratedCountsOfRefusedForms(t *testing.T) {
	files := repository(t)
	have := counted(files)
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
			t.Errorf("%s: %d faults after docs/style.md, %d before; list yours: go test ./tests/repository -run TestGeneratedCounts -v -args -words PATH", row, len(found), want[row])
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

func TestLongSentences(t *testing.T) {
	words := strings.Repeat("word ", maxWords)
	for _, row := range []struct {
		text string
		want int
	}{
		{words, 0},
		{words + "more.", 1},
		{words + "; " + words, 0},
		{"One. " + words + "more. Two", 1},
	} {
		if got := longSentences(passage{text: row.text}); len(got) != row.want {
			t.Errorf("%q: %d long sentences, want %d", row.text, len(got), row.want)
		}
	}
}

func TestRefusedForms(t *testing.T) {
	for text, want := range map[string]int{
		"isReady tells whether it runs": 1,
		"there is no table":             0,
		"the reply is no URL":           1,
		"a field behind the colon":      1,
		"also if it is gone":            1,
		"the daemon looks a name up":    0,
		"the daemon looks at the file":  1,
		"everything but the address":    1,
		"all files, but not this one":   0,
	} {
		if got := faults(passage{text: text}); len(got) != want {
			t.Errorf("%q: %q, want %d", text, got, want)
		}
	}
}
