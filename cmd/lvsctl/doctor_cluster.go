package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"lvs-agents/internal/doctor"
)

// programTimeout is how long one program that the doctor runs can take.
const programTimeout = 3 * time.Second

// exitDisconnect is the exit code of Pacemaker's programs that cannot connect to Pacemaker.
const exitDisconnect = 102

// examineCluster returns the faults of the Pacemaker cluster of this director. Without a cluster,
// it prints why it examines none.
func examineCluster(ctx context.Context, sys system) ([]doctor.Finding, error) {
	if _, sync := syncResource(sys); !sync && !sys.director.Directs() {
		return nil, nil
	}
	text, err := sys.output(ctx, "crm_mon", "--one-shot", "--inactive", "--output-as=xml")
	var exit *exec.ExitError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return []doctor.Finding{{
			What: "the state of the cluster is unknown",
			Why:  "Pacemaker did not reply to crm_mon in time",
			Fix:  "examine Pacemaker: systemctl status pacemaker; journalctl -u pacemaker",
		}}, nil
	case errors.Is(err, exec.ErrNotFound):
		fmt.Fprintln(sys.stderr, "lvsctl: the cluster is not examined: crm_mon is not installed; in a cluster, install pacemaker")
		return nil, nil
	case errors.As(err, &exit) && exit.ExitCode() == exitDisconnect:
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

// output runs a program that changes nothing, and returns its standard output.
func output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return string(out), err
}
