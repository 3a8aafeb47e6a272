package check

import (
	"context"
	"strings"
)

// imap is good when the server greets and, with Login, lets us in (RFC 9051).
func imap(_ context.Context, c *conn, t Target) error {
	l := newLines(c)
	greeting, err := l.ReadLine()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(greeting, "* OK") && !strings.HasPrefix(greeting, "* PREAUTH") {
		return unexpected("greeting", greeting)
	}
	if t.Login != "" && !strings.HasPrefix(greeting, "* PREAUTH") {
		if err := l.tagged("LOGIN", quoted(t.Login), quoted(t.Passwd)); err != nil {
			return err
		}
	}
	l.bye("b LOGOUT")
	return nil
}

// tagged sends a command and reads up to its result.
func (l lines) tagged(words ...string) error {
	const tag = "a "
	if err := l.send(append([]string{"a"}, words...)...); err != nil {
		return err
	}
	for {
		line, err := l.ReadLine()
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(line, tag+"OK"):
			return nil
		case strings.HasPrefix(line, "* BYE"), !strings.HasPrefix(line, "* "):
			return unexpected(words[0], line)
		}
	}
}

// quoted is a string of IMAP.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
