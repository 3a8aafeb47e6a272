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

// settings is the end of the page. TestFailedServer and TestReusedPort check it.
const settings = `
With masquerading and the hash profile alone, a streaming connection breaks. Here the real server
sends first, and the new director does not know the connection. The director does not translate the
packet, so the client gets it from an unknown address.

## Settings of the kernel

A real server with direct routing that an operator takes out of the table, while it still answers:

| how | what its clients get |
|---|---|
| weight 0, expire_quiescent_template=0 | open connections continue; addresses of a persistent service stay with it |
| weight 0, expire_quiescent_template=1 | open connections continue; addresses of a persistent service get another real server |
| removed, expire_nodest_conn=0 | open connections get no answer and no error; datagrams are lost |
| removed, expire_nodest_conn=1 | open connections are reset; datagrams go to another real server |

A client that connects again from the same port, after the weight of its real server became 0:

| setting | the new connection goes to |
|---|---|
| conn_reuse_mode=0 or 1, expire_nodest_conn=0 | the real server with weight 0 |
| conn_reuse_mode=3, expire_nodest_conn=0 | another real server |
| conn_reuse_mode=0, expire_nodest_conn=1 | another real server |
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
	if err := os.WriteFile(path, []byte(page+settings), 0o644); err != nil {
		t.Fatal(err)
	}
}
