package main

import (
	"context"
	"errors"
	"fmt"

	"lvs-agents/crm/cib"
	"lvs-agents/internal/doctor"
)

// examineCluster returns the faults of the Pacemaker cluster of this director. Without a cluster,
// it prints why it examines none.
func examineCluster(ctx context.Context, sys system) ([]doctor.Finding, error) {
	if _, sync := syncResource(sys); !sync && !sys.director.Directs() {
		return nil, nil
	}
	text, err := sys.output(ctx, "crm_mon", "--one-shot", "--inactive", "--output-as=xml")
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return []doctor.Finding{{
			What: "the state of the cluster is unknown",
			Why:  "Pacemaker did not reply to crm_mon in time",
			Fix:  "examine Pacemaker: systemctl status pacemaker; journalctl -u pacemaker",
		}}, nil
	case errors.Is(err, cib.ErrNotInstalled):
		fmt.Fprintln(sys.stderr, "lvsctl: the cluster is not examined: crm_mon is not installed; in a cluster, install pacemaker")
		return nil, nil
	case errors.Is(err, cib.ErrNotRunning):
		fmt.Fprintln(sys.stderr, "lvsctl: the cluster is not examined: Pacemaker does not run, or this user cannot connect to it; start pacemaker, or run lvsctl as root")
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("crm_mon: %w", err)
	}
	findings, err := doctor.ExamineCluster(text)
	if err != nil {
		return nil, err
	}
	args := append([]string{"show", "--property=Id,ActiveState,UnitFileState"}, doctor.Fighters()...)
	units, err := sys.output(ctx, "systemctl", args...)
	if err != nil { // Hosts without systemd have none of the units.
		fmt.Fprintf(sys.stderr, "lvsctl: the units of systemd are not examined: systemctl: %v\n", err)
		return findings, nil
	}
	return append(findings, doctor.ExamineUnits(units)...), nil
}
