package check

import "context"

// nntp checks a news server. The check is good if the server sends a greeting (RFC 3977).
func nntp(_ context.Context, c *conn, _ Target) error {
	l := newLines(c)
	if _, err := l.reply("greeting", 2); err != nil {
		return err
	}
	l.bye("QUIT")
	return nil
}
