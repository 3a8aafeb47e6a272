package page_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/page"
	"lvs-agents/internal/page/pagetest"
	"lvs-agents/metadata/metadatatest"
)

// get requests a page, and returns its HTML.
func get(t *testing.T, p *page.Page, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: status %d: %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// text requests a page, and returns its text.
func text(t *testing.T, p *page.Page, path string) string {
	t.Helper()
	text, err := pagetest.Text(get(t, p, path))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// recorded runs the page until it has read the events of the source, and calls look.
func recorded(t *testing.T, source page.Source, look func(*page.Page)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := page.New(source)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			p.Run(ctx)
			close(ended)
		}()
		synctest.Wait()
		look(p)
		cancel()
		<-ended
	})
}

// TestGenerated writes the example page as text. It also checks that texts of servers are inert.
func TestGenerated(t *testing.T) {
	recorded(t, pagetest.Source(pagetest.States), func(p *page.Page) {
		metadatatest.Golden(t, "docs/monitoring/page.txt", text(t, p, "/"))
		document := get(t, p, "/")
		if strings.Contains(document, "<script>alert") || strings.ContainsAny(document, "\x1b\x00\u202e") || !strings.Contains(document, "&lt;script&gt;alert(1)") {
			t.Error("the reason of a server is not inert")
		}
	})
}

// TestTimeline checks that the page remembers earlier verdicts of a real server for an hour.
func TestTimeline(t *testing.T) {
	now := pagetest.Now
	states := pagetest.States()
	real := &states[1].Snapshot.Services[0].Reals[0]
	source := pagetest.Source(func() []control.State { return slices.Clone(states) })
	source.Now = func() time.Time { return now }
	p := page.New(source)
	for _, step := range []struct {
		minutes int
		verdict string // verdict begins at this moment. Empty means that the verdict stays.
		want    string
	}{
		{0, "", "good from 11:00:00"},
		{20, "bad", "good from 11:20:00, bad from 12:20:00"},
		{10, "good", "good from 11:30:00, bad from 12:20:00, good from 12:30:00"},
		{55, "", "bad from 12:25:00, good from 12:30:00"},
		{60, "", "good from 13:25:00"},
	} {
		now = now.Add(time.Duration(step.minutes) * time.Minute)
		states[1].Snapshot.Now = now
		if step.verdict != "" {
			real.Verdict, real.Since = step.verdict, now
		}
		if got := get(t, p, "/"); !strings.Contains(got, `aria-label="`+step.want+`"`) {
			t.Errorf("at %s: no %q", now.Format(time.TimeOnly), step.want)
		}
	}
}

// many returns the state of a daemon with n real servers. Every tenth is bad.
func many(n int) []control.State {
	s := control.Service{ID: "-t 192.0.2.10:80", Scheduler: "wrr"}
	for i := range n {
		verdict := "good"
		if i%10 == 0 {
			verdict = "bad"
		}
		s.Reals = append(s.Reals, control.Real{Addr: fmt.Sprintf("10.1.%d.%d:80", i/250, i%250), Verdict: verdict, Since: pagetest.Now})
	}
	return []control.State{{ID: "web", Snapshot: control.Snapshot{ID: "web", Now: pagetest.Now, Limit: 10, Services: []control.Service{s, {ID: "-f 7"}}}}}
}

// TestParts checks that the links of the page lead to every real server.
func TestParts(t *testing.T) {
	p := page.New(pagetest.Source(func() []control.State { return many(2000) }))
	for _, test := range []struct {
		path string
		want int
	}{{"/", 2000}, {"/?notgood=1", 200}, {"/?find=10.1.7.", 250}, {"/?servers=999999", 2000}, {"/?servers=-1&events=x", 2000}, {"/?find=nothing", 0}} {
		seen, path := map[string]bool{}, test.path
		for path != "" {
			document := get(t, p, path)
			for part := range strings.SplitSeq(document, `<th scope="row">10.`) {
				seen[part[:strings.Index(part, "<")]] = true
			}
			_, link, _ := strings.Cut(document, `<a rel="next" href=".`)
			link, _, _ = strings.Cut(link, `"`)
			path = strings.ReplaceAll(link, "&amp;", "&")
			if shown := strings.Count(document, `<th scope="row">10.`); shown > 200 {
				t.Fatalf("%s: %d real servers", path, shown)
			}
		}
		if got := len(seen) - 1; got != test.want { // The text before the first real server is not one.
			t.Errorf("%s: %d real servers, want %d", test.path, got, test.want)
		}
	}
	if got := text(t, p, "/?servers=1800"); !strings.Contains(got, "p: 1801 to 2000 of 2001. Previous Next") || !strings.Contains(got, "1800 good, 200 bad") {
		t.Errorf("%.2000s", got)
	}
}

