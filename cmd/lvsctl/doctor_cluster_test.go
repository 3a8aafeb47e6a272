package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"lvs-agents/crm/cib"
)

// rightCluster is the output of the programs on a director of a cluster without faults.
func rightCluster(_ context.Context, name string, _ ...string) (string, error) {
	if name == "systemctl" {
		return "", nil
	}
	return `<r><summary><current_dc present="true" with_quorum="true"/><cluster_options stonith-enabled="true"/></summary>
<resources><resource id="fence" resource_agent="stonith:fence_ipmilan" managed="true"/></resources></r>`, nil
}

func TestDoctorExaminesTheCluster(t *testing.T) {
	tests := []struct {
		name           string
		mon            string
		err, units     error
		want, stderr   string
		keepalivedRuns bool
	}{
		{name: "no crm_mon", err: cib.ErrNotInstalled, stderr: "lvsctl: the cluster is not examined: crm_mon is not installed; in a cluster, install pacemaker\n"},
		{
			name: "Pacemaker does not run", err: cib.ErrNotRunning,
			stderr: "lvsctl: the cluster is not examined: Pacemaker does not run, or this user cannot connect to it; start pacemaker, or run lvsctl as root\n",
		},
		{name: "Pacemaker hangs", err: context.DeadlineExceeded, want: "Pacemaker did not reply to crm_mon in time"},
		{name: "no controller", mon: `<r/>`, want: "Pacemaker has no designated controller"},
		{name: "keepalived runs", keepalivedRuns: true, want: "keepalived.service runs, and the cluster does not control it"},
		{name: "no systemd", units: errors.New("no bus"), stderr: "lvsctl: the units of systemd are not examined: systemctl: no bus\n"},
		{name: "right"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var errs strings.Builder
			sys := system{stderr: &errs, stateDir: t.TempDir(), director: &patient{directs: true}}
			sys.output = func(ctx context.Context, name string, args ...string) (string, error) {
				text, _ := rightCluster(ctx, name, args...)
				switch {
				case name == "systemctl" && tt.keepalivedRuns:
					return "Id=keepalived.service\nActiveState=active\nUnitFileState=disabled\n", nil
				case name == "systemctl":
					return text, tt.units
				case tt.mon != "" || tt.err != nil:
					return tt.mon, tt.err
				}
				return text, nil
			}
			found, err := examineCluster(t.Context(), sys)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, f := range found {
				got += f.Why
			}
			if got != tt.want || errs.String() != tt.stderr {
				t.Errorf("got %q, want %q; stderr %q, want %q", got, tt.want, errs.String(), tt.stderr)
			}
		})
	}
}
