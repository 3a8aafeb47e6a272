package realserver

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	"lvs-agents/internal/state/statetest"
	"lvs-agents/ocf"
)

const webAddress = "address nic=lo ip=192.0.2.10 scope=global"

// TestStopInEveryConditionOfTheLedger checks stop in every condition of the ledger. Stop must
// return 0 and remove the address. Without the ledger, stop must return 0 and leave the address.
// Sysctls can stay changed, because their earlier values are only in the ledger.
func TestStopInEveryConditionOfTheLedger(t *testing.T) {
	for _, condition := range statetest.Conditions() {
		for _, left := range []bool{true, false} {
			t.Run(condition.Name+map[bool]string{true: ", left", false: ", not left"}[left], func(t *testing.T) {
				stopInCondition(t, condition, left)
			})
		}
	}
}

func stopInCondition(t *testing.T, condition statetest.Condition, left bool) {
	h := newHost(t)
	h.state = statetest.Dir(t, condition.Root)
	before := h.kernel.String()
	h.must(t, 0, "web", "start", "ip=192.0.2.10")
	if !left {
		h.kernel.Put(setting(announce), "0")
		h.kernel.Put(setting(ignore), "0")
		h.kernel.Put(setting(webAddress), host.Off)
	}
	condition.Apply(t, h.state, h.ledger(t))
	for range 2 {
		got := h.run("web", "stop", "ip=192.0.2.10")
		address, _ := h.kernel.Get(t.Context(), setting(webAddress))
		gone := strings.HasPrefix(condition.Name, statetest.Absent)
		known := strings.HasPrefix(condition.Name, "as it was") || condition.Name == "full"
		switch {
		case gone && (got.code != ocf.Success || (address == host.On) != left): // without a ledger, stop cannot find out that the settings belong to the resource
			t.Errorf("stop gives %d (%s); settings:\n%s", got.code, got.reason, h.kernel)
		case !gone && (got.code != ocf.Success || address == host.On):
			t.Errorf("stop gives %d (%s); settings:\n%s", got.code, got.reason, h.kernel)
		case known && h.kernel.String() != before:
			t.Errorf("not everything was put back:\n%s", h.kernel)
		}
	}
}

// TestOtherResourceAfterAStopOnAFullDisk checks that two resources restore the settings that both
// need, although the first stop cannot write the ledger.
func TestOtherResourceAfterAStopOnAFullDisk(t *testing.T) {
	h := newHost(t)
	h.state = statetest.Dir(t, true)
	before := h.kernel.String()
	h.must(t, 0, "web", "start", "ip=192.0.2.10")
	h.must(t, 0, "mail", "start", "ip=192.0.2.9")
	for _, c := range statetest.Conditions() {
		if c.Name == "full" {
			c.Apply(t, h.state, h.ledger(t))
		}
	}
	for _, id := range []string{"web", "mail"} {
		h.must(t, 0, id, "stop")
		h.must(t, 7, id, "monitor")
	}
	h.want(t, before)
}

// TestStopOfAStartThatChangedNothing checks stop on a host that was a real server before the start.
// The settings stay, because the resource has not changed them. The ledger cannot be written.
func TestStopOfAStartThatChangedNothing(t *testing.T) {
	h := newHost(t)
	h.state = statetest.Dir(t, true)
	h.kernel.Put(setting(announce), "2")
	h.kernel.Put(setting(ignore), "1")
	h.kernel.Put(setting(webAddress), host.On)
	before := h.kernel.String()
	h.must(t, 0, "web", "start", "ip=192.0.2.10")
	if err := unix.Mount("", h.state, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.must(t, 0, "web", "stop", "ip=192.0.2.10")
		h.want(t, before)
	}
}