// TestFailures checks the texts of a page that cannot read something.
func TestFailures(t *testing.T) {
	source := pagetest.Source(pagetest.States)
	source.States = func(context.Context) ([]control.State, error) {
		return pagetest.States(), errors.New("open /run/lvs-agents: input/output error")
	}
	source.Addresses = func() ([]netip.Addr, error) { return nil, errors.New("netlink: no buffer space") }
	source.Attributes = func(context.Context, string) (map[string]string, error) {
		return nil, errors.New("attrd_updater: permission denied")
	}
	recorded(t, source, func(p *page.Page) {
		got := text(t, p, "/")
		for _, want := range []string{
			"p: The daemons of this director cannot be listed: open /run/lvs-agents: input/output error\n",
			"p: The addresses of this director cannot be read: netlink: no buffer space\n",
			"tr: director1 | 666 | the other directors are not known\np: The values of all directors cannot be read: attrd_updater: permission denied\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
	})
	empty := page.New(pagetest.Source(func() []control.State { return nil }))
	if got := text(t, empty, "/"); !strings.Contains(got, "no health daemon runs on this director") || !strings.Contains(got, "this page does not know other directors") {
		t.Error(got)
	}
}

// TestEventsAreBounded checks that the page keeps the newest events, and reports how many it lost.
func TestEventsAreBounded(t *testing.T) {
	source := pagetest.Source(pagetest.States)
	source.Events = func(ctx context.Context, id string, each func(control.Event) error) error {
		for i := range 6000 {
			if err := each(control.Event{Time: pagetest.Now.Add(time.Duration(i-6000) * time.Millisecond), Daemon: id, Kind: "server_down", Server: strconv.Itoa(i)}); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return ctx.Err()
	}
	recorded(t, source, func(p *page.Page) { // Both daemons have these events.
		got := text(t, p, "/")
		if !strings.Contains(got, "2000 older events of the hour are not shown.") || !strings.Contains(got, "p: 1 to 200 of 10000. Next") {
			t.Errorf("%.3000s", got)
		}
	})
}

// TestEventsComeOnce checks that the page shows an event once, and at the place of its time. The
// kept events and the new events can both have an event.
func TestEventsComeOnce(t *testing.T) {
	at := func(seconds int, kind string) control.Event {
		return control.Event{Time: pagetest.Now.Add(-time.Duration(seconds) * time.Second), Daemon: "web", Kind: kind}
	}
	source := pagetest.Source(pagetest.States)
	source.Events = func(ctx context.Context, _ string, each func(control.Event) error) error {
		for _, e := range []control.Event{at(10, "b"), at(30, "a"), at(10, "b"), at(10, "c"), at(4000, "old"), at(5, "d"), at(10, "c")} {
			if err := each(e); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return ctx.Err()
	}
	recorded(t, source, func(p *page.Page) {
		_, events, _ := strings.Cut(text(t, p, "/"), "Reason or change\n")
		const want = "tr: 11:59:55 | web | d | | | |\ntr: 11:59:50 | web | c | | | |\ntr: 11:59:50 | web | b | | | |\ntr: 11:59:30 | web | a | | | |\np: 1 to 4 of 4.\n"
		if events != want {
			t.Errorf("got\n%swant\n%s", events, want)
		}
	})
}

// TestOnlyReads checks that the page refuses every method that could write, and forbids scripts of
// others.
func TestOnlyReads(t *testing.T) {
	p := page.New(pagetest.Source(pagetest.States))
	for method, want := range map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 405, http.MethodPut: 405, http.MethodDelete: 405} {
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/", nil))
		if policy := w.Header().Get("Content-Security-Policy"); w.Code != want || !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: status %d, %s", method, w.Code, policy)
		}
	}
	if document := get(t, p, "/"); strings.Contains(document, "style=") || strings.Contains(document, "<style") || strings.Contains(document, "onclick") {
		t.Error("the page has a style or a script in its text")
	}
}
