package announce

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/host"
)

// TestMain runs the sender if Announce has started the test binary. Otherwise it runs the tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Verb {
		if SendArguments(os.TempDir(), os.Args[2:]) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestSenderReadsTheArgumentsOfAnnounce(t *testing.T) {
	for _, a := range []host.Announcement{
		{NIC: "eth0", IP: netip.MustParseAddr("192.0.2.10"), Count: 5, Interval: 200 * time.Millisecond, Also: "02:00:00:00:00:09"},
		{NIC: "bond0.7", IP: netip.MustParseAddr("2001:db8::10"), Count: 1, Interval: time.Second},
	} {
		nic, ip, burst, err := parse(arguments(a))
		also, _ := net.ParseMAC(a.Also)
		if err != nil || nic != a.NIC || ip != a.IP || burst.Count != a.Count || burst.Interval != a.Interval || burst.Also.String() != also.String() {
			t.Errorf("%+v: got %s, %s, %+v, %v", a, nic, ip, burst, err)
		}
	}
}

func TestSenderRefusesOtherArguments(t *testing.T) {
	for _, line := range []string{
		"", "eth0 192.0.2.10 5 200ms", "eth0 192.0.2 5 200ms -", "eth0 192.0.2.10 five 200ms -", "eth0 192.0.2.10 5 200 -", "eth0 192.0.2.10 5 200ms - more",
	} {
		if err := SendArguments(t.TempDir(), strings.Fields(line)); err == nil {
			t.Errorf("%q: no error", line)
		}
	}
}

// TestAnnounceWithoutNeighbours checks the result of Announce for lo, which has no neighbours, and
// for a missing interface.
func TestAnnounceWithoutNeighbours(t *testing.T) {
	a := host.Announcement{NIC: "lo", IP: netip.MustParseAddr("192.0.2.10"), Count: 1}
	if err := (Neighbours{}).Announce(t.Context(), a); err != nil {
		t.Error(err)
	}
	a.NIC = "absent0"
	if err := (Neighbours{}).Announce(t.Context(), a); !errors.Is(err, host.ErrNotInstalled) {
		t.Errorf("got %v", err)
	}
}

func TestWaitForTheSender(t *testing.T) {
	start := func(argv ...string) *os.Process {
		process, err := os.StartProcess("/bin/sh", append([]string{"sh", "-c"}, argv...), &os.ProcAttr{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = process.Kill() })
		return process
	}
	if err := wait(t.Context(), start("exit 0")); err != nil {
		t.Errorf("got %v", err)
	}
	if err := wait(t.Context(), start("exit 1")); err == nil || err.Error() != "the sender: exit status 1" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := wait(ctx, start("exec sleep 60")); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "waiting for the sender: ") {
		t.Errorf("got %v", err)
	}
}
