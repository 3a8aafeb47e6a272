package health

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/tests/lab"
)

// pool is a director with five real servers: three addresses of rs1 and two of rs2. The checks of
// the last address of rs2 always fail. So rs1 is 60 % of the real servers.
type pool struct{ director }

// poolServers are the ends of the addresses of the real servers. The first three are rs1.
var poolServers = []int{21, 23, 24, 22, 25}

// newPool returns a pool whose daemon runs.
func newPool(t *testing.T) pool {
	t.Helper()
	p := pool{newDirector(t, "yes")}
	p.topology.Host("rs1").Script(t, "ip addr add 192.0.2.23/24 dev eth0; ip addr add 192.0.2.24/24 dev eth0")
	p.topology.Host("rs2").Script(t, "ip addr add 192.0.2.25/24 dev eth0")
	p.Script(t, "ip addr add 192.0.2.10/32 dev eth0")
	p.ServeSorry(t)
	p.write(t, p.file(""))
	p.directord(t, 0, "start")
	return p
}

// file returns the configuration with some directives of a policy. Each real server has weight 10.
func (p pool) file(policy string, further ...string) string {
	text := fmt.Sprintf("checktimeout=2\ncheckinterval=1\nquiescent=yes\nlogfile=%q\n%svirtual=192.0.2.10:80\n\tscheduler=rr\n\tservice=http\n", p.log, strings.Join(further, ""))
	for line := range strings.Lines(policy) {
		text += "\t" + line
	}
	for _, n := range poolServers {
		page := lab.HealthPage
		if n == 25 {
			page = ".gone.html"
		}
		text += fmt.Sprintf("\treal=192.0.2.%d:80 gate 10 %q, \"OK\"\n", n, page)
	}
	return text + "\tfallback=127.0.0.1:80 gate\n"
}

// use makes the daemon use a configuration.
func (p pool) use(t *testing.T, text string) {
	t.Helper()
	p.write(t, text)
	p.directord(t, 0, "reload")
	p.waitHealthy(t)
}

// waitHealthy waits until only the last real server is bad, so that no rule of a policy changes a
// weight.
func (p pool) waitHealthy(t *testing.T) {
	t.Helper()
	p.waitCauses(t, "passed passed passed passed failed")
	p.WaitTable(t, 5*time.Second, poolTable("", 10, 10, 10, 10, 0))
}

