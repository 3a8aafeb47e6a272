package ipvs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/control"
)

// kept are the permanent attributes of director1.
type kept map[string]string

func (k kept) Name(context.Context) (string, error) {
	if k == nil {
		return "", errors.New("no answer")
	}
	return "director1", nil
}

func (k kept) Kept(context.Context, string) (map[string]map[string]string, error) {
	return map[string]map[string]string{"director1": k, "director2": {"lvs-order-x": order("drain", "192.0.2.22:80", time.Hour)}}, nil
}

// counted counts the queries of a cluster.
type counted struct {
	kept
	queries int
}

func (c *counted) Kept(ctx context.Context, prefix string) (map[string]map[string]string, error) {
	c.queries++
	return c.kept.Kept(ctx, prefix)
}

func order(kind, server string, ends time.Duration) string {
	now := time.Now()
	return control.Command{Service: "-t 192.0.2.10:80", Servers: []string{server}, Order: control.Order{Kind: kind, By: "eva", Since: now.Add(-time.Hour), Until: now.Add(ends)}}.Words()
}

// TestDrainedServersStartWithWeightZero checks the orders of the cluster. Without them, a drained
// real server would get connections after a take-over, until the health daemon runs. A monitor
// before that must not restore the weight.
func TestDrainedServersStartWithWeightZero(t *testing.T) {
	without := strings.Replace(webTable, "-r 192.0.2.21:80 -g -w 1", "-r 192.0.2.21:80 -g -w 0", 1)
	const one, two = "192.0.2.21:80", "192.0.2.22:80"
	for _, tt := range []struct {
		name string
		kept kept
		want string
	}{
		{"drain", kept{"a": order("drain", one, time.Hour)}, without},
		{"maint", kept{"a": order("maint", one, time.Hour)}, without},
		{"remove", kept{"a": order("remove", one, time.Hour)}, without},
		{"an order that has ended", kept{"a": order("drain", one, -time.Minute)}, webTable},
		{"weight 0", kept{"a": order("weight", one, time.Hour)}, without},
		{"weight 5", kept{"a": strings.Replace(order("weight", one, time.Hour), "weight 0", "weight 5", 1)}, webTable},
		{"all", kept{"a": order("drain", one, time.Hour), "b": order("drain", two, time.Hour)}, webTable},
		{"another server, and damage", kept{"a": order("drain", "192.0.2.29:80", time.Hour), "b": "?"}, webTable},
		{"no orders", kept{}, webTable},
		{"no answer", nil, webTable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			n.attributes = tt.kept
			got := n.mustRun(t, 0, "web", "start", append([]string{"crm_feature_set=3.16.2"}, web...)...)
			n.wantTable(t, tt.want)
			monitor := append([]string{"crm_feature_set=3.16.2", "CRM_meta_interval=10000"}, web...)
			n.mustRun(t, 0, "web", "monitor", monitor...)
			n.wantTable(t, tt.want)
			if unknown := strings.Contains(got.log, "the orders of the cluster are unknown"); unknown != (tt.kept == nil) {
				t.Errorf("log: %s", got.log)
			}
			ended := &counted{kept: kept{}}
			n.attributes = ended // The orders have ended, and no health daemon runs.
			n.mustRun(t, 0, "web", "monitor", monitor...)
			if ended.queries > 1 {
				t.Errorf("one monitor queries the cluster %d times", ended.queries)
			}
			n.wantTable(t, webTable)
			n.mustRun(t, 0, "web", "stop", web...)
			n.mustRun(t, 0, "web", "start", web...) // not by Pacemaker
			n.wantTable(t, webTable)
		})
	}
}
