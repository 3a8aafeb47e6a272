package keepalived

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// Files finds and reads the files that a statement include names.
type Files struct {
	Glob func(pattern string) ([]string, error) // Glob returns the paths that match, as filepath.Glob.
	Read func(path string) ([]byte, error)
}

// Limits of the files that a file includes. keepalived has no limits, and it ends at a cycle.
const (
	mostIncludes     = 32       // mostIncludes is how deep files include files.
	mostFiles        = 1024     // mostFiles is the number of included files.
	mostIncludedText = 16 << 20 // mostIncludedText is the length of all included files.
)

// part is an included file. Its lines have numbers after the lines of the first file.
type part struct {
	file    string
	first   int // first is the number of its first line.
	include int // include is the line of the first file that includes it.
}

var includeKeywords = []string{"include", "includer", "includem", "includew", "includeb", "includea"}

// includes reports whether a statement reads another file.
func includes(s *statement) bool { return slices.Contains(includeKeywords, s.key()) }

// pattern returns the keyword and the pattern of a line with a statement include. keepalived wants
// one pattern.
func pattern(line string) (keyword, pattern string, found bool) {
	at := strings.IndexAny(line, " \t")
	if at < 0 || !slices.Contains(includeKeywords, line[:at]) {
		return "", "", false
	}
	keyword, line = line[:at], strings.TrimLeft(line[at:], " \t")
	if line == "" {
		return "", "", false
	}
	if line[0] == '"' || line[0] == '\'' {
		pattern, line = quoted(line)
	} else {
		var comment bool
		if pattern, line, comment = plain(line, true); comment {
			line = ""
		}
	}
	line = strings.TrimSpace(line)
	return keyword, pattern, pattern != "" && (line == "" || line[0] == '#' || line[0] == '!')
}

// include adds the lines of the files that a line includes. It reports whether the line is a
// statement include. keepalived reads this statement before it replaces parameters.
func (e *expander) include(n int, line string, open []string) bool {
	keyword, pattern, found := pattern(line)
	if !found || e.files == nil {
		return false
	}
	title := keyword + " " + fault.Short(secretless(pattern))
	fail := func(what, fix string) bool {
		e.report(n, config.Error, fault.New(title+": "+what, fix))
		e.full = true
		return true
	}
	skip := func(what, suffixes string) {
		severity := config.Warning
		if strings.HasSuffix(keyword, "a") || strings.ContainsAny(keyword[len("include"):], suffixes) {
			severity = config.Error
		}
		e.report(n, severity, fault.New(title+": "+what, "correct the name, or delete the line"))
	}
	if len(open) > mostIncludes {
		return fail(fmt.Sprintf("files include files more than %d times", mostIncludes), "write the text into one file")
	}
	paths := e.matches(pattern, filepath.Dir(open[len(open)-1]))
	if len(paths) == 0 {
		skip("no file matches, and keepalived continues without it", "mwb")
	}
	for _, path := range paths {
		if slices.Contains(open, path) {
			return fail("the file "+fault.Printable(path)+" includes itself", "delete the line")
		}
		text, err := e.files.Read(path)
		if err != nil {
			skip(fault.Printable(err.Error())+", and keepalived continues without the file", "r")
			continue
		}
		if e.included += len(text); e.included > mostIncludedText || len(e.parts) == mostFiles {
			return fail(fmt.Sprintf("more than %d files or %d MiB", mostFiles, mostIncludedText>>20), "divide the file")
		}
		e.enter(path, string(text), e.own(n), open)
		if e.full {
			break
		}
	}
	return true
}

// enter adds the lines of an included file.
func (e *expander) enter(path, text string, include int, open []string) {
	first := e.next
	e.parts = append(e.parts, part{path, first, include})
	directory, found := e.defined["_PWD"]
	e.text(first, path, text, open)
	if found {
		e.defined["_PWD"] = directory
	} else {
		delete(e.defined, "_PWD")
	}
}

// matches returns the files that a pattern of keepalived matches: glob(7), and braces.
func (e *expander) matches(pattern, directory string) []string {
	var paths []string
	for _, p := range alternatives(pattern) {
		p = strings.ReplaceAll(p, "[!", "[^")
		if !filepath.IsAbs(p) {
			p = filepath.Join(directory, p)
		}
		found, err := e.files.Glob(p)
		if err != nil {
			continue // glob(7) takes a wrong pattern as a name.
		}
		for _, path := range found {
			hidden := strings.HasPrefix(filepath.Base(path), ".") && !strings.HasPrefix(filepath.Base(p), ".")
			if !hidden {
				paths = append(paths, filepath.Clean(path))
			}
		}
	}
	return paths
}

// alternatives returns the patterns of a pattern with braces: "a{b,c}" is "ab" and "ac".
func alternatives(pattern string) []string {
	done, todo := []string{}, []string{pattern}
	for len(todo) > 0 && len(done)+len(todo) <= mostFiles {
		next := todo[0]
		todo = todo[1:]
		end := strings.Index(next, "}")
		start := strings.LastIndex(next[:max(end, 0)], "{")
		if start < 0 {
			done = append(done, next)
			continue
		}
		var all []string
		for word := range strings.SplitSeq(next[start+1:end], ",") {
			all = append(all, next[:start]+word+next[end+1:])
		}
		todo = append(all, todo...)
	}
	return done
}

// part returns the included file that has a line, or nil for the first file.
func (p *parser) part(line int) *part {
	for i := len(p.parts) - 1; i >= 0; i-- {
		if p.parts[i].first <= line {
			return &p.parts[i]
		}
	}
	return nil
}

// own returns the line of the first file for a line, which can be in an included file.
func (p *parser) own(line int) int {
	if part := p.part(line); part != nil {
		return part.include
	}
	return line
}

// inFile returns the number that a line has in its file.
func (p *parser) inFile(line int) int {
	if part := p.part(line); part != nil {
		return line - part.first + 1
	}
	return line
}

// place gives each problem the file and the line of its text.
func (p *parser) place(problems []config.Problem) []config.Problem {
	for i, problem := range problems {
		if part := p.part(problem.Line); part != nil {
			problems[i].File, problems[i].Line = part.file, p.inFile(problem.Line)
		}
	}
	return problems
}
