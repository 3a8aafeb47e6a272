package keepalived

import (
	"slices"
	"strings"
	"unicode/utf8"

	"lvs-agents/internal/config"
)

// word is a word of a line. A quoted word has lost its quotes.
type word struct {
	text   string
	quoted bool
}

func (w word) brace() bool { return !w.quoted && (w.text == "{" || w.text == "}") }

// programs are the keywords whose arguments can have "//" or braces.
var programs = []string{
	"path", "script", "misc_path", "regex", "notify", "notify_up", "notify_down", "notify_master", "notify_backup", "notify_fault",
	"notify_stop", "quorum_up", "quorum_down", "auth_pass", "payload",
}

// words splits a line into words and a comment.
func words(line string) (words []word, comment string) {
	for line != "" {
		if len(words) > 0 && (line[0] == '"' || line[0] == '\'') {
			text, rest := quoted(line)
			words, line = append(words, word{text, true}), strings.TrimLeft(rest, blanks)
			continue
		}
		text, rest, ends := plain(line, len(words) > 0 && slices.Contains(programs, words[0].text))
		words = append(words, split(text)...)
		if ends {
			return words, rest
		}
		line = strings.TrimLeft(rest, blanks)
	}
	return words, ""
}

// blanks are the characters that divide keepalived's words.
const blanks = " \t\v\f\r"

// quoted returns the text of the quoted word at the start of a line, and the rest of the line.
func quoted(line string) (text, rest string) {
	var b strings.Builder
	for i := 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == line[0]:
			return b.String(), line[i+1:]
		case c == '\\' && i+1 < len(line) && (line[i+1] == line[0] || line[i+1] == '\\'):
			i++
			b.WriteByte(line[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

// plain returns the word at the start of a line, and the rest of the line. If a comment follows
// the word, the rest is the comment. verbatim says that "//" begins no comment.
func plain(line string, verbatim bool) (text, rest string, comment bool) {
	for i := range len(line) {
		escaped := i > 0 && line[i-1] == '\\'
		switch c := line[i]; {
		case strings.IndexByte(blanks, c) >= 0:
			return line[:i], line[i:], false
		case (c == '#' || c == '!') && !escaped:
			return line[:i], line[i:], true
		case !verbatim && strings.HasPrefix(line[i:], "//") && (i == 0 || line[i-1] != ':'):
			return line[:i], line[i:], true
		}
	}
	return line, "", false
}

// split separates braces at the ends of a word.
func split(text string) []word {
	var first, last []word
	if strings.Contains(text, `\`) {
		text = strings.NewReplacer(`\#`, "#", `\!`, "!").Replace(text)
	}
	for text != "" && (text[0] == '{' || text[0] == '}') && !strings.HasPrefix(text, "${") {
		first, text = append(first, word{text: text[:1]}), text[1:]
	}
	for text != "" && !strings.Contains(text, "${") {
		end := text[len(text)-1]
		if end != '{' && end != '}' {
			break
		}
		last, text = append(last, word{text: text[len(text)-1:]}), text[:len(text)-1]
	}
	if text != "" {
		first = append(first, word{text: text})
	}
	slices.Reverse(last)
	return append(first, last...)
}

// hidden returns the statement at the end of a comment that has lost its line break. The comment
// has "//". The word before its last word ends in a keyword of the open block: "//RS1weight 1".
func (r *reader) hidden(words []word, comment string) []word {
	_, comment, found := strings.Cut(comment, "//")
	fields := strings.Fields(comment)
	if !found || len(fields) < 2 {
		return nil
	}
	at := r.top().block
	if len(words) > 0 && words[len(words)-1].text == "{" {
		at = r.grammar.kind(at, words[0].text)
	}
	last := fields[len(fields)-2]
	longest := ""
	for keyword := range r.grammar[at] {
		if len(keyword) > len(longest) && len(keyword) < len(last) && strings.HasSuffix(last, keyword) {
			longest = keyword
		}
	}
	before, _ := utf8.DecodeLastRuneInString(strings.TrimSuffix(last, longest))
	if longest == "" || before < utf8.RuneSelf && !strings.Contains(longest, "_") {
		return nil
	}
	return []word{{text: longest}, {text: fields[len(fields)-1]}}
}

// oneEdit reports whether one inserted, deleted or replaced character makes two words equal.
func oneEdit(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 1 && len(b) <= 1
}

// secretless hides what follows the keyword of a password, even if the keyword is damaged.
func secretless(line string) string {
	for _, key := range []string{"auth_", "hmac", "pass"} {
		if at := strings.Index(line, key); at >= 0 {
			return line[:at+len(key)] + " ***"
		}
	}
	return config.HideCommand(line)
}
