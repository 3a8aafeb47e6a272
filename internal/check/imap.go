package check

import (
	"context"
	"strings"
)

// imap checks an IMAP server. The check is good if the server sends a greeting and, with Login,
// accepts the login (RFC 9051).
func imap(_ context.Context, c *conn, t Target) error {
	l := newLines(c)
	greeting, err := l.ReadLine()
	if err != nil {
		return err
	}
	word := untagged(greeting)
	if !prefixed(word, "OK") && !prefixed(word, "PREAUTH") {
		return unexpected("greeting", greeting)
	}
	if t.Login != "" && !prefixed(word, "PREAUTH") {
		if err := l.tagged("LOGIN", quoted(t.Login), quoted(t.Passwd)); err != nil {
			return err
		}
	}
	l.bye("b LOGOUT")
	return nil
}

// untagged returns the text after the asterisk of an untagged line. For other lines, it returns an
// empty string.
func untagged(line string) string {
	rest, found := strings.CutPrefix(line, "*")
	word := strings.TrimLeft(rest, " \t")
	if !found || word == rest {
		return ""
	}
	return word
}

// prefixed reports whether a line begins with a word. The word can have upper or lower case.
func prefixed(line, word string) bool {
	return len(line) >= len(word) && strings.EqualFold(line[:len(word)], word)
}

// tagged sends a command with a tag, and reads lines until the result of the command or an untagged
// BYE. It skips all other lines, as Net::IMAP::Simple of Perl does.
func (l lines) tagged(words ...string) error {
	const tag = "a"
	if err := l.send(append([]string{tag}, words...)...); err != nil {
		return err
	}
	for {
		line, err := l.ReadLine()
		if err != nil {
			return err
		}
		first, rest, _ := strings.Cut(line, " ")
		switch rest = strings.TrimLeft(rest, " "); {
		case first == tag && prefixed(rest, "OK"):
			return nil
		case first == tag, prefixed(untagged(line), "BYE"):
			return unexpected(words[0], line)
		}
	}
}

// quoted returns a text as a quoted string of IMAP.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
