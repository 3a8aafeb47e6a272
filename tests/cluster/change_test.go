package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
	"lvs-agents/tests/pages"
)

// resources replaces all resources of the cluster with the resources in xml, and waits until the
// cluster is idle.
func (s site) resources(t *testing.T, xml string) {
	t.Helper()
	s.Node("director1").Run(t, "cibadmin", "--replace", "--scope", "resources", "--xml-text", xml)
	s.WaitIdle(t)
}

const noResources = "<resources/>"

// classic configures the cluster that the how-tos start from: a group with IPaddr2 and ldirectord.
func classic(t *testing.T, s site) {
	s.resources(t, noResources)
	s.resources(t, pages.Classic)
	s.WaitRunning(t, 2*minute, "web-ldirectord", "director1")
	s.Node("director1").Host.WaitTable(t, minute, bothIn)
}

// alone prepares the how-to for a director without a cluster. It removes the cluster's resources,
// adds the VIP to director1, and starts the Perl program ldirectord there. The Perl program has the
// name ldirectord.perl, because the package of directord renames it.
func alone(t *testing.T, s site) {
	s.resources(t, noResources)
	node := s.Node("director1")
	node.WriteProgram(t, "/usr/sbin/ldirectord.perl", lab.PerlLdirectord(t))
	node.Run(t, "ip", "addr", "add", lab.VIP+"/24", "dev", "eth0")
	node.Run(t, "ldirectord.perl", "ldirectord.cf", "start")
	node.Host.WaitTable(t, minute, bothIn)
}

// changeFromIPaddr2 runs the commands of the how-to (follow) while a client makes new connections.
// The client must get a page each time, and the VIP must stay on its interface.
func changeFromIPaddr2(t *testing.T, s site, follow func()) {
	active, _ := s.active(t)
	changes := active.Start(t, "ip", "-o", "monitor", "address")
	load := s.topology.Host("client").Load(t, 1, lab.VIP+":80", 10*time.Second)
	follow()
	s.Wait(t, minute, "a monitor of the new agent", func() error {
		if history(t, active, "web-vip")["web-vip_monitor_2000"] == "" {
			return errors.New("none yet")
		}
		return nil
	})
	tally := load.Stop(t)
	t.Log(tally)
	if tally.Served < 10 || tally.Sorry+tally.Refused+tally.Reset+tally.TimedOut+len(tally.Other) > 0 {
		t.Errorf("clients got more than pages: %v %q", tally, tally.Other)
	}
	if kind := active.Run(t, "crm_resource", "--resource", "web-vip", "--query-xml"); !strings.Contains(kind, `provider="lvs"`) {
		t.Errorf("the resource is %s", kind)
	}
	changes.Kill()
	if seen := changes.Output(); strings.Contains(seen, "192.0.2.10") {
		t.Errorf("the address changed: %s", seen)
	}
	for op := range history(t, active, "web-vip") {
		if strings.Contains(op, "_start_") || strings.Contains(op, "_stop_") {
			t.Errorf("the new agent had to %s", op)
		}
	}
}

// changeOfLdirectord runs the commands of a how-to (follow), and logs how long the client got no
// page meanwhile.
func changeOfLdirectord(t *testing.T, s site, follow func()) {
	load := s.topology.Host("client").Load(t, 1, lab.VIP+":80", pageTimeout)
	follow()
	t.Logf("during the change: %v", load.Stop(t))
}

// changeFromManual runs the commands of the how-to (follow) while a client makes new connections.
// The cluster adopts the table that was made by hand, so no connection is refused or reset.
func changeFromManual(t *testing.T, s site, follow func()) {
	load := s.topology.Host("client").Load(t, 1, lab.VIP+":80", pageTimeout)
	follow()
	tally := load.Stop(t)
	t.Logf("during the change: %v", tally)
	if tally.Served < 10 || tally.Refused+tally.Reset > 0 {
		t.Errorf("clients were refused or cut: %v", tally)
	}
}
