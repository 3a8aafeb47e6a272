package moves

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var figures = flag.String("figures", "", "TestCrash also measures the peers, and writes its results to this `file`")

const intro = `<!-- Written by make soak from tests/moves; the page keeps the results of one run. -->

# Connections that a crash breaks

A director with the virtual address ended, and the other one got the address at once. Broken
connections are reset, closed, sent to another real server, or without an answer for 20 s.
[ADR 79](adr/0079-how-a-take-over-is-measured.md) describes the measurement.

`

// write writes a page with the results. For each form, total has the sum of the reports of all its
// crashes.
func write(t *testing.T, path string, forms []form, crashes int, total map[string]Report) {
	t.Helper()
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		t.Fatal(err)
	}
	m := mix()
	page := intro + fmt.Sprintf("Machine: one CPU of the lab's guest, Linux %s. Crashes of each form: %d, in turn by power, link and kernel.\n"+
		"Traffic: %d open TCP connections, %d source ports of datagrams, %d client addresses of the persistent service, %d new connections a second wanted.\n\n",
		unix.ByteSliceToString(kernel.Release[:]), crashes, m.Idle+m.Chatty+m.Streaming, m.Datagrams, len(m.Sources), m.Requests)
	page += "| form | open TCP connections | datagrams | persistent connections | new connections | longest time without a new connection |\n|---|---|---|---|---|---|\n"
	for _, f := range forms {
		r := total[f.name]
		cell := func(kinds ...string) string { return fmt.Sprintf("%d of %d", r.broken(kinds...), r.count(kinds...)) }
		page += "| " + strings.Join([]string{f.name, cell("idle", "chatty", "streaming"), cell("datagrams"), cell("persistent"), cell("requests"),
			r["requests"].Gap.Round(10 * time.Millisecond).String()}, " | ") + " |\n"
	}
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}
