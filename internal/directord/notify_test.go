package directord

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// hookOf returns the path of a file for a webhook. The channel posts gets the posts of the webhook.
func hookOf(t *testing.T, s *site, name string) (file string, posts <-chan map[string]any) {
	t.Helper()
	got := make(chan map[string]any, 64)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		post := map[string]any{}
		if err := json.Unmarshal(body, &post); err != nil {
			t.Error(err)
		}
		got <- post
	}))
	t.Cleanup(server.Close)
	file = s.path(name)
	if err := os.WriteFile(file, []byte(server.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, got
}

// TestAlerts checks the programs and the webhook of a service when its only real server becomes bad
// and good again. A program of another real server hangs meanwhile.
func TestAlerts(t *testing.T) {
	s := newSite(t)
	s.sys.Environ = append([]string{"HOSTNAME=director1"}, s.sys.Environ...)
	file, posts := hookOf(t, s, "hook")
	program := s.path("tell")
	const script = "#!/bin/sh\necho \"$* $LVS_EVENT $LVS_SERVICE $LVS_SERVER $LVS_DAEMON $LVS_HOST\" >>%s\n[ \"$1\" != hang ] || exec sleep 100\n"
	if err := os.WriteFile(program, fmt.Appendf(nil, script, s.path("out")), 0o700); err != nil {
		t.Fatal(err)
	}
	second := listen(t, fmt.Sprintf("127.0.0.2:%d", s.port))
	s.write("quiescent=yes\nwebhook=" + file + "\nnotify_up=" + program + " up\nquorum_up=" + program + " enough\nquorum_down=" + program + " few\n" +
		s.service("192.0.2.10:80", "127.0.0.2") + "\tnotify_down=" + program + " hang\n" + s.service("192.0.2.11:80", "127.0.0.2") + "\tnotify_down=" + program + " down\n")
	s.serve()
	s.wait(func() string { return fmt.Sprint(strings.Count(s.kernel.String(), "-w 1")) }, "2")
	_ = second.Close()
	expect := func(about string, lines ...string) {
		t.Helper()
		for _, line := range lines {
			s.wait(func() string { return fmt.Sprint(strings.Contains(s.read("out"), line+"\n")) }, "true")
		}
		seen := map[string]bool{}
		for range 4 {
			select {
			case post := <-posts:
				seen[fmt.Sprint(post["kind"], " ", post["service"], " ", post["host"], " ", post["daemon"])] = true
				if text, _ := post["text"].(string); !strings.HasPrefix(text, "director1: ") || !strings.Contains(text, "192.0.2.1") {
					t.Errorf("text %q", text)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("the webhook got only %v; log: %s", seen, s.read("log"))
			}
		}
		for _, service := range []string{"-t 192.0.2.10:80", "-t 192.0.2.11:80"} {
			for _, kind := range []string{"server_" + about, "quorum_" + about} {
				if want := kind + " " + service + " director1 web"; !seen[want] {
					t.Errorf("the webhook did not get %s: %v", want, seen)
				}
			}
		}
	}
	server := fmt.Sprintf("127.0.0.2:%d", s.port)
	expect("down", "hang server_down -t 192.0.2.10:80 "+server+" web director1", "down server_down -t 192.0.2.11:80 "+server+" web director1",
		"few quorum_down -t 192.0.2.10:80  web director1", "few quorum_down -t 192.0.2.11:80  web director1")
	listen(t, server)
	// The program of the first service still hangs, so notify_up of this real server waits.
	expect("up", "up server_up -t 192.0.2.11:80 "+server+" web director1", "enough quorum_up -t 192.0.2.10:80  web director1")
	s.wait(func() string { return fmt.Sprint(strings.Count(s.kernel.String(), "-w 1")) }, "2")
	if text := s.read("out"); strings.Contains(text, "up server_up -t 192.0.2.10:80") {
		t.Errorf("two programs ran for one real server at once:\n%s", text)
	}
	s.stop()
}

// TestWebhookOfTheWholeDaemon checks that a refused configuration reaches each webhook once, and
// that the log reports a file that cannot be used before the first alert.
func TestWebhookOfTheWholeDaemon(t *testing.T) {
	s := newSite(t)
	file, posts := hookOf(t, s, "hook")
	open := s.path("open")
	if err := os.WriteFile(open, []byte("http://127.0.0.1:1/"), 0o644); err != nil {
		t.Fatal(err)
	}
	good := "autoreload=yes\nwebhook=" + file + "\n" + s.service("192.0.2.10:80", "127.0.0.1") + s.service("192.0.2.11:80", "127.0.0.1") +
		s.service("192.0.2.12:80", "127.0.0.1") + "\twebhook=" + open + "\n"
	s.write(good)
	s.serve()
	s.wait(func() string {
		return fmt.Sprint(strings.Contains(s.read("log"), "other users have access to the file"))
	}, "true")
	s.write("scheduler\n")
	select {
	case post := <-posts:
		if post["kind"] != "configuration_refused" || !strings.Contains(fmt.Sprint(post["text"]), "is refused, the previous configuration stays: ") {
			t.Error(post)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("no post; log: %s", s.read("log"))
	}
	s.stop()
	if len(posts) > 0 {
		t.Errorf("one more: %v", <-posts)
	}
}
