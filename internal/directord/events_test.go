package directord

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
)

// TestEventsOfADaemon checks the events that a client reads from the socket of a daemon. A real
// server becomes good and bad meanwhile.
func TestEventsOfADaemon(t *testing.T) {
	s := newSite(t)
	s.write("quiescent=yes\n" + s.service("192.0.2.10:80", "127.0.0.1", "127.0.0.2"))
	s.serve()
	conn, err := net.Dial("unix", control.Path(s.dir, "web"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintln(conn, `{"version":1,"request":"events","arguments":{"service":"192.0.2.10:80","server":"127.0.0.2"}}`); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	next := func(want ...string) {
		t.Helper()
		for lines.Scan() && strings.Contains(lines.Text(), `"phase":"starting"`) {
			continue // The daemon can publish the first verdict after the client has connected.
		}
		for _, part := range want {
			if !strings.Contains(lines.Text(), part) {
				t.Errorf("got  %s\nwant %s", lines.Text(), part)
			}
		}
	}
	next(`{"version":1}`)
	server := fmt.Sprintf(`"service":"-t 192.0.2.10:80","server":"127.0.0.2:%d","check":"connect","verdict":`, s.port)
	second := listen(t, fmt.Sprintf("127.0.0.2:%d", s.port))
	next(`{"version":1,"result":{"time":"2`, `,"kind":"check_passed","phase":"running",`+server+`"good","failures":`)
	next(`"kind":"server_up"`, server+`"good","from":0,"to":1,"lasted":`, fmt.Sprintf(`"op":"ipvsadm -e -t 192.0.2.10:80 -r 127.0.0.2:%d -m -w 1"}}`, s.port))
	_ = second.Close()
	next(`"kind":"server_down"`, server+`"bad","from":1,"to":0,"reason":"connect to 127.0.0.2:`)
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if lines.Scan() {
		t.Errorf("after the end: %s", lines.Text())
	}
}

// TestEventsSurviveARestart checks that the events of a daemon can be read after its end and after
// its next start. A daemon that cannot keep events works.
func TestEventsSurviveARestart(t *testing.T) {
	s := newSite(t)
	s.write("quiescent=yes\n" + s.service("192.0.2.10:80", "127.0.0.1"))
	past := func() (kinds string) {
		events, err := control.Past(s.dir, "web", control.Filter{})
		if err != nil {
			t.Error(err)
		}
		for _, e := range events {
			kinds += e.Kind + " "
		}
		return kinds
	}
	s.serve()
	s.stop()
	before := past()
	if !strings.HasPrefix(before, "configuration_loaded service_added ") || !strings.Contains(before, "daemon_ended ") || strings.Contains(before, "check_passed") {
		t.Errorf("after a start and a stop: %s", before)
	}
	s.serve()
	s.stop()
	if got := past(); !strings.HasPrefix(got, before+"configuration_loaded ") {
		t.Errorf("after another start: %s", got)
	}
	path := control.EventsPath(s.dir, "web")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	s.serve()
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.waitLog("keeping an event: ")
}

// TestEventsThatComeOftenAreNotKept checks that the events of single checks, slow starts and chosen
// weights are not in the file.
func TestEventsThatComeOftenAreNotKept(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Dir(control.EventsPath(dir, "web")), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	s := server{kept: control.NewKeeper(dir, "web"), log: logrus.New()}
	for _, kind := range []health.Kind{health.CheckFailed, health.CheckPassed, health.ServerRising, health.ServerAdjusted, health.ServerDrained} {
		s.keep(health.Event{Kind: kind, Time: time.Now()})
	}
	events, err := control.Past(dir, "web", control.Filter{})
	if err != nil || len(events) != 1 || events[0].Kind != string(health.ServerDrained) {
		t.Errorf("%v, %v", events, err)
	}
}
