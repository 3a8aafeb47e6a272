package cluster

import (
	"fmt"
	"strings"
	"testing"

	"lvs-agents/tests/lab"
)

// TestReturningDirector checks the example of the hot standby. A director on standby loses its node
// attributes. A director that comes back gets the connections of the other director.
func TestReturningDirector(t *testing.T) {
	const open = 30
	s := newSite(t)
	s.writeConfig(t, standbyConfig())
	s.Configure(t, quick(t, "hot-standby.crm"))
	s.bothReady(t, bothIn)
	s.waitCoverage(t, map[string]string{"director1": "100", "director2": "100"})
	active, other := s.active(t)
	s.Standby(t, other.Name, true)
	s.WaitIdle(t)
	s.waitCoverage(t, map[string]string{active.Name: "100"})
	client := s.topology.Host("client")
	for range open {
		conn, err := client.Dial(t.Context(), "tcp", lab.VIP+":80")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	// The sample is as old as the last measurement of the active director.
	lab.Wait(t, minute, "the sample of the open connections", func() error {
		sample := active.Script(t, "attrd_updater -n lvs-connections-web-sync -Q -A | grep "+active.Name)
		if !strings.Contains(sample, fmt.Sprintf("1:%d:", open)) {
			return fmt.Errorf("it is %s", sample)
		}
		return nil
	})
	s.Standby(t, other.Name, false)
	s.WaitIdle(t)
	s.waitCoverage(t, map[string]string{active.Name: "100", other.Name: "100"})
	held := other.Script(t, "grep -c 'C000020A 0050 .* ESTABLISHED' /proc/net/ip_vs_conn")
	if strings.TrimSpace(held) != fmt.Sprint(open) {
		t.Errorf("%s holds %s of %d connections", other.Name, held, open)
	}
	s.unfailed(t)
}

// waitCoverage waits until exactly the given nodes have published their shares of the connections.
func (s site) waitCoverage(t *testing.T, want map[string]string) {
	t.Helper()
	s.Wait(t, minute, "the shares of connections", func() error {
		out := s.Node("director1").Script(t, "attrd_updater -n lvs-sync-web-sync -Q -A || true")
		for _, name := range []string{"director1", "director2"} {
			line := fmt.Sprintf("host=%q value=%q", name, want[name])
			if want[name] != "" && !strings.Contains(out, line) || want[name] == "" && strings.Contains(out, fmt.Sprintf("host=%q value=\"1", name)) {
				return fmt.Errorf("they are\n%s", out)
			}
		}
		return nil
	})
}
