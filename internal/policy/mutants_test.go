package policy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutant is a deliberate fault in the machine: a text of a file, its replacement, and the property
// or test that must catch the fault.
type mutant struct{ name, file, old, new, caught string }

var mutants = []mutant{
	{"drain without effect", "decide.go", "case order.Kind == Drain || order.Kind == Maint:", "case order.Kind == Maint:", "drained stays 0"},
	{"maint without effect", "decide.go", "case order.Kind == Drain || order.Kind == Maint:", "case order.Kind == Drain:", "drained stays 0"},
	{"remove without effect", "decide.go", "case order.Kind == Remove:", "case false:", "drained stays 0"},
	{"orders that have ended count", "decide.go", "if !o.Active(r.in.Now) {", "if false {", "OrdersEnd"},
	{"the weakest order wins", "decide.go", "strength(o) > strength(strongest)", "strength(o) < strength(strongest)", "drained stays 0"},
	{"the ordered weight is ignored", "decide.go", "weight = o.Weight", "_ = o.Weight", "the weight is the ordered weight"},
	{"bad servers serve", "decide.go", "case seen.Verdict == Bad || seen.Says.Down:", "case seen.Says.Down:", "no server without a good check serves"},
	{"down of the server is ignored", "decide.go", "case seen.Verdict == Bad || seen.Says.Down:", "case seen.Verdict == Bad:", "no server without a good check serves"},
	{"drain of the server is ignored", "decide.go", "case reason.Says.Mode != \"\":", "case false:", "a server drains itself"},
	{"unchecked servers serve", "decide.go", "reason.Percent, weight = 0, min(seen.Found, 0)", "weight = min(seen.Found, 0)", "no server without a good check serves"},
	{"fail-open brings drained servers back", "decide.go", "(p.Reason.Cause == Failed || p.Reason.Cause == Unchecked) && those(i)", "those(i)", "drained stays 0"},
	{"shortage does not end", "decide.go", "if was {", "if !was {", "TestQuorum"},
	{"the quorum is one too high", "decide.go", "have.weight < max(1, quorum)", "have.weight <= max(1, quorum)", "quorum and minimum decide"},
	{"the minimum is ignored", "decide.go", "have.count < s.MinCount ||", "false ||", "quorum and minimum decide"},
	{"the percentage is of all servers", "decide.go", "pool += one(p.Reason.Cause != Ordered)", "pool += one(p.Reason.Cause != Capped)", "quorum and minimum decide"},
	{"hold forgets", "decide.go", "if !r.out.Short && !r.in.Starting {", "if true {", "a second pass changes nothing"},
	{"the cap is ignored", "decide.go", "case counted >= r.limit():", "case counted < 0:", "at most the cap is ejected"},
	{"the cap is one too large", "decide.go", "case counted >= r.limit():", "case counted > r.limit():", "at most the cap is ejected"},
	{"ejections are not counted", "decide.go", "past.Ejected, past.Served = r.in.Now, false", "past.Served = false", "every ejection counts"},
	{"the youngest failure goes first", "decide.go", "Since.Compare(r.in.Servers[b].Since)", "Since.Compare(r.in.Servers[b].Since) * -1", "TestChecksTakeOutAtMostTheCapWithinTheWindow"},
	{"slow start at the start of the daemon", "decide.go", "past.Served = past.Served || r.in.Starting ||", "past.Served = past.Served ||", "slow start has its window"},
	{"no slow start", "decide.go", "past.Rising = r.in.Now\n", "past.Rising = time.Time{}\n", "a server that comes back rises"},
	{"slow start falls", "decide.go", "math.Pow(float64(max(0, n))/steps,", "math.Pow(float64(steps-n)/steps,", "slow start is monotone"},
	{"slow start without a floor", "decide.go", "max(1, max(int(curve), r.Floor)*p.Reason.Percent/100)", "int(curve) * p.Reason.Percent / 100", "slow start has its floor"},
	{"slow start never ends", "decide.go", "if n >= steps {", "if false {", "slow start has its window"},
	{"spare tiers always serve", "decide.go", "have.able >= max(1, r.TierMin) &&", "false &&", "TestTiersJoinWhenTooFewServe"},
	{"spare tiers never serve", "decide.go", "!r.short(have, pool, r.out.Short) {", "true {", "a spare tier joins when it is needed"},
	{"the fallback serves beside servers", "decide.go", "r.out.Fallback = !slices", "r.out.Fallback = r.out.Short || !slices", "the fallback serves while no server does"},
	{"the fallback does not replace servers", "decide.go", "case r.Shortage == Fallback && r.Fallbacks:", "case false:", "the fallback serves instead of too few servers"},
	{"the announced time is too late", "decide.go", "r.until(past.Rising.Add(time.Duration(n+1) * step))", "r.until(past.Rising.Add(time.Duration(n+3) * step))", "nothing changes before the announced time"},
	{"a suspicion has no end", "decide.go", "return r.in.Now.Before(s.Until) &&", "return !s.Until.IsZero() &&", "no server without a good check serves"},
	{"the weight differs from its reason", "decide.go", "p.Weight = p.Reason.Weight()\n}", "p.Weight = p.Reason.Weight() + 1\n}", "the sum of decisions equals the reasons"},
	{"up does not end down", "says.go", "s.Down = false", "s.Down = true", "TestAgentCheckLines"},
	{"an agent draws more than its weight", "says.go", "int(min(n, 100))", "int(n)", "TestAgentCheckLines"},
}

// TestMutants builds the package with each fault, and requires that its test fails. It needs some
// minutes of CPU time, so it runs only with POLICY_MUTANTS=1.
func TestMutants(t *testing.T) {
	if os.Getenv("POLICY_MUTANTS") == "" {
		t.Skip("POLICY_MUTANTS is not set")
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			output, err := m.test(t)
			if err == nil || !strings.Contains(output, m.caught) {
				t.Errorf("not caught by %q: %v\n%.2000s", m.caught, err, output)
			}
		})
	}
}

// test runs the tests of the package with the fault.
func (m mutant) test(t *testing.T) (output string, err error) {
	t.Helper()
	dir := t.TempDir()
	file, err := filepath.Abs(m.file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), m.old) != 1 {
		t.Fatalf("%s has %q %d times: %v", m.file, m.old, strings.Count(string(text), m.old), err)
	}
	changed, overlay := filepath.Join(dir, m.file), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{changed: []byte(strings.Replace(string(text), m.old, m.new, 1)), overlay: list} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-count=1", "-overlay", overlay, ".")
	run.Env = append(os.Environ(), "POLICY_MUTANTS=", "POLICY_RUNS=2000")
	out, err := run.CombinedOutput()
	return string(out), err
}
