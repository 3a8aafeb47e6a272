package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/record"
)

// printKernel prints what the kernel has, what the configuration needs, and the known faults.
func printKernel(ctx context.Context, sys system, file string) error {
	needs, err := needsOf(sys)
	if file != "" {
		needs, err = needsOfFile(ctx, sys, file)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(sys.stdout, "kernel %s has:\n", sys.capable.Release())
	printCapabilities(sys.stdout, sys.capable.All())
	fmt.Fprintln(sys.stdout, "the configuration needs:")
	wanted := needs.Capabilities(sys.capable)
	printCapabilities(sys.stdout, wanted)
	fmt.Fprintln(sys.stdout, "known faults of kernels that concern the configuration:")
	faults := doctor.KnownFaults(sys.capable, needs)
	for _, f := range faults {
		fmt.Fprintf(sys.stdout, "  %s\n    why: %s\n    fix: %s\n", f.What, f.Why, f.Fix)
	}
	if len(faults) == 0 {
		fmt.Fprintln(sys.stdout, "  none")
	}
	if slices.ContainsFunc(wanted, host.Capability.Lacks) {
		return errNo
	}
	return nil
}

func printCapabilities(out io.Writer, all []host.Capability) {
	for _, c := range all {
		line := fmt.Sprintf("  %-48s %s", c.Name, c.Presence)
		if c.Value != "" {
			line += ", " + c.Value
		}
		if c.Why != "" {
			line += ": " + c.Why
		}
		if c.Fix != "" {
			line += "; " + c.Fix
		}
		fmt.Fprintln(out, line)
	}
	if len(all) == 0 {
		fmt.Fprintln(out, "  nothing")
	}
}

// needsOf returns what the resources and daemons on this host need.
func needsOf(sys system) (needs doctor.Needs, err error) {
	store, err := record.In(sys.stateDir)
	if err != nil {
		return needs, err
	}
	records, _, err := store.Others("")
	if err != nil {
		return needs, err
	}
	for _, r := range records {
		needs.Table = append(needs.Table, r.Services...)
	}
	books, err := ledger.In(sys.stateDir, ledger.Director)
	if err != nil {
		return needs, err
	}
	l, err := books.Load()
	if err != nil && !errors.Is(err, state.ErrDamaged) {
		return needs, err
	}
	for _, e := range l.Entries {
		if name, is := strings.CutPrefix(e.Name, "net/ipv4/vs/"); is && e.Kind == host.Sysctl {
			needs.Sysctls = append(needs.Sysctls, name)
		}
		needs.Sync = needs.Sync || e.Kind == host.SyncDaemon
	}
	return needs, nil
}

// needsOfFile returns what a configuration file needs.
func needsOfFile(ctx context.Context, sys system, file string) (needs doctor.Needs, err error) {
	loaded, err := load.File(ctx, &disk.Reader{Helper: sys.helper}, file, sys.dirs...)
	if err != nil {
		return needs, err
	}
	if loaded.Config == nil {
		return needs, fmt.Errorf("%s cannot be used; see lvsctl check %[1]s", loaded.Path)
	}
	needs.Table, _ = loaded.Config.Table(ctx, config.NewNames(sys.resolver))
	return needs, nil
}
