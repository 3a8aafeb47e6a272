package health

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/tests/lab"
)

// steps lists the actions that the test runs in every order, as tests/states does. directord is the
// daemon that the operator starts; the id of this daemon is the name of its file.
var steps = []string{
	"ipvs start", "ipvs stop", "ipvs reload-agent", "health start", "health stop", "health kill", "health reload",
	"directord start", "directord stop", "directord kill", "directord reload",
}

// daemons are the ids of the two daemons.
var daemons = map[string]string{"health": "web-health", "directord": "web"}

// do runs the action of a step and returns its exit code. If the agent or the daemon refuses the
// step, nothing changes.
func (d director) do(t *testing.T, step string) (code int) {
	t.Helper()
	who, what, _ := strings.Cut(step, " ")
	switch {
	case what == "kill" || who == "health" && what == "reload":
		signal := map[string]syscall.Signal{"kill": syscall.SIGKILL, "reload": syscall.SIGHUP}[what]
		if pid := d.pidOf(daemons[who]); pid > 1 && syscall.Kill(pid, signal) == nil && what == "kill" {
			lab.Wait(t, 5*time.Second, "end", func() error {
				if lives, err := control.Lives(d.stateDir(), daemons[who]); err != nil || lives {
					return fmt.Errorf("the daemon still runs: %w", err)
				}
				return nil
			})
		}
		return 0
	case who == "directord":
		code, _ = d.run(t, nil, filepath.Join(d.bin, "directord"), d.config, what)
		return code
	}
	code, _ = d.agentCode(t, who, "web-"+who, what, "config="+d.config)
	return code
}

func (d director) stateDir() string { return filepath.Join(d.state, "lvs-agents") }

// pidOf returns the pid of one daemon, 0 if it does not run.
func (d director) pidOf(id string) int {
	text, err := os.ReadFile(control.PIDFile(d.stateDir(), id))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text))) // 0 while the daemon exits
	return pid
}

// settle waits until the running daemons hold the claims on their services and have checked the
// real servers. It waits at most three seconds.
func (d director) settle(t *testing.T) {
	t.Helper()
	limit := time.Now().Add(3 * time.Second)
	for _, id := range daemons {
		lives, _ := control.Lives(d.stateDir(), id)
		for lives && time.Now().Before(limit) {
			snapshot, err := control.Status(t.Context(), d.stateDir(), id)
			if err == nil && snapshot.Unknown() == 0 && control.Resync(t.Context(), d.stateDir(), id) == nil {
				break
			}
			<-time.After(100 * time.Millisecond)
		}
	}
}

// key returns the state on which the result of every next step depends: the table, the records and
// the daemons.
func (d director) key(t *testing.T) string {
	t.Helper()
	key := d.table(t)
	files, _ := filepath.Glob(d.stateDir() + "/ipvs/*")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "# generation ") && !strings.HasPrefix(line, "# sum ") {
				key += line
			}
		}
	}
	for _, who := range []string{"health", "directord"} {
		presence, err := control.PresenceOf(d.stateDir(), daemons[who])
		key += fmt.Sprintln(who, presence, err)
	}
	return key
}

// wrong returns a false report of a monitor, or "" if all reports are true. In this test one of two
// real servers is down.
func (d director) wrong(t *testing.T, checked bool) string {
	t.Helper()
	table := d.table(t)
	served := strings.Contains(table, rs1) && (!checked || !strings.Contains(table, rs2))
	if code, out := d.agentCode(t, "ipvs", "web-ipvs", "monitor", "config="+d.config); code == 1 || code == 0 && !served {
		return fmt.Sprintf("ipvs monitor %d %s", code, out)
	}
	code, out := d.run(t, nil, filepath.Join(d.bin, "lvsctl"), "status")
	if admits := code == 1 && strings.Contains(out, "not balanced: "); served || admits {
		return "" // the daemon has ten seconds for the other services
	}
	if code, out := d.agentCode(t, "health", "web-health", "monitor", "config="+d.config); code == 0 {
		return "health monitor 0 " + out
	}
	if code, out := d.run(t, nil, filepath.Join(d.bin, "directord"), d.config, "status"); code == 0 {
		return "directord status 0 " + out
	}
	return ""
}

// TestEveryOrder checks the reports of the monitors after every order of up to three steps. If
// several orders lead to equal situations, the test continues only one of these orders.
func TestEveryOrder(t *testing.T) {
	const length = 3
	d := newDirector(t, "yes")
	d.write(t, d.unwatched("yes"))
	d.topology.Host("rs2").SetHealthy(t, false)
	seen, reached, tried := map[string]bool{}, [][]string{nil}, 0
	for range length {
		var next [][]string
		for _, from := range reached {
			for _, step := range steps {
				if idle(from, step) {
					continue
				}
				order := append(slices.Clone(from), step)
				tried++
				checked := false
				for i, s := range order {
					code := d.do(t, s)
					checked = checked || code == 0 && (s == "health start" || s == "directord start")
					if i == len(order)-1 || strings.HasSuffix(s, "start") {
						d.settle(t)
					}
				}
				if what := d.wrong(t, checked); what != "" {
					t.Errorf("%v: %s\n%s", order, what, d.table(t))
				}
				if key := d.key(t); !seen[key] {
					seen[key] = true
					next = append(next, order)
				}
				d.clear(t, order)
			}
		}
		reached = next
	}
	t.Logf("%d situations, %d orders followed", len(seen), tried)
}

// idle reports whether a step is for a daemon that no earlier step has started. tests/states tests
// these orders, a thousand times as fast.
func idle(before []string, step string) bool {
	who, what, _ := strings.Cut(step, " ")
	return who != "ipvs" && what != "start" && !slices.Contains(before, who+" start")
}

// clear stops both daemons and the ipvs resource, and deletes their files. The kernel must then
// have no virtual service.
func (d director) clear(t *testing.T, order []string) {
	t.Helper()
	for _, stop := range []string{"health stop", "directord stop", "ipvs stop"} {
		if code := d.do(t, stop); code != 0 {
			t.Errorf("%v: %s: %d", order, stop, code)
		}
	}
	if left := d.table(t); left != "" {
		t.Fatalf("%v: left in the kernel:\n%s", order, left)
	}
	if err := os.RemoveAll(d.stateDir()); err != nil {
		t.Fatal(err)
	}
}
