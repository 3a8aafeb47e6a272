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

// steps lists the steps whose orders the test runs, as tests/states does. In a step, health is the
// daemon of the health resource, and directord is the daemon that an operator starts.
var steps = []string{
	"ipvs start", "ipvs stop", "ipvs reload-agent", "health start", "health stop", "health kill", "health reload",
	"directord start", "directord stop", "directord kill", "directord reload",
}

// daemons lists the ids of the two daemons. The id of a daemon that an operator starts is the name
// of its configuration file.
var daemons = map[string]string{"health": "web-health", "directord": "web"}

// do runs a step and returns its exit code. The agent or the daemon can refuse the step; then
// nothing changes.
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

// pidOf returns the pid of the daemon with this id, 0 if that daemon does not run.
func (d director) pidOf(id string) int {
	text, err := os.ReadFile(control.PIDFile(d.stateDir(), id))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text))) // While the daemon exits, the pid file is empty, and pid is then 0.
	return pid
}

// settle waits until every running daemon holds the claims on its services and has checked the real
// servers, at most three seconds.
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

// key returns the state that decides the result of every next step: the table, the records and the
// daemons. Two orders with equal keys are equal for the rest of the test.
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

// wrong returns a report of a monitor that is not true, or "" if all reports are true. In this
// test, the real server rs2 is down and rs1 is up.
func (d director) wrong(t *testing.T, checked bool) string {
	t.Helper()
	table := d.table(t)
	served := strings.Contains(table, rs1) && (!checked || !strings.Contains(table, rs2))
	if code, out := d.agentCode(t, "ipvs", "web-ipvs", "monitor", "config="+d.config); code == 1 || code == 0 && !served {
		return fmt.Sprintf("ipvs monitor %d %s", code, out)
	}
	code, out := d.run(t, nil, filepath.Join(d.bin, "lvsctl"), "status")
	if admits := code == 1 && strings.Contains(out, "not balanced: "); served || admits {
		return "" // if the daemon does not hold a service, its monitor fails only after ten seconds
	}
	if code, out := d.agentCode(t, "health", "web-health", "monitor", "config="+d.config); code == 0 {
		return "health monitor 0 " + out
	}
	if code, out := d.run(t, nil, filepath.Join(d.bin, "directord"), d.config, "status"); code == 0 {
		return "directord status 0 " + out
	}
	return ""
}

// TestEveryOrder checks the reports of the monitors after every order of up to three steps that has
// no idle step. If several orders lead to equal keys, the test continues only one of these orders.
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

// idle reports whether a step is for a daemon that no earlier step has started. This test leaves
// out orders with an idle step; tests/states runs them, a thousand times as fast.
func idle(before []string, step string) bool {
	who, what, _ := strings.Cut(step, " ")
	return who != "ipvs" && what != "start" && !slices.Contains(before, who+" start")
}

// clear stops both daemons and the ipvs resource, and deletes their files. It fails the test if the
// kernel then still has a virtual service.
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
