package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// feeding starts to serve requests for a daemon with the id web, and returns its feed.
func feeding(t *testing.T, dir string) *Feed {
	t.Helper()
	listener, err := Listen(dir, "web")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	feed, ended := new(Feed), make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, fake{resyncs: make(chan struct{}, 9)}, feed) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if feed.Wanted() {
			t.Error("readers are left")
		}
	})
	return feed
}

// connect sends the text said to the daemon and returns the connection.
func connect(t *testing.T, dir, said string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", Path(dir, "web"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write([]byte(said)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// wait waits until a feed has this number of readers.
func (f *Feed) wait(t *testing.T, readers int32) {
	t.Helper()
	for limit := time.After(30 * time.Second); f.count.Load() != readers; {
		select {
		case <-limit:
			t.Fatalf("%d readers, want %d", f.count.Load(), readers)
		case <-time.After(time.Millisecond):
		}
	}
}

func event(service, server string) Event {
	from, to := 1, 0
	return Event{Kind: "server_down", Service: service, Server: server, From: &from, To: &to, Reason: "refused", Lasted: 1.5}
}

const (
	web4 = "-t 192.0.2.10:80"
	web6 = "-t [2001:db8::10]:80"
	rs4  = "192.0.2.21:80"
	rs6  = "[2001:db8::21]:80"
)

// TestEventsOnTheWire checks the bytes that a client of events gets: a reply without a result, then
// one line for each event.
func TestEventsOnTheWire(t *testing.T) {
	dir := stateDir(t)
	feed := feeding(t, dir)
	conn := connect(t, dir, `{"version":1,"request":"events","arguments":{"server":"192.0.2.21"}}`+"\n")
	feed.wait(t, 1)
	feed.Publish(event(web6, rs6))
	feed.Publish(event(web4, rs4))
	lines := bufio.NewReader(conn)
	for _, want := range []string{
		`{"version":1}`,
		`{"version":1,"result":{"kind":"server_down","service":"-t 192.0.2.10:80","server":"192.0.2.21:80","from":1,"to":0,"reason":"refused","lasted":1.5}}`,
	} {
		if got, err := lines.ReadString('\n'); got != want+"\n" || err != nil {
			t.Errorf("got  %s (%v)\nwant %s", got, err, want)
		}
	}
}

func TestRefusedEvents(t *testing.T) {
	for line, want := range map[string]string{
		`{"version":1,"request":"events","arguments":{"kind":"x"}}`:      `{"version":1,"error":"arguments of events: json: unknown field \"kind\""}`,
		`{"version":1,"request":"events","arguments":7}`:                 `{"version":1,"error":"arguments of events: json: cannot unmarshal number into Go value of type control.Filter"}`,
		`{"version":1,"request":"events","arguments":{"service":"web"}}`: `{"version":1,"error":"service \"web\" is neither ADDRESS, ADDRESS:PORT nor a firewall mark"}`,
		`{"version":1,"request":"events","arguments":{"server":"rs1"}}`:  `{"version":1,"error":"server \"rs1\" is neither ADDRESS:PORT nor an address"}`,
		`{"version":2,"request":"events"}`:                               `{"version":1,"error":"the client speaks version 2 of the control protocol and this directord version 1; restart the resource so that the installed directord runs"}`,
	} {
		ours, theirs := net.Pipe()
		go talk(t.Context(), ours, fake{}, new(Feed))
		if _, err := io.WriteString(theirs, line+"\n"); err != nil {
			t.Error(err)
		}
		if got, _ := io.ReadAll(theirs); string(got) != want+"\n" {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestFilter(t *testing.T) {
	for _, tt := range []struct {
		service, server string
		want            string // want has the names of the events that the filter selects.
	}{
		{"", "", "4 6 mark configuration"},
		{web4, "", "4"}, {"192.0.2.10:80", "", "4"}, {"192.0.2.10", "", "4"}, {"192.0.2.1", "", ""}, {"2001:DB8:0::10", "", "6"}, {"-u 192.0.2.10:80", "", ""}, {"[2001:DB8:0::10]:80", "", "6"}, {"7", "", "mark"}, {"-f 7", "", "mark"},
		{"", rs4, "4 mark"}, {"", "192.0.2.21", "4 mark"}, {"", "192.0.2.21:81", ""}, {"", "2001:DB8::21", "6"}, {"", "[2001:DB8::21]:80", "6"},
		{"7", rs4, "mark"}, {"7", rs6, ""},
	} {
		f, err := Filter{tt.service, tt.server}.normal()
		if err != nil {
			t.Error(err)
		}
		var passed []string
		for _, e := range []struct {
			name string
			Event
		}{{"4", event(web4, rs4)}, {"6", event(web6, rs6)}, {"mark", event("-f 7", rs4)}, {"configuration", Event{Kind: "configuration_loaded"}}} {
			if f.passes(e.Event) {
				passed = append(passed, e.name)
			}
		}
		if got := strings.Join(passed, " "); got != tt.want {
			t.Errorf("%+v: got %s, want %s", tt, got, tt.want)
		}
	}
}

// TestClientOfEvents checks the function Events against a daemon.
func TestClientOfEvents(t *testing.T) {
	dir := stateDir(t)
	feed := feeding(t, dir)
	enough := errors.New("enough")
	go func() {
		feed.wait(t, 1)
		feed.Publish(event(web4, rs4))
	}()
	var got Event
	err := Events(t.Context(), dir, "web", Watch{Filter: Filter{Service: web4}, Each: func(e Event) error {
		got = e
		return enough
	}})
	want := event(web4, rs4)
	want.Daemon = "web"
	if diff := cmp.Diff(want, got); !errors.Is(err, enough) || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	feed.wait(t, 0)
	err = Events(t.Context(), dir, "web", Watch{Filter: Filter{Server: "x"}})
	if err == nil || err.Error() != `directord web: server "x" is neither ADDRESS:PORT nor an address` {
		t.Errorf("got %v", err)
	}
}

// TestEventsOfOlderDaemons checks the errors of Events. The daemons have version 1 without events,
// no version, or a newer version, or they end.
func TestEventsOfOlderDaemons(t *testing.T) {
	for reply, want := range map[string]string{
		`{"version":1,"error":"unknown request \"events\"; this directord knows status, resync and reload"}` + "\n": `directord web: unknown request "events"; this directord knows status, resync and reload; it was started before the upgrade, so restart its resource`,
		`error: request "{\"version\":1}" is unknown` + "\n":                                                        "directord web was started before the upgrade and cannot send events; restart its resource",
		`{"version":2}` + "\n": "directord web: it speaks version 2 of the control protocol and this program version 1; use the programs of its package",
		`{"version":1}` + "\n": "directord web: the daemon has ended; there are no more events",
		"":                     "directord web: the daemon has ended; there are no more events",
	} {
		dir := stateDir(t)
		serveReplies(t, dir, func(string) string { return reply })
		err := Events(t.Context(), dir, "web", Watch{})
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// TestSlowReader checks that a client which does not read gets the events of a full queue, and then
// the number of dropped events.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed, ctx := new(Feed), t.Context()
		ours, theirs := net.Pipe() // A pipe of package net has no buffer, so a write blocks until the test reads.
		go feed.stream(ctx, ours, request{Request: requestEvents})
		lines := bufio.NewScanner(theirs)
		lines.Scan() // Read the first reply, which has no event.
		synctest.Wait()
		const more = 500
		for n := range 1 + longestQueue + more {
			feed.Publish(Event{Kind: fmt.Sprint(n)})
			if n == 0 {
				synctest.Wait() // Wait until stream writes the first event and blocks.
			}
		}
		for n := range 1 + longestQueue {
			if want := fmt.Sprintf(`{"version":1,"result":{"kind":"%d"}}`, n); !lines.Scan() || lines.Text() != want {
				t.Fatalf("got %s, want %s", lines.Text(), want)
			}
		}
		if want := `{"version":1,"result":{"kind":"events_dropped","dropped":500}}`; !lines.Scan() || lines.Text() != want {
			t.Errorf("got %s, want %s", lines.Text(), want)
		}
		go feed.Publish(Event{Kind: "later"})
		if want := `{"version":1,"result":{"kind":"later"}}`; !lines.Scan() || lines.Text() != want {
			t.Errorf("got %s, want %s", lines.Text(), want)
		}
		_ = theirs.Close()
		synctest.Wait()
		if feed.Wanted() {
			t.Error("the reader has not left")
		}
	})
}

// TestReadersAreBounded checks that the daemon refuses more than mostReaders clients of events.
// After a client leaves, the daemon accepts another client.
func TestReadersAreBounded(t *testing.T) {
	dir := stateDir(t)
	feed := feeding(t, dir)
	const request = `{"version":1,"request":"events"}` + "\n"
	var first net.Conn
	for range mostReaders {
		first = connect(t, dir, request)
	}
	feed.wait(t, mostReaders)
	const want = `{"version":1,"error":"16 clients read events already; end one of them"}` + "\n"
	if got, err := io.ReadAll(connect(t, dir, request)); string(got) != want || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	_ = first.Close()
	feed.wait(t, mostReaders-1)
	connect(t, dir, request)
	feed.wait(t, mostReaders)
	if _, err := Status(t.Context(), dir, "web"); err != nil {
		t.Error(err)
	}
}

// TestHostileClients checks that a daemon replies to other clients while a thousand hostile clients
// are connected. Some send nothing, some send no line end, some leave early, and some request
// events but do not read them. It also checks that Publish does not wait for them.
func TestHostileClients(t *testing.T) {
	dir := stateDir(t)
	feed := feeding(t, dir)
	before := runtime.NumGoroutine()
	const ask = `{"version":1,"request":"%s"}` + "\n"
	long, status, events := strings.Repeat("x", 2*longestRequest), fmt.Sprintf(ask, "status"), fmt.Sprintf(ask, "events")
	says := []string{"", long, ask[:9], events, status, long, ask[:9], events, status, status}
	for n := range 1000 {
		conn, err := net.Dial("unix", Path(dir, "web"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		// A write error is normal: the client can close the connection.
		go func() { _, _ = io.WriteString(conn, says[n%len(says)]) }()
		if n%10 == 2 || n%10 == 6 {
			_ = conn.Close()
		}
	}
	feed.wait(t, mostReaders)
	began := time.Now()
	for range 10 * longestQueue {
		feed.Publish(event(web4, rs4))
	}
	t.Logf("publishing took %v", time.Since(began))
	if _, err := Status(t.Context(), dir, "web"); err != nil {
		t.Error(err)
	}
	if now := runtime.NumGoroutine(); now > before+1000+5*mostTalks {
		t.Errorf("%d goroutines, %d before", now, before)
	}
}

// BenchmarkEventThatNoClientReads measures the cost of an event while no client reads events.
func BenchmarkEventThatNoClientReads(b *testing.B) {
	var feed Feed
	for b.Loop() {
		if feed.Wanted() {
			feed.Publish(Event{})
		}
	}
}
