// Package browser starts Chromium for tests, and controls it with the DevTools protocol.
package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lvs-agents/internal/page/pagetest"
)

// Browser is a Chromium without windows, with one page. It runs until the test ends.
type Browser struct {
	requests *os.File
	replies  *bufio.Reader
	session  string
	calls    int
	stderr   bytes.Buffer
	console  []string
}

// limit is the time limit of the whole Chromium. The lab needs minutes for a start on a busy host.
const limit = 10 * time.Minute

// Start starts Chromium. The function command makes the command, as exec.CommandContext does.
func Start(tb testing.TB, command func(ctx context.Context, name string, args ...string) *exec.Cmd) *Browser {
	tb.Helper()
	fromTest, requests, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	replies, fromBrowser, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	cmd := command(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
		"--hide-scrollbars", "--remote-debugging-pipe", "--user-data-dir="+tb.TempDir(), "about:blank")
	b := &Browser{requests: requests, replies: bufio.NewReader(replies)}
	cmd.Stderr = &b.stderr
	cmd.ExtraFiles = []*os.File{fromTest, fromBrowser} // --remote-debugging-pipe uses the file descriptors 3 and 4.
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	_, _ = fromTest.Close(), fromBrowser.Close()
	tb.Cleanup(func() {
		_ = requests.Close() // Chromium ends when its pipe ends.
		done := time.AfterFunc(10*time.Second, cancel)
		_ = cmd.Wait()
		done.Stop()
		cancel()
		_ = replies.Close()
	})
	var target struct{ TargetID string }
	b.call(tb, "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.call(tb, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.session = session.SessionID
	for _, domain := range []string{"Page", "Log", "Runtime"} {
		b.call(tb, domain+".enable", nil, nil)
	}
	return b
}

// message is a request, a reply or an event of the protocol.
type message struct {
	ID      int                       `json:"id,omitempty"`
	Session string                    `json:"sessionId,omitempty"`
	Method  string                    `json:"method,omitempty"`
	Params  any                       `json:"params,omitempty"`
	Result  json.RawMessage           `json:"result,omitempty"`
	Error   *struct{ Message string } `json:"error,omitempty"`
}

// call sends a request, and reads messages until its reply.
func (b *Browser) call(tb testing.TB, method string, params, result any) {
	tb.Helper()
	b.calls++
	text, err := json.Marshal(message{ID: b.calls, Session: b.session, Method: method, Params: params})
	if err == nil {
		_, err = b.requests.Write(append(text, 0))
	}
	if err != nil {
		tb.Fatalf("%s: %v\n%s", method, err, &b.stderr)
	}
	reply := b.read(tb, func(m message) bool { return m.ID == b.calls })
	if reply.Error != nil {
		tb.Fatalf("%s: %s", method, reply.Error.Message)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(reply.Result, result); err != nil {
		tb.Fatalf("%s: %v: %s", method, err, reply.Result)
	}
}

// read reads messages until the wanted one, and keeps the messages of the console.
func (b *Browser) read(tb testing.TB, wanted func(message) bool) message {
	tb.Helper()
	for {
		text, err := b.replies.ReadBytes(0)
		if err != nil {
			tb.Fatalf("chromium: %v\n%s", err, &b.stderr)
		}
		var m message
		if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
			tb.Fatalf("chromium: %v: %s", err, text)
		}
		switch m.Method {
		case "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown":
			b.console = append(b.console, fmt.Sprint(m.Params))
		}
		if wanted(m) {
			return m
		}
	}
}

// Open opens a page, and waits until it is loaded.
func (b *Browser) Open(tb testing.TB, url string) {
	tb.Helper()
	var reply struct{ ErrorText string }
	b.call(tb, "Page.navigate", map[string]any{"url": url}, &reply)
	if reply.ErrorText != "" {
		tb.Fatalf("%s: %s", url, reply.ErrorText)
	}
	b.read(tb, func(m message) bool { return m.Method == "Page.loadEventFired" })
}

// widths are the widths of the windows of Judge, in pixels: a telephone, a tablet and a screen.
var widths = []int{320, tablet, 1280}

const tablet = 800

// colours are the colours of the states in style.css, for each colour scheme.
var colours = map[string]struct{ text, good, bad string }{
	"light": {"rgb(0, 0, 0)", "rgb(26, 127, 55)", "rgb(193, 18, 31)"},
	"dark":  {"rgb(255, 255, 255)", "rgb(74, 194, 107)", "rgb(255, 123, 114)"},
}

// look is what Judge reads from the status page.
type look struct {
	Width, Screen int      // Width is the width of the document, and Screen the width of the window.
	Timeline      int      // Timeline is the left edge of the first timeline, or 0.
	Text          string   // Text is the colour of text.
	Good, Bad     []string // Good and Bad are the colours of all elements that show this state.
}

const readLook = `(() => {
	const colours = (selector, property) => [...document.querySelectorAll(selector)].map(e => getComputedStyle(e)[property]);
	return {
		width: document.documentElement.scrollWidth, screen: innerWidth,
		timeline: Math.floor(document.querySelector("svg")?.getBoundingClientRect().left ?? 0), text: getComputedStyle(document.body).color,
		good: colours("rect.good", "fill"),
		bad: [...colours("tr.bad td:nth-child(5), .fault", "color"), ...colours("rect.bad", "fill")],
	};
})()`

// Judge shows the status page in several widths, light and dark. The document must be as wide as
// the window, and states must have their colours. On a tablet, timelines must begin in the window.
// Judge writes each picture to a file in dir whose name begins with name.
func (b *Browser) Judge(tb testing.TB, dir, name string) {
	tb.Helper()
	for scheme, want := range colours {
		for _, width := range widths {
			b.show(tb, width, scheme)
			var got look
			b.Evaluate(tb, readLook, &got)
			if got.Width > got.Screen || got.Screen != width {
				tb.Errorf("%s, %s: the document is %d pixels wide, and the window %d", name, scheme, got.Width, got.Screen)
			}
			if width == tablet && got.Timeline >= width {
				tb.Errorf("%s, %s: the timelines begin at pixel %d of %d", name, scheme, got.Timeline, width)
			}
			other := func(colour string) func(string) bool { return func(c string) bool { return c != colour } }
			if got.Text != want.text || slices.ContainsFunc(got.Good, other(want.good)) || slices.ContainsFunc(got.Bad, other(want.bad)) {
				tb.Errorf("%s, %s: %+v, want %+v", name, scheme, got, want)
			}
			b.screenshot(tb, filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)))
		}
	}
}

