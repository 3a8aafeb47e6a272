package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// newSimple makes the check of a protocol that no other check supports. The check sends Request,
// and is good if a line of the reply matches Receive. Over UDP, a reply has only one part: Receive
// must match in the datagram.
func newSimple(name string, t Target) (Checker, error) {
	if !t.UDP {
		return talk{name, t, false, simple}, nil
	}
	if t.Request == "" || t.Request == "/" {
		return nil, fmt.Errorf("service=%s over udp needs something to send; add request=TEXT", name)
	}
	return datagram{name, t, []byte(unescaped(t.path())), func(ctx context.Context, answer []byte) (bool, error) {
		return true, t.expect(ctx, answer, "the answer")
	}}, nil
}

// unescaped replaces each \n in a request by a line break. ldirectord.cf has no other way to write
// a line break.
func unescaped(request string) string { return strings.ReplaceAll(request, `\n`, "\n") }

func simple(ctx context.Context, c *conn, t Target) error {
	if _, err := io.WriteString(c, unescaped(t.path())); err != nil {
		return err
	}
	if half, ok := c.raw.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // Some servers reply only after the client has ended its data.
	}
	reader := bufio.NewReader(c)
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 {
			if found, err := t.matches(ctx, line); found || err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) && c.raw.read.Load() > 0 {
			return fmt.Errorf("no line of the answer matches %q", t.Receive.String())
		}
		if err != nil {
			return err
		}
	}
}
