package cluster

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// realServers runs the clone of realserver (crm/examples) and the group in one cluster. The clone
// runs only on nodes with the attribute of a real server. The test sets the attribute on one node,
// on both nodes and on no node. The second monitor of the clone is the monitor that sends packets.
func realServers(t *testing.T, s site) {
	text, err := os.ReadFile("../../crm/examples/realserver.crm")
	if err != nil {
		t.Fatal(err)
	}
	const look = "ip -o addr show to 192.0.2.9 | sed 's/ *valid_lft.*//'; cat /proc/sys/net/ipv4/conf/all/arp_ignore /proc/sys/net/ipv4/conf/all/arp_announce"
	before := s.Node("director1").Script(t, look)
	s.Configure(t, strings.ReplaceAll(string(text), "192.0.2.10", "192.0.2.9"))
	for _, roles := range [][]string{{}, {"director2"}, {"director1", "director2"}, {}} {
		for _, name := range []string{"director1", "director2"} {
			set := []string{"--type", "nodes", "--node", name, "--name", "role", "--delete"}
			if strings.Contains(strings.Join(roles, " "), name) {
				set = append(set[:6], "--update", "web")
			}
			s.Node("director1").Run(t, "crm_attribute", set...)
		}
		s.Wait(t, minute, fmt.Sprintf("the clone on %v", roles), func() error {
			if got := slices.Sorted(slices.Values(s.Running(t, "web-rs"))); strings.Join(got, " ") != strings.Join(roles, " ") {
				return fmt.Errorf("it runs on %v", got)
			}
			return nil
		})
		s.WaitIdle(t)
		for _, name := range []string{"director1", "director2"} {
			want := before
			if strings.Contains(strings.Join(roles, " "), name) {
				want = "1: lo    inet 192.0.2.9/32 scope global lo\\\n1\n2\n"
			}
			if got := s.Node(name).Script(t, look); got != want {
				t.Errorf("on %v: %s has\n%swant\n%s", roles, name, got, want)
			}
		}
		if failed := s.FailedActions(t); len(failed) > 0 {
			t.Errorf("failed actions: %+v", failed)
		}
	}
}