// show makes the page so wide, and light or dark.
func (b *Browser) show(tb testing.TB, width int, scheme string) {
	tb.Helper()
	b.call(tb, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.call(tb, "Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Evaluate stores the value of an expression in JavaScript.
func (b *Browser) Evaluate(tb testing.TB, expression string, value any) {
	tb.Helper()
	var reply struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.call(tb, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &reply)
	if err := json.Unmarshal(reply.Result.Value, value); err != nil {
		tb.Fatalf("%s: %v: %s", expression, err, reply.ExceptionDetails)
	}
}

// Text returns the document as text.
func (b *Browser) Text(tb testing.TB) string {
	tb.Helper()
	var document string
	b.Evaluate(tb, "document.documentElement.outerHTML", &document)
	text, err := pagetest.Text(document)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// Roles returns how many elements with each role the page has for assistive technology.
func (b *Browser) Roles(tb testing.TB) map[string]int {
	tb.Helper()
	var tree struct {
		Nodes []struct {
			Ignored bool
			Role    struct{ Value string }
		}
	}
	b.call(tb, "Accessibility.getFullAXTree", nil, &tree)
	roles := map[string]int{}
	for _, n := range tree.Nodes {
		if !n.Ignored {
			roles[n.Role.Value]++
		}
	}
	return roles
}

// Console returns the messages of the console since the start.
func (b *Browser) Console() []string { return b.console }

// screenshot writes a picture of the whole page to a PNG file.
func (b *Browser) screenshot(tb testing.TB, path string) {
	tb.Helper()
	var picture struct{ Data string }
	b.call(tb, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &picture)
	png, err := base64.StdEncoding.DecodeString(picture.Data)
	if err == nil {
		err = os.WriteFile(path, png, 0o644)
	}
	if err != nil {
		tb.Fatal(err)
	}
}
