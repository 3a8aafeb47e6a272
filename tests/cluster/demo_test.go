package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// TestDemo runs the steps of make demo, and prints a line for each step that succeeded.
func TestDemo(t *testing.T) {
	d := &demo{began: time.Now()}
	s := newSite(t)
	d.say("Corosync and Pacemaker are online on director1 and director2; rs1, rs2 and a client beside them")

	d.director = s.Node("director1")
	s.writeConfig(t, webConfig("yes"))
	s.Configure(t, example(t, "group.crm"))
	s.WaitRunning(t, 2*minute, "web-health", "director1")
	s.WaitIdle(t)
	d.director.Host.WaitTable(t, minute, bothIn)
	d.say("crm configure load: group web-ipvs web-vip web-health runs on director1")
	d.show(t)
	d.say("the client asks six times: %s", d.replies(t, s, 6, "rs1", "rs2"))

	d.checks(t, s)
	took := d.after(t, func() { d.director.Run(t, "ipvsadm", "-C") }, bothIn)
	d.say("ipvsadm -C by hand: the whole table is back after %s: %s", took, d.replies(t, s, 6, "rs1", "rs2"))

	began := time.Now()
	s.Standby(t, "director1", true)
	s.WaitRunning(t, minute, "web-health", "director2")
	d.director = s.Node("director2")
	d.say("node standby director1: director2 has taken over after %s: %s", seconds(time.Since(began)), d.replies(t, s, 6, "rs1", "rs2"))
	s.Standby(t, "director1", false)
	s.WaitIdle(t)
	s.nothingOn(t, s.Node("director1"))
	d.director.Host.WaitTable(t, minute, bothIn)
	d.say("node online director1: it is the spare and holds neither address nor table")

	began = time.Now()
	s.Node("director2").Kill(t)
	s.WaitRunning(t, minute, "web-health", "director1")
	d.director = s.Node("director1")
	d.say("director2 loses its power: director1 has taken over after %s: %s", seconds(time.Since(began)), d.replies(t, s, 6, "rs1", "rs2"))
	s.Node("director2").Restart(t)
	s.WaitOnline(t, "director1", "director2")
	s.WaitIdle(t)
	s.nothingOn(t, s.Node("director2"))
	d.director.Host.WaitTable(t, minute, bothIn)
	if failed := s.FailedActions(t); len(failed) > 0 {
		t.Fatalf("failed actions: %+v\n%s", failed, s.Status())
	}
	d.say("director2 is back as the spare; no action of any agent failed")
}

// checks shows how the health daemon reacts when health pages of real servers disappear and come
// back. The cluster does nothing meanwhile.
func (d *demo) checks(t *testing.T, s site) {
	t.Helper()
	rs1, rs2 := s.topology.Host("rs1"), s.topology.Host("rs2")
	took := d.after(t, func() { rs1.SetHealthy(t, false) }, firstOut)
	d.say("the health page of rs1 is gone: weight 0 after %s: %s", took, d.replies(t, s, 4, "rs2"))
	took = d.after(t, func() { rs2.SetHealthy(t, false) }, sorryIn)
	d.say("the health page of rs2 is gone, too: the sorry server is in after %s: %s", took, d.replies(t, s, 2, lab.SorryPage))
	d.show(t)
	took = d.after(t, func() { rs1.SetHealthy(t, true); rs2.SetHealthy(t, true) }, bothIn)
	d.say("both pages are back: the web servers serve after %s: %s", took, d.replies(t, s, 6, "rs1", "rs2"))
}

// demo prints the steps.
type demo struct {
	began    time.Time
	director *lab.Node // the director that serves
}

func (d *demo) say(format string, args ...any) {
	fmt.Printf("demo  %5.1f s    %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) show(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(d.director.Run(t, "ipvsadm", "-Ln")) {
		fmt.Print("demo             | ", line)
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// after runs do, waits until the serving director has the wanted table, and returns how long this
// took.
func (d *demo) after(t *testing.T, do func(), table string) string {
	t.Helper()
	began := time.Now()
	do()
	d.director.Host.WaitTable(t, minute, table)
	return seconds(time.Since(began))
}

// replies requests the page several times over new connections, and returns the replies. It fails
// the test unless exactly the wanted servers reply.
func (d *demo) replies(t *testing.T, s site, times int, want ...string) string {
	t.Helper()
	var pages []string
	get := func(limit time.Duration) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		page, err := s.topology.Host("client").Get(ctx, "http://192.0.2.10/")
		return strings.TrimSpace(page), err
	}
	s.Wait(t, minute, "an answer", func() error {
		_, err := get(time.Second)
		return err
	})
	seen := map[string]bool{}
	for range times {
		page, err := get(5 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, page)
		seen[page] = true
	}
	missing := len(seen) != len(want)
	for _, name := range want {
		missing = missing || !seen[name]
	}
	if missing {
		t.Fatalf("answers of %v, not of %v", pages, want)
	}
	return strings.Join(pages, " ")
}

// example returns a file of crm/examples.
func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../crm/examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "ocf:lvs:health") {
		t.Fatal(errors.New(name + " has no health resource"))
	}
	return string(text)
}
