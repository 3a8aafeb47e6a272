package monitoring

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const directory = "../../docs/monitoring/"

func promtool(t *testing.T, args ...string) {
	t.Helper()
	need(t, "promtool")
	if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestRules checks the rules, and runs their tests.
func TestRules(t *testing.T) {
	promtool(t, "check", "rules", directory+"rules.yml")
	promtool(t, "test", "rules", directory+"rules_test.yml")
}

// TestEveryAlertHasATest checks that the tests of the rules have a case where each alert fires.
func TestEveryAlertHasATest(t *testing.T) {
	rules, err := os.ReadFile(directory + "rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(directory + "rules_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	alerts := strings.Split(string(rules), "- alert: ")[1:]
	for _, alert := range alerts {
		name, _, _ := strings.Cut(alert, "\n")
		if !strings.Contains(string(tests), "alertname: "+name+"\n        exp_alerts:\n") {
			t.Errorf("no case where %s fires", name)
		}
	}
	if len(alerts) == 0 {
		t.Error("no alerts")
	}
}

// dashboard has the parts of a dashboard of Grafana that name metrics.
type dashboard struct {
	Title  string `json:"title"`
	Panels []struct {
		ID      int    `json:"id"`
		Title   string `json:"title"`
		GridPos struct{ X, Y, W, H int }
		Targets []struct {
			Expr string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
}

// TestDashboard checks every query of the dashboard with promtool, as an expression of a rule. It
// also checks that the panels have different ids and are inside of the 24 columns.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(directory + "dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	ids := map[int]bool{}
	queries := 0
	for _, panel := range d.Panels {
		if ids[panel.ID] || panel.GridPos.W == 0 || panel.GridPos.X+panel.GridPos.W > 24 || len(panel.Targets) == 0 {
			t.Errorf("panel %d %s: %+v", panel.ID, panel.Title, panel.GridPos)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			queries++
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(target.Expr)
			fmt.Fprintf(&rules, "  - record: query:%d\n    expr: %q\n", queries, expr)
		}
	}
	if queries == 0 || strings.Contains(rules.String(), "$") {
		t.Errorf("%d queries:\n%s", queries, rules.String())
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}
