package health

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// quorumRow is a service with a quorum. Each step has the numbers of the real servers that are up,
// and whether the service then has its quorum.
type quorumRow struct {
	quorum, hysteresis int
	weights            []int
	steps              []quorumStep
}

type quorumStep struct {
	up     string
	quorum bool
}

// quorumRows have quorums with and without hysteresis. With hysteresis, a step only adds servers or
// only removes servers, because the state between two checks decides too.
var quorumRows = []quorumRow{
	{1, 0, []int{1, 1, 1}, []quorumStep{{"012", true}, {"1", true}, {"", false}, {"2", true}}},
	{2, 0, []int{1, 1, 1}, []quorumStep{{"012", true}, {"12", true}, {"1", false}, {"", false}, {"0", false}, {"01", true}}},
	{2, 1, []int{1, 1, 1}, []quorumStep{{"012", true}, {"12", true}, {"1", true}, {"", false}, {"01", false}, {"012", true}}},
	{3, 0, []int{1, 2, 3}, []quorumStep{{"2", true}, {"01", true}, {"1", false}, {"0", false}, {"02", true}}},
	{4, 2, []int{1, 2, 3}, []quorumStep{{"01", true}, {"0", false}, {"02", false}, {"012", true}, {"12", true}, {"1", true}}},
	{1, 0, []int{0, 1}, []quorumStep{{"01", true}, {"0", false}, {"1", true}}},
}

// TestSameQuorumAsKeepalived plays the same failures to keepalived and to our daemon, next to each
// other on one director. In both, the sorry server must serve exactly while a service lacks its
// quorum.
func TestSameQuorumAsKeepalived(t *testing.T) {
	lab.Require(t, "keepalived")
	const keepalivedPort, ourPort = 8000, 9000
	d := newBareDirector(t, "yes")
	up := filepath.Join(d.state, "up")
	script := filepath.Join(d.state, "check")
	text := fmt.Sprintf("#!/bin/sh\ntest -e %s/$(($2 %% 1000))-$3\n", up)
	if err := errors.Join(os.Mkdir(up, 0o755), os.WriteFile(script, []byte(text), 0o755)); err != nil {
		t.Fatal(err)
	}
	var theirs, ours strings.Builder
	fmt.Fprintf(&theirs, "global_defs {\n\tscript_user root\n}\n")
	fmt.Fprintf(&ours, "checkinterval=1\nchecktimeout=5\nquiescent=no\nlogfile=%q\n", d.log)
	for i, row := range quorumRows {
		fmt.Fprintf(&theirs, "virtual_server 192.0.2.10 %d {\n\tdelay_loop 1\n\tlb_algo wrr\n\tlb_kind DR\n\tprotocol TCP\n\tquorum %d\n\thysteresis %d\n\tsorry_server 127.0.0.1 %d\n",
			keepalivedPort+i, row.quorum, row.hysteresis, keepalivedPort+i)
		fmt.Fprintf(&ours, "virtual=192.0.2.10:%d\n\tscheduler=wrr\n\tchecktype=external\n\tcheckcommand=%q\n\tquorum=%d\n\tshortage=fallback\n\tfallback=127.0.0.1:%d gate\n",
			ourPort+i, script, row.quorum, ourPort+i)
		if row.hysteresis > 0 {
			fmt.Fprintf(&ours, "\thysteresis=%d\n", row.hysteresis)
		}
		for n, weight := range row.weights {
			fmt.Fprintf(&theirs, "\treal_server 198.51.100.%d %d {\n\t\tweight %d\n\t\tMISC_CHECK {\n\t\t\tmisc_path \"%s 192.0.2.10 %d 198.51.100.%d\"\n\t\t}\n\t}\n", n, keepalivedPort+i, weight, script, keepalivedPort+i, n)
			fmt.Fprintf(&ours, "\treal=198.51.100.%d:%d gate %d\n", n, ourPort+i, weight)
		}
		theirs.WriteString("}\n")
	}
	setUp := func(step int) {
		for i, row := range quorumRows {
			at := row.steps[min(step, len(row.steps)-1)]
			for n := range row.weights {
				file := fmt.Sprintf("%s/%d-198.51.100.%d", up, i, n)
				err := os.Remove(file)
				if strings.Contains(at.up, fmt.Sprint(n)) {
					err = os.WriteFile(file, nil, 0o600)
				}
				if err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
		}
	}
	setUp(0)
	d.write(t, ours.String())
	d.directord(t, 0, "start")
	d.startKeepalived(t, theirs.String())
	longest := slices.MaxFunc(quorumRows, func(a, b quorumRow) int { return len(a.steps) - len(b.steps) })
	for step := range longest.steps {
		setUp(step)
		<-time.After(3 * time.Second) // A wrong change would follow a check, and checks run each second.
		lab.Wait(t, 20*time.Second, fmt.Sprintf("step %d", step), func() error {
			table := d.table(t)
			var wrong []error
			for i, row := range quorumRows {
				want := row.steps[min(step, len(row.steps)-1)]
				for name, port := range map[string]int{"keepalived": keepalivedPort, "directord": ourPort} {
					sorry := strings.Contains(table, fmt.Sprintf("-a -t 192.0.2.10:%d -r 127.0.0.1:%d", port+i, port+i))
					if sorry == want.quorum {
						wrong = append(wrong, fmt.Errorf("row %d, %+v: %s has its sorry server: %t\n%s", i, want, name, sorry, table))
					}
				}
			}
			return errors.Join(wrong...)
		})
	}
}

// startKeepalived runs keepalived's health checks on the director until the test ends.
func (d director) startKeepalived(t *testing.T, text string) {
	t.Helper()
	file := filepath.Join(d.state, "keepalived.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program := exec.CommandContext(t.Context(), "keepalived", "-C", "-n", "-l", "-f", file,
		"-p", filepath.Join(d.state, "keepalived.pid"), "-c", filepath.Join(d.state, "checkers.pid"))
	program.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var log bytes.Buffer
	program.Stdout, program.Stderr = &log, &log
	if err := d.Do(program.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-program.Process.Pid, syscall.SIGKILL) // the error is normal if it has ended
		_ = program.Wait()
		if t.Failed() {
			t.Logf("keepalived:\n%s", log.String())
		}
	})
}
