package main

import (
	"context"
	"fmt"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/lvs"
)

// plan prints what has to be done to have the services of a file.
func plan(ctx context.Context, sys system, file, against string) int {
	want, err := wanted(ctx, sys, file)
	if err != nil {
		return failed(sys, err)
	}
	have, err := present(ctx, sys, against)
	if err != nil {
		return failed(sys, err)
	}
	ops := lvs.Plan(want, have, lvs.ScopeOf(want))
	if len(ops) == 0 {
		fmt.Fprintln(sys.stdout, "# nothing to do")
	}
	for _, op := range ops {
		fmt.Fprintln(sys.stdout, op)
	}
	return exitOK
}

// wanted is the table of a configuration file.
func wanted(ctx context.Context, sys system, file string) (lvs.Table, error) {
	loaded, err := load.File(ctx, &disk.Reader{Helper: sys.helper}, file, sys.dirs...)
	if err != nil {
		return nil, err
	}
	for _, p := range loaded.Problems {
		fmt.Fprintln(sys.stderr, lint(p))
	}
	if loaded.Config == nil {
		return nil, fmt.Errorf("%s: %s", loaded.Path, summary(nil, loaded.Problems))
	}
	table, problems := loaded.Config.Table(ctx, config.NewNames(sys.resolver))
	for _, p := range problems {
		if p.Severity == config.Warning {
			fmt.Fprintln(sys.stderr, lint(p))
		}
	}
	return table, config.Err(problems)
}

// present is the kernel's table, or a saved one.
func present(ctx context.Context, sys system, saved string) (lvs.Table, error) {
	if saved == "" {
		return sys.kernel.Table(ctx)
	}
	_, text, err := load.Read(ctx, &disk.Reader{Helper: sys.helper}, saved, ".")
	if err != nil {
		return nil, err
	}
	table, err := lvs.ParseTable(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", saved, err)
	}
	return table, nil
}
