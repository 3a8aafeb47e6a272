package check

import (
	"context"
	"sync"
	"time"
)

// Trace is what one check measured. A phase is 0 if the check does not have it or did not reach it.
// If a check opens several connections, for example after a redirection, a phase is the sum of all.
type Trace struct {
	Connect   time.Duration // Connect is the time until a connection was open.
	TLS       time.Duration // TLS is the time of the TLS handshake.
	FirstByte time.Duration // FirstByte is the time from the open connection to the first byte of a reply.
	Match     time.Duration // Match is the time for the comparison of a reply with Receive.
	Total     time.Duration // Total is the time of the whole check.
	// Reply is the beginning of the last reply in printable characters, without secrets.
	Reply string
	// Says is what the server says about itself, as a line of HAProxy's agent-check protocol. Empty
	// means that it says nothing.
	Says string
}

// Traced runs a check that begins now, and returns what it measured.
func Traced(ctx context.Context, now time.Time, c Checker) (Trace, error) {
	t := &tracer{began: now}
	err := c.Check(context.WithValue(ctx, tracerKey{}, t))
	t.mu.Lock() // A library can still read from a connection in another goroutine.
	defer t.mu.Unlock()
	t.Total = time.Since(t.began)
	if t.Reply == "" {
		t.Reply = excerpt(t.reply)
	}
	t.Reply = t.secrets.hidden(t.Reply)
	return t.Trace, err
}

// tracer measures the phases of one check. The methods of a nil tracer do nothing.
type tracer struct {
	mu sync.Mutex
	Trace
	began   time.Time
	at      time.Duration // at is the time from the beginning to the end of the last phase.
	waits   bool          // waits says that the check waits for the first byte of a reply.
	reply   []byte        // reply is the beginning of the last reply.
	secrets secrets       // secrets are the texts that Reply must not show.
}

type tracerKey struct{}

// tracerOf returns the tracer of a check, or nil if the check is not traced.
func tracerOf(ctx context.Context) *tracer {
	t, _ := ctx.Value(tracerKey{}).(*tracer)
	return t
}

// maxExcerpt is how many bytes of a reply a tracer keeps.
const maxExcerpt = 160

// excerpt returns the beginning of a reply in printable characters.
func excerpt(reply []byte) string {
	text := printable(string(reply))
	if len(reply) == maxExcerpt {
		text += "…"
	}
	return short(text)
}

// lap returns the time since the end of the last phase, and begins the next phase.
func (t *tracer) lap() time.Duration {
	before := t.at
	t.at = time.Since(t.began)
	return t.at - before
}

// dials notes that the check begins to open a connection.
func (t *tracer) dials() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lap()
}

// connected notes that the connection is open.
func (t *tracer) connected() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Connect += t.lap()
	t.waits = true
}

// encrypted notes that the TLS handshake is done.
func (t *tracer) encrypted() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.TLS += t.lap()
}

// received notes data of a reply.
func (t *tracer) received(data []byte) {
	if t == nil || len(data) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waits {
		t.FirstByte += t.lap()
		t.waits, t.reply = false, t.reply[:0]
	}
	t.reply = append(t.reply, data[:min(len(data), maxExcerpt-len(t.reply))]...)
}

// replied sets the text of Reply, in place of the first bytes of the reply.
func (t *tracer) replied(head string, body []byte) {
	if t == nil {
		return
	}
	text := printable(head)
	if len(body) > 0 {
		text += ": " + excerpt(body[:min(len(body), maxExcerpt)])
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Reply = short(text)
}

// says sets the text of Says.
func (t *tracer) says(words string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Says = words
}

// matches begins the comparison of a reply. The returned function ends it.
func (t *tracer) matches() (done func()) {
	if t == nil {
		return func() {}
	}
	from := time.Since(t.began)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.Match += time.Since(t.began) - from
	}
}

// hides sets the texts that Reply must not show.
func (t *tracer) hides(s secrets) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.secrets = s
}
