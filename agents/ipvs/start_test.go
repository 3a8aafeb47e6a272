package ipvs

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/ocf"
)

func TestStartLogsEachOpInIpvsadmSyntax(t *testing.T) {
	got := newNode(t).mustRun(t, 0, "web", "start", web...)
	const want = `INFO: ipvsadm -A -t 192.0.2.10:80 -s rr
INFO: ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
INFO: ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2
`
	if diff := cmp.Diff(want, got.log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStartAdoptsAnEqualService(t *testing.T) {
	n := newNode(t)
	n.set(t, strings.Split(strings.TrimSpace(webTable), "\n")...)
	n.mustRun(t, 7, "web", "probe", web...)
	if got := n.mustRun(t, 0, "web", "start", web...); got.log != "" {
		t.Errorf("something was changed: %s", got.log)
	}
	n.mustRun(t, 0, "web", "stop", web...)
	n.wantTable(t, "")
}

func TestStartNamesTheDifferenceToAForeignService(t *testing.T) {
	n := newNode(t)
	n.set(t, "-A -t 192.0.2.10:80 -s rr", "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 5")
	before := n.kernel.String()
	got := n.mustRun(t, 1, "web", "start", web...)
	const want = "virtual service -t 192.0.2.10:80 exists already and differs; ipvsadm -D it, or make it equal (to do: ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2)"
	if got.reason != want {
		t.Errorf("reason: %s", got.reason)
	}
	n.mustRun(t, 7, "web", "monitor", web...)
	n.mustRun(t, 0, "web", "stop", web...)
	n.wantTable(t, before)
}

func TestServiceOfAnotherResourceIsRefused(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	got := n.mustRun(t, 1, "web2", "start", web...)
	if want := "virtual service -t 192.0.2.10:80 already belongs to resource web; stop resource web, or delete the stale record " + n.state + "/ipvs/web if the owner no longer exists"; got.reason != want {
		t.Errorf("reason: %s", got.reason)
	}
	n.mustRun(t, 0, "web2", "stop", web...)
	n.mustRun(t, 7, "web2", "monitor", web...)
	n.wantTable(t, webTable)
	n.mustRun(t, 0, "web", "monitor", web...)
	n.mustRun(t, 0, "web", "stop", web...)
	n.mustRun(t, 0, "web2", "start", web...)
}

// TestOrderOfAHashTableIsRepairedByStart checks destinations in another order than the agent gives
// them, as an earlier version has added them. Monitor accepts the order, because a recovery would
// break every connection. Start repairs the order.
func TestOrderOfAHashTableIsRepairedByStart(t *testing.T) {
	n := newNode(t)
	hashed := []string{"virtual=192.0.2.10:80", "real=192.0.2.22 gate, 192.0.2.21 gate", "scheduler=sh"}
	n.mustRun(t, 0, "web", "start", hashed...)
	n.set(t, "-d -t 192.0.2.10:80 -r 192.0.2.21:80", "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1")
	n.mustRun(t, 0, "web", "monitor", hashed...)
	got := n.mustRun(t, 0, "web", "start", hashed...)
	if want := "ipvsadm -d -t 192.0.2.10:80 -r 192.0.2.22:80"; !strings.Contains(got.log, want) {
		t.Errorf("start did not put the destinations in order: %s", got.log)
	}
	if got := n.mustRun(t, 0, "web", "start", hashed...); strings.Contains(got.log, "ipvsadm") {
		t.Errorf("a second start changes the table: %s", got.log)
	}
}

func TestMissingSchedulerIsNotInstalled(t *testing.T) {
	got := newNode(t).mustRun(t, 5, "web", "start", "virtual=192.0.2.10:80", "real=192.0.2.21 gate", "scheduler=twos")
	if !strings.Contains(got.reason, "modprobe ip_vs_twos") {
		t.Errorf("reason: %s", got.reason)
	}
}

func TestFailureAtEveryOpOfStart(t *testing.T) {
	for after := range 3 {
		n := newNode(t)
		n.set(t, "-A -f 9 -s sh")
		n.kernel.FailAfter(after, syscall.ENOBUFS)
		got := n.mustRun(t, 1, "web", "start", web...)
		if !strings.Contains(got.reason, "ipvsadm -") || !strings.Contains(got.reason, "no buffer space available") {
			t.Errorf("after %d: reason %q does not name the op", after, got.reason)
		}
		want := ocf.Failed
		if after == 0 {
			want = ocf.Stopped
		}
		if code := n.run("web", "monitor", web...).code; (code == 7) != (want == ocf.Stopped) || code == 0 {
			t.Errorf("after %d: monitor says %d", after, code)
		}
		n.mustRun(t, 0, "web", "start", web...)
		n.mustRun(t, 0, "web", "monitor", web...)
		n.kernel.FailAfter(0, syscall.ENOBUFS)
		n.mustRun(t, 1, "web", "stop", web...)
		// The stop could not remove the services, so they are still in the kernel.
		n.mustRun(t, 1, "web", "monitor", web...)
		n.mustRun(t, 0, "web", "stop", web...)
		n.wantTable(t, "-A -f 9 -s sh\n")
	}
}

// TestBadServerOfAHashSchedulerKeepsItsSlots checks that a real server that was bad at start gets
// the slots of its configured weight, although it gets no connections.
func TestBadServerOfAHashSchedulerKeepsItsSlots(t *testing.T) {
	for scheduler, weight := range map[string]int{"mh": 3, "sh": 1} {
		n := newNode(t)
		n.beat(t, 5*time.Second, "-t 192.0.2.10:80 -r 192.0.2.21:80")
		params := []string{"virtual=192.0.2.10:80", fmt.Sprintf("real=192.0.2.22 gate 2, 192.0.2.21 gate %d", weight), "scheduler=" + scheduler}
		n.mustRun(t, 0, "web", "start", params...)
		n.wantTable(t, "-A -t 192.0.2.10:80 -s "+scheduler+" -b "+scheduler+`-fallback
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2
`)
		if got, want := n.kernel.Hash(), fmt.Sprintf("-t 192.0.2.10:80 -s %s 192.0.2.21:80=%d 192.0.2.22:80=2\n", scheduler, weight); got != want {
			t.Errorf("got  %swant %s", got, want)
		}
		n.mustRun(t, 0, "web", "monitor", params...)
	}
}

func TestWarningsAboutHashSchedulers(t *testing.T) {
	const sloppy = "WARNING: -t 192.0.2.10:80: scheduler mh without sloppy_tcp: a director that takes over breaks open connections (113 of 200 in a test), unless they are synchronised; set sloppy_tcp=yes, or sloppy_tcp=no if this is intended\n"
	for flags, want := range map[string]string{
		"":                    "WARNING: -t 192.0.2.10:80: scheduler mh without mh-port: all connections of one client address go to one real server, also of the many clients of one NAT address; write schedflags=mh-fallback,mh-port, unless clients must stay with their real server\n",
		"mh-port":             "WARNING: -t 192.0.2.10:80: scheduler mh without mh-fallback: while a real server has weight 0, the kernel refuses new clients that hash to it; add mh-fallback to schedflags\n",
		"mh-port,mh-fallback": "",
	} {
		got := newNode(t).mustRun(t, 0, "web", "validate-all", "virtual=192.0.2.10:80", "real=192.0.2.21 gate", "scheduler=mh", "schedflags="+flags)
		if want = sloppy + want; got.log != want {
			t.Errorf("%q: got  %swant %s", flags, got.log, want)
		}
	}
}

func TestMissingSchedulerIsNamedBeforeStart(t *testing.T) {
	for _, action := range []string{"validate-all", "start"} {
		n := newNode(t)
		got := n.mustRun(t, 5, "web", action, "virtual=192.0.2.10:80", "real=192.0.2.21 gate", "scheduler=twos")
		if want := `scheduler "twos" is not available; modprobe ip_vs_twos`; !strings.Contains(fmt.Sprint(got), want) {
			t.Errorf("%s: got %v, want %s", action, got, want)
		}
	}
}

// TestKernelWithoutTunnelTypes checks the reason of a start on a kernel that stores all tunnels as
// IP-in-IP.
func TestKernelWithoutTunnelTypes(t *testing.T) {
	n := newNode(t)
	n.kernel.OnlyIPIP = true
	got := n.mustRun(t, 1, "web", "start", "virtual=192.0.2.10:80", "real=192.0.2.21 gre")
	const want = "the kernel does not keep the tunnel type gre: gue needs Linux 5.2, and gre Linux 5.3; use ipip, or a newer kernel"
	if got.reason != want {
		t.Errorf("got  %s\nwant %s", got.reason, want)
	}
}
