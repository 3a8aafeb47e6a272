package main

import (
	"context"
	"fmt"

	"lvs-agents/internal/kernel/resync"
)

type resyncCommand struct {
	DryRun bool `help:"Count the connections and send nothing."`
	All    bool `help:"Send the connections to addresses that this host does not have as well. They can replace newer connections of another director."`
}

// Run sends the connections of this director to the other directors.
func (c resyncCommand) Run(ctx context.Context, sys system) error {
	report, err := sys.resync(ctx, c.All, c.DryRun)
	if err != nil {
		return err
	}
	verb := "sent"
	if c.DryRun {
		verb = "would send"
	}
	fmt.Fprintf(sys.stdout, "%s %s\n", verb, report)
	return nil
}

// resyncs returns the function that sends the connections of this director.
func resyncs(kernel resync.IPVS, stateDir string) func(ctx context.Context, all, dry bool) (fmt.Stringer, error) {
	return func(ctx context.Context, all, dry bool) (fmt.Stringer, error) {
		return resync.Sender{IPVS: kernel, StateDir: stateDir, All: all, Dry: dry}.Send(ctx)
	}
}
