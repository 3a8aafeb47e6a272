package alert

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
)

// secret is a text that must not be in the log.
const secret = "s3cret"

// posts delivers one message to a webhook whose file has these lines, with short pauses. It returns
// the log.
func posts(t *testing.T, lines string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := logrus.New()
	logger.Out = &log
	w := NewWebhook(logger)
	w.pauses, w.timeout = []time.Duration{time.Millisecond, time.Millisecond}, 200*time.Millisecond
	w.deliver(t.Context(), Post{File: file, Body: []byte(`{"kind":"server_down"}`), Time: time.Now()})
	if strings.Contains(log.String(), secret) {
		t.Errorf("a secret is in the log: %s", log.String())
	}
	return strings.ReplaceAll(log.String(), file, "FILE")
}

// TestWebhook checks which replies of a real server lead to further attempts, and the log.
func TestWebhook(t *testing.T) {
	reply := func(codes ...int) func(http.ResponseWriter, int) {
		return func(w http.ResponseWriter, n int) { w.WriteHeader(codes[min(n, len(codes))-1]) }
	}
	for _, tt := range []struct {
		name     string
		reply    func(w http.ResponseWriter, attempt int)
		attempts int
		log      string
	}{
		{"accepts", reply(204), 1, ""},
		{"recovers", reply(500, 429, 200), 3, ""},
		{"fails", reply(500), 3, "webhook FILE: it replied 500 Internal Server Error"},
		{"refuses", reply(403), 1, "webhook FILE: it replied 403 Forbidden"},
		{"redirects", func(w http.ResponseWriter, _ int) {
			w.Header().Set("Location", "http://127.0.0.1:1/"+secret)
			w.WriteHeader(http.StatusFound)
		}, 1, "webhook FILE: it replied with the redirection 302; write the final URL into the file"},
		{"closes", func(http.ResponseWriter, int) { panic(http.ErrAbortHandler) }, 3, "webhook FILE: EOF"},
		{"hangs", func(http.ResponseWriter, int) { <-time.After(time.Second) }, 3, "webhook FILE: context deadline exceeded"},
		{"sends without end", func(w http.ResponseWriter, _ int) {
			for range 1000 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}, 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var attempts atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got := fmt.Sprintf("%s %s %s %s %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), body)
				if want := `POST /` + secret + ` application/json Bearer ` + secret + ` {"kind":"server_down"}`; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				tt.reply(w, int(attempts.Add(1)))
			}))
			defer server.Close()
			log := posts(t, server.URL+"/"+secret+"\n# comment\nAuthorization: Bearer "+secret+"\n")
			if !strings.Contains(log, tt.log) || tt.log == "" && log != "" {
				t.Errorf("log %s, want %s", log, tt.log)
			}
			if got := int(attempts.Load()); got != tt.attempts {
				t.Errorf("%d attempts, want %d", got, tt.attempts)
			}
		})
	}
}

// TestWebhookVerifiesCertificates checks that a server with an unknown certificate gets nothing.
func TestWebhookVerifiesCertificates(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it got the message") }))
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	if log := posts(t, server.URL+"/"+secret); !strings.Contains(log, "certificate signed by unknown authority") {
		t.Error(log)
	}
}

// TestFilesOfWebhooks checks the files that a webhook refuses. The log has no text of the file.
func TestFilesOfWebhooks(t *testing.T) {
	const url = "http://127.0.0.1:1/"
	for text, want := range map[string]string{
		"":                                    "line 1 of the file is not a URL; write https://HOST/PATH",
		secret + "\n":                         "line 1 of the file is not a URL; write https://HOST/PATH",
		"ftp://127.0.0.1/" + secret:           "line 1 of the file is not a URL; write https://HOST/PATH",
		url + "\n\n" + secret:                 "line 3 of the file is not a header; write NAME: VALUE",
		url + "\nX Y: " + secret:              "line 2 of the file is not a header; write NAME: VALUE",
		url + "\nX: " + secret + "\x00":       "line 2 of the file is not a header; write NAME: VALUE",
		url + "\nX: " + secret + "\r\nY: 1\n": "connect: connection refused",
	} {
		if log := posts(t, text); !strings.Contains(log, want) {
			t.Errorf("%q: got %s, want %s", text, log, want)
		}
	}
	w := NewWebhook(quiet())
	file := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(file, []byte(url), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := w.read(t.Context(), file); err == nil || err.Error() != "other users have access to the file, which can contain secrets; chmod 600 "+file {
		t.Error(err)
	}
}

// TestWebhookThatHangs checks that Send never waits, that Run ends in time, and that an old message
// is dropped.
func TestWebhookThatHangs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	file := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(file, []byte("http://"+listener.Addr().String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := logrus.New()
	logger.Out = &log
	w := NewWebhook(logger)
	began := time.Now()
	for range waiting + 10 {
		w.Send(Post{File: file, Body: []byte("{}"), Time: began})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.Run(ctx, 200*time.Millisecond)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	w.deliver(t.Context(), Post{File: file, Body: []byte("{}"), Time: time.Now().Add(-time.Hour)})
	for _, want := range []string{"1024 messages are already waiting", "messages were not posted before the deadline", "a message of 1h0m0s ago was not posted"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("not in the log: %s\n%.300s", want, log.String())
		}
	}
}
