package moves

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// traffic is a client process that runs during a test.
type traffic struct {
	cmd      *exec.Cmd
	commands io.WriteCloser
	lines    *bufio.Scanner
}

// begin starts a server or a client of this package, and waits until it is ready. The process is
// killed when the test ends.
func begin(t *testing.T, cmd *exec.Cmd) *traffic {
	t.Helper()
	commands, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr // a panic of the process goes to the log of the test
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Cancel()
		_ = cmd.Wait() // the program was killed
	})
	running := &traffic{cmd, commands, bufio.NewScanner(out)}
	if line := running.line(t); line != ready {
		t.Fatalf("%s: %s", strings.Join(cmd.Args, " "), line)
	}
	return running
}

func (tr *traffic) line(t *testing.T) string {
	t.Helper()
	if !tr.lines.Scan() {
		t.Fatalf("%s ended: %v, %v", strings.Join(tr.cmd.Args, " "), tr.lines.Err(), tr.cmd.Wait())
	}
	return tr.lines.Text()
}

// load starts the client. The client ends at the end of the test, or when the test calls the
// returned function stop.
func (s site) load(t *testing.T, m Mix) (running *traffic, stop func()) {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return begin(t, s.Host("client").Command(ctx, self(t), "load", string(text))), cancel
}

// report returns what happened to the traffic of the client since the last report.
func (tr *traffic) report(t *testing.T) Report {
	t.Helper()
	if _, err := io.WriteString(tr.commands, "report\n"); err != nil {
		t.Fatal(err)
	}
	line := tr.line(t)
	var report Report
	if err := json.Unmarshal([]byte(line), &report); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return report
}

// String returns one line for the log of the test.
func (r Report) String() string {
	var words []string
	for _, kind := range kinds {
		result := r[kind]
		word := fmt.Sprintf("%s %d/%d", kind, result.broken(), result.Count)
		if len(result.Broken) > 0 {
			word += fmt.Sprint(result.Broken)
		}
		if result.Gap > 0 {
			word += " gap " + result.Gap.Round(time.Millisecond).String()
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func (r Result) broken() int {
	sum := 0
	for _, n := range r.Broken {
		sum += n
	}
	return sum
}

// broken returns the number of broken connections and failed requests of the given kinds of
// traffic.
func (r Report) broken(kinds ...string) int {
	sum := 0
	for _, kind := range kinds {
		sum += r[kind].broken()
	}
	return sum
}

// add returns the sum of two reports, with the longest gaps.
func (r Report) add(more Report) Report {
	sum := Report{}
	for _, kind := range kinds {
		result := Result{Count: r[kind].Count + more[kind].Count, Gap: max(r[kind].Gap, more[kind].Gap), Broken: map[string]int{}}
		for _, each := range []Result{r[kind], more[kind]} {
			for why, n := range each.Broken {
				result.Broken[why] += n
			}
		}
		sum[kind] = result
	}
	return sum
}

// count returns the number of all connections and requests of the given kinds of traffic.
func (r Report) count(kinds ...string) int {
	sum := 0
	for _, kind := range kinds {
		sum += r[kind].Count
	}
	return sum
}
