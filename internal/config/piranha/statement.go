package piranha

import (
	"fmt"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// statement is one of three things: "key = values", the start of a block, or the end of a block.
type statement struct {
	line   int
	key    string   // key is the word before "=", or the kind of the block. It is "}" at the end of a block.
	values []string // values are the words after "=", or the name of the block.
	block  bool     // block says that the statement starts a block.
}

// word is a word of a line. A quoted word has lost its quotes.
type word struct {
	text   string
	quoted bool
}

// blocks are the kinds of blocks in lvs.cf.
var blocks = map[string]bool{"virtual": true, "failover": true, "server": true}

// statements returns the statements of the text. piranha wants one statement on each line, and
// blanks around "=" and braces. If a line has several statements or lacks blanks, only one reading
// is possible: statements reports the repair.
func (p *parser) statements(text string) []statement {
	var all []statement
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(strings.TrimSuffix(line, "\r"))
		if line == "" || line[0] == '#' {
			continue
		}
		words, changed := p.words(n+1, line)
		found := p.group(n+1, words)
		if changed || len(found) > 1 {
			var after []string
			for _, s := range found {
				after = append(after, s.String())
			}
			p.problems.Add(config.Problem{
				File: p.config.File, Line: n + 1, Severity: config.Repaired,
				What: "the line is not in the form of lvs.cf", Before: line, After: strings.Join(after, "  |  "),
			})
		}
		all = append(all, found...)
	}
	return all
}

// String returns the statement as lvs.cf has it.
func (s statement) String() string {
	switch {
	case s.block:
		return s.key + " " + strings.Join(s.values, " ") + " {"
	case s.key == "}":
		return s.key
	}
	return s.key + " = " + strings.Join(s.values, " ")
}

// words splits a line. It reports whether it has separated words that were not separated by a
// blank, or has left out a comment.
func (p *parser) words(n int, line string) (words []word, changed bool) {
	for line != "" {
		if line[0] == '"' || line[0] == '\'' {
			text, rest, closed := strings.Cut(line[1:], line[:1])
			if !closed {
				p.report(n, config.Error, fault.New("a quote is not closed", "close it on the same line"))
			}
			words, line = append(words, word{text, true}), strings.TrimLeft(rest, " \t")
			continue
		}
		end := strings.IndexAny(line, " \t")
		if end < 0 {
			end = len(line)
		}
		text, rest := line[:end], strings.TrimLeft(line[end:], " \t")
		if strings.HasPrefix(text, "#") || strings.HasPrefix(text, "//") {
			return words, true
		}
		parts := glued(text)
		words, changed, line = append(words, parts...), changed || len(parts) > 1, rest
	}
	return words, changed
}

// glued splits a word at braces, and at "=" after a key of lvs.cf.
func glued(text string) []word {
	var parts []word
	if key, value, found := strings.Cut(text, "="); found && known(key) && text != "=" {
		parts = append(parts, word{text: key}, word{text: "="})
		if text = value; text == "" {
			return parts
		}
	}
	for text != "" {
		at := strings.IndexAny(text, "{}")
		switch at {
		case -1:
			return append(parts, word{text: text})
		case 0:
			parts, text = append(parts, word{text: text[:1]}), text[1:]
		default:
			parts, text = append(parts, word{text: text[:at]}), text[at:]
		}
	}
	return parts
}

// group makes statements from the words of a line.
func (p *parser) group(n int, words []word) []statement {
	var all []statement
	for len(words) > 0 {
		first := words[0]
		switch {
		case first.text == "}" && !first.quoted:
			all, words = append(all, statement{line: n, key: "}"}), words[1:]
		case opens(words):
			all, words = append(all, statement{line: n, key: first.text, values: []string{words[1].text}, block: true}), words[3:]
		case len(words) > 1 && words[1] == (word{text: "="}):
			s := statement{line: n, key: first.text}
			for words = words[2:]; len(words) > 0 && !begins(words); words = words[1:] {
				s.values = append(s.values, words[0].text)
			}
			all = append(all, s)
		default:
			p.report(n, config.Error, fault.New(fmt.Sprintf("%s is not \"key = value\", the start of a block or its end", fault.Quote(first.text)),
				"write one statement, or delete the line"))
			return all
		}
	}
	return all
}

func opens(words []word) bool {
	return len(words) > 2 && blocks[words[0].text] && !words[1].quoted && words[2] == (word{text: "{"})
}

// begins reports whether the words begin a statement.
func begins(words []word) bool {
	return words[0] == (word{text: "}"}) || opens(words) || len(words) > 1 && words[1] == (word{text: "="})
}
