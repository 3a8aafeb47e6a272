// Package monitoring tests the status page in a browser. It also tests the rules for Prometheus and
// the dashboard with promtool.
package monitoring

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/control"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/page"
	"lvs-agents/internal/page/pagetest"
	"lvs-agents/tests/browser"
	"lvs-agents/tests/lab"
)

// need skips the test if a program is not installed.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		kerneltest.Need(t, program)
	}
}

// waitText waits until the page in a browser contains a text, and returns the whole text.
func waitText(t *testing.T, b *browser.Browser, part string) (text string) {
	t.Helper()
	lab.Wait(t, 20*time.Second, part, func() error {
		if text = b.Text(t); !strings.Contains(text, part) {
			return errors.New(text)
		}
		return nil
	})
	return text
}

// TestPageInABrowser checks that the script of the page shows the new state of a real server. The
// content security policy must not forbid what the page does.
func TestPageInABrowser(t *testing.T) {
	need(t, "chromium")
	var reads atomic.Int32
	p := page.New(pagetest.Source(func() []control.State {
		states := pagetest.States()
		if reads.Add(1) > 1 {
			real := &states[1].Snapshot.Services[0].Reals[1]
			real.Verdict, real.Weight, real.Reason, real.Since = "good", 2, "", pagetest.Now.Add(-time.Second)
		}
		return states
	}))
	server := httptest.NewServer(p.Handler())
	defer server.Close()
	b := browser.Start(t, exec.CommandContext)
	b.Open(t, server.URL)
	text := waitText(t, b, "p: This page updates itself every 5 seconds.")
	if messages := b.Console(); len(messages) > 0 {
		t.Errorf("the console has %q", messages)
	}
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	last, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	want, err := pagetest.Text(string(last))
	if err != nil {
		t.Fatal(err)
	}
	want = strings.Replace(want, "p: At ", "p: This page updates itself every 5 seconds.\np: At ", 1)
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("(-last reply +browser)\n%s", diff)
	}
	if !strings.Contains(want, "192.0.2.22:80 | Route | 2 | 2 | good | 2026-11-28 11:59:59") {
		t.Errorf("the state did not change:\n%s", want)
	}
}

// TestBrowserReportsViolations checks that the console has a message if a page with the same policy
// has a script in its text.
func TestBrowserReportsViolations(t *testing.T) {
	need(t, "chromium")
	p := page.New(pagetest.Source(pagetest.States))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers := httptest.NewRecorder()
		p.Handler().ServeHTTP(headers, r)
		w.Header().Set("Content-Security-Policy", headers.Header().Get("Content-Security-Policy"))
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<p id="x">before</p><script>document.getElementById("x").textContent = "after"</script>`)
	}))
	defer server.Close()
	b := browser.Start(t, exec.CommandContext)
	b.Open(t, server.URL)
	document := waitText(t, b, "before")
	if console := fmt.Sprint(b.Console()); !strings.Contains(console, "Content Security Policy") {
		t.Errorf("%s\n%s", console, document)
	}
}

// TestPageFitsTheWindow shows the page on windows of several widths, light and dark, and checks the
// roles of its elements for assistive technology. With -artifacts, the pictures stay in the output
// directory.
func TestPageFitsTheWindow(t *testing.T) {
	need(t, "chromium")
	p := page.New(pagetest.Source(pagetest.States))
	server := httptest.NewServer(p.Handler())
	defer server.Close()
	b := browser.Start(t, exec.CommandContext)
	b.Open(t, server.URL)
	b.Judge(t, t.ArtifactDir(), "page")
	roles := b.Roles(t)
	for role, want := range map[string]int{"main": 1, "search": 1, "status": 1, "table": 3, "rowheader": 11, "heading": 4, "image": 4} {
		if roles[role] != want {
			t.Errorf("%d elements have the role %s, want %d: %v", roles[role], role, want, roles)
		}
	}
}
