package health

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// ctl runs lvsctl and fails the test unless the exit code is want. It returns the output.
func (d director) ctl(t *testing.T, want int, args ...string) string {
	t.Helper()
	code, out := d.run(t, []string{"SUDO_USER=eva"}, filepath.Join(d.bin, "lvsctl"), args...)
	if code != want {
		t.Fatalf("lvsctl %s: exit code %d, want %d: %s", strings.Join(args, " "), code, want, out)
	}
	return out
}

// deploy takes the real server rs2 out with orders, restarts its web server and takes it in again
// with a slow start. Meanwhile the daemon reloads, is killed and starts again. No request of a
// client may fail.
func deploy(t *testing.T, p pool) {
	const vip, second = "192.0.2.10:80", "192.0.2.22:80"
	p.use(t, p.file("slowstart=2\n"))
	p.unharmed(t, func() {
		p.ctl(t, 0, "drain", "-t", vip, second)
		out := p.WatchTable(t)
		p.directord(t, 0, "reload")
		p.do(t, "directord kill")
		p.directord(t, 0, "start")
		p.ctl(t, 0, "wait", "drained", vip, second, "--timeout", "20s")
		if status := p.ctl(t, 0, "status"); !strings.Contains(status, "drain by eva since ") {
			t.Errorf("no order in the status:\n%s", status)
		}
		p.restartWeb(t)
		if weights := weightsIn(t, out(), 22); !slices.Equal(weights, []int{0}) {
			t.Errorf("weights of the drained server: %v", weights)
		}
		in := p.WatchTable(t)
		p.ctl(t, 0, "ready", vip, second)
		p.ctl(t, 0, "wait", "full", vip, second, "--timeout", "20s")
		weights := weightsIn(t, in(), 22)
		t.Logf("weights after ready: %v", weights)
		if !slices.IsSorted(weights) || len(weights) < 5 || weights[len(weights)-1] != 10 {
			t.Errorf("weights after ready: %v", weights)
		}
		began := time.Now()
		p.ctl(t, 0, "maint", vip, second, "--for", "2s")
		p.ctl(t, 0, "wait", "drained", vip, second, "--timeout", "20s")
		p.ctl(t, 0, "wait", "full", vip, second, "--timeout", "20s")
		if took := time.Since(began); took < 3*time.Second || took > 15*time.Second {
			t.Errorf("maint for 2s and a slow start of 2s took %v", took)
		}
	})
	p.ctl(t, 1, "drain", vip)
	p.ctl(t, 3, "wait", "down", vip, second, "--timeout", "1s")
	p.WaitTable(t, 0, poolTable("", 10, 10, 10, 10, 0))
}

// TestAddedServer adds a real server that the configuration lacks, lets it serve during a kill of
// the daemon and a reload, and removes it. No request of a client may fail. The pool is new,
// because a client can use the port of an earlier connection to the removed server again. Unless
// expire_nodest_conn is 1, the kernel drops these packets (ip_vs_in in ip_vs_core.c).
func TestAddedServer(t *testing.T) {
	p := newPool(t)
	const vip, fresh = "192.0.2.10:80", "192.0.2.26:80"
	const entry = "-a -t 192.0.2.10:80 -r 192.0.2.26:80 -g -w 10\n"
	p.topology.Host("rs2").Script(t, "ip addr add 192.0.2.26/24 dev eth0")
	p.use(t, p.file("minimum_healthy=20%\n"))
	usual := poolTable("", 10, 10, 10, 10, 0)
	lines := slices.Collect(strings.Lines(usual + entry))
	slices.Sort(lines)
	with := strings.Join(lines, "")
	p.unharmed(t, func() {
		p.ctl(t, 0, "add", vip, "192.0.2.26", "-w", "10")
		p.ctl(t, 0, "wait", "up", vip, fresh, "--timeout", "20s")
		p.WaitTable(t, 5*time.Second, with)
		if status := p.ctl(t, 0, "status"); !strings.Contains(status, "added by eva since ") {
			t.Errorf("not in the status:\n%s", status)
		}
		watched := p.WatchTable(t)
		p.directord(t, 0, "reload")
		p.do(t, "directord kill")
		p.directord(t, 0, "start")
		p.ctl(t, 0, "wait", "up", vip, fresh, "--timeout", "20s")
		if weights := weightsIn(t, watched(), 26); !slices.Equal(weights, []int{10}) {
			t.Errorf("weights of the added server: %v", weights)
		}
	})
	if got := p.pages(t); got != "map[rs1:12 rs2:8]" {
		t.Errorf("clients got %s", got)
	}
	p.ctl(t, 1, "add", vip, fresh)
	p.unharmed(t, func() {
		p.ctl(t, 0, "drain", vip, fresh)
		p.ctl(t, 0, "wait", "drained", vip, fresh, "--timeout", "30s")
		p.ctl(t, 0, "remove", vip, fresh)
		p.WaitTable(t, 5*time.Second, usual)
	})
	p.ctl(t, 1, "wait", "up", vip, fresh)
	if events := p.ctl(t, 0, "events"); !strings.Contains(events, "192.0.2.26:80") {
		t.Errorf("no event of the added server:\n%s", events)
	}
	p.ctl(t, 0, "remove", "--force", vip, "192.0.2.22:80")
	p.WaitTable(t, 5*time.Second, strings.Replace(usual, "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 10\n", "", 1))
	p.ctl(t, 0, "ready", vip, "192.0.2.22:80")
	p.WaitTable(t, 5*time.Second, usual)
}

// restartWeb ends the web server of rs2 and starts it again.
func (p pool) restartWeb(t *testing.T) {
	t.Helper()
	host := p.topology.Host("rs2")
	host.Script(t, "for p in $(ip netns pids "+filepath.Base(host.Netns())+"); do case $(cat /proc/$p/comm) in nginx) kill -KILL $p ;; esac; done")
	host.Serve(t)
}
