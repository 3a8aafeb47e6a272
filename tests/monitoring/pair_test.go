package monitoring

import (
	"flag"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/page"
	"lvs-agents/internal/page/pagetest"
	"lvs-agents/tests/browser"
)

var update = flag.Bool("update", false, "write docs/monitoring/page.png")

// recorded serves the recorded page of a director in the current situation, with the headers, the
// style and the script of the status page. Without a page, the director has no power, and the
// handler closes the connection.
type recorded struct {
	page    http.Handler
	current atomic.Pointer[string]
}

func (r *recorded) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.URL.Path != "/" {
		r.page.ServeHTTP(w, request)
		return
	}
	document := *r.current.Load()
	if document == "" {
		panic(http.ErrAbortHandler)
	}
	example := httptest.NewRecorder()
	r.page.ServeHTTP(example, request)
	maps.Copy(w.Header(), example.Header())
	_, _ = w.Write([]byte(document))
}

// TestPairInABrowser shows what the status pages of a pair showed in the lab (TestStatusPage in
// tests/cluster). The script of an open page must follow each change. With -artifacts, the pictures
// stay in the output directory.
func TestPairInABrowser(t *testing.T) {
	need(t, "chromium")
	b, dir := browser.Start(t, exec.CommandContext), t.ArtifactDir()
	for _, director := range []string{"director1", "director2"} {
		t.Run(director, func(t *testing.T) { showPair(t, b, director, dir) })
	}
	if t.Failed() || !*update {
		return
	}
	picture, err := os.ReadFile(filepath.Join(dir, "server-down-director1-1280-light.png"))
	if err == nil {
		err = os.WriteFile(directory+"page.png", picture, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func showPair(t *testing.T, b *browser.Browser, director, dir string) {
	t.Helper()
	handler := &recorded{page: page.New(pagetest.Source(pagetest.States)).Handler()}
	server := httptest.NewServer(handler)
	defer server.Close()
	known := len(b.Console())
	last := ""
	for i, situation := range []string{"both-up", "server-down", "standby", "back", "power-cut"} {
		name := situation + "-" + director
		document, err := os.ReadFile("testdata/pair/" + name + ".html")
		if dead := name == "power-cut-director2"; err != nil && !dead {
			t.Fatal(err)
		}
		current := string(document)
		handler.current.Store(&current)
		if i == 0 {
			b.Open(t, server.URL)
		} else {
			var called bool
			b.Evaluate(t, "(update(), true)", &called)
		}
		if current == "" {
			text := waitText(t, b, "p: The director does not reply. The state below is old.\n")
			if diff := cmp.Diff(last, strings.Replace(text, "p: The director does not reply. The state below is old.\n", "", 1)); diff != "" {
				t.Errorf("%s (-last page +browser)\n%s", name, diff)
			}
			b.Judge(t, dir, name)
			continue
		}
		last, err = pagetest.Text(current)
		if err != nil {
			t.Fatal(err)
		}
		const live = "p: This page updates itself every 5 seconds.\n"
		_, at, _ := strings.Cut(last, "\np: At ")
		text := waitText(t, b, live+"p: At "+at)
		if diff := cmp.Diff(last, strings.Replace(text, live, "", 1)); diff != "" {
			t.Errorf("%s (-recorded +browser)\n%s", name, diff)
		}
		b.Judge(t, dir, name)
		roles := b.Roles(t)
		for role, want := range map[string]int{
			"main": 1, "search": 1, "status": 1, "heading": 4, "table": strings.Count(current, "<table>"),
			"rowheader": strings.Count(current, `<th scope="row`), "image": strings.Count(current, "<svg "),
		} {
			if roles[role] != want {
				t.Errorf("%s: %d elements have the role %s, want %d: %v", name, roles[role], role, want, roles)
			}
		}
		if messages := b.Console()[known:]; len(messages) > 0 {
			t.Errorf("%s: the console has %q", name, messages)
		}
	}
}
