package moves

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const intro = `<!-- Written by make soak from tests/moves and tests/sync; the page keeps the results of one run. -->

# Connections that a take-over breaks

Broken connections are reset, closed, sent to another real server, or without an answer for 20 s.
[ADR 79](adr/0079-how-a-take-over-is-measured.md) describes the measurement.

Machine: one CPU of the lab's guest, Linux %s. Traffic: %d open TCP connections, %d source ports of
datagrams, %d client addresses of the persistent service, %d new connections a second wanted.

## The active director crashes

The active director ended, in turn by power, link and kernel. The other director got the address at
once, except with keepalived, which moves the address itself.

`

const masqueraded = `
With masquerading and the hash profile alone, a streaming connection breaks. Here the real server
sends first, and the new director does not know the connection. The director does not translate the
packet, so the client gets it from an unknown address.

`

const planned = `## An operator moves the address

With Pacemaker, each move is a standby of the active director, and its return. With keepalived, the
test stops keepalived on the active director, and starts it again. The crashes of these rows end the
active director of the cluster, in turn by power, link and kernel. The token time is 1.5 s.

`

// settings is the end of the page. TestFailedServer and TestReusedPort check it.
const settings = `
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

// row is the sum of the reports of one form.
type row struct {
	name   string
	events int // number of moves or crashes
	report Report
}

// table returns a table of the page.
func table(rows []row) string {
	text := "| form (how the directors keep connections) | events | broken open TCP connections | broken flows of datagrams | broken persistent connections | failed new connections | longest time without a new connection |\n|---|---|---|---|---|---|---|\n"
	for _, each := range rows {
		r := each.report
		cell := func(kinds ...string) string { return fmt.Sprintf("%d of %d", r.broken(kinds...), r.count(kinds...)) }
		text += "| " + strings.Join([]string{each.name, fmt.Sprint(each.events), cell("idle", "chatty", "streaming"), cell("datagrams"), cell("persistent"), cell("requests"),
			r["requests"].Gap.Round(10 * time.Millisecond).String()}, " | ") + " |\n"
	}
	return text
}

// writesFigures reports whether the tests write their results to files. LAB_FIGURES is the
// directory of these files. Their names give their order on the page.
func writesFigures() bool { return os.Getenv("LAB_FIGURES") != "" }

func write(t *testing.T, name, text string) {
	t.Helper()
	if !writesFigures() {
		return
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("LAB_FIGURES"), name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writeCrashes writes the first part of the page.
func writeCrashes(t *testing.T, rows []row) {
	t.Helper()
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		t.Fatal(err)
	}
	m := mix()
	write(t, "figures1", fmt.Sprintf(intro, unix.ByteSliceToString(kernel.Release[:]), m.Idle+m.Chatty+m.Streaming, m.Datagrams, len(m.Sources), m.Requests)+table(rows)+masqueraded)
}
