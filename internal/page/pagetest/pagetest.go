// Package pagetest has an example of what the status page shows, and reads the page as text.
package pagetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"

	"lvs-agents/internal/control"
	"lvs-agents/internal/page"
)

// Now is the time of the example.
var Now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// Hostile is a reason with the text of a server that attacks the reader.
const Hostile = "<script>alert(1)</script>\x1b[2J\x00\u202egnp"

// States returns the states of two daemons: web has three services, and mail does not reply.
func States() []control.State {
	at := func(minutes int) time.Time { return Now.Add(-time.Duration(minutes) * time.Minute) }
	return []control.State{
		{ID: "mail", Err: errors.New("directord mail does not reply: context deadline exceeded")},
		{ID: "web", Snapshot: control.Snapshot{
			ID: "web", PID: 4711, Version: "1.0", Config: "/etc/ha.d/web.cf", Started: at(600), Now: Now, Limit: 10,
			Attribute: &control.Attribute{Name: "lvs-health-web", Value: "666"},
			Services: []control.Service{
				{
					ID: "-t 192.0.2.10:80", Scheduler: "wrr", Persistence: 300, Fallback: &control.Real{Addr: "127.0.0.1:80", Forward: "Route", Weight: -1},
					Reals: []control.Real{
						{Addr: "192.0.2.21:80", Forward: "Route", Weight: 2, Configured: 2, Verdict: "good", Since: at(600)},
						{Addr: "192.0.2.22:80", Forward: "Route", Weight: 0, Configured: 2, Verdict: "bad", Since: at(10), Reason: Hostile},
						{Addr: "192.0.2.23:80", Forward: "Route", Weight: -1, Configured: 2, Verdict: "unknown", Since: at(1)},
					},
				},
				{
					ID: "-t [2001:db8::10]:443", Scheduler: "mh", Trouble: "operation not permitted", Fallback: &control.Real{Addr: "[2001:db8::1]:443", Forward: "Masq", Weight: 1},
					Reals: []control.Real{{Addr: "[2001:db8::21]:443", Forward: "Masq", Weight: 0, Configured: 1, Verdict: "bad", Since: at(20), Reason: "timeout", Policy: "quorum 1 of 2"}},
				},
				{ID: "-f 7", Scheduler: "rr"},
			},
		}},
	}
}

// Events are the events of the example, in the order of their times.
func Events() []control.Event {
	zero, two := 0, 2
	return []control.Event{
		{Time: Now.Add(-2 * time.Hour), Daemon: "web", Kind: "configuration_loaded"},
		{Time: Now.Add(-11 * time.Minute), Daemon: "web", Kind: "check_failed", Service: "-t 192.0.2.10:80", Server: "192.0.2.22:80"},
		{Time: Now.Add(-10 * time.Minute), Daemon: "web", Kind: "server_down", Service: "-t 192.0.2.10:80", Server: "192.0.2.22:80", From: &two, To: &zero, Reason: Hostile},
		{Time: Now.Add(-5 * time.Minute), Daemon: "web", Kind: "table_repaired", Service: "-t 192.0.2.10:80", Op: "ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 2", Undone: "ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 9"},
	}
}

// Source returns the example. States reads the states of the daemons.
func Source(states func() []control.State) page.Source {
	return page.Source{
		Host: "director1", Now: func() time.Time { return Now },
		States: func(context.Context) ([]control.State, error) { return states(), nil },
		Events: func(ctx context.Context, id string, each func(control.Event) error) error {
			for _, e := range Events() {
				if e.Daemon == id {
					if err := each(e); err != nil {
						return err
					}
				}
			}
			<-ctx.Done()
			return ctx.Err()
		},
		Attributes: func(context.Context, string) (map[string]string, error) {
			return map[string]string{"director1": "666", "director2": "1000"}, nil
		},
		Addresses: func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("192.0.2.10")}, nil },
	}
}

// Text returns the title and the body of a page as text: one line for each row of a table, and for
// each heading, paragraph, item and label.
func Text(document string) (string, error) {
	root, err := html.Parse(strings.NewReader(document))
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Namespace != "" || !slices.Contains(lines, n.Data) {
			continue
		}
		if words := words(n); words != "" {
			fmt.Fprintf(&text, "%s: %s\n", n.Data, words)
		}
	}
	return text.String(), nil
}

// lines are the elements that are one line of text.
var lines = []string{"title", "h1", "h2", "p", "li", "label", "caption", "tr"}

// words returns the text of an element. Between two cells of a table, it has a vertical bar.
func words(n *html.Node) string {
	var text strings.Builder
	for child := range n.Descendants() {
		switch {
		// The titles in a picture are also in its label.
		case child.Type == html.TextNode && (child.Parent.Data != "title" || n.Data == "title"):
			text.WriteString(child.Data)
		case child.Data == "td" || child.Data == "th":
			text.WriteString(" | ")
		case child.Data == "svg":
			text.WriteString(attribute(child, "aria-label"))
		}
	}
	return strings.TrimPrefix(strings.Join(strings.Fields(text.String()), " "), "| ")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