// poolTable returns the IPVS table with weights of the real servers, in the order of poolServers.
func poolTable(fallback string, weights ...int) string {
	lines := []string{service, fallback}
	for i, w := range weights {
		lines = append(lines, fmt.Sprintf("-a -t 192.0.2.10:80 -r 192.0.2.%d:80 -g -w %d\n", poolServers[i], w))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// fail makes the checks of rs1 fail. With down, rs1 refuses all connections, else only its page for
// checks is gone. The function repair undoes it.
func (p pool) fail(t *testing.T, down bool) (repair func()) {
	t.Helper()
	first := p.topology.Host("rs1")
	const refuse = "iptables-legacy -w %s INPUT -p tcp --dport 80 -j REJECT --reject-with tcp-reset"
	if down {
		first.Script(t, fmt.Sprintf(refuse, "-A"))
		return func() { first.Script(t, fmt.Sprintf(refuse, "-D")) }
	}
	first.SetHealthy(t, false)
	return func() { first.SetHealthy(t, true) }
}

// pages requests pages from the VIP one after the other. It returns how many came from each host,
// and how many connections were refused.
func (p pool) pages(t *testing.T) string {
	t.Helper()
	count := map[string]int{}
	for range 20 {
		page, err := p.topology.Host("client").Get(t.Context(), "http://192.0.2.10/")
		if err != nil {
			page = "refused"
		}
		count[strings.TrimSpace(page)]++
	}
	return fmt.Sprint(count)
}

// causes returns the causes of the weights, in the order of poolServers.
func (p pool) causes(t *testing.T) string {
	t.Helper()
	snapshot, err := control.Status(t.Context(), p.stateDir(), "web")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range snapshot.Services[0].Reals {
		all = append(all, r.Cause)
	}
	return strings.Join(all, " ")
}

func (p pool) waitCauses(t *testing.T, want string) {
	t.Helper()
	lab.Wait(t, 5*time.Second, "causes", func() error {
		if got := p.causes(t); got != want {
			return fmt.Errorf("got %s, want %s", got, want)
		}
		return nil
	})
}

// unharmed runs do while clients request pages. No request may fail.
func (p pool) unharmed(t *testing.T, do func()) {
	t.Helper()
	load := p.topology.Host("client").Load(t, 2, "192.0.2.10:80", 5*time.Second)
	do()
	tally := load.Stop(t)
	t.Log(tally)
	if failed := tally.Refused + tally.Reset + tally.TimedOut + len(tally.Other); failed > 0 || tally.Served == 0 {
		t.Errorf("%d failed requests: %v %q", failed, tally, tally.Other)
	}
}

// TestPolicies checks the rules of docs/policy.md in the kernel and with clients.
func TestPolicies(t *testing.T) {
	p := newPool(t)
	for _, step := range []struct {
		name string
		test func(*testing.T, pool)
	}{
		{"60 % of the servers fail", shortages},
		{"cap and slow start", capAndSlowStart},
		{"own fault without a path", lostPath},
		{"own fault with failed checks", ownFault},
		{"deploy with orders", deploy}, // It restarts a web server, which ends with this step.
	} {
		t.Run(step.name, func(t *testing.T) { step.test(t, p) })
	}
}

// shortages lets 60 % of the real servers fail at once, with each value of shortage: once because
// the checks are wrong, and once because the servers are down.
func shortages(t *testing.T, p pool) {
	for _, tt := range []struct {
		value, table, causes, wrong, down, status string
	}{
		{"fallback", poolTable(fallback, 0, 0, 0, 0, 0), "failed failed failed gave-way failed", "map[sorry:20]", "map[sorry:20]", "too few real servers are good"},
		{"fail-open", poolTable("", 10, 10, 10, 10, 10), "fail-open fail-open fail-open passed fail-open", "map[rs1:12 rs2:8]", "map[refused:12 rs2:8]", "fail open: too few"},
		{"hold", poolTable("", 10, 10, 10, 10, 0), "held held held passed failed", "map[rs1:15 rs2:5]", "map[refused:15 rs2:5]", "held: too few"},
	} {
		t.Run(tt.value, func(t *testing.T) {
			p.use(t, p.file("minimum_healthy=80%\nshortage="+tt.value+"\n"))
			for _, down := range []bool{false, true} {
				want, repair := tt.wrong, func() {}
				if down {
					want = tt.down
					repair = p.fail(t, down)
					p.waitCauses(t, tt.causes)
				} else {
					p.unharmed(t, func() {
						repair = p.fail(t, down)
						p.waitCauses(t, tt.causes)
					})
				}
				p.WaitTable(t, 5*time.Second, tt.table)
				if got := p.pages(t); got != want {
					t.Errorf("down %t: clients got %s, want %s", down, got, want)
				}
				if _, out := p.shown(t); !strings.Contains(out, tt.status) {
					t.Errorf("not in the status: %s\n%s", tt.status, out)
				}
				repair()
				p.waitHealthy(t)
			}
		})
	}
}

// capAndSlowStart lets 60 % of the real servers fail while checks can take out 40 %. Then the
// weights in the kernel must rise step by step.
func capAndSlowStart(t *testing.T, p pool) {
	const slow = 4 * time.Second
	p.use(t, p.file("max_ejection_percent=40\nslowstart=4\n"))
	var seen []string
	p.unharmed(t, func() {
		repair := p.fail(t, false)
		lab.Wait(t, 5*time.Second, "causes", func() error {
			causes := strings.Fields(p.causes(t))[:3]
			slices.Sort(causes)
			if got := strings.Join(causes, " "); got != "capped failed failed" {
				return errors.New(got)
			}
			return nil
		})
		watched := p.WatchTable(t)
		began := time.Now()
		repair()
		p.WaitTable(t, slow+5*time.Second, poolTable("", 10, 10, 10, 10, 0))
		if took := time.Since(began); took < slow*9/10 {
			t.Errorf("the slow start took %v", took)
		}
		seen = watched()
	})
	for _, n := range poolServers[:3] {
		weights := weightsIn(t, seen, n)
		t.Logf("weights of 192.0.2.%d: %v", n, weights)
		// The server that served because of the cap can leave when the first of the others is good.
		if weights[0] == 10 {
			weights = weights[1:]
		}
		if !slices.IsSorted(weights) || len(weights) > 0 && len(weights) < 5 {
			t.Errorf("192.0.2.%d: weights %v", n, weights)
		}
	}
}

// weightsIn returns the weights of a real server in the tables, without repetitions.
func weightsIn(t *testing.T, tables []string, server int) (weights []int) {
	t.Helper()
	for _, table := range tables {
		_, rest, _ := strings.Cut(table, fmt.Sprintf("192.0.2.%d:80 -g -w ", server))
		var w int
		if _, err := fmt.Sscan(rest, &w); err != nil {
			t.Fatalf("no weight of %d in\n%s", server, table)
		}
		weights = append(weights, w)
	}
	return slices.Compact(weights)
}

// lostPath sets the only link of the director down. One service is enough for the suspicion, and it
// begins before the third failure makes a verdict.
func lostPath(t *testing.T, p pool) {
	p.use(t, p.file("", "own_fault=10\nfailurecount=3\n"))
	watched := p.WatchTable(t)
	status := func(want string) {
		t.Helper()
		lab.Wait(t, 8*time.Second, "status", func() error {
			if _, out := p.shown(t); !strings.Contains(out, want) {
				return errors.New(out)
			}
			return nil
		})
	}
	p.Script(t, "ip link set eth0 down")
	status("own fault suspected: no route to 192.0.2.2")
	p.waitCauses(t, "suspected suspected suspected suspected failed")
	p.Script(t, "ip link set eth0 up")
	p.waitHealthy(t)
	if seen := watched(); len(seen) != 1 {
		t.Errorf("the table was not held:\n%s", strings.Join(seen, "then\n"))
	}
	if got := p.pages(t); got != "map[rs1:15 rs2:5]" {
		t.Errorf("clients got %s", got)
	}
}

// ownFault cuts the checks of a director from all real servers of two services, but not its
// clients. The director must hold the table for the time of own_fault.
func ownFault(t *testing.T, p pool) {
	second := strings.ReplaceAll(p.file(""), ":80", ":81")
	_, second, _ = strings.Cut(second, "virtual=")
	second = strings.Replace("virtual="+second, "\tservice=http\n", "\tservice=http\n\tcheckport=80\n", 1)
	p.write(t, p.file("", "own_fault=5\n")+second)
	p.directord(t, 0, "reload")
	p.waitCauses(t, "passed passed passed passed failed")
	// The second service is new. Until its checks have verdicts, its real servers have weight 0.
	first := poolTable("", 10, 10, 10, 10, 0)
	lines := slices.Collect(strings.Lines(first + strings.ReplaceAll(first, ":80", ":81")))
	slices.Sort(lines)
	held := strings.Join(lines, "")
	p.WaitTable(t, 5*time.Second, held)
	cut := func(verb string) {
		for _, n := range poolServers {
			p.Script(t, fmt.Sprintf("iptables-legacy -w %s OUTPUT -d 192.0.2.%d -j DROP", verb, n))
		}
	}
	cut("-A")
	p.unharmed(t, func() { p.waitCauses(t, "suspected suspected suspected suspected failed") })
	p.WaitTable(t, time.Second, held)
	if _, out := p.shown(t); !strings.Contains(out, "own fault") {
		t.Errorf("no own fault in the status:\n%s", out)
	}
	p.waitCauses(t, "failed failed failed failed failed")
	cut("-D")
	p.waitCauses(t, "passed passed passed passed failed")
	p.WaitTable(t, time.Second, held)
	if !strings.Contains(p.logText(), "own fault") {
		t.Error("no own fault in the log")
	}
}
