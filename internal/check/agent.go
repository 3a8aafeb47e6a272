package check

import (
	"context"
	"fmt"
	"io"
)

// maxLine is how many bytes the line of an agent can have.
const maxLine = 1 << 10

// agent sends Request and reads one line of HAProxy's agent-check protocol, which ends at the first
// \r or \n. A line without an end is an error, because a part of a word can be another word.
func agent(_ context.Context, c *conn, t Target) error {
	if _, err := io.WriteString(c, unescaped(t.Request)); err != nil {
		return err
	}
	line := make([]byte, 0, maxLine)
	for one := make([]byte, 1); len(line) < maxLine; {
		if _, err := io.ReadFull(c, one); err != nil {
			return err
		}
		if one[0] == '\r' || one[0] == '\n' {
			c.tracer.replied(string(line), nil)
			c.tracer.says(string(line) + "\n")
			return nil
		}
		line = append(line, one[0])
	}
	return fmt.Errorf("the first line has more than %d bytes", maxLine)
}
