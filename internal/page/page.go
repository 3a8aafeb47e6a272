// Package page renders the status page of a director. The page has the virtual services, and the
// verdicts and weights of their real servers. It also has the events and verdicts of the last hour,
// and what the other directors see. The page only reads.
package page

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"net/http"
	"net/netip"
	"sync"
	"time"
	"unicode"

	"lvs-agents/internal/control"
)

// Source reads what the page shows.
type Source struct {
	Host string // Host is the name of this director.
	// States reads the states of the daemons on this node.
	States func(context.Context) ([]control.State, error)
	// Events reads the events of a daemon, and calls each for every event. An event can be older than
	// an hour, and it can come again. Events returns an error when there are no more events, or when
	// ctx ends.
	Events func(ctx context.Context, id string, each func(control.Event) error) error
	// Attributes returns the values of a node attribute by the names of the nodes.
	Attributes func(ctx context.Context, name string) (map[string]string, error)
	// Addresses returns the addresses of the network interfaces of this director.
	Addresses func() ([]netip.Addr, error)
	Now       func() time.Time
}

// Page is the status page. New makes it.
type Page struct {
	source Source
	html   *template.Template
	begun  time.Time // begun is when the page began to record.

	mu       sync.Mutex
	verdicts map[member][]change
	events   []control.Event // events are the events of the last hour, the oldest first.
	lost     int             // lost is how many events of the last hour the page has not.
	nodes    map[string]nodes
}

//go:embed page.html style.css live.js
var files embed.FS

// New returns a page. It records nothing before Run runs.
func New(source Source) *Page {
	html := template.New("page.html").Funcs(template.FuncMap{"weight": weight, "clock": clock, "words": words})
	return &Page{
		source: source, html: template.Must(html.ParseFS(files, "page.html")), begun: source.Now(),
		verdicts: map[member][]change{}, nodes: map[string]nodes{},
	}
}

// Handler serves the page at / with its style and its script.
func (p *Page) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.serve)
	static := http.FileServerFS(files)
	mux.Handle("GET /style.css", static)
	mux.Handle("GET /live.js", static)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		mux.ServeHTTP(w, r)
	})
}

// headers forbid everything that the page does not need. Its script and its style are files.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":  "nosniff",
	"Referrer-Policy":         "no-referrer",
	"Cache-Control":           "no-store",
}

func (p *Page) serve(w http.ResponseWriter, r *http.Request) {
	states, err := p.source.States(r.Context())
	p.observe(states)
	var text bytes.Buffer
	if err := p.html.Execute(&text, p.view(states, err, wishOf(r))); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(bytes.Map(inert, text.Bytes())) // If the client is gone, it needs no page.
}

// inert replaces control characters, and characters that change the direction of text. They come
// from replies of real servers, and html/template keeps them.
func inert(r rune) rune {
	if unicode.IsPrint(r) || r == '\n' || r == '\t' {
		return r
	}
	return unicode.ReplacementChar
}
