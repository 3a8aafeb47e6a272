package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// TestDemo tells the story of make demo, a line for each step that held.
func TestDemo(t *testing.T) {
	lab.Require(t, "corosync", "pacemakerd", "crm", "crm_mon", "nginx", "ipvsadm")
	installed, err := filepath.Abs("../../bin/root")
	if err != nil {
		t.Fatal(err)
	}
	d := demo{began: time.Now()}
	topology := lab.NewTopology(t)
	topology.StartRealServers(t, lab.VIP)
	d.say("a network: director1, director2, two web servers rs1 and rs2, a client")
	s := site{lab.StartCluster(t, topology, lab.Options{Root: installed}), topology}
	d.say("Corosync and Pacemaker are online on both directors")

	s.Configure(t, webGroup)
	s.WaitRunning(t, minute, "web-vip", "director1")
	s.WaitIdle(t)
	d.say("crm configure: group web with ocf:lvs:ipvs and ocf:lvs:vip runs on director1")
	for line := range strings.Lines(s.Node("director1").Run(t, "ipvsadm", "-Ln")) {
		fmt.Print("demo             | ", line)
	}
	d.say("the client asks six times: %s", d.ask(t, s, 6))

	setParameter(t, s.Node("director1"), "real", "192.0.2.21 gate 2, 192.0.2.22 gate")
	setParameter(t, s.Node("director1"), "scheduler", "wrr")
	s.WaitIdle(t)
	d.say("rs1 gets weight 2 by reload-agent, nothing restarts: %s", d.ask(t, s, 6))

	s.Standby(t, "director1", true)
	s.WaitRunning(t, minute, "web-vip", "director2")
	d.say("node standby director1: director2 serves: %s", d.ask(t, s, 6))
	s.WaitIdle(t)
	s.nothingOn(t, s.Node("director1"))
	s.Standby(t, "director1", false)
	s.WaitIdle(t)
	d.say("director1 is online again and holds neither address nor table")

	s.Node("director2").Kill(t)
	s.WaitRunning(t, minute, "web-vip", "director1")
	d.say("director2 loses its power: director1 serves: %s", d.ask(t, s, 6))
	s.Node("director2").Restart(t)
	s.WaitOnline(t, "director1", "director2")
	s.WaitIdle(t)
	s.nothingOn(t, s.Node("director2"))
	if failed := s.FailedActions(t); len(failed) > 0 {
		t.Fatalf("failed actions: %+v\n%s", failed, s.Status())
	}
	d.say("director2 is back as the spare; no action of any agent failed")
}

// demo is the narrator.
type demo struct{ began time.Time }

func (d demo) say(format string, args ...any) {
	fmt.Printf("demo  %5.1f s    %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

// ask returns the answers of new connections; both servers have to be among them.
func (d demo) ask(t *testing.T, s site, times int) string {
	t.Helper()
	var pages []string
	s.Wait(t, minute, "an answer", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.topology.Host("client").Get(ctx, "http://192.0.2.10/")
		return err
	})
	for range times {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		page, err := s.topology.Host("client").Get(ctx, "http://192.0.2.10/")
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, strings.TrimSpace(page))
	}
	answers := strings.Join(pages, " ")
	if !strings.Contains(answers, "rs1") || !strings.Contains(answers, "rs2") {
		t.Fatalf("not both web servers answer: %s", answers)
	}
	return answers
}
