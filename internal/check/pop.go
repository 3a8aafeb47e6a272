package check

import (
	"context"
	"strings"
)

// pop is good when the server greets and, with Login, lets us in (RFC 1939).
func pop(_ context.Context, c *conn, t Target) error {
	l := newLines(c)
	if err := l.ok("greeting"); err != nil {
		return err
	}
	if t.Login != "" {
		for _, command := range [][]string{{"USER", t.Login}, {"PASS", t.Passwd}, {"STAT"}} {
			if err := l.send(command...); err != nil {
				return err
			}
			if err := l.ok(command[0]); err != nil {
				return err
			}
		}
	}
	l.bye("QUIT")
	return nil
}

// ok reads an answer of POP3.
func (l lines) ok(after string) error {
	line, err := l.ReadLine()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "+OK") {
		return unexpected(after, line)
	}
	return nil
}
