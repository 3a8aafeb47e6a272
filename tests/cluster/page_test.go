package cluster

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/page/pagetest"
	"lvs-agents/tests/lab"
)

var recordPages = flag.String("record-pages", "", "write the status pages of TestStatusPage into this directory instead of comparing them")

// TestStatusPage reads the status pages of both directors while a real server fails, a director is
// on standby, and a director loses its power. The pages must be like the recorded pages, which
// tests/monitoring shows in a browser. The pages of each run are in the ArtifactDir of the test.
func TestStatusPage(t *testing.T) {
	s := newSite(t)
	s.writeConfig(t, standbyConfig())
	s.Configure(t, quick(t, "hot-standby.crm"))
	s.bothReady(t, bothIn)
	if active, _ := s.active(t); active.Name != "director1" {
		s.Standby(t, active.Name, true)
		s.WaitRunning(t, minute, "web-vip", "director1")
		s.Standby(t, active.Name, false)
		s.bothReady(t, bothIn)
	}
	one, two := s.Node("director1"), s.Node("director2")
	const (
		all  = " | 1000 | 100 % of the weight on good real servers\n"
		half = " | 750 | 50 % of the weight on good real servers\n"
		here = "\nli: 192.0.2.10 is on this director, which is active for it.\n"
		away = "\nli: 192.0.2.10 is not on this director.\n"
		rs1  = "\ntr: 192.0.2.21:80 | Route | 1 | 1 | good | "
		rs2  = "\ntr: 192.0.2.22:80 | Route | 1 | 1 | good | "
		down = "\ntr: 192.0.2.21:80 | Route | 0 | 1 | bad | "
		why  = " | GET http://192.0.2.21:80/.health.html: status 404 Not Found | good from "
	)
	both := func(sees string) string { return "\ntr: director1" + sees + "tr: director2" + sees }
	for _, node := range []*lab.Node{one, two} {
		node.Start(t, "lvsctl", "serve", "--listen", node.Host.Addr+":9946")
	}
	good := "1 service, 2 real servers: 2 good, 0 bad, 0 unknown.\n"
	s.shows(t, "both-up", one, "h1: Director director1\n", good, here, both(all), rs1, rs2)
	s.shows(t, "both-up", two, "h1: Director director2\n", good, away, both(all), rs1, rs2)
	s.loads(t, one, "style.css")
	s.loads(t, two, "live.js")

	s.topology.Host("rs1").SetHealthy(t, false)
	bad := "1 service, 2 real servers: 1 good, 1 bad, 0 unknown.\n"
	event := " | web-health | server down | -t 192.0.2.10:80 | 192.0.2.21:80 | 1 to 0 | "
	s.shows(t, "server-down", one, bad, here, both(half), down, why, rs2, event)
	s.shows(t, "server-down", two, bad, away, both(half), down, why, rs2, event)
	s.topology.Host("rs1").SetHealthy(t, true)
	s.bothReady(t, bothIn)

	s.Standby(t, "director1", true)
	s.WaitRunning(t, minute, "web-vip", "director2")
	s.shows(t, "standby", one, ": no health daemon runs on this director.\n", "\np: No daemon publishes a node attribute")
	s.shows(t, "standby", two, good, here, "\ntr: director2"+all, rs1, rs2)
	s.Standby(t, "director1", false)
	s.bothReady(t, bothIn)
	s.shows(t, "back", one, good, away, both(all), rs1, rs2)
	s.shows(t, "back", two, good, here, both(all), rs1, rs2)

	two.Kill(t)
	s.WaitRunning(t, minute, "web-vip", "director1")
	if page, err := s.page(t, two, ""); err == nil {
		t.Errorf("a director without power has the page\n%s", page)
	}
	s.shows(t, "power-cut", one, good, here, "\ntr: director1"+all, rs1, rs2)
}

// page reads a file of the status page of a director, on the client.
func (s site) page(t *testing.T, node *lab.Node, name string) (string, error) {
	t.Helper()
	return s.topology.Host("client").Get(t.Context(), "http://"+node.Host.Addr+":9946/"+name)
}

// loads checks that a director serves a file that its page loads.
func (s site) loads(t *testing.T, node *lab.Node, name string) {
	t.Helper()
	want, err := os.ReadFile("../../internal/page/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.page(t, node, name); err != nil || got != string(want) {
		t.Errorf("%s of %s: %v, %d bytes, want %d", name, node.Name, err, len(got), len(want))
	}
}

// shows waits until the status page of a director has the parts, and is like the recorded page.
func (s site) shows(t *testing.T, situation string, node *lab.Node, parts ...string) {
	t.Helper()
	file := situation + "-" + node.Name + ".html"
	var document string
	s.Wait(t, minute, file, func() (err error) {
		if document, err = s.page(t, node, ""); err != nil {
			return err
		}
		text, err := pagetest.Text(document)
		if err != nil {
			return err
		}
		for _, part := range parts {
			if !strings.Contains(text, part) {
				return fmt.Errorf("no %q in\n%s", part, text)
			}
		}
		if *recordPages != "" {
			return nil
		}
		recorded, err := os.ReadFile("../monitoring/testdata/pair/" + file)
		if err != nil {
			return err
		}
		want, err := pagetest.Text(string(recorded))
		if diff := cmp.Diff(lasting(want), lasting(text)); err == nil && diff != "" {
			err = fmt.Errorf("tests/run page records again (-recorded +got):\n%s", diff)
		}
		return err
	})
	dir := t.ArtifactDir()
	if *recordPages != "" {
		dir = *recordPages
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte(document), 0o644); err != nil {
		t.Fatal(err)
	}
}

// varies finds the parts of a page that differ from run to run: the verdicts of the last hour, the
// version of the daemon and the time of its start, other times, and how long ago they were.
var varies = regexp.MustCompile(`(?m)([a-z]+ from \d\d:\d\d:\d\d(, )?)+|\| \S+ \| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$|(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d|\((\d+h)?(\d+m)?\d+s\)`)

// lasting returns the text of a page without the parts that differ from run to run, and without the
// events.
func lasting(text string) string {
	text, _, _ = strings.Cut(text, "\nh2: Events of the last hour\n")
	return varies.ReplaceAllString(text, "...")
}
