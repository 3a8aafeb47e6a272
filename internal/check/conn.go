package check

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"lvs-agents/internal/pattern"
)

// maxAnswer bounds what a check reads in all, in bytes.
const maxAnswer = maxHeader + maxBody

// conn is a connection that lives no longer than its check and reads no more
// than maxAnswer.
type conn struct {
	net.Conn // what is talked on, with TLS or without
	raw      *raw
	hangUp   func() bool // forgets the context
}

// raw is the bare connection. Libraries read in goroutines of their own.
type raw struct {
	net.Conn
	read atomic.Int64 // bytes so far
	late atomic.Bool  // reading took until the time limit
}

// Errors of a server that answers, but not as it should.
var (
	errSilent  = errors.New("no answer in time")
	errDrips   = errors.New("no whole answer in time")
	errEndless = errors.New("more than " + strconv.Itoa(maxAnswer>>10) + " KiB of answer")
	errClosed  = errors.New("closed without an answer")
	errBroken  = errors.New("closed in the middle of the answer")
)

// dial opens a TCP connection that several goroutines may use and that is closed when ctx ends,
// whatever time limits a library sets.
func dial(ctx context.Context, s Sourcer, addr netip.AddrPort) (*conn, error) {
	c, err := open(ctx, NetDialer{}, s, addr)
	if err != nil {
		return nil, err
	}
	return ending(ctx, c), nil
}

// ending makes a connection end with its context.
func ending(ctx context.Context, c net.Conn) *conn {
	bounded := bound(c)
	bounded.hangUp = context.AfterFunc(ctx, func() { _ = c.Close() })
	return bounded
}

// bound limits what is read of a connection that ends on its own.
func bound(c net.Conn) *conn {
	r := &raw{Conn: c}
	return &conn{Conn: r, raw: r, hangUp: func() bool { return true }}
}

// Read implements net.Conn.
func (r *raw) Read(p []byte) (int, error) {
	left := maxAnswer - r.read.Load()
	if left <= 0 {
		return 0, errEndless
	}
	n, err := r.Conn.Read(p[:min(int64(len(p)), left)])
	r.read.Add(int64(n))
	if isTimeout(err) {
		r.late.Store(true)
	}
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.hangUp()
	return c.Conn.Close()
}

// reason is an error of the dialogue as an operator understands it. What
// libraries make of a connection that ended says less than how it ended.
func (c *conn) reason(ctx context.Context, err error) error {
	read := c.raw.read.Load()
	switch {
	case err == nil, errors.Is(err, pattern.ErrLimit), errors.Is(err, syscall.EAGAIN), said(err): // EAGAIN is this host's
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

// TimedOut tells whether a check failed for nothing but its time limit.
func TimedOut(err error) bool {
	return errors.Is(err, errSilent) || errors.Is(err, errDrips) || isTimeout(err)
}

func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// maxReason bounds a reason in bytes: it goes into logs, mail and status.
const maxReason = 300

// plain is the innermost of Go's network errors, since the outer ones repeat
// addresses, and its text is fit for a log: one short line of printable
// characters, whatever the server has sent.
func plain(err error) error {
	if isTimeout(err) {
		return errSilent
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return Reason(err)
}

// Reason is an error whose text is fit for logs, mail and status: one short line of
// printable characters. It is nil for nil.
func Reason(err error) error {
	if err == nil {
		return nil
	}
	if text := printable(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}

// printable replaces what is no printable character and cuts what is too long.
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

// ascii is the beginning of what may be no text at all.
func ascii(text string) string {
	return strings.Map(func(r rune) rune {
		if r > 126 {
			return '?'
		}
		return r
	}, short(printable(text)))
}
