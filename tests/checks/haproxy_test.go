package checks

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lvs-agents/internal/policy"
	"lvs-agents/tests/lab"
)

// agentLines are the answers of servers to HAProxy's agent check, one row for each server. The
// first rows are the examples of HAProxy's configuration manual (agent-check).
var agentLines = [][]string{
	{"75%\n"},
	{"maxconn:30\n"},
	{"drain\n", "ready\n"},
	{"drain\n"},
	{"maint\n"},
	{"maint\n", "ready\n"},
	{"down\n"},
	{"failed\n"},
	{"stopped\n"},
	{"fail\n"},
	{"down\n", "up\n"},
	{"down #disk is full\n"},
	{"stopped#maintenance of the rack\r\n"},
	{"75%,maxconn:30,maint,down\n"},
	{"maint,down,75%\n", "ready up 100%\n"},
	{"0%\n"},
	{"0%\n", "100%\n"},
	{"up\t, 50%  ready\n"},
	{"UP 50%\n"},
	{"50%\ndown\n"},
	{"50%\n", "\n"},
	{"50%\n", "hello world\n"},
	{"50%\n", "many%\n"},
	{"50%\n", "75\n"},
	{"drain\n", "up\n"},
	{"down\n", "ready\n"},
	{"drain\n", "maint\n"},
	{"maint\n", "drain\n"},
	{"down\n", "50%\n"},
	{"down up\n"},
	{"up down\n"},
	{"maint ready\n"},
	{"ready maint\n"},
	{"50%"},
	{"50%\rdown\n"},
	{"\r\ndown\n"},
	{"drain # new release\n"},
}

// differentAgentLines are the rows of agentLines where our policy differs from HAProxy. Each row
// has its reason.
var differentAgentLines = map[string]string{
	"failed\n":                            "the manual names this word, but HAProxy knows only fail",
	"stopped#maintenance of the rack\r\n": "HAProxy wants a blank before the reason, and ignores the word without it",
}

// TestSameAnswersAsHAProxy gives the same lines to HAProxy and to the policy. Both must think the
// same about the server.
func TestSameAnswersAsHAProxy(t *testing.T) {
	dir := t.TempDir()
	text := "global\n\tstats socket " + filepath.Join(dir, "stats") + " mode 600 level admin\n" +
		"defaults\n\tmode tcp\n\ttimeout connect 2s\n\ttimeout client 5s\n\ttimeout server 5s\nbackend web\n"
	told := make([]*atomic.Int64, len(agentLines))
	for i, lines := range agentLines {
		addr, n := agent(t, lines)
		told[i] = n
		_, port, _ := net.SplitHostPort(addr)
		text += fmt.Sprintf("\tserver s%d 127.0.9.1:80 weight 100 maxconn 500 agent-check agent-addr 127.0.0.1 agent-port %s agent-inter 100ms\n", i, port)
	}
	text += "listen idle\n\tbind 127.0.9.1:8404\n\tdefault_backend web\n"
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program := exec.CommandContext(t.Context(), "haproxy", "-db", "-f", file)
	program.Cancel = func() error { return program.Process.Kill() }
	var log strings.Builder
	program.Stdout, program.Stderr = &log, &log
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = program.Process.Kill()
		_ = program.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	lab.Wait(t, 20*time.Second, "HAProxy has read the last line of each server twice", func() error {
		for i, n := range told {
			if n.Load() < int64(len(agentLines[i])+2) {
				return fmt.Errorf("server %d: %d answers", i, n.Load())
			}
		}
		return nil
	})
	states := haproxyStates(t, filepath.Join(dir, "stats"))
	for i, lines := range agentLines {
		name := strings.Join(lines, "")
		says := policy.Says{}
		for _, line := range lines {
			says = says.Read(line)
		}
		got, want := stateOf(says), states[fmt.Sprintf("s%d", i)]
		if why, different := differentAgentLines[name]; different != (got != want) {
			t.Errorf("%q: the policy %+v, HAProxy %+v; a difference is expected because of %q", name, got, want, why)
		}
	}
}

// agent starts an agent of a server. It gives one line for each connection. After the last line, it
// repeats that line. It also returns how many connections have had an answer.
func agent(t *testing.T, lines []string) (addr string, told *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	told = &atomic.Int64{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n := told.Load() // Only this goroutine adds to told.
			_, _ = io.WriteString(conn, lines[min(n, int64(len(lines)-1))])
			_ = conn.Close()
			told.Add(1)
		}
	}()
	return l.Addr().String(), told
}

// agentState is what HAProxy or the policy thinks about a server.
type agentState struct {
	maint, drain, down bool
	weight, maxconn    int
}

// stateOf returns the state for a server of weight 100 with at most 500 connections. A server in
// maintenance is not up, so down counts only outside of it.
func stateOf(s policy.Says) agentState {
	state := agentState{s.Mode == policy.Maint, s.Mode == policy.Drain, s.Down && s.Mode != policy.Maint, 100, 500}
	if s.HasWeight {
		state.weight = s.Weight
	}
	if s.MaxConn > 0 {
		state.maxconn = s.MaxConn
	}
	return state
}

// haproxyStates reads the states of the servers from HAProxy's socket (management manual, "show
// servers state" and "show stat").
func haproxyStates(t *testing.T, socket string) map[string]agentState {
	t.Helper()
	states := map[string]agentState{}
	for line := range strings.Lines(haproxySays(t, socket, "show servers state web")) {
		words := strings.Fields(line)
		if len(words) < 10 || words[1] != "web" {
			continue
		}
		var number [3]int // the operational state, the administrative state, and the weight
		for i := range number {
			n, err := strconv.Atoi(words[5+i])
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			number[i] = n
		}
		const forcedMaint, forcedDrain = 0x01, 0x08
		maint := number[1]&forcedMaint != 0
		states[words[3]] = agentState{maint: maint, drain: number[1]&forcedDrain != 0, down: number[0] == 0 && !maint, weight: number[2]}
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimSpace(haproxySays(t, socket, "show stat web 4 -1")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	const name, limit = 1, 6
	for _, row := range rows[1:] {
		state, found := states[row[name]]
		if !found {
			t.Fatalf("no state of %s", row[name])
		}
		if state.maxconn, err = strconv.Atoi(row[limit]); err != nil {
			t.Fatal(err)
		}
		states[row[name]] = state
	}
	if len(states) != len(agentLines) {
		t.Fatalf("HAProxy has %d servers", len(states))
	}
	return states
}

func haproxySays(t *testing.T, socket, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(conn, command+"\n")
	answer, readErr := io.ReadAll(conn)
	if err := errors.Join(err, readErr, conn.Close()); err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
