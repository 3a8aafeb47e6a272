package cluster

import (
	"context"
	"strings"
	"testing"

	"lvs-agents/tests/lab"
)

// TestFrontEnds does the same with the commands of crmsh, and then with the commands of pcs: it
// loads an example, and moves the group to the other director while clients send requests. No
// command may print a warning about something that is deprecated. lab.Cluster checks Pacemaker's
// logs for such warnings.
//
// The commands name no node, so they are for the node where they run. With a name, crmsh 5.1 does
// nothing unless it can reach the node's SSH port, and no host of the lab has an SSH server.
func TestFrontEnds(t *testing.T) {
	lab.Require(t, "pcs")
	s := newSite(t)
	s.writeConfig(t, webConfig("yes"))
	for _, front := range []struct{ name, example, load, standby, online, status string }{
		{"crm", "group.crm", "crm -F configure load update", "crm node standby", "crm node online", "crm status"},
		{"pcs", "group.pcs", "sh", "pcs node standby", "pcs node unstandby", "pcs status"},
	} {
		if !t.Run(front.name, func(t *testing.T) {
			node := s.Node("director1")
			path := "/run/" + front.example
			node.WriteFile(t, path, quick(t, front.example))
			current(t, node, front.load+" "+path)
			s.WaitIdle(t)
			active, _ := s.active(t)
			active.Host.WaitTable(t, minute, bothIn)
			load := s.topology.Host("client").Load(t, 4, "192.0.2.10:80", pageTimeout)
			from, to := s.active(t)
			current(t, from, front.standby)
			s.WaitRunning(t, minute, "web-health", to.Name)
			s.WaitIdle(t)
			s.nothingOn(t, from)
			to.Host.WaitTable(t, minute, bothIn)
			current(t, from, front.online)
			s.WaitIdle(t)
			s.unfailed(t)
			tally := load.Stop(t)
			t.Logf("a move with %s: %v", front.name, tally)
			if tally.Sorry+tally.Refused+tally.Reset+len(tally.Other) > 0 || tally.Served < 100 {
				t.Errorf("clients got more than pages and time-outs: %v %q", tally, tally.Other)
			}
			if out := current(t, node, front.status); strings.Count(out, "web-health") != 1 {
				t.Errorf("%s:\n%s", front.status, out)
			}
			if got := logged(t, node, "web-vip"); got["start"] == 0 {
				t.Errorf("Pacemaker's log has no start: %v", got)
			}
			s.clear(t)
		}) {
			t.FailNow()
		}
	}
}

// current runs a shell command on a node, and fails the test if the command calls something
// deprecated.
func current(t *testing.T, node *lab.Node, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*minute) // a pcs command takes 10 s in the guest
	defer cancel()
	out, err := node.Exec(ctx, "sh", "-c", command)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ToLower(out), "deprecat") {
		t.Errorf("%s:\n%s", command, out)
	}
	return out
}
