package main

import (
	"context"
	"fmt"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

type diffCommand struct{ setupFlags }

// Run prints the differences. It returns errNo if there are some.
func (c diffCommand) Run(ctx context.Context, sys system) error {
	cfg, resources, err := c.resources(ctx, sys)
	if err != nil {
		return err
	}
	p, err := setup(ctx, sys, resources)
	if err != nil {
		return err
	}
	want, problems := cfg.Table(ctx, config.NewNames(sys.resolver))
	if err := config.Err(problems); err != nil {
		return err
	}
	have, err := sys.kernel.Table(ctx)
	if err != nil {
		return err
	}
	ops := lvs.Plan(want, have, lvs.ScopeOf(want))
	for _, line := range p.changes {
		fmt.Fprintf(sys.stdout, "cluster: %s\n", line)
	}
	for _, op := range ops {
		fmt.Fprintf(sys.stdout, "kernel: %s\n", op)
	}
	if len(p.changes)+len(ops) > 0 {
		return errNo
	}
	fmt.Fprintln(sys.stdout, "no difference")
	return nil
}
