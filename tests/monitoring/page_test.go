// Package monitoring tests the status page in a browser. It also tests the rules for Prometheus and
// the dashboard with promtool.
package monitoring

import (
	"bytes"
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
)

// need skips the test if a program is not installed.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		kerneltest.Need(t, program)
	}
}

// browse opens a page in Chromium, and returns the document after its scripts have run for ten
// seconds, which pass at once. It also returns the messages of the console.
func browse(t *testing.T, url string) (document, console string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
		"--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom", url)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, &stderr)
	}
	for line := range strings.Lines(stderr.String()) {
		if strings.Contains(line, "CONSOLE") {
			console += line
		}
	}
	return string(out), console
}

// text returns a document as text.
func text(t *testing.T, document string) string {
	t.Helper()
	text, err := pagetest.Text(document)
	if err != nil {
		t.Fatal(err)
	}
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
	document, console := browse(t, server.URL)
	if console != "" {
		t.Errorf("the console has\n%s", console)
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
	want := strings.Replace(text(t, string(last)), "p: At ", "p: This page updates itself every 5 seconds.\np: At ", 1)
	if diff := cmp.Diff(want, text(t, document)); diff != "" {
		t.Errorf("(-last reply +browser)\n%s", diff)
	}
	if !strings.Contains(want, "192.0.2.22:80 | gate | 2 | 2 | good | 2026-11-28 11:59:59") {
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
	document, console := browse(t, server.URL)
	if !strings.Contains(console, "Content Security Policy") || !strings.Contains(document, "before") {
		t.Errorf("%s\n%s", console, document)
	}
}
