// Package pages reads documents with commands: the tutorial, the how-tos and the README. It returns
// each command, and the output that the document shows after the command. tests/cluster runs the
// commands and compares the outputs.
package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Step is one command of a page, with the output that the page shows.
type Step struct {
	Host    string // name in the prompt of the command: director1, directors, rs, client and so on
	RHEL    bool   // the command is for the RHEL family, instead of the command before it
	Command string // the command line, and the lines of its here-document
	Output  []string
	Line    int    // line number of the command in the page
	Section string // heading above the command, without the number signs
}

// Page is a document with commands.
type Page struct {
	Name  string // docs/tutorial.md
	Steps []Step
}

// All returns all pages with commands. Of the tutorial and the how-tos, it reads every code block.
// Of the README, it reads the code blocks that have prompts. root is the directory of the
// repository.
func All(root string) ([]Page, error) {
	howtos, err := filepath.Glob(filepath.Join(root, "docs/howto/*.md"))
	if err != nil {
		return nil, err
	}
	var all []Page
	for _, path := range append([]string{filepath.Join(root, "README.md"), filepath.Join(root, "docs/tutorial.md")}, howtos...) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return nil, err
		}
		steps, err := Parse(string(text), name == "README.md")
		if err != nil {
			return nil, fmt.Errorf("%s:%w", name, err)
		}
		all = append(all, Page{name, steps})
	}
	return all, nil
}

var (
	prompt = regexp.MustCompile(`^(RHEL )?(directors|director1|director2|rs|rs1|rs2|client)[#$] (.+)$`)
	here   = regexp.MustCompile(`<<'(\w+)'`)
)

// Parse returns the commands in the code blocks of a page. Each block must begin with a prompt.
// With some=true, Parse skips blocks without a prompt. Parse always skips a block that names a
// language, for example xml.
func Parse(text string, some bool) ([]Step, error) {
	var steps []Step
	section := ""
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if strings.HasPrefix(lines[i], "#") {
			section = strings.TrimLeft(lines[i], "# ")
		}
		if !strings.HasPrefix(lines[i], "```") {
			continue
		}
		begin := i + 1
		end := begin
		for end < len(lines) && lines[end] != "```" {
			end++
		}
		if end == len(lines) {
			return nil, fmt.Errorf("%d: the block does not end", begin)
		}
		i = end
		if lines[begin-1] != "```" || some && !prompt.MatchString(lines[begin]) {
			continue
		}
		found, err := block(lines[begin:end], begin+1)
		if err != nil {
			return nil, err
		}
		for _, step := range found {
			step.Section = section
			steps = append(steps, step)
		}
	}
	return steps, nil
}

// block returns the commands of one code block. first is the number of its first line in the page.
func block(lines []string, first int) ([]Step, error) {
	var steps []Step
	for i := 0; i < len(lines); i++ {
		match := prompt.FindStringSubmatch(lines[i])
		if match == nil {
			if len(steps) == 0 {
				return nil, fmt.Errorf("%d: %q has no prompt", first+i, lines[i])
			}
			last := &steps[len(steps)-1]
			last.Output = append(last.Output, lines[i])
			continue
		}
		step := Step{Host: match[2], RHEL: match[1] != "", Command: match[3], Line: first + i}
		for mark := here.FindStringSubmatch(step.Command); mark != nil || strings.HasSuffix(step.Command, "\\"); {
			i++
			if i == len(lines) {
				return nil, fmt.Errorf("%d: the command does not end", step.Line)
			}
			step.Command += "\n" + lines[i]
			if mark != nil && lines[i] == mark[1] {
				break
			}
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// alike lists patterns of text that differs from run to run, for example times. Shows treats all
// text that matches one pattern as equal.
var alike = []struct {
	form *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`( (?:Route|Masq|Tunnel|Local) +\d+) +\d+ +\d+ *$`), "$1 N N"},
	{regexp.MustCompile(`( (?:Route|Masq|Tunnel|Local) +\S+) +[-\d]+ +[-\d]+ +[-\d]+ +(good|bad|unknown|fallback)\b`), "$1 N N N $2"},
	{regexp.MustCompile(`\b(directord|lvsctl) [\d.]\S*`), "$1 V"},
	{regexp.MustCompile(`\bprocess \d+`), "process N"},
	{regexp.MustCompile(`\b(\d+h)?(\d+m)?\d+(\.\d+)?(ms|s)\b`), "T"},
	{regexp.MustCompile(`\x1b\[\d*m`), ""},
	{regexp.MustCompile(`\s+`), " "},
}

// Shows reports whether the output of a command is the output that the page shows. In the page, a
// line of three dots means any number of lines, and three dots in a line mean any text. Times,
// counters of connections, blanks, colours, process ids and versions can differ.
func (s Step) Shows(output string) bool {
	var form strings.Builder
	for _, line := range s.Output {
		if line == "..." {
			form.WriteString(`(?:.*\n)*?`)
			continue
		}
		form.WriteString(strings.ReplaceAll(regexp.QuoteMeta(plain(line)), `\.\.\.`, ".*") + `\n`)
	}
	var got strings.Builder
	for line := range strings.SplitSeq(strings.TrimRight(output, "\n"), "\n") {
		if output != "" {
			got.WriteString(plain(line) + "\n")
		}
	}
	ok, err := regexp.MatchString(`^`+form.String()+`$`, got.String())
	return ok && err == nil
}

func plain(line string) string {
	for _, part := range alike {
		line = part.form.ReplaceAllString(line, part.as)
	}
	return strings.TrimSpace(line)
}
