package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// TestApply changes a running cluster by lvsctl apply, and checks each way back.
func TestApply(t *testing.T) {
	s := newSite(t)
	for _, step := range []struct {
		name string
		test func(*testing.T, site)
	}{
		{"the first time, and again", applyTwice},
		{"a changed weight is a reload", applyWeight},
		{"without a confirmation", applyWithoutConfirmation},
		{"the waiting process is killed", applyKilled},
		{"the node reboots before the confirmation", applyReboot},
		{"doctor finds planted faults", doctorFindsFaults},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.test(t, s) }) {
			t.FailNow() // The next steps of the test depend on this step, so the test ends here.
		}
	}
}

// apply writes a file where rs1 has this weight, and applies it on a node.
func (s site) apply(t *testing.T, node *lab.Node, weight int, more ...string) string {
	t.Helper()
	text := strings.Replace(standbyConfig(), "real=192.0.2.21:80 gate", fmt.Sprintf("real=192.0.2.21:80 gate %d", weight), 1)
	node.WriteFile(t, "/etc/ha.d/apply.cf", text)
	out := node.Run(t, "lvsctl", append([]string{"apply", "apply.cf", "--inline", "--name=web", "--yes"}, more...)...)
	t.Logf("%s: lvsctl apply:\n%s", node.Name, out)
	return out
}

// weighs waits until both directors have this weight for rs1.
func (s site) weighs(t *testing.T, weight int) {
	t.Helper()
	want := fmt.Sprintf("-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w %d\n", weight)
	for _, name := range []string{"director1", "director2"} {
		s.Wait(t, minute, fmt.Sprintf("%s has the weight %d", name, weight), func() error {
			if got := s.Node(name).Run(t, "ipvsadm", "-Sn"); !strings.Contains(got, want) {
				return errors.New(got)
			}
			return nil
		})
	}
}

func applyTwice(t *testing.T, s site) {
	out := s.apply(t, s.Node("director1"), 1)
	for _, want := range []string{"add resource ocf:lvs:vip web-vip: ip=192.0.2.10", "the cluster will: Start", "done: the cluster has run all actions"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	s.weighs(t, 1)
	s.active(t)
	s.roundRobin(t)
	for _, name := range []string{"director1", "director2"} {
		if out := s.apply(t, s.Node(name), 1); !strings.HasSuffix(out, "no change\n") {
			t.Errorf("again on %s:\n%s", name, out)
		}
	}
}

// applyWeight changes a weight while a client has a connection open.
func applyWeight(t *testing.T, s site) {
	active, _ := s.active(t)
	conn, err := s.topology.Host("client").Dial(t.Context(), "tcp", lab.VIP+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	before := logged(t, active, "web-ipvs")
	out := s.apply(t, active, 3)
	if !strings.Contains(out, "web-ipvs: real=") || !strings.Contains(out, "the cluster will: Reload web-ipvs") {
		t.Errorf("got\n%s", out)
	}
	s.weighs(t, 3)
	after := logged(t, active, "web-ipvs")
	if after["reload-agent"] != before["reload-agent"]+1 || after["stop"] != before["stop"] || after["start"] != before["start"] {
		t.Errorf("not one reload: %v, then %v", before, after)
	}
	replies(t, conn)
}

// replies checks that the connection still carries a request and its reply.
func replies(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		t.Errorf("the open connection: %q, %v", line, err)
	}
}

func applyWithoutConfirmation(t *testing.T, s site) {
	node, _ := s.active(t)
	load := s.topology.Host("client").Load(t, 2, lab.VIP+":80", 5*time.Second)
	s.apply(t, node, 5, "--confirm-within=20s")
	s.weighs(t, 5)
	s.weighs(t, 3)
	s.WaitIdle(t)
	tally := load.Stop(t)
	t.Logf("until the former configuration was back: %v", tally)
	if failed := tally.Sorry + tally.Refused + tally.Reset + tally.TimedOut + len(tally.Other); failed > 0 {
		t.Errorf("%d failed requests: %v", failed, tally)
	}
	if out := s.apply(t, node, 3); !strings.HasSuffix(out, "no change\n") {
		t.Errorf("got\n%s", out)
	}
}

// applyKilled kills the process that waits for the confirmation. Then lvsctl undo puts the former
// configuration back.
func applyKilled(t *testing.T, s site) {
	node, _ := s.active(t)
	s.apply(t, node, 7, "--confirm-within=20s")
	node.Script(t, "kill -KILL $(pgrep -f '[l]vsctl undo --when-due')")
	s.weighs(t, 7)
	pause(21 * time.Second)
	s.weighs(t, 7)
	t.Logf("lvsctl undo:\n%s", node.Run(t, "lvsctl", "undo"))
	s.weighs(t, 3)
}

// applyReboot reboots the node that waits for the confirmation.
func applyReboot(t *testing.T, s site) {
	_, passive := s.active(t)
	s.apply(t, passive, 9, "--confirm-within=10m")
	s.weighs(t, 9)
	passive.Kill(t)
	passive.Restart(t)
	s.WaitOnline(t, "director1", "director2")
	s.WaitIdle(t)
	t.Logf("lvsctl undo:\n%s", passive.Run(t, "lvsctl", "undo"))
	s.weighs(t, 3)
	s.roundRobin(t)
}
