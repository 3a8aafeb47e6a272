package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/attribute"
	"lvs-agents/internal/control"
)

// served is a running lvsctl serve. places are where it listens.
type served struct {
	places   []string
	problems bytes.Buffer
	ended    chan int
	stop     context.CancelFunc
}

// serve starts lvsctl serve, and returns when it listens on all places.
func serve(t *testing.T, sys system, places ...string) *served {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	s := &served{ended: make(chan int, 1), stop: cancel}
	sys.stdout, sys.stderr, sys.now = out, &s.problems, time.Now
	if sys.attributes == nil {
		sys.attributes = attribute.Node{}
	}
	args := []string{"serve"}
	for _, place := range places {
		args = append(args, "--listen="+place)
	}
	go func() {
		s.ended <- run(ctx, args, sys)
		_ = out.Close()
	}()
	for lines := bufio.NewScanner(in); len(s.places) < len(places) && lines.Scan(); {
		s.places = append(s.places, strings.TrimPrefix(lines.Text(), "lvsctl: listening on "))
	}
	t.Cleanup(cancel)
	return s
}

// end ends lvsctl serve, and checks that it reports no problem.
func (s *served) end(t *testing.T) {
	t.Helper()
	s.stop()
	if code := <-s.ended; code != 0 || s.problems.Len() > 0 {
		t.Errorf("exit code %d: %s", code, &s.problems)
	}
}

// request sends a request to a place, and returns the status and the text of the response.
func request(t *testing.T, method, place, path string) (int, string) {
	t.Helper()
	client, url := http.DefaultClient, place
	if filepath.IsAbs(place) {
		client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", place)
		}}}
		url = "http://director1/"
	}
	r, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(url, "/")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestServe scrapes the metrics of a node without a daemon, over TCP and over a unix socket. Other
// paths and methods must get nothing.
func TestServe(t *testing.T) {
	s := serve(t, system{stateDir: t.TempDir()}, "127.0.0.1:0", filepath.Join(t.TempDir(), "http.sock"))
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/metrics", http.StatusOK},
		{http.MethodPost, "/metrics", http.StatusMethodNotAllowed},
		{http.MethodGet, "/", http.StatusOK},
		{http.MethodHead, "/", http.StatusOK},
		{http.MethodPost, "/", http.StatusMethodNotAllowed},
		{http.MethodGet, "/live.js", http.StatusOK},
		{http.MethodGet, "/page.html", http.StatusNotFound},
		{http.MethodGet, "/other", http.StatusNotFound},
	} {
		for _, place := range s.places {
			if got, _ := request(t, tt.method, place, tt.path); got != tt.want {
				t.Errorf("%s %s of %s: %d", tt.method, tt.path, place, got)
			}
		}
	}
	if info, err := os.Stat(s.places[1]); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info, err)
	}
	s.end(t)
}

// TestServeWithASlowDaemon checks that the page and the metrics do not wait for a daemon that never
// replies. Another daemon was killed and has left its socket. The metrics of the other daemons
// must be complete. The test has more time than a page takes, for a busy host.
func TestServeWithASlowDaemon(t *testing.T) {
	dir, err := os.MkdirTemp("", "lvs") // The path of a socket has at most 107 bytes.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	snapshot := control.Snapshot{ID: "web", Limit: 10, Services: []control.Service{{ID: "-t 192.0.2.10:80", Reals: []control.Real{{Verdict: "good", Weight: 1, Configured: 1}}}}}
	answering(t, dir, "web", snapshot)
	answering(t, dir, "mail", snapshot)
	sockets := map[string]*net.UnixListener{}
	for _, id := range []string{"slow", "dead"} {
		if sockets[id], err = control.Listen(dir, id); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sockets[id].Close() }()
	}
	sockets["dead"].SetUnlinkOnClose(false)
	_ = sockets["dead"].Close()
	s := serve(t, system{stateDir: dir}, "127.0.0.1:0")
	_, alone := request(t, http.MethodGet, s.places[0], "/metrics")
	if web, mail := seriesOf(alone, "web"), seriesOf(alone, "mail"); web < 14 || web != mail {
		t.Errorf("%d series of web, %d of mail in\n%s", web, mail, alone)
	}
	for path, wants := range map[string][]string{
		"/": {"at fault: directord slow does not reply: context deadline exceeded", "the daemon has died and left its socket"},
		"/metrics": {
			`lvs_directord_up{daemon="dead"} 0`, `lvs_directord_up{daemon="mail"} 1`, `lvs_directord_up{daemon="slow"} 0`, `lvs_directord_up{daemon="web"} 1`,
			`lvs_service_serving_real_servers{daemon="mail",service="-t 192.0.2.10:80"} 1`,
		},
	} {
		begin := time.Now()
		_, text := request(t, http.MethodGet, s.places[0], path)
		took := time.Since(begin)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", path, want, text)
			}
		}
		if took > 3*time.Second {
			t.Errorf("%s took %v", path, took)
		}
	}
	s.end(t)
}

// answering serves a snapshot on the control socket of a daemon until the test ends.
func answering(t *testing.T, dir, id string, snapshot control.Snapshot) {
	t.Helper()
	listener, err := control.Listen(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- control.Serve(ctx, listener, daemon{snapshot}, new(control.Feed)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// seriesOf counts the series of a daemon in a scrape.
func seriesOf(text, daemon string) int { return strings.Count(text, `daemon="`+daemon+`"`) }

// TestServeOnATakenPlace checks that a place that cannot be used ends the program, and frees the
// other places.
func TestServeOnATakenPlace(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "http.sock")
	taken, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	free := filepath.Join(t.TempDir(), "free.sock")
	s := serve(t, system{stateDir: t.TempDir()}, free, socket)
	want := "lvsctl: listen unix " + socket + ": bind: address already in use; remove the file if no process listens there\n"
	if code := <-s.ended; code != exitFailed || s.problems.String() != want {
		t.Errorf("exit code %d: %s", code, &s.problems)
	}
	if _, err := os.Stat(free); err == nil {
		t.Errorf("%s is still there", free)
	}
}
