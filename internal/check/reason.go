package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"lvs-agents/internal/pattern"
)

// Errors of a server whose reply is missing, incomplete or too long.
var (
	errSilent  = errors.New("no answer in time")
	errDrips   = errors.New("no whole answer in time")
	errEndless = errors.New("more than " + strconv.Itoa(maxAnswer>>10) + " KiB of answer")
	errClosed  = errors.New("closed without an answer")
	errBroken  = errors.New("closed in the middle of the answer")
)

// reason returns an error of the dialogue that an operator understands. It replaces most errors of
// libraries by an error that says how the connection ended.
func (c *conn) reason(ctx context.Context, err error) error {
	read := c.raw.read.Load()
	switch {
	case err == nil, errors.Is(err, pattern.ErrLimit), errors.Is(err, syscall.EAGAIN), fromServer(err): // EAGAIN blames this host
		return err
	case errors.Is(err, errEndless), read >= maxAnswer:
		return errEndless
	case c.raw.late.Load(), ctx.Err() != nil, isTimeout(err):
		if read > 0 {
			return errDrips
		}
		return errSilent
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if read > 0 {
			return errBroken
		}
		return errClosed
	}
	return plain(err)
}

// TimedOut reports whether a check failed only because of its time limit.
func TimedOut(err error) bool {
	return errors.Is(err, errSilent) || errors.Is(err, errDrips) || isTimeout(err)
}

func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// maxReason is the length in bytes after which a reason is cut. Reasons go into logs, mail and
// status.
const maxReason = 300

// plain returns errSilent for a time limit, and the syscall.Errno in a network error, because Go's
// outer errors repeat addresses. For another error, it returns the result of Reason.
func plain(err error) error {
	if isTimeout(err) {
		return errSilent
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return Reason(err)
}

// Reason returns an error whose text is fit for logs, mail and status: one short line of printable
// characters. It returns nil if err is nil.
func Reason(err error) error {
	if err == nil {
		return nil
	}
	if text := printable(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}

// printable replaces the characters that cannot be printed, and cuts a long text.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if b.Len() > maxReason {
			b.WriteString("…")
			break
		}
		if r == '\n' || r == '\r' || r == '\t' {
			r = ' '
		}
		if !strconv.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// ascii returns the beginning of a reply, with a question mark for each character outside of ASCII.
// The reply can be binary.
func ascii(text string) string {
	return strings.Map(func(r rune) rune {
		if r > 126 {
			return '?'
		}
		return r
	}, short(printable(text)))
}

// named puts the protocol and the server in front of a reason. It returns nil if err is nil.
func named(name string, server fmt.Stringer, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", name, server, err)
}

// short returns a text that an operator reads, cut after 80 bytes.
func short(text string) string {
	const most = 80
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// sameKind is an error with another text. errors.Is and errors.As still find the first error.
type sameKind struct {
	text string
	error
}

func (s sameKind) Error() string { return s.text }
func (s sameKind) Unwrap() error { return s.error }
