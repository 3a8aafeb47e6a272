package cluster

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// TestChangeFromIPaddr2 changes the type of a running resource with the commands of
// docs/migration.md. Meanwhile a client sends requests without a pause, each over a new connection.
func TestChangeFromIPaddr2(t *testing.T) {
	lab.Require(t, "corosync", "pacemakerd", "crm", "crm_attribute", "crm_resource", "cibadmin", "nginx")
	installed, err := filepath.Abs("../../bin/root")
	if err != nil {
		t.Fatal(err)
	}
	topology := lab.NewTopology(t)
	for _, name := range []string{"director1", "director2"} {
		topology.Host(name).Serve(t)
	}
	s := site{lab.StartCluster(t, topology, lab.Options{Root: installed}), topology}
	s.Configure(t, `
primitive web-vip ocf:heartbeat:IPaddr2 params ip=192.0.2.10 nic=eth0 cidr_netmask=24 \
    op start timeout=20s interval=0 op stop timeout=20s interval=0 op monitor timeout=20s interval=2s
rsc_defaults resource-stickiness=200
`)
	s.WaitIdle(t)
	active, _ := s.active(t)
	changes := active.Start(t, "ip", "-o", "monitor", "address")
	client := s.request()
	active.Run(t, "crm_attribute", "--name", "maintenance-mode", "--update", "true")
	s.WaitIdle(t)
	active.Run(t, "cibadmin", "--modify", "--xml-text", `<primitive id="web-vip" class="ocf" provider="lvs" type="vip"/>`)
	active.Run(t, "crm_resource", "--refresh", "--resource", "web-vip")
	s.WaitIdle(t)
	active.Run(t, "crm_attribute", "--name", "maintenance-mode", "--update", "false")
	s.WaitIdle(t)
	s.Wait(t, minute, "a monitor of the new agent", func() error {
		if history(t, active, "web-vip")["web-vip_monitor_2000"] == "" {
			return errors.New("none yet")
		}
		return nil
	})
	sent, failed := client.end()
	t.Logf("%d requests, failed: %v", sent, failed)
	if sent < 10 || len(failed) > 0 {
		t.Errorf("of %d requests %d failed: %v", sent, len(failed), failed)
	}

	if kind := active.Run(t, "crm_resource", "--resource", "web-vip", "--query-xml"); !strings.Contains(kind, `provider="lvs"`) {
		t.Errorf("the resource is %s", kind)
	}
	if again, _ := s.active(t); again != active {
		t.Errorf("the address moved to %s", again.Name)
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
	if failed := s.FailedActions(t); len(failed) > 0 {
		t.Errorf("failed actions: %+v", failed)
	}
	s.Standby(t, active.Name, true)
	s.WaitIdle(t)
	moved, left := s.active(t)
	if moved == active {
		t.Errorf("the address did not move from %s", active.Name)
	}
	s.nothingOn(t, left)
}

// requester is a client that sends requests until stop.
type requester struct {
	stop   context.CancelFunc
	done   sync.WaitGroup
	sent   int
	failed []error
}

func (s site) request() *requester {
	ctx, stop := context.WithCancel(context.Background())
	a := &requester{stop: stop}
	a.done.Go(func() {
		for ctx.Err() == nil {
			limited, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			if _, err := s.topology.Host("client").Get(limited, "http://192.0.2.10/"); err != nil {
				a.failed = append(a.failed, err)
			}
			cancel()
			a.sent++
		}
	})
	return a
}

func (a *requester) end() (sent int, failed []error) {
	a.stop()
	a.done.Wait()
	return a.sent, a.failed
}
