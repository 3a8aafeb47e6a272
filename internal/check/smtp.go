package check

import (
	"context"
	"errors"
)

// smtp checks a mail server. The check is good if the server sends a greeting and accepts EHLO or
// HELO (RFC 5321).
func smtp(_ context.Context, c *conn, _ Target) error {
	// The name has a dot, because some servers refuse a name without one.
	const name = "localhost.localdomain"
	l := newLines(c)
	if _, err := l.reply("greeting", 2); err != nil {
		return err
	}
	_, err := l.command(2, "EHLO", name)
	if _, no := errors.AsType[refused](err); no {
		_, err = l.command(2, "HELO", name)
	}
	if err != nil {
		return err
	}
	l.bye("QUIT")
	return nil
}
