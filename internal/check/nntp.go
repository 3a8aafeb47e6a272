package check

import "context"

// nntp is good when the server greets (RFC 3977).
func nntp(_ context.Context, c *conn, _ Target) error {
	l := newLines(c)
	if _, err := l.reply("greeting", 2); err != nil {
		return err
	}
	l.bye("QUIT")
	return nil
}
