package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/health"
)

type checkCommand struct {
	Files []string `arg:"" name:"file" help:"Configuration files. A relative name that does not exist in the current directory is looked up in /etc/ha.d and then in /etc/ha.d/conf."`
}

// Run validates configuration files. It prints a line for every problem, and a summary for each
// file that it can read. It looks up host names, as the start of a daemon does.
func (c checkCommand) Run(ctx context.Context, sys system) (err error) {
	reader := disk.Reader{Helper: sys.helper}
	for _, file := range c.Files {
		loaded, failure := load.File(ctx, &reader, file, sys.dirs...)
		if failure != nil {
			failed(sys, failure)
			err = errNo
			continue
		}
		problems := loaded.Problems
		var usable *health.Setup
		if loaded.Config != nil {
			setup, failure := health.NewSetup(ctx, loaded.Config, config.NewNames(sys.resolver))
			if problems = append(problems, setup.Problems...); failure == nil {
				usable = &setup
			}
		}
		for _, p := range problems {
			fmt.Fprintln(sys.stdout, lint(p))
		}
		if usable == nil || len(usable.Services) == 0 || refused(problems) {
			err = errNo
		}
		fmt.Fprintf(sys.stdout, "%s: %s\n", loaded.Path, summary(usable, problems))
	}
	return err
}

// lint returns a problem in the format of compilers and linters: position, severity, text.
func lint(p config.Problem) string {
	p.What, p.Fix = fault.Printable(p.What), fault.Printable(p.Fix)
	return p.Position() + ": " + p.Severity.String() + strings.TrimPrefix(p.String(), p.Position())
}

// summary returns the last line of the output for a file. The setup usable is nil if the file
// cannot be used.
func summary(usable *health.Setup, problems []config.Problem) string {
	counts := map[string]int{}
	for _, p := range problems {
		counts[p.Severity.String()]++
	}
	errors, warnings := count(counts["error"], "error"), count(counts["warning"], "warning")
	if usable == nil {
		return fmt.Sprintf("not usable: %s, %s", errors, warnings)
	}
	if len(usable.Services) == 0 { // The file counts as not usable: ldirectord runs with it, but an ipvs resource does not start.
		return "not usable: no virtual service"
	}
	reals := 0
	for _, s := range usable.Services {
		reals += len(s.Reals)
	}
	services := count(len(usable.Services), "virtual service") + ", " + count(reals, "real server")
	if refused(problems) {
		return fmt.Sprintf("usable, except real servers that are never up: %s; %s, %s", services, errors, warnings)
	}
	return fmt.Sprintf("usable: %s; %s", services, warnings)
}

// refused reports whether a problem prevents that real servers are ever good.
func refused(problems []config.Problem) bool {
	return slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Severity == config.Refused })
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
