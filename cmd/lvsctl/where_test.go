package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/crm/cib"
)

// TestNoDaemon checks what the commands print on a node without a health daemon.
func TestNoDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mon = `<r><summary><current_dc present="true"/></summary><nodes><node name="director1" online="true" standby="true"/></nodes>
<resources><resource id="web-health" resource_agent="ocf:lvs:health"><node name="director2"/></resource></resources></r>`
		for _, tt := range []struct {
			name, mon, want string
			err             error
			hangs           bool
		}{
			{name: "standby", mon: mon, want: ": web-health runs on director2; this node is in standby\n"},
			{name: "no health resource", mon: "<r/>", want: "\n"},
			{name: "no XML", want: "; the cluster is unknown: crm_mon: EOF\n"},
			{name: "no cluster", err: cib.ErrNotInstalled, want: "\n"},
			{name: "Pacemaker does not run", err: cib.ErrNotRunning, want: ": Pacemaker does not run, or this user cannot connect to it\n"},
			{name: "Pacemaker hangs", hangs: true, want: "; the cluster manager did not reply within 1s\n"},
		} {
			for _, args := range []string{"status", "status --json", "explain 192.0.2.10:80", "events -w"} {
				var out, errs strings.Builder
				sys := system{stdout: &out, stderr: &errs, stateDir: t.TempDir(), now: time.Now}
				sys.output = func(ctx context.Context, name string, _ ...string) (string, error) {
					switch {
					case tt.hangs:
						<-ctx.Done()
						return "", ctx.Err()
					case name == "crm_node":
						return "director1\n", tt.err
					}
					return tt.mon, tt.err
				}
				began := time.Now()
				code := run(t.Context(), strings.Fields(args), sys)
				want, stdout := 1, ""
				if args == "status --json" {
					want, stdout = 0, "[]\n"
				}
				if code != want || out.String() != stdout || errs.String() != "lvsctl: no health daemon runs on this node"+tt.want || time.Since(began) > time.Second {
					t.Errorf("%s, %s: exit code %d after %v, %q, %q", tt.name, args, code, time.Since(began), out.String(), errs.String())
				}
			}
		}
	})
}
