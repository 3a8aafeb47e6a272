package main

import (
	"context"
	"fmt"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/lvs"
)

type planCommand struct {
	File    string `arg:"" help:"Configuration file."`
	Against string `placeholder:"SAVED" help:"Compare with a file that holds the output of ipvsadm -Sn instead of with the kernel."`
}

// Run prints the operations that change the table to the services of a configuration file.
func (c planCommand) Run(ctx context.Context, sys system) error {
	want, err := wanted(ctx, sys, c.File)
	if err != nil {
		return err
	}
	have, err := present(ctx, sys, c.Against)
	if err != nil {
		return err
	}
	ops := lvs.Plan(want, have, lvs.ScopeOf(want))
	if len(ops) == 0 {
		fmt.Fprintln(sys.stdout, "# nothing to do")
	}
	for _, op := range ops {
		fmt.Fprintln(sys.stdout, op)
	}
	return nil
}

// wanted returns the table that a configuration file describes.
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

// present returns the kernel's table. If saved is not empty, it returns the table in the file
// saved.
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
