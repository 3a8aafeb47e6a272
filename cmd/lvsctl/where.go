package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lvs-agents/crm/cib"
	"lvs-agents/internal/doctor"
)

// whereTime is how long the cluster can take to reply where the health daemons run.
const whereTime = time.Second

// errNoDaemon is the error of commands that need a health daemon.
var errNoDaemon = errors.New("no health daemon runs on this node")

// noDaemon returns an error that names the nodes where the health daemons run, and why they do not
// run on this node.
func noDaemon(ctx context.Context, sys system) error {
	ctx, cancel := context.WithTimeout(ctx, whereTime)
	defer cancel()
	out := outputs(ctx, sys, "crm_mon --one-shot --inactive --output-as=xml", "crm_node --name")
	mon, name := out["crm_mon"], out["crm_node"]
	err := errors.Join(mon.err, name.err)
	switch {
	case errors.Is(err, cib.ErrNotInstalled):
		return errNoDaemon
	case errors.Is(err, cib.ErrNotRunning):
		return fmt.Errorf("%w: %w", errNoDaemon, cib.ErrNotRunning)
	case isLate(err):
		return fmt.Errorf("%w; the cluster manager did not reply within %s", errNoDaemon, whereTime)
	case err != nil:
		return fmt.Errorf("%w; the cluster is unknown: %w", errNoDaemon, err)
	}
	facts := doctor.Facts{Node: strings.TrimSpace(name.text)}
	if err := facts.ReadMonitor(mon.text); err != nil {
		return fmt.Errorf("%w; the cluster is unknown: %w", errNoDaemon, err)
	}
	if where := facts.Where(); len(where) > 0 {
		return fmt.Errorf("%w: %s", errNoDaemon, inert(strings.Join(where, ", ")))
	}
	return errNoDaemon
}
