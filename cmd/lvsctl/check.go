package main

import (
	"context"
	"fmt"
	"strings"

	checks "lvs-agents/internal/check"
	"lvs-agents/internal/config"
	"lvs-agents/internal/disk"
)

// check judges files, each with a line for every problem and a summary.
func check(ctx context.Context, sys system, files []string) int {
	code := exitOK
	reader := disk.Reader{Helper: sys.helper}
	for _, file := range files {
		path, text, err := config.Read(ctx, &reader, file, sys.dirs...)
		if err != nil {
			failed(sys, err)
			code = exitFailed
			continue
		}
		cfg, problems := config.Parse(path, text)
		if cfg != nil {
			patterns := cfg.Patterns(checks.Compiles)
			if problems = append(problems, patterns...); len(patterns) > 0 {
				cfg = nil
			}
		}
		for _, p := range problems {
			fmt.Fprintln(sys.stdout, lint(p))
		}
		if cfg == nil || len(cfg.Services) == 0 {
			code = exitFailed
		}
		fmt.Fprintf(sys.stdout, "%s: %s\n", path, summary(cfg, problems))
	}
	return code
}

// lint writes a problem as linters do, with its severity behind the position.
func lint(p config.Problem) string {
	return p.Position() + ": " + p.Severity.String() + strings.TrimPrefix(p.String(), p.Position())
}

// summary is the last line for a file; cfg is nil if the file cannot be used.
func summary(cfg *config.Config, problems []config.Problem) string {
	counts := map[config.Severity]int{}
	for _, p := range problems {
		counts[p.Severity]++
	}
	if cfg == nil {
		return fmt.Sprintf("not usable: %s, %s", count(counts[config.Error], "error"), count(counts[config.Warning], "warning"))
	}
	if len(cfg.Services) == 0 { // ldirectord runs with it; an ipvs resource does not start
		return "not usable: no virtual service"
	}
	reals := 0
	for _, s := range cfg.Services {
		reals += len(s.Reals)
	}
	return fmt.Sprintf("usable: %s, %s; %s", count(len(cfg.Services), "virtual service"), count(reals, "real server"), count(counts[config.Warning], "warning"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
