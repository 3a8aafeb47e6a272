package alert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/disk"
)

// Post is one message for a webhook.
type Post struct {
	// File is the path of the file with the URL and the headers, which can be secrets. Only File is
	// in the log.
	File string
	// Body is the message in JSON. If it is nil, the webhook only reads the file, and logs its error.
	Body []byte
	Time time.Time // Time is when the event of the message happened.
}

// Webhook posts messages one after the other. NewWebhook makes a Webhook; the caller must call Run.
type Webhook struct {
	log    logrus.FieldLogger
	files  disk.Reader
	client *http.Client
	queue  chan Post
	// pauses are the pauses before the second attempt and the attempts after it.
	pauses  []time.Duration
	timeout time.Duration // timeout is how long one attempt can take.
}

// stale is the age of a message that is not posted any more. A webhook that hangs would otherwise
// get news of hours ago.
const stale = 10 * time.Minute

// NewWebhook makes a Webhook. It verifies certificates, and does not follow redirections, because
// another host would get the headers.
func NewWebhook(log logrus.FieldLogger) *Webhook {
	const kept = 16 << 10
	return &Webhook{
		log: log, queue: make(chan Post, waiting), pauses: []time.Duration{time.Second, 4 * time.Second}, timeout: 5 * time.Second,
		client: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: kept},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Send puts a message into the queue. It never waits for room in the queue: if the queue is full,
// it drops the message.
func (w *Webhook) Send(p Post) {
	select {
	case w.queue <- p:
	default:
		w.log.Warnf("webhook %s: not posted, because %d messages are already waiting", p.File, waiting)
	}
}

// Run posts messages until ctx ends. Then it posts the messages that are still in the queue, for
// the time last at most.
func (w *Webhook) Run(ctx context.Context, last time.Duration) {
	if left := drain(ctx, last, w.queue, w.deliver); left > 0 {
		w.log.Errorf("webhook: %d messages were not posted before the deadline", left)
	}
}

// deliver posts a message. It makes further attempts if the webhook does not reply, or replies that
// a later attempt can succeed.
func (w *Webhook) deliver(ctx context.Context, p Post) {
	if age := time.Since(p.Time); age > stale {
		w.log.Warnf("webhook %s: a message of %v ago was not posted", p.File, age.Round(time.Second))
		return
	}
	to, err := w.read(ctx, p.File)
	if err == nil && p.Body != nil {
		err = w.attempts(ctx, to, p.Body)
	}
	if err != nil {
		w.log.Errorf("webhook %s: %v", p.File, err)
	}
}

func (w *Webhook) attempts(ctx context.Context, to hook, body []byte) error {
	for i := 0; ; i++ {
		again, err := w.post(ctx, to, body)
		if err == nil || !again || i == len(w.pauses) {
			return err
		}
		select {
		case <-time.After(w.pauses[i]):
		case <-ctx.Done():
			return err
		}
	}
}

// post makes one attempt. again reports whether another attempt can succeed. The error does not
// contain the URL.
func (w *Webhook) post(ctx context.Context, to hook, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, bytes.NewReader(body))
	if err != nil {
		return false, withoutURL(err)
	}
	request.Header = to.header.Clone()
	response, err := w.client.Do(request)
	if err != nil {
		return true, withoutURL(err)
	}
	defer func() { _ = response.Body.Close() }()
	const most = 4 << 10
	_, _ = io.CopyN(io.Discard, response.Body, most) // the status alone is the result
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		return false, nil
	case code >= 300 && code < 400:
		return false, fmt.Errorf("it replied with the redirection %d; write the final URL into the file", code)
	default:
		again = code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout
		return again, fmt.Errorf("it replied %d %s", code, http.StatusText(code))
	}
}

// withoutURL returns the cause of an error of package http, without the URL.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// hook is the content of the file of a webhook.
type hook struct {
	url    string
	header http.Header
}

// read reads the file of a webhook. It refuses a file that other users can read or write. The error
// does not contain the text of the file.
func (w *Webhook) read(ctx context.Context, path string) (hook, error) {
	info, err := w.files.Stat(ctx, path)
	if err != nil {
		return hook{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return hook{}, fmt.Errorf("other users have access to the file, which can contain secrets; chmod 600 %s", path)
	}
	text, err := w.files.Read(ctx, path)
	if err != nil {
		return hook{}, err
	}
	return parseHook(string(text))
}

func parseHook(text string) (hook, error) {
	first, rest, _ := strings.Cut(text, "\n")
	h := hook{url: strings.TrimSpace(first), header: http.Header{}}
	h.header.Set("Content-Type", "application/json")
	if u, err := url.Parse(h.url); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return h, errors.New("line 1 of the file is not a URL; write https://HOST/PATH")
	}
	n := 1
	for line := range strings.Lines(rest) {
		n++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !found || !token(name) || !printable(value) {
			return h, fmt.Errorf("line %d of the file is not a header; write NAME: VALUE", n)
		}
		h.header.Set(name, value)
	}
	return h, nil
}

// token reports whether a text can be the name of a header.
func token(text string) bool {
	const separators = "()<>@,;:\\\"/[]?={} \t"
	return text != "" && printable(text) && !strings.ContainsAny(text, separators)
}

// printable reports whether a text has only visible ASCII characters and blanks.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' })
}
