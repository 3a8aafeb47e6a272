package vip

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"lvs-agents/internal/host"
	"lvs-agents/internal/state/statetest"
	"lvs-agents/ocf"
)

// TestStopInEveryConditionOfTheNote checks stop in every condition of the note. In every condition,
// stop must return 0 and remove the address. If the note can be read, lo must have the address
// again.
func TestStopInEveryConditionOfTheNote(t *testing.T) {
	for _, condition := range statetest.Conditions() {
		for _, left := range []bool{true, false} {
			t.Run(condition.Name+map[bool]string{true: ", left", false: ", not left"}[left], func(t *testing.T) {
				stopInCondition(t, condition, left)
			})
		}
	}
}

func stopInCondition(t *testing.T, condition statetest.Condition, left bool) {
	n := newNode(t)
	n.state = statetest.Dir(t, condition.Root)
	onLoopback := host.Address{Prefix: netip.MustParsePrefix("192.0.2.10/32"), NIC: "lo", Scope: "host"}
	do := func(verb host.AddressVerb, address host.Address) {
		if _, err := n.links.Apply(t.Context(), []host.AddressOp{{Verb: verb, Address: address}}); err != nil {
			t.Fatal(err)
		}
	}
	do(host.AddAddress, onLoopback)
	before := n.links.String()
	params := []string{"ip=192.0.2.10", "nic=eth0", "lvs_support=true"}
	n.mustRun(t, 0, "start", params...)
	if !left {
		do(host.DeleteAddress, host.Address{Prefix: netip.MustParsePrefix("192.0.2.10/24"), NIC: "eth0"})
		do(host.AddAddress, onLoopback)
	}
	condition.Apply(t, n.state, filepath.Join(n.state, "vip", "loopback", "web"))
	for range 2 {
		got := n.run("stop", params...)
		table := n.links.String()
		if got.code != ocf.Success || strings.Contains(table, "192.0.2.10/24") {
			t.Errorf("stop gives %d (%s); addresses:\n%s", got.code, got.reason, table)
		}
		if (condition.Name == "full" || strings.HasPrefix(condition.Name, "as it was")) && table != before {
			t.Errorf("not everything was put back:\n%s", table)
		}
	}
}
